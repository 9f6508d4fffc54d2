/** A worker of the engine in the loop of each of several threads: mode: 'inline' with threads. */
import type { Worker } from 'node:worker_threads';
import { type ListenInfo, type Server, serve } from 'gyrfalcon';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { moduleOf } from '../support/process.ts';
import { serversOf } from '../support/servers.ts';
import { noInline, testUnless } from '../support/skip.ts';
import { connect, type RawClient } from '../support/socket.ts';
import {
  ask,
  Gate,
  type Heard,
  haveWorkers,
  inlineThreads,
  oneEach,
  sockets,
  startMs,
  text,
  workersOf,
} from '../support/threads.ts';
import { until, within } from '../support/wait.ts';

const all = suite('inline threads');
const servers = serversOf(all);
const test = (name: string, run: () => Promise<void>): void => testUnless(all, noInline, name, run);

let info: ListenInfo | undefined;
let server: Server;
/** Of the server of all tests. Threads that a test ends are there again before the next begins. */
const count = 3;

all.before(async () => {
  if (noInline !== undefined) return;
  const onListen = (told: ListenInfo) => {
    info = told;
  };
  server = await serve({ ...inlineThreads(count), io: 'epoll', onListen });
});

all.before.each(async () => {
  if (noInline === undefined) await haveWorkers(server, count);
});

all.after(async () => {
  await server?.stop(true);
  Gate.removeAll();
});

test('each thread has a worker, and connections are spread over them', async () => {
  assert.equal([info?.mode, info?.threads, info?.workers], ['inline', count, count]);
  assert.is(info?.backend, 'epoll');
  assert.equal([server.stats().workers, server.stats().inline], [3, 3]);
  const clients = [...(await oneEach(server, 3)), ...(await oneEach(server, 3))];
  for (const client of clients) {
    const threads = new Set<string>();
    for (let i = 0; i < 20; i++) threads.add(await text(client, '/thread'));
    assert.is(threads.size, 1, 'a request does not cross threads');
    assert.is(await text(client, '/constant'), 'constant');
    assert.is(await text(client, '/files/a.txt'), 'a file\n');
    await client.send(
      `POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n\r\n${'x'.repeat(100_000)}`,
    );
    assert.is((await client.response()).body.toString(), 'POST 100000');
    assert.is(JSON.parse(await text(client, '/stats')).inline, 3);
    client.destroy();
  }
  const { allocationsAfterStart, badRecords, pending } = server.stats();
  assert.equal([allocationsAfterStart, badRecords, pending], [0, 0, 0]);
});

test('a handler that blocks holds up the connections of its thread alone', async () => {
  const clients = await oneEach(server, count);
  const [first, second] = clients as [RawClient, RawClient];
  const gate = new Gate();
  await first.send(`GET ${gate.path} HTTP/1.1\r\nHost: a\r\n\r\n`);
  await until(() => server.stats().pending === 1, 'the blocking request');
  for (let i = 0; i < 50; i++) {
    assert.is(
      await text(second, i % 2 === 0 ? '/constant' : '/files/a.txt'),
      i % 2 === 0 ? 'constant' : 'a file\n',
    );
    assert.match(await text(second, '/thread'), /^\d+$/);
  }
  assert.is(server.stats().pending, 1, 'nobody has waited for it');
  gate.open();
  assert.is((await first.response()).body.toString(), 'blocked');
  for (const client of clients) client.destroy();
});

test('what is published reaches sockets on all workers', async () => {
  const heard = await sockets(server, 6);
  assert.is(new Set(await Promise.all(heard.map((one) => one.thread()))).size, 3);
  for (let i = 0; i < 50; i++) heard[0]?.socket.send(`publish ${i}`);
  const expected = Array.from({ length: 50 }, (_, i) => `${i}`);
  for (const one of heard.slice(1)) {
    await until(() => one.texts.length === 51, 'what a socket has published');
    assert.equal(one.texts.slice(1), expected);
  }
  assert.ok(server.publish('all', 'from main') > 0);
  for (const one of heard) await until(() => one.texts.at(-1) === 'from main', 'the message');
  // A blocked thread's sockets hear of it later, the others at once.
  heard[1]?.socket.send('block 1000');
  heard[0]?.socket.send('publish last');
  for (const one of heard.slice(1)) await until(() => one.texts.at(-1) === 'last', 'the last');
  for (const { socket } of heard) socket.close();
});

test('threads that end under load leave no request without an answer', async () => {
  let stops = false;
  const statuses = new Map<number, number>();
  const clients = await Promise.all(Array.from({ length: 24 }, () => connect(server.port)));
  const working = clients.map(async (client) => {
    while (!stops) {
      const { status } = await within(ask(client, '/thread'), 'an answer');
      statuses.set(status, (statuses.get(status) ?? 0) + 1);
    }
    client.destroy();
  });
  for (let round = 0; round < count; round++) {
    await haveWorkers(server, count);
    const worker = workersOf(server)[round] as Worker;
    await worker.terminate();
  }
  await haveWorkers(server, count);
  stops = true;
  await Promise.all(working);
  for (const status of statuses.keys()) assert.ok(status === 200 || status === 503, `${status}`);
  assert.ok((statuses.get(200) ?? 0) > 100);
  const { badRecords, pending } = server.stats();
  assert.equal([badRecords, pending], [0, 0]);
});

