import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { TLSSocket } from 'node:tls';
import { buildConnector, Client } from 'undici';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { Authority, type Issued, noTls } from '../support/certificates.ts';
import { goProgram } from '../support/go.ts';
import { lacks, project, start, stopAll } from '../support/process.ts';
import { testUnless } from '../support/skip.ts';
import { within } from '../support/wait.ts';
import { type HttpsServer, startHttps, stopHttps } from './server.ts';

// Clients of TLS that are written in other languages: each does the same, with each version, and tells what it was told.

/** What a client is to do. */
interface Asking {
  port: number;
  /** Requests for `/`, each on a connection of its own. Those behind the first resume its session. */
  times: number;
  version: '1.2' | '1.3';
  /** Files: the authority that is believed, and the client's own certificate. */
  ca: string;
  cert?: string;
  key?: string;
}

interface Program {
  name: string;
  lack: string | undefined;
  /** It asks for no tickets in this version, in some of its own versions: what it resumes there is not looked at. */
  mayResumeNone?: Asking['version'];
  /** Gives the bodies of the answers. Each connection has to end by close_notify where the client looks for it. */
  ask: (asking: Asking) => Promise<string[]>;
}

/** What the app tells of a request. */
interface Told {
  url: string;
  subject: string | null;
  tls: { version: string; cipher: string; alpn: string | null; sni: string; resumed: boolean };
}

const test = suite('https by programs');
const authority = noTls === undefined ? new Authority() : (undefined as unknown as Authority);
const issued = authority?.issue(['a.test', '127.0.0.1']) as Issued;
const own = authority?.issue(['client.test']) as Issued;
const strangers = noTls === undefined ? new Authority('Strangers') : undefined;
/** Of tests by themselves, and for what programs leave. */
const { folder } = authority ?? { folder: '' };
let open: HttpsServer;
/** One that asks for certificates. */
let asking: HttpsServer;

test.before(async () => {
  if (noTls !== undefined) return;
  const tls = { cert: issued.certFile, key: issued.keyFile, minVersion: '1.2' };
  open = await startHttps({ tls });
  asking = await startHttps({ tls: { ...tls, requestCert: true, ca: authority.certFile } });
});
test.after(async () => {
  if (noTls === undefined) await Promise.all([open, asking].map(stopHttps));
  await stopAll();
  authority?.remove();
  strangers?.remove();
});

/** Runs a program to its end; what it printed. Its words are those of the error when it fails. */
async function outputOf(command: string, args: readonly string[]): Promise<string> {
  const running = start(command, args);
  const { code } = await within(running.ended, `the end of ${command}`, 60_000);
  if (code !== 0) throw new Error(`${command}: ${code} ${running.stderr()}`);
  return running.stdout();
}

const linesOf = (text: string): string[] => text.trimEnd().split('\n');

async function curl({ port, times, version, ca, cert, key }: Asking): Promise<string[]> {
  const versions = version === '1.2' ? ['--tls-max', '1.2'] : ['--tlsv1.3'];
  const client = cert === undefined ? [] : ['--cert', cert, '--key', `${key}`];
  const url = `https://a.test:${port}/`;
  return linesOf(
    await outputOf('curl', [
      ...['-sS', '--http1.1', '--max-time', '30', '-H', 'Connection: close', '-w', '\\n'],
      ...['--resolve', `a.test:${port}:127.0.0.1`, '--cacert', ca, ...versions, ...client],
      ...Array<string>(times).fill(url),
    ]),
  );
}

/** `openssl s_client`, with further options. */
async function sClient(asked: Asking, options: readonly string[] = []): Promise<string[]> {
  const { port, times, version, ca, cert, key } = asked;
  const session = join(folder, 'session');
  const args = [
    ...['s_client', '-connect', `127.0.0.1:${port}`, '-servername', 'a.test', '-quiet'],
    ...['-ign_eof', '-verify_return_error', '-verify_hostname', 'a.test', '-CAfile', ca],
    ...[version === '1.2' ? '-tls1_2' : '-tls1_3', '-alpn', 'http/1.1', ...options],
    ...(cert === undefined ? [] : ['-cert', cert, '-key', `${key}`]),
  ];
  const bodies: string[] = [];
  for (let n = 0; n < times; n += 1) {
    const given = [...args, '-sess_out', session, ...(n > 0 ? ['-sess_in', session] : [])];
    // It sends what it reads; the end of that is not its own (-ign_eof).
    const line = 'printf "GET / HTTP/1.1\\r\\nHost: a.test\\r\\nConnection: close\\r\\n\\r\\n"';
    const response = await outputOf('sh', ['-c', `${line} | openssl "$@"`, 'sh', ...given]);
    assert.match(response, /^HTTP\/1\.1 200 /);
    bodies.push(response.slice(response.indexOf('\r\n\r\n') + 4));
  }
  return bodies;
}

