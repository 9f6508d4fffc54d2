import * as assert from 'uvu/assert';
import { type RunningServer, stopAll } from '../support/process.ts';
import { sideBySide } from '../support/side_by_side.ts';
import { connect, exchange, type RawClient } from '../support/socket.ts';
import { countersOf, serveApp, startEngine, stopEngine } from '../support/target.ts';
import { until } from '../support/wait.ts';

// Peers that send or read too slowly, by any means: each is bounded, and those that are fast enough are not cut off.
const test = sideBySide('rates');
/** ms; the other times are so long that they do not matter. */
const grace = 300;
const rate = 1000;
let server: RunningServer;
let app: RunningServer;

test.before(async () => {
  const short = { headerTimeout: 200, bodyTimeout: 200, writeTimeout: 200 };
  app = await serveApp.start({ ...short, keepAliveTimeout: 60_000 });
  server = await startEngine({
    workers: 2,
    body_rate_min: rate,
    write_rate_min: 100_000,
    rate_grace_ms: grace,
    header_timeout_ms: 700,
    idle_timeout_ms: 900,
    write_timeout_ms: 1000,
  });
});
test.after(async () => {
  await stopEngine(server);
  await serveApp.stop(app);
  await stopAll();
});

const hello = 'GET /hello HTTP/1.1\r\nHost: a\r\n\r\n';
const chunked = 'POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n';
const rest = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

/** Sends one of `pieces` after the other, `ms` apart, until `done` or the server ends it; tells how many. */
async function trickle(
  client: RawClient,
  pieces: Iterable<string>,
  ms: number,
  done = () => client.received.length > 0,
): Promise<number> {
  let sent = 0;
  for (const piece of pieces) {
    if (client.ended || done()) break;
    await client.send(piece).catch(() => {});
    sent += 1;
    await rest(ms);
  }
  return sent;
}

function* forever(piece: string): Generator<string> {
  for (;;) yield piece;
}

for (const [what, start, piece] of [
  ['with a length', 'POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n\r\n', 'x'],
  ['in chunks of a byte', chunked, '1\r\nx\r\n'],
  ['of which only chunk extensions come', `${chunked}1;`, 'x'],
  ['of which only trailer fields come', `${chunked}0\r\nX-Long: `, 'x'],
  ['of which only leading zeros come', chunked, '0'],
] as const) {
  test(`a body ${what}, too slowly, is refused with 408 after the grace, and the connection closed`, async () => {
    const client = await connect(server.port);
    const begun = performance.now();
    await client.send(start);
    // A byte each 25 ms is 40 a second; the chunks, six times that.
    await trickle(client, forever(piece), 25);
    const response = await client.response();
    const took = performance.now() - begun;
    if (what.includes('zeros')) {
      assert.ok([400, 408, 413].includes(response.status));
    } else {
      assert.is(response.status, 408);
      assert.match(response.body.toString(), 'body_too_slow');
      assert.ok(took > grace - 20 && took < 3000, `${took} ms`);
    }
    assert.is((await client.readToEnd()).length, 0);
  });
}

test('a body at more than the rate is served, however small its pieces and however long it takes', async () => {
  const client = await connect(server.port);
  const length = 5000;
  // A part of it at once, so that a slow machine may stop for a second.
  await client.send(`POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: ${length}\r\n\r\n`);
  await client.send('x'.repeat(1000));
  const begun = performance.now();
  await trickle(client, Array(80).fill('x'.repeat(50)), 10);
  const response = await client.response();
  assert.is(response.body.length, length);
  assert.ok(performance.now() - begun > 2 * grace, 'it took longer than the grace');
  client.destroy();
});

test('a body that came fast may rest for longer than the grace', async () => {
  const client = await connect(server.port);
  await client.send(`POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 5001\r\n\r\n`);
  await client.send('x'.repeat(5000));
  await rest(3 * grace);
  await client.send('y');
  assert.is((await client.response()).body.length, 5001);
  client.destroy();
});

