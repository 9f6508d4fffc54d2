import { readdirSync } from 'node:fs';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { type RunningServer, stopAll, underWine } from '../support/process.ts';
import { testUnless } from '../support/skip.ts';
import { connect, exchange, type RawClient } from '../support/socket.ts';
import { countersOf, patternOf, startEngine, stopEngine } from '../support/target.ts';
import { cannotTrace, traced } from '../support/trace.ts';
import { until } from '../support/wait.ts';

// Defects that were seen in another server of this kind (Peregrine), each as a test of its name.
const test = suite('peregrine');
const hello = 'GET /hello HTTP/1.1\r\nHost: a\r\n\r\n';
const get = (path: string): string => `GET ${path} HTTP/1.1\r\nHost: a\r\n\r\n`;
const post = (body: string): string =>
  `POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: ${body.length}\r\n\r\n${body}`;
let server: RunningServer;

test.before(async () => {
  // One worker: what connections could share, they share.
  server = await startEngine({ workers: 1, idle_timeout_ms: 60_000, header_timeout_ms: 60_000 });
});
test.after(async () => {
  await stopEngine(server);
  await stopAll();
});

test('a parser shared by a worker loses pipelined bytes', async () => {
  const clients = await Promise.all(Array.from({ length: 20 }, () => connect(server.port)));
  const script = clients.map(
    (_, index) => post(`one of ${index}`) + hello + post(`two of ${index}`),
  );
  // Each connection is always in the middle of a message when the next one is read from.
  const longest = Math.max(...script.map((text) => text.length));
  for (let at = 0; at < longest; at += 7) {
    for (const [index, client] of clients.entries()) {
      client.socket.write(script[index]?.slice(at, at + 7) ?? '');
    }
    await exchange(server.port, hello);
  }
  for (const [index, client] of clients.entries()) {
    assert.is((await client.response()).body.toString(), `one of ${index}`);
    assert.is((await client.response()).status, 200);
    assert.is((await client.response()).body.toString(), `two of ${index}`);
    client.destroy();
  }
});

test('a fragment without CRLF underflows', async () => {
  for (const fragments of [
    ['G'],
    ['GET', ' '],
    ['\r'],
    ['GET /hello HTTP/1.1\r'],
    ['GET /hello HTTP/1.1\r\nH'],
  ]) {
    const client = await connect(server.port);
    for (const fragment of fragments) {
      await client.send(fragment);
      await exchange(server.port, hello);
    }
    assert.is(client.ended, false);
    const sent = fragments.join('');
    await client.send(
      `${sent === '\r' ? '\n' : ''}${hello.slice(sent === '\r' ? 0 : sent.length)}`,
    );
    assert.is((await client.response()).status, 200, JSON.stringify(fragments));
    client.destroy();
  }
});

test('a short writev closes the connection', async () => {
  const client = await connect(server.port);
  client.socket.pause();
  const sizes = Array.from({ length: 60 }, (_, index) => (index * 7919) % 400_000);
  const sent = client.send(
    sizes.map((size) => get(`/size/${size}`) + get(`/static/${size}`)).join(''),
  );
  await until(async () => (await countersOf(server)).bufferBytes > 0, 'a socket that is full');
  client.socket.resume();
  for (const size of sizes) {
    for (let kind = 0; kind < 2; kind += 1) {
      assert.ok((await client.response()).body.equals(patternOf(size)), `${size} bytes`);
    }
  }
  await sent;
  client.destroy();
});

testUnless(test, cannotTrace(), 'nodelay set to 0', async () => {
  for (const nodelay of [true, false]) {
    const lines = await traced(['setsockopt'], { nodelay, workers: 1 }, async ({ port }) => {
      for (let i = 0; i < 3; i += 1) assert.is((await exchange(port, hello)).status, 200);
    });
    // On the listener, from which connections inherit it: not one call for each of them.
    const set = lines.filter((line) => line.includes('TCP_NODELAY'));
    assert.is(set.length, 1);
    assert.match(set[0] as string, `TCP_NODELAY, [${nodelay ? 1 : 0}]`);
  }
});

test('header values over 255 bytes are refused', async () => {
  for (const length of [254, 255, 256, 257, 1000, 8000]) {
    const value = 'v'.repeat(length);
    const request = `GET /describe HTTP/1.1\r\nHost: a\r\nX-Long: ${value}\r\nX-Next: n\r\n\r\n`;
    const response = await exchange(server.port, request);
    assert.is(response.status, 200);
    assert.equal(JSON.parse(response.body.toString()).fields, [
      ['Host', 'a'],
      ['X-Long', value],
      ['X-Next', 'n'],
    ]);
    const long = await exchange(server.port, get(`/field/${length}`));
    assert.is(long.headers.get('x-long')?.length, length);
  }
});

test('a header with an empty value underflows', async () => {
  for (const empty of ['', ' ', '\t', '   ']) {
    const request = `GET /describe HTTP/1.1\r\nHost: a\r\nX-Empty:${empty}\r\nX-Next:n\r\nX-Last:${empty}\r\n\r\n`;
    const { body } = await exchange(server.port, request);
    assert.equal(JSON.parse(body.toString()).fields, [
      ['Host', 'a'],
      ['X-Empty', ''],
      ['X-Next', 'n'],
      ['X-Last', ''],
    ]);
  }
});

