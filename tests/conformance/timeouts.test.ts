import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { type RunningServer, stopAll } from '../support/process.ts';
import { connect } from '../support/socket.ts';
import { countersOf, startEngine, stopEngine } from '../support/target.ts';
import { until } from '../support/wait.ts';

const test = suite('timeouts');
/** Long enough to tell apart on a slow machine, ms. The engine's timers are never early, and a tick (50 ms) late. */
const [short, long] = [300, 1500];
let server: RunningServer;

test.before(async () => {
  server = await startEngine({
    header_timeout_ms: short,
    body_timeout_ms: short,
    idle_timeout_ms: short,
    write_timeout_ms: short,
  });
});
test.after(async () => {
  await stopEngine(server);
  await stopAll();
});

const hello = 'GET /hello HTTP/1.1\r\nHost: a\r\n\r\n';

/** Fails unless `action` takes at least `ms`. */
async function atLeast(ms: number, action: () => Promise<unknown>): Promise<void> {
  const begun = performance.now();
  await action();
  const took = performance.now() - begun;
  assert.ok(took >= ms, `after ${Math.round(took)} ms, which is before ${ms} ms`);
}

test('a connection on which nothing comes is closed after the header timeout', async () => {
  const client = await connect(server.port);
  await atLeast(short - 20, () => client.closed());
  assert.is(client.received.length, 0);
  assert.is(client.error, undefined);
});

test('a head that is not whole in time is answered with 408 and the connection closed', async () => {
  const client = await connect(server.port);
  await client.send('GET /hello HTTP/1.1\r\nHost: a\r\n');
  await atLeast(short - 20, async () => {
    const response = await client.response();
    assert.is(response.status, 408);
    assert.match(response.body.toString(), 'header_timeout');
  });
  assert.is((await client.readToEnd()).length, 0);
});

test('a head that comes byte by byte is cut off all the same: the timeout is the whole head’s', async () => {
  const client = await connect(server.port);
  const request = `GET /hello HTTP/1.1\r\nHost: a\r\nX: ${'x'.repeat(1000)}`;
  let sent = 0;
  const trickle = setInterval(() => {
    if (!client.ended && sent < request.length) client.socket.write(request[sent++] ?? '');
  }, 20);
  try {
    assert.is((await client.response()).status, 408);
    assert.ok(sent < request.length);
  } finally {
    clearInterval(trickle);
    client.destroy();
  }
});

test('a second head that is not whole in time is answered with 408 behind the first response', async () => {
  const client = await connect(server.port);
  await client.send(`${hello}GET /hel`);
  assert.is((await client.response()).status, 200);
  assert.is((await client.response()).status, 408);
  assert.is((await client.readToEnd()).length, 0);
});

test('a body that stops is answered with 408 and the connection closed', async () => {
  for (const framing of ['Content-Length: 100000', 'Transfer-Encoding: chunked']) {
    const client = await connect(server.port);
    await client.send(`POST /echo HTTP/1.1\r\nHost: a\r\n${framing}\r\n\r\n10\r\nsome`);
    await atLeast(short - 20, async () => {
      const response = await client.response();
      assert.is(response.status, 408);
      assert.match(response.body.toString(), 'body_timeout');
    });
    assert.is((await client.readToEnd()).length, 0);
  }
});

test('a body that comes slowly but steadily is served', async () => {
  const client = await connect(server.port);
  const body = 'slow and steady';
  await client.send(`POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: ${body.length}\r\n\r\n`);
  const begun = performance.now();
  for (const byte of body) {
    await client.send(byte);
    await new Promise((resolve) => setTimeout(resolve, short / 4));
  }
  assert.ok(performance.now() - begun > 2 * short, 'it took longer than the timeout');
  assert.is((await client.response()).body.toString(), body);
  client.destroy();
});

test('a connection that is idle after a response is closed, without a word', async () => {
  const client = await connect(server.port);
  await client.send(hello);
  await client.response();
  await atLeast(short - 20, () => client.closed());
  assert.is(client.received.length, 0);
  assert.is(client.error, undefined);
});

test('each request starts the idle time anew', async () => {
  const client = await connect(server.port);
  const begun = performance.now();
  while (performance.now() - begun < 3 * short) {
    await client.send(hello);
    assert.is((await client.response()).status, 200);
    await new Promise((resolve) => setTimeout(resolve, short / 3));
  }
  client.destroy();
});

test('a client that does not read its response is cut off after the write timeout', async () => {
  const before = await countersOf(server);
  const client = await connect(server.port);
  client.socket.pause();
  await client.send('GET /static/50000000 HTTP/1.1\r\nHost: a\r\n\r\n');
  await until(
    async () => (await countersOf(server)).connections > before.connections,
    'the connection',
  );
  await atLeast(short - 100, () =>
    until(
      async () => (await countersOf(server)).connections === before.connections,
      'the end of the connection',
    ),
  );
  client.destroy();
});

test('a client that pauses for less than the write timeout gets all of its response', async () => {
  const patient = await startEngine({ write_timeout_ms: long });
  for (const path of ['/static/20000000', '/size/8000000', '/file/4000000']) {
    const reader = await slowReader(patient.port, path);
    await new Promise((resolve) => setTimeout(resolve, short));
    reader.client.socket.resume();
    await reader.whole();
  }
  await stopEngine(patient);
});

test('a client that reads slowly but steadily is not cut off', async () => {
  const reader = await slowReader(server.port, '/static/20000000');
  const begun = performance.now();
  const breathe = setInterval(() => {
    const bound = reader.received() + 1_000_000;
    const onData = (): void => {
      if (reader.received() < bound) return;
      reader.client.socket.pause().off('data', onData);
    };
    reader.client.socket.on('data', onData).resume();
  }, short / 6);
  try {
    await reader.whole();
    assert.ok(performance.now() - begun > 2 * short, 'it took longer than the timeout');
  } finally {
    clearInterval(breathe);
  }
});

/** A client that has asked for `path` and reads nothing until its socket is resumed. */
async function slowReader(port: number, path: string) {
  const length = Number(path.split('/')[2]);
  const client = await connect(port);
  let received = 0;
  client.socket.pause().removeAllListeners('data');
  client.socket.on('data', (bytes: Buffer) => {
    received += bytes.length;
  });
  client.socket.pause();
  await client.send(`GET ${path} HTTP/1.1\r\nHost: a\r\n\r\n`);
  return {
    client,
    received: () => received,
    /** Waits for the whole response. */
    async whole() {
      await until(() => client.ended || received > length, 'the response');
      client.destroy();
      assert.ok(received > length, `${path}: ${received} bytes`);
    },
  };
}

test.run();
