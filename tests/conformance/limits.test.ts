import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { type RunningServer, stopAll } from '../support/process.ts';
import { connect, exchange, type RawResponse } from '../support/socket.ts';
import { patternOf, startEngine, stopEngine } from '../support/target.ts';

const test = suite('limits');
const limits = {
  target_bytes_max: 500,
  head_bytes_max: 2000,
  header_count_max: 20,
  body_bytes_max: 100_000,
  body_buffered_bytes_max: 100_000,
};
let server: RunningServer;

test.before(async () => {
  server = await startEngine(limits);
});
test.after(async () => {
  await stopEngine(server);
  await stopAll();
});

/** Sends a request of its own connection; one that is refused must end it. */
async function statusOf(request: string | Buffer): Promise<RawResponse> {
  const client = await connect(server.port);
  const sent = client.send(request).catch(() => {});
  const response = await client.response();
  if (response.status !== 200) assert.is((await client.readToEnd()).length, 0);
  await sent;
  client.destroy();
  return response;
}

function targetOf(length: number): string {
  const start = '/hello?';
  return `GET ${start}${'x'.repeat(length - start.length)} HTTP/1.1\r\nHost: a\r\n\r\n`.replace(
    '/hello?',
    '/echo?x',
  );
}

test('a target of the limit is served, one byte more is refused with 414', async () => {
  assert.is((await statusOf(targetOf(500))).status, 200);
  const refused = await statusOf(targetOf(501));
  assert.is(refused.status, 414);
  assert.match(refused.body.toString(), 'uri_too_long');
});

test('a target without an end is refused with 414 before the head is whole', async () => {
  assert.is((await statusOf(`GET /${'x'.repeat(600)}`)).status, 414);
});

test('a head of the limit is served, one byte more is refused with 431', async () => {
  const head = (length: number): string => {
    const rest = 'GET /hello HTTP/1.1\r\nHost: a\r\nX: \r\n\r\n';
    return rest.replace('X: ', `X: ${'v'.repeat(length - rest.length)}`);
  };
  assert.is(head(2000).length, 2000);
  assert.is((await statusOf(head(2000))).status, 200);
  assert.is((await statusOf(head(2001))).status, 431);
});

test('a head without an end is refused with 431, however slowly it comes', async () => {
  const client = await connect(server.port);
  const sent = client
    .send(`GET /hello HTTP/1.1\r\nHost: a\r\nX: ${'v'.repeat(3000)}`, 100)
    .catch(() => {});
  assert.is((await client.response()).status, 431);
  await client.closed();
  await sent;
});

test('as many fields as the limit are served, one more is refused with 431', async () => {
  const fields = (count: number): string =>
    `GET /hello HTTP/1.1\r\nHost: a\r\n${'X: y\r\n'.repeat(count - 1)}\r\n`;
  assert.is((await statusOf(fields(20))).status, 200);
  const refused = await statusOf(fields(21));
  assert.is(refused.status, 431);
  assert.match(refused.body.toString(), 'too_many_fields');
});

test('a body of the limit is served, one byte more is refused with 413, by Content-Length', async () => {
  const request = (length: number): Buffer =>
    Buffer.concat([
      Buffer.from(`POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: ${length}\r\n\r\n`),
      patternOf(length),
    ]);
  const served = await statusOf(request(100_000));
  assert.is(served.status, 200);
  assert.is(served.body.length, 100_000);
  assert.is((await statusOf(request(100_001))).status, 413);
});

test('a body of the limit is served, one byte more is refused with 413, in chunks', async () => {
  const request = (length: number, chunkBytes: number): string => {
    const chunks = [];
    for (let left = length; left > 0; left -= chunkBytes) {
      const size = Math.min(left, chunkBytes);
      chunks.push(`${size.toString(16)}\r\n${'c'.repeat(size)}\r\n`);
    }
    return `POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n${chunks.join('')}0\r\n\r\n`;
  };
  for (const chunkBytes of [1000, 60_000, 200_000]) {
    assert.is((await statusOf(request(100_000, chunkBytes))).status, 200);
    assert.is((await statusOf(request(100_001, chunkBytes))).status, 413);
  }
});

test('a response that has no room for its fields is the handler’s error, not the client’s', async () => {
  const fits = await exchange(server.port, 'GET /field/16000 HTTP/1.1\r\nHost: a\r\n\r\n');
  assert.is(fits.headers.get('x-long')?.length, 16_000);
  const refused = await exchange(server.port, 'GET /field/17000 HTTP/1.1\r\nHost: a\r\n\r\n');
  assert.is(refused.status, 500);
});

test('a configuration that cannot be ends the server before it listens, and is told', async () => {
  for (const [options, rule] of [
    [{ head_bytes_max: 100_000 }, /head_bytes_max must be 256 to 65535/],
    [{ connections_max: 0 }, /connections_max must be at least 1/],
    [{ idle_timeout_ms: 0 }, /idle_timeout_ms must be at least 1/],
  ] as const) {
    try {
      await startEngine(options);
      assert.unreachable();
    } catch (error) {
      assert.match((error as Error).message, rule);
    }
  }
});

test.run();
