import { once } from 'node:events';
import { connect as connectSocket, type Socket } from 'node:net';
import { connect as connectTls } from 'node:tls';
import { Response, type Server, serve } from 'gyrfalcon';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { FrameClient, frame, windowUpdate } from '../http2/client.ts';
import { head } from '../http2/hpack.ts';
import { Authority, noTls } from '../support/certificates.ts';
import { overTls } from '../support/over_tls.ts';
import { type RunningServer, stopAll } from '../support/process.ts';
import { RawClient } from '../support/socket.ts';
import { type EngineOptions, engine, serveApp, type Target } from '../support/target.ts';
import { until, within } from '../support/wait.ts';

// Clients that go on sending behind their connection's end: who reads then has what it was sent; who does not read is
// not read for ever.
const test = suite('behind the end');
const MiB = 2 ** 20;
/** `drop_bytes_max` (docs/LIMITS.md). */
const granted = 128 * MiB;
/** What the systems of both sides may hold of it beside that. */
const held = 64 * MiB;
/** More than anybody should take. */
const flood = 1024 * MiB;
/** A write that the system has not taken by then is held up, ms. */
const heldUpMs = 1000;
/** `limits.linger_ms`. */
const lingerMs = 2000;
const piece = Buffer.alloc(MiB, 'x');

interface Way {
  name: string;
  target: Target;
  secure: boolean;
}

const secured = noTls === undefined ? [true] : [];
const ways: Way[] = [engine, serveApp].flatMap((target) =>
  (overTls ? [true] : [false, ...secured]).map((secure) => ({
    name: `${target.name}, ${secure ? 'https' : 'http'}`,
    target,
    secure,
  })),
);

const authority = noTls === undefined ? new Authority() : undefined;
const issued = authority?.issue(['127.0.0.1']);

test.after(async () => {
  await stopAll();
  authority?.remove();
});

/** A server on which nothing here ends by a client that takes too little. */
function open({ target, secure }: Way, options: EngineOptions = {}): Promise<RunningServer> {
  const isEngine = target === engine;
  const files = { cert: issued?.certFile ?? '', key: issued?.keyFile ?? '' };
  const tls = isEngine ? { tls: `${files.cert},${files.key}` } : { tls: files };
  return target.start({
    workers: 1,
    [isEngine ? 'write_timeout_ms' : 'writeTimeout']: 120_000,
    ...(secure ? (tls as unknown as EngineOptions) : {}),
    ...options,
  });
}

/** A client that goes on when the server sends no more. */
async function enter(server: RunningServer, { secure }: Way): Promise<RawClient> {
  const options = { port: server.port, host: '127.0.0.1', allowHalfOpen: true };
  const socket = secure
    ? connectTls({ ...options, rejectUnauthorized: false })
    : connectSocket(options);
  await within(once(socket, secure ? 'secureConnect' : 'connect'), 'a connection');
  return new RawClient(socket);
}

/** Writes; what came of it: the system has it, the connection has ended, or neither in time. */
function write(socket: Socket, bytes: Buffer): Promise<'taken' | 'ended' | 'held'> {
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, heldUpMs, 'held');
    socket.write(bytes, (error) => {
      clearTimeout(timer);
      resolve(error ? 'ended' : 'taken');
    });
  });
}

/** Sends until no more is taken: how much was, bytes, and why no more. */
async function sendOn(
  socket: Socket,
  bytes = piece,
): Promise<{ taken: number; end: 'taken' | 'ended' | 'held' }> {
  for (let taken = 0; ; taken += bytes.length) {
    const end = taken >= flood ? 'taken' : await write(socket, bytes);
    if (end !== 'taken' || taken >= flood) return { taken, end };
  }
}

/** Sends on: no more is taken soon, be it that the connection has lingered or that enough was taken. */
async function checkShort(socket: Socket, bytes: Buffer): Promise<void> {
  const since = performance.now();
  const passed = (): number => performance.now() - since;
  while (passed() < 3 * lingerMs && (await write(socket, bytes)) === 'taken');
  assert.ok(passed() < 3 * lingerMs, `bytes were taken for ${passed()} ms`);
}

/** Somebody else is served. */
async function checkServed(server: RunningServer, way: Way): Promise<void> {
  const other = await enter(server, way);
  await other.send('GET /hello HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n');
  assert.is((await other.response()).status, 200);
  other.destroy();
}

/** Of one that asked for /wait: fewer than `most` bytes are taken, others are served, and it has its answer then. */
async function checkHeldUp(
  server: RunningServer,
  way: Way,
  client: RawClient,
  most: number,
): Promise<void> {
  const { taken, end } = await sendOn(client.socket);
  assert.is(end, 'held');
  assert.ok(taken < most, `${taken} bytes were taken`);
  await checkServed(server, way);
  const other = await enter(server, way);
  await other.send('GET /release HTTP/1.1\r\nHost: a\r\n\r\n');
  assert.is((await client.response()).body.toString(), 'waited\n');
  other.destroy();
  client.destroy();
}

