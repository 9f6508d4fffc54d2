import { readFileSync } from 'node:fs';
import { createServer } from 'node:net';
import * as assert from 'uvu/assert';
import { lacks, project, start, startApp, startCommand, stopAll } from '../support/process.ts';
import { sideBySide } from '../support/side_by_side.ts';
import { testUnless } from '../support/skip.ts';
import { connect, exchange } from '../support/socket.ts';
import { until, within } from '../support/wait.ts';
import { WebSocketClient } from '../websocket/client.ts';

const test = sideBySide('gyrfalcon command');
const fixture = (name: string): string => project('tests', 'cli', 'fixtures', name);

test.after(stopAll);

/** Runs the command to its end. */
async function run(...args: string[]): Promise<{ code: number | null; out: string; err: string }> {
  const running = startCommand(args);
  const { code } = await within(running.ended, 'the end of the command');
  return { code, out: running.stdout(), err: running.stderr() };
}

test('--version prints the version of the package', async () => {
  const { version } = JSON.parse(readFileSync(project('package.json'), 'utf8'));
  assert.equal(await run('--version'), { code: 0, out: `${version}\n`, err: '' });
});

testUnless(test, lacks('npx'), 'npx gyrfalcon is the command of this checkout', async () => {
  const running = start('npx', ['--no', '--', 'gyrfalcon', '--version'], {
    env: { GYRFALCON_SETUP: '0' },
  });
  const { code } = await within(running.ended, 'the end of npx', 30_000);
  const { version } = JSON.parse(readFileSync(project('package.json'), 'utf8'));
  assert.equal([code, running.stdout()], [0, `${version}\n`]);
});

test('--help, and no argument at all, list the commands', async () => {
  for (const args of [['--help'], []]) {
    const { code, out } = await run(...args);
    assert.is(code, 0);
    assert.match(out, /Usage: gyrfalcon <command>[\s\S]*start +Serve/);
  }
  assert.match((await run('start', '--help')).out, /--threads N/);
});

test('a mistake on the command line is told in a sentence, with exit code 2', async () => {
  const { code, out, err } = await run('start', 'app.ts', '--prot', '1');
  assert.is(code, 2);
  assert.is(out, '');
  assert.is(err, 'error: unknown option "--prot"\nhint: did you mean "--port"?\n');
});

test('a missing file is named', async () => {
  const { code, err } = await run('start', 'nowhere.ts');
  assert.is(code, 2);
  assert.is(err, 'error: there is no file nowhere.ts\n');
});