// What the server counts is this one's.
test.alone(
  'a client that takes a response more slowly than the rate is cut off, though it reads',
  async () => {
    const { timeouts } = await countersOf(server);
    const client = await connect(server.port);
    client.socket.pause();
    await client.send('GET /static/50000000 HTTP/1.1\r\nHost: a\r\n\r\n');
    const begun = performance.now();
    const sip = setInterval(() => client.socket.read(100), 20);
    try {
      await until(async () => (await countersOf(server)).timeouts > timeouts, 'the end');
    } finally {
      clearInterval(sip);
    }
    // What the system takes over at first counts as taken: at most as long as the write timeout.
    assert.ok(performance.now() - begun > grace - 50);
    client.destroy();
  },
);

test('a client that takes a response at more than the rate gets all of it, though it takes long', async () => {
  const length = 9_000_000;
  const client = await connect(server.port);
  let received = 0;
  client.socket.pause().removeAllListeners('data');
  await client.send(`GET /static/${length} HTTP/1.1\r\nHost: a\r\n\r\n`);
  const begun = performance.now();
  while (received < length && !client.ended) {
    await rest(20);
    // 120 kB each 20 ms are sixty times the rate.
    const bytes = client.socket.read(120_000) ?? client.socket.read();
    received += bytes?.length ?? 0;
  }
  assert.ok(received > length, `${received} bytes`);
  assert.ok(performance.now() - begun > 4 * grace, 'it took longer than the grace');
  client.destroy();
});

test('empty lines before a first request do not keep a connection, and get no answer', async () => {
  const client = await connect(server.port);
  const begun = performance.now();
  await trickle(client, ['\r\n', '\r', '\n', '\r\n'], 100);
  await client.closed();
  assert.is(client.received.length, 0);
  assert.ok(performance.now() - begun > 600);
});

test('empty lines between requests do not keep a connection, and get no answer', async () => {
  const client = await connect(server.port);
  await client.send(hello);
  await client.response();
  await trickle(client, ['\r\n', '\r\n', '\r', '\n'], 200);
  await client.closed();
  assert.is(client.received.length, 0);
});

test('more empty lines than may come before a request are refused at once', async () => {
  const client = await connect(server.port);
  await trickle(client, forever('\r\n'), 1);
  assert.is((await client.response()).status, 400);
  await client.closed();
});

test('what no request begins with is refused at its first byte, so that it holds nothing', async () => {
  for (const junk of [
    '\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03',
    '\x00',
    '\x80\x2e\x01',
    '{',
  ]) {
    assert.is((await exchange(server.port, junk)).status, 400);
  }
});

test.alone('a head in pieces behind a response that is not read is bounded too', async () => {
  const client = await connect(server.port);
  client.socket.pause();
  await client.send('GET /size/200000 HTTP/1.1\r\nHost: a\r\n\r\n'.repeat(40));
  const before = await countersOf(server);
  assert.ok(before.connections >= 2);
  await until(async () => (await countersOf(server)).connections === 1, 'the end');
  client.destroy();
});

test('serve: a pipelined head that comes in pieces behind a request that is being worked on is whole in time', async () => {
  const client = await connect(app.port);
  await client.send('GET /slow/900 HTTP/1.1\r\nHost: a\r\n\r\nGET /hel');
  const begun = performance.now();
  const pieces = 'lo HTTP/1.1\r\nHost: a\r\nX: '.padEnd(2000, 'x');
  const trickled = trickle(client, pieces, 20);
  // The request that was whole is answered; the other one is refused before that, and told behind it.
  assert.is((await client.response()).status, 200);
  assert.ok(performance.now() - begun > 800);
  const refused = await client.response();
  assert.is(refused.status, 408);
  assert.match(refused.body.toString(), 'header_timeout');
  await client.closed();
  await trickled;
});

test('serve: a handler may take longer than every timeout, and its client wait', async () => {
  const client = await connect(app.port);
  await client.send('GET /slow/600 HTTP/1.1\r\nHost: a\r\n\r\n');
  assert.is((await client.response()).status, 200);
  await client.send('POST /late/600 HTTP/1.1\r\nHost: a\r\nContent-Length: 2000000\r\n\r\n');
  // More than is held for a handler: the rest waits in the sockets, through no fault of the client's.
  await client.send('x'.repeat(2_000_000));
  assert.is((await client.response()).body.length, 2_000_000);
  client.destroy();
});

test.run();
