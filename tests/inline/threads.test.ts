/** A worker of the engine in the loop of each of several threads: mode: 'inline' with threads. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Worker } from 'node:worker_threads';
import { type ListenInfo, type Server, serve } from 'gyrfalcon';
import { WebSocket } from 'undici';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { listening, project, start, startApp, stopAll } from '../support/process.ts';
import { serversOf } from '../support/servers.ts';
import { testUnless } from '../support/skip.ts';
import { connect, type RawClient, type RawResponse } from '../support/socket.ts';
import { until, within } from '../support/wait.ts';

const all = suite('inline threads');
const servers = serversOf(all);
const module = new URL('./fixtures/threads_app.ts', import.meta.url);
const loader = project('dist', 'loader', 'register.js');
const notLinux = process.platform === 'linux' ? undefined : 'inline mode is Linux’s';

/** A thread is started and imports its module within this, on a machine that has much to do, ms. */
const startMs = 60_000;
const folder = mkdtempSync(join(tmpdir(), 'gyrfalcon-inline-'));

all.after(async () => {
  await stopAll();
  rmSync(folder, { recursive: true });
});

async function ask(client: RawClient, path: string): Promise<RawResponse> {
  await client.send(`GET ${path} HTTP/1.1\r\nHost: a\r\n\r\n`);
  return client.response();
}

const text = async (client: RawClient, path: string) => (await ask(client, path)).body.toString();

/** A connection to each of the workers: they take turns. */
async function oneEach(server: Server, count: number): Promise<RawClient[]> {
  const clients: RawClient[] = [];
  const threads = new Set<string>();
  for (let i = 0; i < count; i++) {
    const client = await connect(server.port);
    clients.push(client);
    threads.add(await text(client, '/thread'));
  }
  assert.is(threads.size, count);
  return clients;
}

/** A WebSocket, what it has heard, and its end; the first message is the thread that it is on. */
class Heard {
  readonly socket: WebSocket;
  readonly texts: string[] = [];
  code = 0;

  constructor({ port }: Server) {
    this.socket = new WebSocket(`ws://127.0.0.1:${port}/`);
    this.socket.addEventListener('message', ({ data }) => this.texts.push(String(data)));
    this.socket.addEventListener('close', ({ code }) => {
      this.code = code;
    });
  }

  async thread(): Promise<string> {
    await until(() => this.texts.length > 0, 'the socket');
    return this.texts[0] as string;
  }
}

/** So many sockets, one after the other. */
async function sockets(server: Server, count: number): Promise<Heard[]> {
  const made: Heard[] = [];
  for (let i = 0; i < count; i++) {
    const one = new Heard(server);
    await one.thread();
    made.push(one);
  }
  return made;
}

/** What a handler waits for without letting go of its thread. */
class Gate {
  private readonly file = join(folder, `gate-${Math.random()}`);
  readonly path = `/gate?file=${encodeURIComponent(this.file)}`;

  open(): void {
    writeFileSync(this.file, '');
  }
}

/** The threads of a server as Node.js has them, to end one from outside. */
function workersOf(server: Server): Worker[] {
  const { pool } = server as unknown as { pool: { members: { worker: Worker }[] } };
  return pool.members.map(({ worker }) => worker);
}

