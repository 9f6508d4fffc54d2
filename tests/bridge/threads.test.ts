/** Handlers in worker threads: spread, blocked, dying, restarted, reloaded. */
import { type GyrfalconError, type Server, serve } from 'gyrfalcon';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { findEngine } from '../../ts/src/bridge/engine_files.ts';
import { moduleOf, project, start } from '../support/process.ts';
import { serversOf } from '../support/servers.ts';
import { connect } from '../support/socket.ts';
import { until, within } from '../support/wait.ts';

const test = suite('threads');
const module = moduleOf('tests', 'bridge', 'fixtures', 'threads_app.ts');
const servers = serversOf(test);

async function open(threads: number, workers = 1): Promise<Server> {
  const options = { port: 0, hostname: '127.0.0.1', workers, threads, module };
  return servers.keep(await serve(options));
}

const get = (server: Server, path: string) => fetch(new URL(path, server.url));
const text = async (server: Server, path: string) => (await get(server, path)).text();

test('requests are spread over the threads by how busy they are', async () => {
  const server = await open(2, 2);
  const before = new Set<string>();
  for (let i = 0; i < 20; i++) before.add(await text(server, '/thread'));
  assert.is(before.size, 2);
  // One thread hangs on to many requests: the other gets the new ones.
  const answers = await Promise.all(Array.from({ length: 40 }, () => text(server, '/slow')));
  assert.ok(answers.every((answer) => answer === 'slow'));
});

test('constants are answered while every thread is blocked for two seconds', async () => {
  const server = await open(1);
  const blocked = text(server, '/block/2000');
  await until(() => server.stats().pending === 1, 'the blocking request');
  const begun = performance.now();
  for (let i = 0; i < 100; i++) assert.is(await text(server, '/constant'), 'constant');
  assert.ok(performance.now() - begun < 1500, 'without waiting for the thread');
  assert.is(server.stats().pending, 1);
  assert.is(await blocked, 'blocked');
});

test('requests that do not fit the ring of a blocked thread wait, and none is lost', async () => {
  const server = await open(1);
  const blocked = text(server, '/block/700');
  await until(() => server.stats().pending === 1, 'the blocking request');
  const filler = 'x'.repeat(4000);
  const clients = await Promise.all(Array.from({ length: 16 }, () => connect(server.port)));
  const perClient = 16;
  await Promise.all(
    clients.map((client, c) => {
      let requests = '';
      for (let i = 0; i < perClient; i++) {
        requests += `GET /${c}/${i} HTTP/1.1\r\nHost: a\r\nX-Filler: ${filler}\r\n\r\n`;
      }
      return client.send(requests);
    }),
  );
  // 16 × 16 × 4 KiB is four times the ring.
  await Promise.all(
    clients.map(async (client, c) => {
      for (let i = 0; i < perClient; i++) {
        assert.is((await client.response()).body.toString(), `GET http://a/${c}/${i}`);
      }
      client.destroy();
    }),
  );
  assert.is(await blocked, 'blocked');
  await until(() => server.stats().pending === 0, 'an empty lane');
});

test('clients that leave while the ring is full are forgotten, and the lane goes on', async () => {
  const server = await open(1);
  const blocked = text(server, '/block/700');
  await until(() => server.stats().pending === 1, 'the blocking request');
  const filler = 'x'.repeat(8000);
  const clients = await Promise.all(Array.from({ length: 100 }, () => connect(server.port)));
  for (const client of clients) {
    await client.send(`GET /left HTTP/1.1\r\nHost: a\r\nX-Filler: ${filler}\r\n\r\n`);
  }
  await until(() => (server.stats().pending ?? 0) > 20, 'a full ring');
  for (const client of clients) client.destroy();
  assert.is(await blocked, 'blocked');
  await until(() => server.stats().pending === 0 && server.stats().connections === 1, 'their end');
  assert.is(await text(server, '/after'), `GET ${server.url.href}after`);
});

test('a thread that dies costs its own requests a 503, and is started anew', async () => {
  const server = await open(2);
  const threads = new Set<string>();
  for (let i = 0; i < 10; i++) threads.add(await text(server, '/thread'));
  for (const path of ['/exit', '/throw-later']) {
    const lost = await get(server, path);
    assert.is(lost.status, 503);
    assert.is(await text(server, '/constant'), 'constant');
    assert.is((await get(server, '/thread')).status, 200, 'by the other thread');
    await until(async () => {
      const now = new Set<string>();
      for (let i = 0; i < 10; i++) now.add(await text(server, '/thread'));
      return now.size === 2;
    }, 'two threads');
  }
  assert.match(servers.log, 'died: exit code 3');
  assert.match(servers.log, 'nobody catches this');
});

