/** How servers start and stop, and how processes end, whose threads have workers of the engine: under load, and blocked. */
import { type ServeOptions, type Server, serve } from 'gyrfalcon';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { cannotConfine, type Prefix, refusing } from '../support/confine.ts';
import { held } from '../support/held_socket.ts';
import {
  listening,
  moduleOf,
  programOf,
  project,
  type RunningServer,
  start,
  startApp,
  stopAll,
} from '../support/process.ts';
import { serversOf } from '../support/servers.ts';
import { noInline, testUnless } from '../support/skip.ts';
import { connect, type RawClient } from '../support/socket.ts';
import {
  ask,
  Gate,
  haveWorkers,
  inlineThreads,
  load,
  oneEach,
  startMs,
  text,
} from '../support/threads.ts';
import { until, within } from '../support/wait.ts';

const all = suite('ends of inline threads');
const servers = serversOf(all);
const test = (name: string, run: () => Promise<void>): void => testUnless(all, noInline, name, run);

all.after(async () => {
  await stopAll();
  Gate.removeAll();
});

async function open(threads: number, options: Partial<ServeOptions> = {}): Promise<Server> {
  const given = { ...inlineThreads(threads), ...options } as ServeOptions & { threads: number };
  return servers.keep(await within(serve(given), 'serve()', startMs));
}

test('a server is there while the first request that it got blocks its thread', async () => {
  const socket = held();
  const client = await connect(socket.port);
  const gate = new Gate();
  await client.send(`GET ${gate.path} HTTP/1.1\r\nHost: a\r\n\r\n`);
  const server = await open(1, { listen: { fd: socket.fd }, port: undefined, hostname: undefined });
  await until(() => server.stats().pending === 1, 'the request');
  gate.open();
  assert.is((await client.response()).body.toString(), 'blocked');
  await haveWorkers(server, 1);
  client.destroy();
  await server.stop(true);
  socket.close();
});

test('a stop waits for what is under way on all workers', async () => {
  const server = await open(2);
  await haveWorkers(server, 2);
  const clients = await oneEach(server, 2);
  const slow = clients.map((client) => text(client, '/slow'));
  await until(() => server.stats().pending === 2, 'the requests');
  await within(server.stop(), 'the stop');
  assert.is(new Set(await Promise.all(slow)).size, 2);
  await Promise.all(clients.map((client) => client.closed()));
  assert.throws(() => server.stats(), /GYR_SERVER_STOPPED/);
});

test('a stop has its deadline, whatever threads are at', async () => {
  const server = await open(2);
  await haveWorkers(server, 2);
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
});

test('a stop ends while a thread is away', async () => {
  const server = await open(1);
  const client = await connect(server.port);
  assert.is((await ask(client, '/exit')).status, 503);
  await within(server.stop(true), 'the stop');
  client.destroy();
});

test('a stop that is to be over sooner is, while it waits for another server', async () => {
  const server = await open(1, { reusePort: true });
  await haveWorkers(server, 1);
  const client = await connect(server.port);
  await client.send('GET /slow HTTP/1.1\r\nHost: a\r\n\r\n');
  await until(() => server.stats().pending === 1, 'the request');
  const stopped = server.stop({ deadline: 60_000 });
  await server.stop(true); // asked at once
  await within(stopped, 'the stop');
  await client.closed();
});

test('a stop comes to its end under load, wherever its threads are then', async () => {
  for (let round = 0; round < 20; round++) {
    const server = await open(1);
    await load(server.port, '/block/0.15', 8);
    await until(() => (server.stats().requests ?? 0) > 20 + round, 'some requests');
    await within(server.stop(true), 'the stop');
  }
});

/** A program of fixtures/threads_ends.ts, behind a prefix. */
function program(what: string, prefix: Prefix = []): Promise<RunningServer> {
  const module = moduleOf('tests', 'inline', 'fixtures', 'threads_app.ts').href;
  const [command = '', ...rest] = [
    ...prefix,
    process.execPath,
    ...programOf('tests', 'inline', 'fixtures', 'threads_ends.ts'),
    what,
    module,
  ];
  return listening(start(command, rest));
}

for (const [what, rounds, ending] of [
  ['exit', 10, '7\ninline 2\nexit 7\n'],
  ['stop', 1, '0\ninline 2\nexit 0\n'],
  ['unref', 1, '0\ninline 2\nexit 0\n'],
  ['throw', 1, '1\ninline 2\nexit 1\n'],
] as const) {
  test(`a process ends under load: ${what}`, async () => {
    for (let round = 0; round < rounds; round++) {
      const server = await program(what);
      await load(server.port, '/block/0.15');
      const { code, signal } = await within(server.ended, 'the end of the program');
      assert.is(`${signal ?? code}\n${server.stdout().replace(/^http.*\n/m, '')}`, ending);
    }
  });
}

const noDuplicates = refusing('fcntl:F_DUPFD_CLOEXEC=EMFILE');
testUnless(
  all,
  noInline ?? cannotConfine(noDuplicates),
  'where a thread cannot wait for its worker the worker stays where it is, and the log tells',
  async () => {
    const server = await program('stop', noDuplicates);
    await until(() => server.stderr().split('\n').length > 4, 'the log');
    await load(server.port, '/thread');
    const { code } = await within(server.ended, 'the end of the program');
    assert.is(`${code}\n${server.stdout().replace(/^http.*\n/m, '')}`, '0\ninline 0\nexit 0\n');
    for (const thread of [0, 1]) {
      assert.match(
        server.stderr(),
        new RegExp(`worker ${thread} stays on its own thread: .*Quota`),
      );
      assert.match(
        server.stderr(),
        `worker thread ${thread} is served from another thread: The engine's worker cannot run`,
      );
    }
  },
);

test('the command has it, and the line at the start tells', async () => {
  const app = project('tests', 'inline', 'fixtures', 'threads_app.ts');
  const server = await startApp(app, ['--mode', 'inline', '--threads', '3']);
  assert.match(server.stderr(), /, 3 workers inline \(configured\), \d+ MiB/);
  assert.is(await (await fetch(new URL('/constant', server.url))).text(), 'constant');
  assert.equal(await server.stop(), { code: 0, signal: null });
});

all.run();