async function undici(asked: Asking): Promise<string[]> {
  const { port, times, version, ca, cert, key } = asked;
  const own = cert === undefined ? {} : { cert: readFileSync(cert), key: readFileSync(`${key}`) };
  const versions = { minVersion: `TLSv${version}`, maxVersion: `TLSv${version}` } as const;
  const given = { ...versions, ...own, ca: readFileSync(ca), servername: 'a.test' };
  // It forgets sessions whenever garbage is collected.
  let session: Buffer | undefined;
  const connect: buildConnector.connector = (options, callback) => {
    const connector = buildConnector({ ...given, ...(session === undefined ? {} : { session }) });
    connector(options, (...result) => {
      const socket = result[1] as TLSSocket | null;
      session = socket?.getSession();
      socket?.on('session', (later) => {
        session = later;
      });
      callback(...result);
    });
  };
  const client = new Client(`https://127.0.0.1:${port}`, { connect });
  const bodies: string[] = [];
  for (let n = 0; n < times; n += 1) {
    const headers = { host: 'a.test' };
    const { body } = await client.request({ method: 'GET', path: '/', headers, reset: true });
    bodies.push(await body.text());
  }
  await client.close();
  return bodies;
}

const python = project('tests', 'https', 'fixtures', 'client.py');

const clients: readonly Program[] = [
  {
    name: 'Go crypto/tls',
    lack: lacks('go', 'version'),
    ask: async (asked) =>
      linesOf(await outputOf(goProgram('tls_client', folder), [JSON.stringify(asked)])),
  },
  {
    name: 'Python ssl',
    lack: lacks('python3'),
    ask: async (asked) => linesOf(await outputOf('python3', [python, JSON.stringify(asked)])),
  },
  { name: 'curl', lack: lacks('curl'), mayResumeNone: '1.2', ask: curl },
  { name: 'openssl s_client', lack: lacks('openssl', 'version'), ask: (asked) => sClient(asked) },
  { name: 'undici', lack: undefined, ask: undici },
];

const told = (bodies: readonly string[]): Told[] => bodies.map((body) => JSON.parse(body) as Told);
const versions = ['1.3', '1.2'] as const;
const suites = { '1.3': /^TLS_(?:AES|CHACHA20)_/, '1.2': /^TLS_ECDHE_ECDSA_WITH_/ };

for (const { name, lack, mayResumeNone, ask } of clients) {
  const testIt = (what: string, run: () => Promise<void>): void =>
    testUnless(test, noTls ?? lack, `${name}: ${what}`, run);

  for (const version of versions) {
    testIt(`TLS ${version}, whole and resumed`, async () => {
      const ca = authority.certFile;
      const answers = told(await ask({ port: open.port, times: 3, version, ca }));
      assert.is(answers.length, 3);
      for (const [n, { tls }] of answers.entries()) {
        const { cipher, version: spoken, sni, alpn, resumed } = tls;
        assert.match(cipher, suites[version]);
        assert.equal([spoken, sni, alpn], [`TLSv${version}`, 'a.test', 'http/1.1']);
        if (mayResumeNone !== version) assert.is(resumed, n > 0);
      }
    });

    testIt(`TLS ${version}, with a certificate of its own`, async () => {
      const { port } = asking;
      const client = { cert: own.certFile, key: own.keyFile };
      const asked = { port, times: 2, version, ca: authority.certFile };
      for (const { subject, tls } of told(await ask({ ...asked, ...client }))) {
        assert.equal([subject, tls.resumed], ['CN=client.test', false]);
      }
      await ask(asked).then(
        () => assert.unreachable('it was let in without one'),
        () => {},
      );
    });
  }

  testIt('an authority that it does not know is its to refuse', async () => {
    const ca = strangers?.certFile as string;
    const refused = ask({ port: open.port, times: 1, version: '1.3', ca }).then(
      () => 'it was believed',
      (error: Error) => `${(error as NodeJS.ErrnoException).code} ${error.message}`,
    );
    assert.match(await refused, /certificate|issuer/i);
  });
}