test('without any thread, handlers are 503 and constants go on', async () => {
  const server = await open(1);
  const hanging = get(server, '/hang');
  await until(() => server.stats().pending === 1, 'the hanging request');
  assert.is((await get(server, '/exit')).status, 503);
  assert.is((await hanging).status, 503);
  assert.is(await text(server, '/constant'), 'constant');
  await until(async () => (await get(server, '/thread')).status === 200, 'the new thread');
});

test('stop waits for the handlers in all threads, and ends the threads', async () => {
  const server = await open(2);
  const slow = Array.from({ length: 4 }, () => text(server, '/slow'));
  await until(() => server.stats().pending === 4, 'the requests');
  await server.stop();
  assert.equal(await Promise.all(slow), ['slow', 'slow', 'slow', 'slow']);
});

test('stop ends a thread that is blocked, and one that waits to be started anew', async () => {
  const server = await open(2);
  const blocked = text(server, '/block/20000').catch(() => 'cut off');
  await until(() => server.stats().pending === 1, 'the blocking request');
  const begun = performance.now();
  await server.stop({ deadline: 100 });
  assert.ok(performance.now() - begun < 5000, 'long before the thread would have noticed');
  assert.is(await blocked, 'cut off');
});

test('32 threads beside 8 workers start, serve and end, without a warning', async () => {
  const fixture = project('tests', 'bridge', 'fixtures', 'many_threads.mjs');
  const program = start(process.execPath, [fixture]);
  const ending = await within(program.ended, 'the end of the program', 120_000);
  assert.equal(ending, { code: 0, signal: null }, program.stderr());
  assert.is(program.stdout(), 'served\n');
});

test('threads of JavaScript import TypeScript, whether their program does or not', async () => {
  const fixture = project('tests', 'bridge', 'fixtures', 'loaded.mjs');
  const program = start(process.execPath, [fixture]);
  const ending = await within(program.ended, 'the end of the program', 30_000);
  assert.equal(ending, { code: 0, signal: null }, program.stderr());
  assert.is(program.stdout(), 'constant\n');
});

test('many threads that load the engine at the same time do not end the process', async () => {
  const fixture = project('tests', 'bridge', 'fixtures', 'load_in_threads.mjs');
  const { library, addon } = findEngine();
  const rounds = async (count: number): Promise<void> => {
    for (let round = 0; round < count; round++) {
      const program = start(process.execPath, [fixture, library, addon]);
      const ending = await within(program.ended, 'the end of the program', 30_000);
      assert.equal(ending, { code: 0, signal: null }, program.stderr());
      assert.match(program.stdout(), 'all have ended');
    }
  };
  await Promise.all([rounds(4), rounds(4)]);
});

test('a module that is no URL is refused with GYR_OPTION_INVALID', async () => {
  try {
    await serve({ threads: 1, module: 'app.ts' });
    assert.unreachable();
  } catch (error) {
    assert.is((error as GyrfalconError).code, 'GYR_OPTION_INVALID');
  }
});

test('reload imports the module anew in every thread', async () => {
  const server = await serve({
    port: 0,
    hostname: '127.0.0.1',
    workers: 1,
    threads: 2,
    module: new URL('./fixtures/changing_app.ts', import.meta.url),
  });
  servers.keep(server);
  assert.is(await text(server, '/'), 'import 1');
  await server.reload();
  for (let i = 0; i < 6; i++) assert.is(await text(server, '/'), 'import 2');
  assert.is(await text(server, '/only/2'), 'import 2');
  assert.is((await get(server, '/only/1')).status, 404);
});

test('a module that cannot serve is refused with GYR_MODULE', async () => {
  const start = (url: string) =>
    serve({ port: 0, threads: 1, module: url }).then(
      (server) => server.stop(true).then(() => ''),
      (error: GyrfalconError) => error.code,
    );
  assert.is(await start(new URL('./fixtures/none.ts', import.meta.url).href), 'GYR_MODULE');
  assert.is(await start('data:text/javascript,export const a = 1'), 'GYR_MODULE');
  assert.is(await start('data:text/javascript,export default {}'), 'GYR_MODULE');
});

test.run();
