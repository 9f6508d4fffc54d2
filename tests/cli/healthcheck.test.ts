import { mkdtempSync, rmSync } from 'node:fs';
import { createServer, type Server, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import * as assert from 'uvu/assert';
import { cannotConfine } from '../support/confine.ts';
import { project, start, startApp, startCommand, stopAll } from '../support/process.ts';
import { sideBySide } from '../support/side_by_side.ts';
import { testUnless } from '../support/skip.ts';
import { until, within } from '../support/wait.ts';

const test = sideBySide('gyrfalcon healthcheck');

test.after(stopAll);

interface Outcome {
  code: number | null;
  err: string;
}

/** Runs the command to its end. */
async function check(args: readonly string[], env: NodeJS.ProcessEnv = {}): Promise<Outcome> {
  const running = startCommand(['healthcheck', ...args], { env });
  const { code } = await within(running.ended, 'the end of the command', 30_000);
  assert.is(running.stdout(), '');
  return { code, err: running.stderr() };
}

/** A server whose answer to whatever it is told is these bytes; undefined: none. */
async function saying(answer: string | undefined): Promise<{ server: Server; url: string }> {
  const server = createServer((socket: Socket) => {
    socket.on('error', () => {});
    socket.once('data', () => {
      if (answer !== undefined) socket.end(answer);
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as { port: number };
  return { server, url: `http://127.0.0.1:${port}/ready` };
}

test('a server that answers is healthy, and none when it has stopped', async () => {
  const server = await startApp(project('examples', '01-hello', 'app.ts'));
  assert.equal(await check([server.url]), { code: 0, err: '' });
  assert.equal(await check([], { PORT: String(server.port) }), { code: 0, err: '' });
  const { code, err } = await check([`${server.url}nowhere`]);
  assert.equal([code, err], [1, `unhealthy: ${server.url}nowhere: it answered 404\n`]);
  await server.stop();
  assert.equal(await check([server.url]), {
    code: 1,
    err: `unhealthy: ${server.url}: nothing listens there\n`,
  });
});

const noUnix = process.platform === 'win32' ? 'Windows has other paths' : undefined;

testUnless(test, noUnix, 'it asks by a unix socket', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'gyrfalcon-health-'));
  try {
    const unix = join(folder, 'a.sock');
    assert.is((await check(['--unix', unix])).err, `unhealthy: ${unix}: nothing listens there\n`);
    const { server } = await saying('HTTP/1.1 204 No Content\r\n\r\n');
    const behind = createServer((socket) => server.emit('connection', socket));
    await new Promise<void>((resolve) => behind.listen(unix, resolve));
    assert.equal(await check(['--unix', unix]), { code: 0, err: '' });
    behind.close();
    server.close();
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
});

for (const [about, answer, code, complaint] of [
  ['a redirection is an answer', 'HTTP/1.1 301 Moved\r\nLocation: /\r\n\r\n', 0, ''],
  ['an error of the server is none', 'HTTP/1.1 503 Busy\r\n\r\n', 1, 'it answered 503'],
  ['another protocol is none', 'SSH-2.0-any\r\n\r\n', 1, 'it answered something that is no HTTP'],
  ['no answer is none', undefined, 1, 'it did not answer within 1 s'],
] as const) {
  test(about, async () => {
    const { server, url } = await saying(answer);
    const outcome = await check([url, '--timeout', '1']);
    const err = complaint === '' ? '' : `unhealthy: ${url}: ${complaint}\n`;
    assert.equal(outcome, { code, err });
    server.close();
  });
}

test('what is no URL of http is told in a sentence, with exit code 2', async () => {
  for (const [url, rest] of [
    ['127.0.0.1:3000', ''],
    ['/ready', ''],
    [
      'https://127.0.0.1:3000/',
      'hint: what speaks https has --https-port beside it, where http is answered\n',
    ],
  ] as const) {
    const error = `error: healthcheck takes a URL as http://127.0.0.1:3000/, not "${url}"\n${rest}`;
    assert.equal(await check([url]), { code: 2, err: error });
  }
  const two = await check(['http://a/', 'http://b/']);
  assert.equal(
    [two.code, two.err.split('\n')[0]],
    [2, 'error: "http://b/" is one operand too many'],
  );
});

/** What runs behind it is the first process that it sees, as the one of a container is. */
const asFirst = ['unshare', '--pid', '--fork', '--kill-child'];

testUnless(
  test,
  cannotConfine(asFirst),
  'the first process of a container ends by SIGTERM while its app is loaded',
  async () => {
    const [command = '', ...rest] = asFirst;
    const app = project('tests', 'cli', 'fixtures', 'never_ready.ts');
    const args = [...rest, process.execPath, project('bin', 'gyrfalcon.mjs'), 'start', app];
    const running = start(command, args, { env: { GYRFALCON_SETUP: '0' }, isGroup: true });
    await until(() => running.stdout().includes('loading'), 'the app', 30_000);
    process.kill(-(running.child.pid as number), 'SIGTERM');
    const { code } = await within(running.ended, 'the end of the command');
    assert.is(code, 143, running.stderr());
  },
);

test.run();
