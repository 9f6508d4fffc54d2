import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { type RunningServer, stopAll } from '../support/process.ts';
import { connect, exchange, type RawClient } from '../support/socket.ts';
import { countersOf, patternOf, startEngine, stopEngine } from '../support/target.ts';
import { until } from '../support/wait.ts';

// Clients that leave, at any moment and in any way.
const test = suite('connections');
const hello = 'GET /hello HTTP/1.1\r\nHost: a\r\n\r\n';
let server: RunningServer;

test.before(async () => {
  server = await startEngine({ workers: 2 });
});
test.after(async () => {
  await stopEngine(server);
  await stopAll();
});

/** Waits until the connection that asks is the only one, with no buffer in use. */
async function settled(): Promise<void> {
  await until(async () => {
    const counters = await countersOf(server);
    return counters.connections <= 1 && counters.bufferBytes === 0;
  }, 'the end of all connections and the return of their buffers');
}

/** How far a client may have come when it leaves. */
const phases: readonly [name: string, request: string, responses: number][] = [
  ['before its first byte', '', 0],
  ['in a request line', 'GET /hel', 0],
  ['in a field', 'GET /hello HTTP/1.1\r\nHost: a\r\nX: ab', 0],
  ['at the start of a body', 'POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\n', 0],
  ['in a body', 'POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 200000\r\n\r\nabc', 0],
  ['in a chunk', 'POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n9\r\nab', 0],
  [
    'while it is told to go on',
    'POST /echo HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 9\r\n\r\n',
    0,
  ],
  ['before a response', hello, 0],
  ['between two requests', hello, 1],
  ['in a pipeline', hello.repeat(500), 3],
  ['in a response that is being written', 'GET /static/50000000 HTTP/1.1\r\nHost: a\r\n\r\n', 0],
  ['in a response from the pool', 'GET /size/9000000 HTTP/1.1\r\nHost: a\r\n\r\n', 0],
  ['in a file', 'GET /file/4000000 HTTP/1.1\r\nHost: a\r\n\r\n'.repeat(9), 0],
  ['behind a refusal', 'nonsense\r\n\r\n', 0],
];
const leave: Record<string, (client: RawClient) => void> = {
  closes: (client) => client.destroy(),
  resets: (client) => client.reset(),
};

for (const [how, go] of Object.entries(leave)) {
  for (const [when, request, responses] of phases) {
    test(`a client that ${how} ${when} leaves nothing behind`, async () => {
      for (let round = 0; round < 3; round += 1) {
        const client = await connect(server.port);
        if (when.startsWith('in a resp') || when === 'in a file') client.socket.pause();
        await client.send(request);
        for (let index = 0; index < responses; index += 1) await client.response();
        go(client);
      }
      await settled();
    });
  }
}

test('200 clients that abort leave nothing behind, and others are served meanwhile', async () => {
  const steady = await connect(server.port);
  for (let batch = 0; batch < 4; batch += 1) {
    const clients = await Promise.all(Array.from({ length: 50 }, () => connect(server.port)));
    await Promise.all(
      clients.map((client, index) => {
        const [, request] = phases[index % phases.length] ?? phases[0]!;
        if (index % 2 === 0) client.socket.pause();
        return client.send(request);
      }),
    );
    await steady.send(hello);
    assert.is((await steady.response()).status, 200);
    for (const client of clients) client.reset();
  }
  await steady.send(hello);
  assert.is((await steady.response()).status, 200);
  steady.destroy();
  await settled();
});

test('a client that closes its sending side behind its requests gets all responses', async () => {
  for (const path of ['/hello', '/size/300000', '/static/3000000', '/file/3000000']) {
    const client = await connect(server.port);
    await client.send(`GET ${path} HTTP/1.1\r\nHost: a\r\n\r\n`.repeat(3));
    client.end();
    for (let index = 0; index < 3; index += 1) {
      const { status, body } = await client.response();
      assert.is(status, 200);
      const size = Number(path.split('/')[2] ?? 0);
      if (size > 0) assert.ok(body.equals(patternOf(size)), path);
    }
    assert.is((await client.readToEnd()).length, 0);
  }
});

test('a client that closes its sending side in a request gets those before it, and the end', async () => {
  for (const rest of [
    'GET /hel',
    'POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nabc',
  ]) {
    const client = await connect(server.port);
    await client.send(`GET /static/5000000 HTTP/1.1\r\nHost: a\r\n\r\n${rest}`);
    client.end();
    assert.ok((await client.response()).body.equals(patternOf(5_000_000)));
    assert.is((await client.readToEnd()).length, 0);
  }
});

test('a client that closes its sending side without a request is let go', async () => {
  const client = await connect(server.port);
  client.end();
  assert.is((await client.readToEnd()).length, 0);
});

test('a client that leaves while others read large responses does them no harm', async () => {
  const readers = await Promise.all(
    Array.from({ length: 6 }, async () => {
      const client = await connect(server.port);
      await client.send('GET /size/2000000 HTTP/1.1\r\nHost: a\r\n\r\n');
      return client;
    }),
  );
  for (let index = 0; index < 20; index += 1) {
    const leaver = await connect(server.port);
    await leaver.send('GET /size/2000000 HTTP/1.1\r\nHost: a\r\n\r\n');
    leaver.reset();
  }
  for (const reader of readers) {
    assert.ok((await reader.response()).body.equals(patternOf(2_000_000)));
    reader.destroy();
  }
  await settled();
});

test('connections that come and go in great number are all served', async () => {
  const before = (await countersOf(server)).requests;
  for (let batch = 0; batch < 20; batch += 1) {
    await Promise.all(
      Array.from({ length: 50 }, async () => {
        const { status } = await exchange(server.port, hello);
        assert.is(status, 200);
      }),
    );
  }
  assert.is((await countersOf(server)).requests - before, 1001);
  await settled();
});

test.run();
