import { readdirSync } from 'node:fs';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { type RunningServer, stopAll } from '../support/process.ts';
import { testUnless } from '../support/skip.ts';
import { connect, exchange, type RawClient } from '../support/socket.ts';
import {
  countersOf,
  limitDescriptors,
  limitsAreFixed,
  memoryOf,
  patternOf,
  startEngine,
  stopEngine,
} from '../support/target.ts';
import { until } from '../support/wait.ts';

// Too many connections, too few descriptors, too little memory: those that can be served are, and it passes.
const test = suite('resources');
const hello = 'GET /hello HTTP/1.1\r\nHost: a\r\n\r\n';
const MiB = 1024 * 1024;

test.after(stopAll);

const connectMany = (server: RunningServer, count: number): Promise<RawClient[]> =>
  Promise.all(Array.from({ length: count }, () => connect(server.port)));

async function askHello(client: RawClient): Promise<void> {
  await client.send(hello);
  assert.is((await client.response()).status, 200);
}

const descriptorsOf = (server: RunningServer): number =>
  readdirSync(`/proc/${server.child.pid}/fd`).length;

test('at the maximum of connections the next one waits, and is served when one closes', async () => {
  for (const workers of [1, 2]) {
    const server = await startEngine({ connections_max: 10, workers, idle_timeout_ms: 60_000 });
    const clients = await connectMany(server, 10);
    for (const client of clients) await askHello(client);
    const waiting = await connectMany(server, 3);
    await Promise.all(waiting.map((client) => client.send(hello)));
    // The others are served on; those that wait have nothing yet.
    for (const client of clients) await askHello(client);
    assert.equal(
      waiting.map((client) => client.received.length),
      [0, 0, 0],
    );
    for (const [index, client] of waiting.entries()) {
      clients[index]?.destroy();
      assert.is((await client.response()).status, 200, `${workers} workers, number ${index}`);
    }
    for (const client of [...clients, ...waiting]) client.destroy();
    const { requests } = await stopEngine(server);
    assert.is(requests, 23);
  }
});

const scarce =
  'without descriptors for more connections those at hand are served, and then the others';
testUnless(test, limitsAreFixed, scarce, async () => {
  const server = await startEngine({ workers: 1, idle_timeout_ms: 60_000 });
  // The limit falls behind its back: what it found at its start is no longer so.
  limitDescriptors(server, 40);
  const free = 40 - descriptorsOf(server);
  assert.ok(free > 5, `${free} are free`);
  const clients = await connectMany(server, free + 10);
  const sent = clients.map(async (client) => {
    await client.send(hello);
    assert.is((await client.response()).status, 200);
  });
  for (const answer of sent) answer.catch(() => {});
  const served = (): RawClient[] => clients.filter((client) => client.socket.bytesRead > 0);
  await until(() => served().length >= free, `${free} of ${clients.length} to be served`);
  await until(() => /out of descriptors/.test(server.stderr()), 'the warning');
  for (let round = 0; round < 3; round += 1) await askHello(served()[0]!);
  for (const client of served().slice(0, 10)) client.destroy();
  await Promise.all(sent);
  for (const client of clients) client.destroy();
  await stopEngine(server);
  assert.is(server.stderr().match(/out of descriptors/g)?.length, 1, 'it is told once');
});

test('a peer that resets while it is written to does not end the server (SIGPIPE)', async () => {
  const server = await startEngine({ workers: 1 });
  for (let round = 0; round < 30; round += 1) {
    const client = await connect(server.port);
    client.socket.pause();
    await client.send('GET /static/50000000 HTTP/1.1\r\nHost: a\r\n\r\n'.repeat(2));
    client.reset();
  }
  server.child.kill('SIGPIPE');
  assert.is((await exchange(server.port, hello)).status, 200);
  await stopEngine(server);
});

test('connections that are reset before they are accepted do no harm (ECONNABORTED)', async () => {
  const server = await startEngine({ workers: 1, connections_max: 2, idle_timeout_ms: 60_000 });
  const holders = await connectMany(server, 2);
  for (const client of holders) await askHello(client);
  // Nobody accepts them now: they wait in the backlog, and are gone when their turn comes.
  for (const client of await connectMany(server, 50)) client.reset();
  for (const client of holders) client.destroy();
  assert.is((await exchange(server.port, hello)).status, 200);
  await stopEngine(server);
});