test('one slow client blocks all', async () => {
  const slow: RawClient[] = [];
  for (const request of [
    get('/static/50000000'),
    get('/file/4000000').repeat(10),
    get('/size/3000000'),
    'GET /hel',
    'POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\nabc',
    hello.repeat(20_000),
  ]) {
    const client = await connect(server.port);
    client.socket.pause();
    client.socket.write(request);
    slow.push(client);
  }
  const begun = performance.now();
  for (let round = 0; round < 200; round += 1) {
    assert.is((await exchange(server.port, hello)).status, 200);
  }
  assert.ok(performance.now() - begun < 8000, 'the others are served at their usual pace');
  for (const client of slow) client.destroy();
});

test('an fd-indexed table with a fixed end: descriptors far beyond any table’s beginning', async () => {
  const count = 1500;
  const many = await startEngine({ workers: 2, connections_max: 2000, idle_timeout_ms: 60_000 });
  const clients = await Promise.all(Array.from({ length: count }, () => connect(many.port)));
  const ask = async (client: RawClient): Promise<void> => {
    await client.send(hello);
    assert.is((await client.response()).status, 200);
  };
  await Promise.all(clients.map(ask));
  // Wine keeps them in a process of its own.
  if (!underWine) assert.ok(readdirSync(`/proc/${many.child.pid}/fd`).length > count);
  for (const client of clients.slice(0, 1400)) client.destroy();
  await until(async () => (await countersOf(many)).connections <= 101, 'the end of most');
  await Promise.all(clients.slice(1400).map(ask));
  for (const client of clients) client.destroy();
  await stopEngine(many);
});

test('response reset forgets its body length: one client is sent another’s body', async () => {
  // Each request leaves something behind in a response: a body that was not sent, a length, fields, a failure.
  const requests: readonly [request: string, method: string, body: Buffer][] = [
    [get('/size/5000'), 'GET', patternOf(5000)],
    [get('/status/204'), 'GET', Buffer.alloc(0)],
    [hello, 'GET', Buffer.from('Hello from the engine\n')],
    [hello.replace('GET', 'HEAD'), 'HEAD', Buffer.alloc(0)],
    [get('/size/100000').replace('GET', 'HEAD'), 'HEAD', Buffer.alloc(0)],
    [post(''), 'POST', Buffer.alloc(0)],
    [
      get('/error'),
      'GET',
      Buffer.from(
        '500 Internal Server Error: internal_error\nThe server failed to answer this request.\n',
      ),
    ],
    [post('x'), 'POST', Buffer.from('x')],
    [get('/file/70000').replace('GET', 'HEAD'), 'HEAD', Buffer.alloc(0)],
    [get('/field/100'), 'GET', Buffer.from('long\n')],
    [get('/status/304'), 'GET', Buffer.alloc(0)],
    [get('/nowhere'), 'GET', Buffer.from('not here\n')],
  ];
  await Promise.all(
    Array.from({ length: 12 }, async (_, first) => {
      const client = await connect(server.port);
      for (let index = 0; index < 120; index += 1) {
        // Another step for each connection, so that every pair follows each other in the worker.
        const [request, method, body] = requests[(first + index * (1 + (first % 5))) % 12]!;
        await client.send(request);
        const response = await client.response(method);
        assert.ok(response.body.equals(body), `${request}: ${response.body.length} bytes`);
        if (!request.includes('/field/')) assert.is(response.headers.has('x-long'), false);
        if (!request.includes('/error')) assert.not.match(response.head, /secret/i);
      }
      assert.is(client.received.length, 0);
      client.destroy();
    }),
  );
});

test('a borrowed body that the handler overwrites is sent as it was', async () => {
  const clients = await Promise.all(Array.from({ length: 12 }, () => connect(server.port)));
  for (const client of clients) client.socket.pause();
  // More than the sockets take: much of it is sent after the handler has filled its memory anew.
  await Promise.all(clients.map((client) => client.send(get('/borrowed/262144').repeat(30))));
  await until(async () => (await countersOf(server)).bufferBytes > 0, 'a socket that is full');
  for (const client of clients) {
    client.socket.resume();
    for (let index = 0; index < 30; index += 1) {
      const { body } = await client.response();
      assert.is(body.length, 262_144);
      assert.ok(body.equals(Buffer.alloc(body.length, body[0])), 'one letter throughout');
    }
    client.destroy();
  }
});

testUnless(test, cannotTrace(), 'pipelined responses leave one by one', async () => {
  const count = 400;
  const lines = await traced(['sendto', 'sendmsg', 'writev'], { workers: 1 }, async ({ port }) => {
    const client = await connect(port);
    await client.send(hello.repeat(count));
    for (let index = 0; index < count; index += 1) await client.response();
    client.destroy();
  });
  const sends = lines.filter((line) => /\b(?:sendto|sendmsg|writev)\(/.test(line)).length;
  assert.ok(sends > 0 && sends <= count / 20, `${sends} calls for ${count} responses`);
});

test.run();
