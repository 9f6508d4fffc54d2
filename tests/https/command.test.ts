import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
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

type Run = (args: string[], env?: NodeJS.ProcessEnv) => Running;

const commands: [string, Run, string][] = [
  [
    'gyrfalcon start',
    (args, env) => startCommand(['start', join(folder, 'app.mjs'), ...args], { env }),
    '/page.txt',
  ],
  [
    'the executable',
    (args, env) => start(zigProgram('gyrfalcon'), ['serve', folder, ...args], { env }),
    '',
  ],
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

  testUnless(
    test,
    noTls,
    `${name}: a certificate for development, by a user's authority`,
    async () => {
      const data = join(folder, name.replace(/\W/g, ''), 'data');
      const at = (kind: string): string => join(data, 'gyrfalcon', `development-authority.${kind}`);
      const args = [...where, '--tls-self-signed'];
      const env = { XDG_DATA_HOME: data };
      // They come at a time, and have one authority.
      const servers = await Promise.all([1, 2, 3].map(() => listening(run(args, env))));
      const ca = readFileSync(at('pem'), 'utf8');
      assert.not.match(ca, /PRIVATE KEY/);
      assert.is(statSync(at('key')).mode & 0o777, 0o600);
      for (const { port, stderr } of servers) {
        for (const host of ['127.0.0.1', 'localhost']) {
          const { status } = await ask(port, '/page.txt', { ca, host, servername: 'localhost' });
          assert.is(status, 200);
        }
        const url = `https://localhost:${port}/page.txt`;
        const curl = spawnSync('curl', ['-sS', '--cacert', at('pem'), url], { encoding: 'utf8' });
        assert.is(curl.status, 0, curl.stderr);
        assert.match(stderr(), `NODE_EXTRA_CA_CERTS="${at('pem')}"`);
      }
      const peer = ['-connect', `127.0.0.1:${servers[0]?.port}`, '-servername', 'localhost'];
      const strict = ['-x509_strict', '-verify_return_error', '-verify_hostname', 'localhost'];
      const client = ['s_client', ...peer, ...strict, '-CAfile', at('pem')];
      const checked = spawnSync('openssl', client, { input: '', encoding: 'utf8' });
      assert.is(checked.status, 0, checked.stderr);
      for (const server of servers) assert.is((await server.stop()).code, 0);
      // It is kept.
      const again = await listening(run(args, env));
      assert.is((await ask(again.port, '/page.txt', { ca, servername: 'localhost' })).status, 200);
      assert.is(readFileSync(at('pem'), 'utf8'), ca);
      assert.is((await again.stop()).code, 0);
      // What is no authority is not written over.
      writeFileSync(at('key'), 'nothing of use');
      const refused = run(args, env);
      assert.is((await refused.ended).code, 1, refused.stdout());
      assert.match(refused.stderr(), /development-authority\.key holds no certificate/);
    },
  );

  testUnless(test, noTls, `${name}: what does not go together is told`, async () => {
    for (const [args, expected] of [
      [[...secured, '--tls-self-signed'], /--tls-self-signed stands in the place of/],
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