for (const io of ['epoll', 'io_uring'] as const) {
  const test = (name: string, run: () => Promise<void>): void =>
    testUnless(all, notLinux, `${io}: ${name}`, run);
  let info: ListenInfo | undefined;
  const open = async (threads: number, own: URL = module): Promise<Server> => {
    const server = await serve({
      port: 0,
      hostname: '127.0.0.1',
      mode: 'inline',
      io,
      log: 'error',
      threads,
      keepAliveTimeout: 60_000,
      module: own,
      onListen: (told) => {
        info = told;
      },
    });
    return servers.keep(server);
  };

  test('each thread has a worker, and connections are spread over them', async () => {
    const server = await open(3);
    assert.equal([info?.mode, info?.threads, info?.workers], ['inline', 3, 3]);
    assert.is(info?.backend, 'epoll');
    assert.is(info?.backendReason.includes('belongs to one thread'), io === 'io_uring');
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
    const server = await open(2);
    const [first, second] = (await oneEach(server, 2)) as [RawClient, RawClient];
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
    for (const client of [first, second]) client.destroy();
  });

  test('a blocked thread keeps no other from being replaced', async () => {
    const server = await open(2);
    const [first, second] = (await oneEach(server, 2)) as [RawClient, RawClient];
    const gate = new Gate();
    await first.send(`GET ${gate.path} HTTP/1.1\r\nHost: a\r\n\r\n`);
    await until(() => server.stats().pending === 1, 'the blocking request');
    assert.is((await ask(second, '/exit')).status, 503);
    await until(() => server.stats().inline === 2, 'the new thread', startMs);
    assert.is((await ask(second, '/thread')).status, 200);
    assert.is(server.stats().pending, 1, 'nobody has waited for it');
    gate.open();
    assert.is((await first.response()).body.toString(), 'blocked');
    await server.reload();
    assert.is((await ask(first, '/thread')).status, 200);
    for (const client of [first, second]) client.destroy();
  });

  for (const how of ['/exit', '/exit-now', '/throw-later', 'terminate', 'terminate blocked']) {
    test(`a thread ends, its connections go on, and it is replaced: ${how}`, async () => {
      const server = await open(2);
      const [first, second] = (await oneEach(server, 2)) as [RawClient, RawClient];
      const heard = await sockets(server, 2);
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
      await until(() => server.stats().inline === 2, 'the new thread', startMs);
      const now = await text(first, '/thread');
      assert.is.not(now, dying);
      assert.is.not(now, await text(second, '/thread'));
      assert.match(servers.log, /worker thread \d died/);
      for (const client of [first, second, hanging]) client.destroy();
    });
  }

  test('while a thread is away its connections are answered by another, or with 503', async () => {
    const alone = await open(1);
    const client = await connect(alone.port);
    assert.is((await ask(client, '/exit')).status, 503);
    assert.is(await text(client, '/constant'), 'constant');
    await until(
      async () => (await ask(client, '/thread')).status === 200,
      'the new thread',
      startMs,
    );
    await until(() => alone.stats().inline === 1, 'its worker', startMs);
    client.destroy();
    const server = await open(2);
    const [first, second] = (await oneEach(server, 2)) as [RawClient, RawClient];
    const other = await text(second, '/thread');
    assert.is((await ask(first, '/exit')).status, 503);
    assert.is(await text(first, '/thread'), other, 'by the other thread');
    await until(() => server.stats().inline === 2, 'the new thread', startMs);
    assert.is.not(await text(first, '/thread'), other);
    for (const one of [first, second]) one.destroy();
  });

  test('threads that end under load leave no request without an answer', async () => {
    const server = await open(3);
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
    for (let round = 0; round < 6; round++) {
      await until(() => server.stats().inline === 3, 'all threads', startMs);
      const worker = workersOf(server)[round % 3] as Worker;
      await worker.terminate();
    }
    await until(() => server.stats().inline === 3, 'all threads', startMs);
    stops = true;
    await Promise.all(working);
    for (const status of statuses.keys()) assert.ok(status === 200 || status === 503, `${status}`);
    assert.ok((statuses.get(200) ?? 0) > 100);
    const { badRecords, pending } = server.stats();
    assert.equal([badRecords, pending], [0, 0]);
  });

  test('a stop waits for what is under way on all workers', async () => {
    const server = await open(3);
    const clients = await oneEach(server, 3);
    const slow = clients.map((client) => text(client, '/slow'));
    await until(() => server.stats().pending === 3, 'the requests');
    await within(server.stop(), 'the stop');
    assert.is(new Set(await Promise.all(slow)).size, 3);
    await Promise.all(clients.map((client) => client.closed()));
    assert.throws(() => server.stats(), /GYR_SERVER_STOPPED/);
  });

  test('a stop has its deadline, whatever threads are at', async () => {
    const server = await open(2);
    const clients = await oneEach(server, 2);
    const [first, second] = clients as [RawClient, RawClient];
    await first.send('GET /block/60000 HTTP/1.1\r\nHost: a\r\n\r\n');
    await second.send('GET /hang HTTP/1.1\r\nHost: a\r\n\r\n');
    await until(() => server.stats().pending === 2, 'the requests');
    const begun = performance.now();
    await server.stop({ deadline: 100 });
    const took = performance.now() - begun;
    assert.ok(took >= 90 && took < 5000, `${took} ms`);
    await Promise.all(clients.map((client) => client.closed()));
    const other = await open(2);
    assert.is((await ask(await connect(other.port), '/exit')).status, 503);
    await within(other.stop(true), 'the stop while a thread is away');
  });

  test('what is published reaches sockets on all workers', async () => {
    const server = await open(3);
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

  test('a reload imports the module anew on every worker', async () => {
    const changing = new URL('../bridge/fixtures/changing_app.ts', import.meta.url);
    const server = await open(2, changing);
    const clients = [await connect(server.port), await connect(server.port)];
    for (const client of clients) assert.is(await text(client, '/'), 'import 1');
    await server.reload();
    for (const client of clients) {
      assert.is(await text(client, '/'), 'import 2');
      assert.is(await text(client, '/only/2'), 'import 2');
      assert.is((await ask(client, '/only/1')).status, 404);
      client.destroy();
    }
  });
}

for (const [what, ending] of [
  ['exit', '7\nexit 7\n'],
  ['stop', '0\nexit 0\n'],
  ['unref', '0\nexit 0\n'],
  ['throw', '1\nexit 1\n'],
] as const) {
  testUnless(all, notLinux, `a process ends under load: ${what}`, async () => {
    const fixture = project('tests', 'inline', 'fixtures', 'threads_ends.ts');
    const server = await listening(start(process.execPath, ['--import', loader, fixture, what]));
    for (let i = 0; i < 10; i++) {
      const { socket } = await connect(server.port);
      const request = 'GET /thread HTTP/1.1\r\nHost: a\r\n\r\n';
      socket.on('data', () => socket.write(request));
      socket.write(request);
    }
    const { code, signal } = await within(server.ended, 'the end of the program', 60_000);
    assert.is(`${signal ?? code}\n${server.stdout().replace(/^http.*\n/m, '')}`, ending);
  });
}

testUnless(all, notLinux, 'the command has it, and the line at the start tells', async () => {
  const app = project('tests', 'inline', 'fixtures', 'threads_app.ts');
  const server = await startApp(app, ['--mode', 'inline', '--threads', '3']);
  assert.match(server.stderr(), /, 3 workers inline \(configured\), \d+ MiB/);
  assert.is(await (await fetch(new URL('/constant', server.url))).text(), 'constant');
  assert.equal(await server.stop(), { code: 0, signal: null });
});

all.run();