/** Options of s_client that leave the server one choice, and the cipher that it comes to. */
const choices: [version: Asking['version'], options: string[], cipher: RegExp][] = [
  ['1.3', ['-ciphersuites', 'TLS_AES_128_GCM_SHA256'], /^TLS_AES_128_GCM_SHA256$/],
  ['1.3', ['-ciphersuites', 'TLS_AES_256_GCM_SHA384'], /^TLS_AES_256_GCM_SHA384$/],
  ['1.3', ['-ciphersuites', 'TLS_CHACHA20_POLY1305_SHA256'], /^TLS_CHACHA20_POLY1305_SHA256$/],
  ['1.2', ['-cipher', 'ECDHE-ECDSA-AES128-GCM-SHA256'], /_AES_128_GCM_SHA256$/],
  ['1.2', ['-cipher', 'ECDHE-ECDSA-AES256-GCM-SHA384'], /_AES_256_GCM_SHA384$/],
  ['1.2', ['-cipher', 'ECDHE-ECDSA-CHACHA20-POLY1305'], /_CHACHA20_POLY1305_SHA256$/],
  ['1.3', ['-groups', 'X25519'], suites['1.3']],
  ['1.3', ['-groups', 'P-256'], suites['1.3']],
  ['1.3', ['-groups', 'P-384'], suites['1.3']],
  // In TLS 1.2 they are also the curves of certificates (RFC 8422 §5.1.1), and this one's is P-256.
  ['1.2', ['-groups', 'X25519:P-256'], suites['1.2']],
  ['1.2', ['-groups', 'P-256'], suites['1.2']],
  ['1.2', ['-groups', 'P-384:P-256'], suites['1.2']],
];

testUnless(
  test,
  noTls ?? lacks('openssl', 'version'),
  'openssl s_client: each cipher and each group of both versions',
  async () => {
    for (const [version, options, cipher] of choices) {
      const asked: Asking = { port: open.port, times: 1, version, ca: authority.certFile };
      const [answer] = told(await sClient(asked, options));
      assert.match(`${answer?.tls.cipher}`, cipher, options.join(' '));
    }
  },
);

testUnless(
  test,
  noTls ?? lacks('openssl', 'version'),
  'openssl s_client: what is not spoken is refused by its alert',
  async () => {
    for (const [version, options, alert] of [
      ['1.2', ['-cipher', 'ECDHE-ECDSA-AES128-SHA256:AES128-GCM-SHA256'], /handshake failure/],
      ['1.2', ['-cipher', 'DHE-RSA-AES128-GCM-SHA256'], /handshake failure/],
      ['1.3', ['-groups', 'P-521'], /handshake failure/],
      ['1.3', ['-ciphersuites', 'TLS_AES_128_CCM_SHA256'], /handshake failure/],
    ] as const) {
      const asked: Asking = { port: open.port, times: 1, version, ca: authority.certFile };
      const refused = sClient(asked, options).then(
        () => 'it was served',
        (error: Error) => error.message,
      );
      assert.match(await refused, alert, options.join(' '));
    }
  },
);

testUnless(
  test,
  noTls ?? lacks('chromium'),
  'Chromium: a page that asks for more, over HTTP/1.1',
  async () => {
    const args = ['--headless', '--no-sandbox', '--disable-gpu', '--ignore-certificate-errors'];
    const own = [`--user-data-dir=${join(folder, 'chromium')}`, '--virtual-time-budget=20000'];
    const tls = { cert: issued.certFile, key: issued.keyFile };
    const server = await startHttps({ tls, http2: false });
    const page = `https://127.0.0.1:${server.port}/page`;
    const document = await outputOf('chromium', [...args, ...own, '--dump-dom', page]);
    const text = /<pre>(.*)<\/pre>/.exec(document)?.[1];
    const answers = JSON.parse(`${text}`) as Told[];
    assert.is(answers.length, 20);
    for (const { tls } of answers) {
      assert.equal([tls.version, tls.alpn], ['TLSv1.3', 'http/1.1']);
    }
    await stopHttps(server);
  },
);

test.run();