test('a module that exports nothing to serve is told what to export', async () => {
  const { code, err } = await run('start', fixture('nothing.ts'));
  assert.is(code, 2);
  assert.match(err, /nothing\.ts has no default export\nhint: export default \{ fetch/);
});

test('a syntax error is shown with its file and line', async () => {
  for (const name of ['syntax.ts', 'syntax.mjs']) {
    const { code, err } = await run('start', fixture(`broken/${name}`));
    assert.ok(code === 1 || code === 2, `exit code ${code}`);
    assert.match(err, `broken/${name}:3`);
    assert.match(err, 'export default { fetch( };');
  }
});

test('an error while the module loads is shown with the line of the TypeScript file', async () => {
  const { code, err } = await run('start', fixture('throws.ts'));
  assert.is(code, 1);
  assert.match(err, /throws\.ts:7:/);
});

test('an option that serve does not know is told by its code', async () => {
  const { code, err } = await run('start', fixture('broken/unknown-option.ts'));
  assert.is(code, 1);
  assert.match(err, /^error: .*prot.*\[GYR_OPTION_UNKNOWN\]\n$/);
});

test('a module for Workers has the environment, and a stop waits for what it has asked', async () => {
  for (const args of [[], ['--threads', '1']]) {
    const server = await startApp(fixture('workers.ts'), args, {
      env: { GREETING: 'hello' },
    });
    const get = 'GET / HTTP/1.1\r\nHost: a\r\n\r\n';
    assert.is((await exchange(server.port, get)).body.toString(), 'hello');
    assert.is((await server.stop()).code, 0);
    assert.match(server.stdout(), /done behind the response/);
    const line = /workers\.ts: ignored, as other runtimes' own: scheduled \(Workers\)\n/g;
    assert.is(server.stderr().match(line)?.length, 1);
  }
});

test('a module for Bun runs, WebSockets and all, and so does a function', async () => {
  const get = 'GET /path HTTP/1.1\r\nHost: a\r\n\r\n';
  const bun = await startApp(fixture('bun.ts'));
  assert.is((await exchange(bun.port, get)).body.toString(), 'no WebSocket');
  const client = await WebSocketClient.open(bun);
  await client.say('text', 'hello');
  await client.expectText('hello');
  client.destroy();
  await bun.stop();
  assert.match(bun.stderr(), /bun\.ts: ignored.*: idleTimeout \(Bun\)\n/);
  const alone = await startApp(fixture('function.ts'), ['--threads', '1']);
  assert.is((await exchange(alone.port, get)).body.toString(), '/path');
  await alone.stop();
});

test('a port that is taken is named', async () => {
  const holder = createServer().listen(0, '127.0.0.1');
  await until(() => holder.listening, 'a taken port');
  const { port } = holder.address() as { port: number };
  const args = ['start', fixture('options.ts'), '--port', String(port)];
  const { code, err } = await run(...args).finally(() => holder.close());
  assert.is(code, 1);
  assert.match(err, /^error: .*\[GYR_ADDRESS_IN_USE\]\n$/);
  assert.match(err, String(port));
});

test('the port comes from the option, else from the module, else from PORT', async () => {
  const taken = await startApp(fixture('options.ts'));
  const running = startCommand(['start', fixture('options.ts')], {
    env: { PORT: String(taken.port) },
  });
  await within(running.ended, 'the refusal of the port in PORT');
  assert.match(running.stderr(), String(taken.port));
  const { code, signal } = await taken.stop();
  assert.equal({ code, signal }, { code: 0, signal: null });
});

for (const signal of ['SIGINT', 'SIGTERM'] as const) {
  test(`${signal} lets a request in flight finish, then ends with exit code 0`, async () => {
    const server = await startApp(fixture('slow.ts'));
    const slow = await connect(server.port);
    const other = await connect(server.port);
    await slow.send('GET /slow HTTP/1.1\r\nHost: x\r\n\r\n');
    await until(() => server.stdout().includes('slow has begun'), 'the slow request');
    // The other request is in flight too when the signal comes: its head is not complete.
    await other.send('GET /release HTTP/1.1\r\nHost: x\r\n');
    server.child.kill(signal);
    await until(() => server.stderr().includes(signal), 'the word that it is stopping');
    await other.send('\r\n');
    const answer = await slow.response();
    assert.is(answer.body.toString(), 'slow');
    const { code } = await within(server.ended, 'the end of the server');
    assert.is(code, 0);
  });
}

test('a second signal, later than a repeated Ctrl-C, ends it at once', async () => {
  const server = await startApp(fixture('slow.ts'));
  const slow = await connect(server.port);
  await slow.send('GET /slow HTTP/1.1\r\nHost: x\r\n\r\n');
  await until(() => server.stdout().includes('slow has begun'), 'the slow request');
  server.child.kill('SIGINT');
  await until(() => server.stderr().includes('SIGINT'), 'the word that it is stopping');
  await until(() => {
    server.child.kill('SIGINT');
    return server.child.exitCode !== null;
  }, 'the end by a second signal');
  assert.is(server.child.exitCode, 130);
});

test('a timer of the app does not outlive the server', async () => {
  const server = await startApp(fixture('options.ts'));
  const { status, body } = await exchange(server.port, 'GET / HTTP/1.1\r\nHost: x\r\n\r\n');
  assert.equal([status, body.toString()], [200, 'function']);
  assert.is((await server.stop()).code, 0);
});

test('--threads and --workers run the app in several threads', async () => {
  const server = await startApp(fixture('options.ts'), ['--threads', '2', '--workers', '1']);
  for (let count = 0; count < 4; count += 1) {
    assert.is((await exchange(server.port, 'GET / HTTP/1.1\r\nHost: x\r\n\r\n')).status, 200);
  }
  assert.is((await server.stop()).code, 0);
});

test.run();
