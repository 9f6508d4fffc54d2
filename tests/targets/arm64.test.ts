import { suite } from 'uvu';
import * as assert from 'uvu/assert';
// @ts-expect-error: a script, without types
import { targets } from '../../scripts/lib/targets.mjs';
// @ts-expect-error: a script, without types
import { tlsThere } from '../../scripts/lib/tls.mjs';
import { ask } from '../https/server.ts';
import { Authority } from '../support/certificates.ts';
import { lacks, listening, project, start, stopAll } from '../support/process.ts';
import { testUnless } from '../support/skip.ts';

// Run by the stage `modules`: the examples in TypeScript, in a Node.js for arm64 that is emulated.
const test = suite('examples on arm64');
const node = JSON.parse(process.env.GYRFALCON_NODE ?? '[]') as string[];

test.after(stopAll);

/** An emulated Node.js takes seconds to start on a machine at rest, and a minute on one that is not, ms. */
const startMs = 240_000;

/** Starts an example as its header says. */
async function startExample(path: string[], options: string[] = []) {
  const [command = '', ...args] = node;
  const app = project('examples', ...path);
  const given = ['start', app, '--port', '0', '--host', '127.0.0.1', ...options];
  const env = { GYRFALCON_SETUP: '0' };
  return listening(
    start(command, [...args, project('bin', 'gyrfalcon.mjs'), ...given], { env }),
    startMs,
  );
}

test('the main example answers from the engine’s module for arm64', async () => {
  const server = await startExample(['01-hello', 'app.ts']);
  const answer = async (path: string, init?: RequestInit): Promise<string> =>
    (await fetch(new URL(path, server.url), init)).text();
  assert.is(await answer('/'), 'Hello from Gyrfalcon\n');
  assert.is(await answer('/hello/Ada'), '{"hello":"Ada"}');
  const body = JSON.stringify({ numbers: [1, 2, 3] });
  assert.is(await answer('/sum', { method: 'POST', body }), '{"sum":6}');
  assert.is((await server.stop()).code, 0, server.stderr());
});

test('files and handlers come from one process', async () => {
  const server = await startExample(['03-static', 'app.ts']);
  const page = await fetch(server.url);
  assert.match(await page.text(), '<h1>A static site</h1>');
  const time = await fetch(new URL('/api/time', server.url));
  assert.ok(((await time.json()) as { time: number }).time > 0);
  assert.is((await server.stop()).code, 0, server.stderr());
});

const arm64 = targets.find(({ name }: { name: string }) => name === 'linux.arm64');
const noTls =
  tlsThere(arm64) === undefined ? 'OpenSSL is not built for linux.arm64' : lacks('openssl');

testUnless(test, noTls, 'it speaks TLS', async () => {
  const authority = new Authority();
  try {
    const { certFile, keyFile } = authority.issue(['a.test']);
    const secured = ['--tls-cert', certFile, '--tls-key', keyFile];
    const server = await startExample(['01-hello', 'app.ts'], secured);
    const { body } = await ask(server.port, '/hello/Ada', { ca: authority.cert });
    assert.is(body.toString(), '{"hello":"Ada"}');
    assert.is((await server.stop()).code, 0, server.stderr());
  } finally {
    authority.remove();
  }
});

test.run();
