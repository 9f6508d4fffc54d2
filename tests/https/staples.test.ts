import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { connect, type SecureVersion } from 'node:tls';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { Authority, noTls } from '../support/certificates.ts';
import { stopAll } from '../support/process.ts';
import { testUnless } from '../support/skip.ts';
import { within } from '../support/wait.ts';
import { serving } from './server.ts';

// OCSP responses that the server sends along (RFC 6066 §8), as OpenSSL in Node.js reads them.
const suiteOf = suite('staples');
const test = (name: string, run: () => Promise<void>): void =>
  testUnless(suiteOf, noTls, name, run);

suiteOf.after(stopAll);

/** What a client is sent that asks; null where there is nothing. */
function statusOf(port: number, ca: string, version: SecureVersion): Promise<Buffer | null> {
  const versions = { minVersion: version, maxVersion: version };
  const options = { port, host: '127.0.0.1', ca, requestOCSP: true, ...versions };
  const socket = connect(options); // whose types do not know of requestOCSP
  const told = new Promise<Buffer | null>((resolve, reject) => {
    let status: Buffer | null = null;
    socket.once('OCSPResponse', (response: Buffer | null) => {
      status = response?.length ? response : null;
    });
    socket.once('secureConnect', () => resolve(status));
    socket.once('error', reject);
  });
  return within(told, 'a handshake').finally(() => socket.destroy());
}

test('clients of TLS 1.3 and of 1.2 are sent the staple that they ask for', async () => {
  const authority = new Authority();
  const folder = mkdtempSync(join(tmpdir(), 'gyrfalcon-staple-'));
  try {
    const { certFile, keyFile } = authority.issue(['127.0.0.1']);
    const pair = { cert: certFile, key: keyFile, minVersion: '1.2' };
    const ocsp = join(folder, 'status.der');
    const staple = Buffer.from([0x30, 3, 10, 1, 0]); // an OCSPResponse that says no more than "successful"
    writeFileSync(ocsp, staple);
    for (const version of ['TLSv1.3', 'TLSv1.2'] as const) {
      await serving({ tls: { ...pair, ocsp } }, async ({ port }) => {
        assert.equal(await statusOf(port, authority.cert, version), staple);
      });
      await serving({ tls: pair }, async ({ port }) => {
        assert.is(await statusOf(port, authority.cert, version), null);
      });
    }
  } finally {
    rmSync(folder, { recursive: true });
    authority.remove();
  }
});

suiteOf.run();