test('slow readers of 50 MB cost the server no memory when the bytes live elsewhere', async () => {
  const server = await startEngine({ workers: 2 });
  await exchange(server.port, hello);
  const before = await memoryOf(server);
  const readers = await connectMany(server, 10);
  for (const client of readers) client.socket.pause();
  await Promise.all(
    readers.map((client) => client.send('GET /static/50000000 HTTP/1.1\r\nHost: a\r\n\r\n')),
  );
  await until(async () => (await countersOf(server)).requests >= 11, 'the requests');
  const grown = (await memoryOf(server)) - before;
  assert.ok(grown < 4 * MiB, `${grown} bytes more`);
  assert.is((await countersOf(server)).bufferBytes, 0);
  for (const client of readers) client.destroy();
  await stopEngine(server);
});

test('a slow reader gets 50 MB whole', async () => {
  const server = await startEngine({ workers: 1 });
  const client = await connect(server.port);
  client.socket.removeAllListeners('data');
  const expected = patternOf(89 * 1000);
  let at = -1;
  let length = 0;
  client.socket.on('data', (bytes: Buffer) => {
    const body = at === -1 ? bytes.subarray(bytes.indexOf('\r\n\r\n') + 4) : bytes;
    at = Math.max(at, 0);
    for (let from = 0; from < body.length; ) {
      const n = Math.min(body.length - from, expected.length - at);
      if (expected.compare(body, from, from + n, at, at + n) !== 0) {
        client.destroy();
        throw new Error(`other bytes near ${length + from}`);
      }
      at = (at + n) % expected.length;
      from += n;
    }
    length += body.length;
    client.socket.pause();
    setImmediate(() => client.socket.resume());
  });
  await client.send('GET /static/50000000 HTTP/1.1\r\nHost: a\r\n\r\n');
  await until(() => length === 50_000_000 || client.ended, '50 MB', 30_000);
  assert.is(length, 50_000_000);
  client.destroy();
  await stopEngine(server);
});

test('a pipeline of large responses that nobody reads is held back, not piled up', async () => {
  const server = await startEngine({ workers: 1 });
  await exchange(server.port, hello);
  const before = await memoryOf(server);
  const client = await connect(server.port);
  client.socket.pause();
  const request = 'GET /size/200000 HTTP/1.1\r\nHost: a\r\n\r\n';
  await client.send(request.repeat(200));
  // 200 answers are 40 MB; the sockets take about six. It rests when the counters do.
  let last = -1;
  await until(async () => {
    const { requests } = await countersOf(server);
    const resting = requests === last + 1; // this very question
    last = requests;
    return resting;
  }, 'the server to rest');
  assert.ok(last < 150, `${last} requests were begun`);
  const { bufferBytes } = await countersOf(server);
  assert.ok(bufferBytes < 4 * MiB, `${bufferBytes} bytes of buffers`);
  assert.ok((await memoryOf(server)) - before < 8 * MiB);
  client.socket.resume();
  for (let index = 0; index < 200; index += 1) {
    assert.is((await client.response()).body.length, 200_000);
  }
  client.destroy();
  await stopEngine(server);
});

test('when the buffers are used up requests are refused with 503, and then served again', async () => {
  const server = await startEngine({
    workers: 1,
    buffer_memory_bytes: 4 * MiB,
    body_buffered_bytes_max: 2 * MiB,
  });
  const clients = await connectMany(server, 8);
  const upload = (bytes: number): string =>
    `POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: ${bytes}\r\n\r\n`;
  // Each wants almost two of the four MiB, and none comes to its end.
  await Promise.all(
    clients.map((client) => client.send(upload(2_000_000) + 'x'.repeat(1_900_000)).catch(() => {})),
  );
  const refused = (): RawClient[] => clients.filter((client) => client.received.length > 0);
  await until(() => refused().length >= 4, 'refusals');
  for (const client of refused()) assert.is((await client.response()).status, 503);
  for (const client of clients) client.destroy();
  await until(async () => (await countersOf(server)).bufferBytes === 0, 'the buffers');
  const body = 'y'.repeat(1_500_000);
  const response = await exchange(server.port, upload(body.length) + body);
  assert.is(response.status, 200);
  assert.is(response.body.length, body.length);
  await stopEngine(server);
});

test('a response that is larger than all buffers is the handler’s error', async () => {
  const server = await startEngine({
    workers: 1,
    buffer_memory_bytes: 4 * MiB,
    body_buffered_bytes_max: MiB,
  });
  const response = await exchange(server.port, 'GET /size/9000000 HTTP/1.1\r\nHost: a\r\n\r\n');
  assert.is(response.status, 500);
  assert.is((await exchange(server.port, hello)).status, 200);
  await stopEngine(server);
});

test.run();