const pings = Buffer.concat(Array.from({ length: 60_000 }, () => frame(6, 0, 0, Buffer.alloc(8))));

for (const way of ways) {
  const { name, target } = way;

  test(`${name}: one that sends all of its body first reads that it was refused`, async () => {
    const body = 100 * MiB;
    const server = await open(way, {
      [target === engine ? 'body_bytes_max' : 'maxRequestBodySize']: MiB,
    });
    const client = await enter(server, way);
    client.socket.pause();
    client.socket.write(`POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: ${body}\r\n\r\n`);
    for (let sent = 0; sent < body; sent += MiB)
      assert.is(await write(client.socket, piece), 'taken', `${sent} bytes were taken`);
    client.socket.resume();
    const { status, body: page, headers } = await client.response();
    assert.is(status, 413);
    assert.is(page.length, Number(headers.get('content-length')));
    await client.closed();
    assert.is(client.error, undefined);
    client.destroy();
    await target.stop(server);
  });

  test(`${name}: one that does not take its last response is not read for ever`, async () => {
    const server = await open(way);
    const client = await enter(server, way);
    client.socket.pause();
    client.socket.write('GET /static/50000000 HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n');
    const { taken } = await sendOn(client.socket);
    assert.ok(taken < 2 * granted + held, `${taken} bytes were taken`);
    await checkServed(server, way);
    client.destroy();
    await target.stop(server);
  });

  test(`${name}: nor is one that has its response`, async () => {
    const server = await open(way);
    const client = await enter(server, way);
    client.socket.write('GET /hello HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n');
    assert.is((await client.response()).status, 200);
    await checkShort(client.socket, piece);
    client.destroy();
    await target.stop(server);
  });

  if (target !== serveApp) continue;

  test(`${name}: one whose last answer is being made is held up, and has it then`, async () => {
    const server = await open(way);
    const client = await enter(server, way);
    client.socket.write('GET /wait HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n');
    await checkHeldUp(server, way, client, granted + held);
    await target.stop(server);
  });

  test(`${name}: a body that its handler does not read is held up, whatever its length`, async () => {
    const server = await open(way);
    const client = await enter(server, way);
    const length = `Content-Length: ${127 * MiB}`;
    client.socket.write(`POST /wait HTTP/1.1\r\nHost: a\r\n${length}\r\n\r\n`);
    await checkHeldUp(server, way, client, held);
    await target.stop(server);
  });
}

test('TypeScript: one that is held up is missed when it has gone', async () => {
  let aborted = false;
  const server = serve({
    port: 0,
    hostname: '127.0.0.1',
    workers: 1,
    fetch: ({ signal }) =>
      new Promise((resolve) => {
        signal.addEventListener('abort', () => {
          aborted = true;
          resolve(new Response('for nobody'));
        });
      }),
  }) as Server;
  const socket = connectSocket({ port: server.port, host: '127.0.0.1' });
  const client = new RawClient(socket);
  await client.send('GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n');
  assert.is((await sendOn(socket)).end, 'held');
  assert.not(aborted);
  socket.resetAndDestroy();
  await until(() => aborted, 'the signal');
  await server.stop(true);
});

for (const target of overTls ? [] : [engine, serveApp]) {
  const way: Way = { name: target.name, target, secure: false };

  test(`${target.name}, HTTP/2: who floods and does not read is not read for ever`, async () => {
    const server = await open(way);
    const client = await FrameClient.open(server.port, [[4, 2 ** 31 - 1]]);
    client.socket.pause();
    client.send(windowUpdate(0, 2 ** 30), frame(1, 5, 1, head('/static/50000000')));
    await checkShort(client.socket, pings);
    await checkServed(server, way);
    client.socket.destroy();
    await target.stop(server);
  });

  test(`${target.name}, HTTP/2: who floods, and reads behind that, has been told why`, async () => {
    const server = await open(way);
    const deaf = await FrameClient.open(server.port);
    deaf.socket.pause();
    let error: Error | undefined;
    deaf.socket.on('error', (its) => {
      error = its;
    });
    for (let sent = 0; sent < 100 * MiB; sent += pings.length)
      assert.is(await write(deaf.socket, pings), 'taken', `${sent} bytes were taken`);
    deaf.socket.resume();
    assert.is(await deaf.goaway(), 11);
    await until(() => deaf.ended, 'the end of the connection');
    assert.is(error, undefined);
    await target.stop(server);
  });
}

test.run();
