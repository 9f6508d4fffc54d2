import { once } from 'node:events';
import type { Socket } from 'node:net';
import * as assert from 'uvu/assert';
import { FrameClient, frame, windowUpdate } from '../http2/client.ts';
import { head } from '../http2/hpack.ts';
import { type RunningServer, stopAll } from '../support/process.ts';
import { sideBySide } from '../support/side_by_side.ts';
import { openSocket, RawClient } from '../support/socket.ts';
import { engine, serveApp, type Target } from '../support/target.ts';
import { until, within } from '../support/wait.ts';

// Clients that go on sending behind their connection's end: who reads then has what it was sent; who does not read is not
// read for ever.
const test = sideBySide('behind the end', 2);
const MiB = 2 ** 20;
/** `linger_bytes_max` (docs/LIMITS.md). */
const granted = 64 * MiB;
/** What the systems of both sides may hold of it beside that. */
const held = 64 * MiB;
/** More than anybody should take. */
const flood = 1024 * MiB;

test.after(stopAll);

/** A server on which nothing here ends by a client that takes too little. */
const patient = (target: Target): Promise<RunningServer> =>
  target.start({
    workers: 1,
    [target === engine ? 'write_timeout_ms' : 'writeTimeout']: 120_000,
    [target === engine ? 'body_bytes_max' : 'maxRequestBodySize']: MiB,
  });

/** A client that goes on when the server sends no more. */
async function connectStubborn(server: RunningServer): Promise<RawClient> {
  const socket = openSocket(server.port, '127.0.0.1', { allowHalfOpen: true });
  await within(once(socket, 'connect'), 'a connection');
  return new RawClient(socket);
}

/** Writes, and waits until the system has it. Not taken: the connection has ended. */
const written = (socket: Socket, bytes: Buffer): Promise<boolean> =>
  within(
    new Promise((resolve) => socket.write(bytes, (error) => resolve(!error))),
    'room, or the end of the connection',
  );

/** Sends `piece` until the connection ends: how much of it was taken, bytes. */
async function sendOn(socket: Socket, piece: Buffer): Promise<number> {
  let taken = 0;
  while (taken < flood && (await written(socket, piece))) taken += piece.length;
  return taken;
}

function checkTaken(taken: number): void {
  assert.ok(taken < granted + held, `${taken} bytes were taken`);
}

const pings = Buffer.concat(Array.from({ length: 60_000 }, () => frame(6, 0, 0, Buffer.alloc(8))));

// Its response is whole before any of it is taken; one that is streamed has not come to the connection's end.
test('engine, HTTP/1: a client that does not take its response is not read for ever', async () => {
  const server = await patient(engine);
  const { socket } = await connectStubborn(server);
  socket.pause();
  socket.write('GET /static/50000000 HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n');
  checkTaken(await sendOn(socket, Buffer.alloc(MiB, 'x')));
  await engine.stop(server);
});

for (const target of [engine, serveApp]) {
  test(`${target.name}, HTTP/1: nor is one that has its response`, async () => {
    const server = await patient(target);
    const client = await connectStubborn(server);
    // From a handler: a program that has only begun to listen does not hear of a stop yet.
    client.socket.write('GET /size/10 HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n');
    assert.is((await client.response()).status, 200);
    checkTaken(await sendOn(client.socket, Buffer.alloc(MiB, 'x')));
    await target.stop(server);
  });

  test(`${target.name}, HTTP/1: one that sends all of its body first reads that it was refused`, async () => {
    const server = await patient(target);
    const client = await connectStubborn(server);
    client.socket.pause();
    const body = 48 * MiB;
    client.socket.write(`POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: ${body}\r\n\r\n`);
    for (let sent = 0; sent < body; sent += MiB)
      assert.ok(await written(client.socket, Buffer.alloc(MiB, 'x')), `${sent} bytes were taken`);
    client.socket.resume();
    assert.is((await client.response()).status, 413);
    await client.closed();
    assert.is(client.error, undefined);
    client.destroy();
    await target.stop(server);
  });

  test(`${target.name}, HTTP/2: who floods and does not read is not read for ever`, async () => {
    const server = await patient(target);
    const client = await FrameClient.open(server.port, [[4, 2 ** 31 - 1]]);
    client.socket.pause();
    client.send(windowUpdate(0, 2 ** 30), frame(1, 5, 1, head('/static/50000000')));
    checkTaken(await sendOn(client.socket, pings));
    await target.stop(server);
  });

  test(`${target.name}, HTTP/2: who floods, and reads behind that, has been told why`, async () => {
    const server = await patient(target);
    const deaf = await FrameClient.open(server.port);
    deaf.socket.pause();
    let error: Error | undefined;
    deaf.socket.on('error', (its) => {
      error = its;
    });
    for (let sent = 0; sent < 32 * MiB; sent += pings.length)
      assert.ok(await written(deaf.socket, pings), `${sent} bytes were taken`);
    deaf.socket.resume();
    assert.is(await deaf.goaway(), 11);
    await until(() => deaf.ended, 'the end of the connection');
    assert.is(error, undefined);
    await target.stop(server);
  });
}

test.run();