test('a blocked thread keeps no other from being replaced', async () => {
  const clients = await oneEach(server, count);
  const [first, second] = clients as [RawClient, RawClient];
  const gate = new Gate();
  await first.send(`GET ${gate.path} HTTP/1.1\r\nHost: a\r\n\r\n`);
  await until(() => server.stats().pending === 1, 'the blocking request');
  assert.is((await ask(second, '/exit')).status, 503);
  await haveWorkers(server, count);
  assert.is((await ask(second, '/thread')).status, 200);
  assert.is(server.stats().pending, 1, 'nobody has waited for it');
  gate.open();
  assert.is((await first.response()).body.toString(), 'blocked');
  await server.reload();
  assert.is((await ask(first, '/thread')).status, 200);
  for (const client of clients) client.destroy();
});

for (const how of ['/exit', '/exit-now', '/throw-later', 'terminate', 'terminate blocked']) {
  test(`a thread ends, its connections go on, and it is replaced: ${how}`, async () => {
    const clients = await oneEach(server, count);
    const [first, second] = clients as [RawClient, RawClient];
    const heard = await sockets(server, count);
    const hanging = await connect(server.port); // on the thread of the first
    const dying = await text(first, '/thread');
    assert.is(await text(hanging, '/thread'), dying);
    await hanging.send('GET /hang HTTP/1.1\r\nHost: a\r\n\r\n');
    await until(() => server.stats().pending === 1, 'the hanging request');
    const path = how.startsWith('/') ? how : how === 'terminate' ? '/hang' : '/block/60000';
    await first.send(`GET ${path} HTTP/1.1\r\nHost: a\r\n\r\n`);
    if (!how.startsWith('/')) {
      await until(() => server.stats().pending === 2, 'the requests');
      const its = workersOf(server).find(({ threadId }) => String(threadId) === dying);
      await its?.terminate();
    }
    assert.is((await first.response()).status, 503);
    assert.is((await hanging.response()).status, 503);
    assert.is(await text(first, '/constant'), 'constant', 'the connection goes on');
    assert.is((await ask(second, '/thread')).status, 200);
    const [lost, kept] = heard as [Heard, Heard];
    assert.is(await lost.thread(), dying);
    await until(() => lost.code === 1012, 'the end of the socket');
    kept.socket.send('hello');
    await until(() => kept.texts.at(-1) === 'hello', 'the other socket');
    await haveWorkers(server, count);
    const now = await text(first, '/thread');
    assert.is.not(now, dying);
    assert.is.not(now, await text(second, '/thread'));
    assert.match(servers.log, /worker thread \d died/);
    for (const client of [...clients, hanging]) client.destroy();
    for (const { socket } of heard) socket.close();
  });
}

test('while a thread is away its connections are answered by another', async () => {
  const clients = await oneEach(server, count);
  const [first, second, third] = clients as [RawClient, RawClient, RawClient];
  const others = [await text(second, '/thread'), await text(third, '/thread')];
  assert.is((await ask(first, '/exit')).status, 503);
  assert.ok(others.includes(await text(first, '/thread')), 'by another thread');
  await haveWorkers(server, count);
  assert.not.ok(others.includes(await text(first, '/thread')));
  for (const client of clients) client.destroy();
});

test('while a thread is away that is alone its connections are answered with 503', async () => {
  const onListen = (told: ListenInfo) => {
    info = told;
  };
  const options = inlineThreads(1);
  const alone = servers.keep(await serve({ ...options, io: 'io_uring', onListen }));
  assert.is(info?.backend, 'epoll');
  assert.match(info?.backendReason ?? '', 'belongs to one thread');
  const client = await connect(alone.port);
  assert.is((await ask(client, '/exit')).status, 503);
  assert.is(await text(client, '/constant'), 'constant');
  await until(async () => (await ask(client, '/thread')).status === 200, 'the new thread', startMs);
  await haveWorkers(alone, 1);
  client.destroy();
});

test('a reload imports the module anew on every worker', async () => {
  const changing = moduleOf('tests', 'bridge', 'fixtures', 'changing_app.ts');
  const options = { ...inlineThreads(2), module: changing };
  const other = servers.keep(await serve(options));
  const clients = [await connect(other.port), await connect(other.port)];
  for (const client of clients) assert.is(await text(client, '/'), 'import 1');
  await other.reload();
  for (const client of clients) {
    assert.is(await text(client, '/'), 'import 2');
    assert.is(await text(client, '/only/2'), 'import 2');
    assert.is((await ask(client, '/only/1')).status, 404);
    client.destroy();
  }
});

all.run();
