import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { Authority, noTls } from '../support/certificates.ts';
import { listening, type Running, start, startCommand, stopAll } from '../support/process.ts';
import { testUnless } from '../support/skip.ts';
import { exchange } from '../support/socket.ts';
import { zigProgram } from '../support/target.ts';
import { until } from '../support/wait.ts';
import { ask } from './server.ts';

// TLS by options of the commands: `gyrfalcon start` and the executable.
const test = suite('https: commands');
const folder = mkdtempSync(join(tmpdir(), 'gyrfalcon-https-'));
const authority = noTls === undefined ? new Authority() : undefined;
const issued = authority?.issue(['a.test']);
const secured = ['--tls-cert', `${issued?.certFile}`, '--tls-key', `${issued?.keyFile}`];

test.before(() => {
  const app = 'export default { fetch: (request) => new Response(request.url) };\n';
  writeFileSync(join(folder, 'app.mjs'), app);
  writeFileSync(join(folder, 'page.txt'), 'a page');
});

test.after(async () => {
  await stopAll();
  rmSync(folder, { recursive: true });
  authority?.remove();
});

/** The ports of `Listening on …` lines, by scheme. */
async function portsOf(running: Running): Promise<{ https: number; http: number }> {
  const port = (scheme: string) => (): number =>
    Number(new RegExp(`Listening on ${scheme}://[^:]+:(\\d+)/`).exec(running.stdout())?.[1] ?? 0);
  const https = await until(port('https'), 'https');
  return { https, http: await until(port('http'), 'http') };
}

const commands: [string, (args: string[]) => Running, string][] = [
  [
    'gyrfalcon start',
    (args) => startCommand(['start', join(folder, 'app.mjs'), ...args]),
    '/page.txt',
  ],
  ['the executable', (args) => start(zigProgram('gyrfalcon'), ['serve', folder, ...args]), ''],
];

for (const [name, run, told] of commands) {
  const where = ['--host', '127.0.0.1', '--port', '0'];

  testUnless(test, noTls, `${name}: one port, over TLS`, async () => {
    const server = await listening(run([...where, ...secured]));
    const line = `Listening on https://127.0.0.1:${server.port}/`;
    await until(() => server.stdout().includes(line), line);
    const { body } = await ask(server.port, '/page.txt', { ca: authority?.cert });
    const expected = told === '' ? 'a page' : `https://127.0.0.1:${server.port}${told}`;
    assert.is(body.toString(), expected);
    assert.is((await server.stop()).code, 0);
  });

  testUnless(test, noTls, `${name}: a port that sends to the other`, async () => {
    const server = await listening(run([...where, '--https-port', '0', ...secured]));
    const { https, http } = await portsOf(server);
    const { status, body } = await ask(https, '/page.txt', { ca: authority?.cert });
    assert.is(status, 200, body.toString());
    const moved = await exchange(http, 'GET /page.txt HTTP/1.1\r\nHost: a.test\r\n\r\n');
    assert.is(moved.status, 308);
    assert.is(moved.headers.get('location'), `https://a.test:${https}/page.txt`);
    assert.is((await server.stop()).code, 0);
  });

  testUnless(test, noTls, `${name}: what does not go together is told`, async () => {
    for (const [args, expected] of [
      [secured.slice(0, 2), /--tls-cert and --tls-key go together/],
      [['--https-port', '0'], /--https-port needs --tls-cert/],
      [[...secured, '--https-port', '0', '--unix', join(folder, 'a.sock')], /--https-port/],
    ] as const) {
      const failed = run([...args]);
      assert.is((await failed.ended).code, 2, failed.stdout());
      assert.match(failed.stderr(), expected);
    }
  });
}

test.run();
