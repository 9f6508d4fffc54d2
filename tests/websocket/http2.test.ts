import type { ClientHttp2Session, ClientHttp2Stream, IncomingHttpHeaders } from 'node:http2';
import { constants } from 'node:http2';
import type { Socket } from 'node:net';
import { Response } from 'gyrfalcon';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { ask, FrameClient, get, frame as h2frame, session, windowUpdate } from '../http2/client.ts';
import { indexed, literal } from '../http2/hpack.ts';
import { type RunningServer, stopAll } from '../support/process.ts';
import { serversOf } from '../support/servers.ts';
import { sideBySide } from '../support/side_by_side.ts';
import {
  type EngineOptions,
  engine,
  serveApp,
  stopEngine,
  type Target,
} from '../support/target.ts';
import { until, within } from '../support/wait.ts';
import { closing, frame, opcodes, WebSocketClient } from './client.ts';
import { connectHead } from './gateway.ts';

// WebSockets over HTTP/2 (RFC 8441): what is another thing there than over HTTP/1, and what one stream of a connection may do
// to the others. tests/websocket/sections.ts runs RFC 6455 over it.
const test = sideBySide('websocket over HTTP/2');
test.after(stopAll);

interface Told {
  open: number;
  opened: number;
  ended: number;
  dropped: number;
  drained: number;
  code: number;
}

class Client {
  readonly port: number;
  readonly session: ClientHttp2Session;

  constructor(port: number, connected: ClientHttp2Session) {
    this.port = port;
    this.session = connected;
    connected.on('error', () => {}); // its streams tell
  }

  static async open(server: RunningServer, settings: object = {}): Promise<Client> {
    return new Client(server.port, await session(server.url, { settings }));
  }

  /** Asks for a socket; null: the answer is no success. */
  async ask(
    fields: Record<string, string> = {},
    options: { endStream: boolean } = { endStream: false },
  ): Promise<{ stream: ClientHttp2Stream; headers: IncomingHttpHeaders; status: number }> {
    const head = connectHead({ port: this.port });
    const asked = Object.entries({ ...head, ...fields }).filter(([, value]) => value !== '');
    const stream = this.session.request(Object.fromEntries(asked), options);
    stream.on('error', () => {}); // its code tells
    const headers = await within(
      new Promise<IncomingHttpHeaders>((resolve, reject) => {
        stream.once('response', resolve);
        stream.once('close', () => reject(new Error(`closed: ${stream.rstCode}`)));
      }),
      'an answer',
    );
    return { stream, headers, status: Number(headers[':status']) };
  }

  async socket(path = '/socket'): Promise<Tunnel> {
    const { stream, status } = await this.ask({ ':path': path });
    assert.is(status, 200);
    return new Tunnel(stream);
  }

  async told(): Promise<Told> {
    const { body } = await ask(this.session, '/sockets');
    return JSON.parse(body.toString());
  }

  async hasEnded(count: number): Promise<Told> {
    return until(async () => {
      const now = await this.told();
      return now.ended === count ? now : undefined;
    }, `${count} sockets to end`);
  }

  close(): void {
    this.session.destroy();
  }
}

/** A WebSocket on a stream. */
class Tunnel extends WebSocketClient {
  readonly stream: ClientHttp2Stream;

  constructor(stream: ClientHttp2Stream) {
    super(stream as unknown as Socket);
    this.stream = stream;
  }

  async echo(text: string): Promise<void> {
    await this.say('text', text);
    await this.expectText(text);
  }
}

type Run = (client: Client, server: RunningServer) => Promise<void>;
const targets: [string, Target, (streams: number) => EngineOptions][] = [
  ['zig', engine, (streams) => ({ http2_streams_max: streams })],
  ['typescript', serveApp, (maxStreams) => ({ maxStreams })],
];

/** A test of each kind of handler, with a server of its own, which ends in order. */
function both(name: string, run: Run, { streams = 100, settings = {} } = {}): void {
  for (const [kind, target, options] of targets) {
    test(`${name}, ${kind}`, async () => {
      const server = await target.start({ workers: 1, ...options(streams) });
      const client = await Client.open(server, settings);
      await run(client, server);
      client.close();
      await target.stop(server);
    });
  }
}

both('200 answers it, without what is HTTP/1’s, and with what was agreed on', async (client) => {
  const { headers, status } = await client.ask({
    ':path': '/socket?origin=any',
    origin: 'https://b.test',
    'sec-websocket-protocol': 'mqtt, chat',
    'sec-websocket-key': 'not looked at',
  });
  assert.is(status, 200);
  assert.is(headers['sec-websocket-protocol'], 'chat');
  assert.is(headers['x-socket'], 'yes');
  for (const name of ['sec-websocket-accept', 'content-length', 'upgrade', 'connection'])
    assert.is(headers[name], undefined, name);
});

const refused: [what: string, Record<string, string>, status: number][] = [
  ['no version', { 'sec-websocket-version': '' }, 400],
  ['another version', { 'sec-websocket-version': '8' }, 400],
  ['a page of others', { origin: 'https://evil.test' }, 403],
  ['a list of protocols that is none', { 'sec-websocket-protocol': 'a b' }, 400],
  ['extensions that are none', { 'sec-websocket-extensions': 'a;;b' }, 400],
  ['content', { 'content-length': '1' }, 400],
  ['another protocol', { ':protocol': 'webtransport' }, 501],
  ['another scheme', { ':scheme': 'https' }, 421],
  ['a page that is no WebSocket', { ':path': '/hello' }, 501],
  ['nothing that is there', { ':path': '/nowhere' }, 404],
];

both('what is wrong is answered, and others of the connection go on', async (client) => {
  const neighbour = await client.socket();
  for (const [what, fields, expected] of refused) {
    const { stream, headers, status } = await client.ask(fields);
    assert.is(status, expected, what);
    assert.is(headers.upgrade, undefined);
    if (what.endsWith('version')) assert.is(headers['sec-websocket-version'], '13');
    stream.resume();
    await until(() => stream.closed, `${what}: the end of the stream`);
    await neighbour.echo(what);
  }
  const { status } = await client.ask({}, { endStream: true });
  assert.is(status, 400, 'a stream that its client has ended');
  assert.equal((await client.told()).opened, 1);
});

test('where there is no WebSocket it is not offered, and no such request is one', async () => {
  const server = await engine.start({ workers: 1, websocket: false });
  const client = await session(server.url);
  assert.is(client.remoteSettings.enableConnectProtocol, false);
  client.destroy();
  const one = await raw(server.port);
  one.send(h2frame(1, 4, 1, connectBlock()));
  const { payload } = await one.wait(3);
  assert.is(payload.readUInt32BE(), constants.NGHTTP2_PROTOCOL_ERROR);
  one.socket.destroy();
  await engine.stop(server);
});

/** A field block of an extended CONNECT. */
function connectBlock(path = '/socket'): Buffer {
  return Buffer.concat([
    literal(':method', 'CONNECT'),
    literal(':protocol', 'websocket'),
    indexed(6), // :scheme http
    literal(':path', path),
    literal(':authority', 'a'),
    literal('sec-websocket-version', '13'),
  ]);
}

const data = (stream: number, payload: Buffer, flags = 0) => h2frame(0, flags, stream, payload);

/** Frames by hand, of a connection whose windows are what `settings` says. */
async function raw(port: number, settings: [number, number][] = []): Promise<FrameClient> {
  return FrameClient.open(port, settings);
}

both('what comes ahead of the answer is not lost', async (_, { port }) => {
  const client = await raw(port);
  client.send(
    h2frame(1, 4, 1, connectBlock()),
    data(1, frame('text', 'early')),
    data(1, frame('text', 'bird')),
  );
  const texts: string[] = [];
  while (texts.join('').length < 'earlybird'.length) {
    const { payload } = await client.wait(0);
    for (let at = 0; at < payload.length; at += 2 + (payload[at + 1] as number))
      texts.push(payload.subarray(at + 2, at + 2 + (payload[at + 1] as number)).toString());
  }
  assert.equal(texts, ['early', 'bird']);
  client.socket.destroy();
});

both(
  'frames that are cut by DATA anywhere, padded and empty ones, are read',
  async (_, { port }) => {
    const client = await raw(port);
    client.send(h2frame(1, 4, 1, connectBlock()));
    await client.wait(1);
    const bytes = frame('text', 'ä€'.repeat(20));
    const expected = Buffer.concat([frame('text', 'ä€'.repeat(20), { masked: false })]);
    for (const piece of [1, 3, 40]) {
      for (let at = 0; at < bytes.length; at += piece)
        client.send(data(1, bytes.subarray(at, at + piece)));
      client.send(data(1, Buffer.alloc(0)));
      const padding = Buffer.from([2, 0, 0]);
      client.send(h2frame(0, 8, 1, padding));
      const got: Buffer[] = [];
      while (Buffer.concat(got).length < expected.length) got.push((await client.wait(0)).payload);
      assert.ok(Buffer.concat(got).equals(expected), `${piece}`);
    }
    client.socket.destroy();
  },
);

both(
  'a stream that breaks the rules of HTTP/2 ends its socket, and no other',
  async (client, { port }) => {
    const wrong: [string, number, (id: number) => Buffer[], number?][] = [
      [
        'fields on a tunnel',
        constants.NGHTTP2_PROTOCOL_ERROR,
        (id) => [h2frame(1, 5, id, indexed(2))],
      ],
      [
        'a window above all',
        constants.NGHTTP2_FLOW_CONTROL_ERROR,
        (id) => [windowUpdate(id, 2 ** 31 - 1)],
      ],
      ['an update of nothing', constants.NGHTTP2_PROTOCOL_ERROR, (id) => [windowUpdate(id, 0)]],
      [
        'data behind its end',
        constants.NGHTTP2_STREAM_CLOSED,
        (id) => [data(id, frame('text', 'a'), 1), data(id, frame('text', 'b'))],
      ],
    ];
    const one = await raw(port);
    let id = 1;
    one.send(h2frame(1, 4, id, connectBlock()));
    await one.wait(1);
    for (const [index, [what, code, frames]] of wrong.entries()) {
      id += 2;
      one.send(h2frame(1, 4, id, connectBlock()));
      await one.wait(1);
      one.send(...frames(id));
      const { stream, payload } = await one.wait(3);
      assert.equal([stream, payload.readUInt32BE()], [id, code], what);
      assert.is((await client.hasEnded(index + 1)).code, 1006, what);
      one.send(data(1, frame('text', what)));
      const answer = await one.wait(0);
      assert.equal([answer.stream, answer.payload.subarray(2).toString()], [1, what]);
    }
    one.socket.destroy();
    await client.hasEnded(wrong.length + 1);
  },
);

both('the end of a stream, its reset and a terminated socket are told as 1006', async (client) => {
  const ends: [string, (socket: Tunnel) => Promise<void>, number][] = [
    ['end', async ({ stream }) => void stream.end(), constants.NGHTTP2_NO_ERROR],
    [
      'reset',
      async ({ stream }) => stream.close(constants.NGHTTP2_CANCEL),
      constants.NGHTTP2_CANCEL,
    ],
    [
      'in a message',
      async (socket) => {
        await socket.say('text', 'a part', { fin: false });
        socket.stream.close(constants.NGHTTP2_CANCEL);
      },
      constants.NGHTTP2_CANCEL,
    ],
    ['terminate', (socket) => socket.say('text', '!terminate'), constants.NGHTTP2_CANCEL],
  ];
  const neighbour = await client.socket();
  for (const [index, [what, end, code]] of ends.entries()) {
    const socket = await client.socket();
    await socket.echo('hello');
    await end(socket);
    assert.is((await client.hasEnded(index + 1)).code, 1006, what);
    await until(() => socket.stream.closed, 'the end of the stream');
    assert.is(socket.stream.rstCode, code, what);
    await neighbour.echo(what);
  }
});

both('a Close ends its stream on both sides, and the connection goes on', async (client) => {
  for (let n = 1; n <= 20; n += 1) {
    const socket = await client.socket();
    await socket.say('close', closing(1000));
    await socket.expectClose(1000);
    socket.stream.end();
    await until(() => socket.stream.closed, 'the end of the stream');
    assert.is(socket.stream.rstCode, 0);
    await client.hasEnded(n);
  }
  assert.is((await ask(client.session, '/hello')).status, 200);
});

both('who does not read holds up itself, and no other stream of its connection', async (client) => {
  const stalled = await client.socket();
  const neighbour = await client.socket();
  stalled.stream.pause();
  const message = Buffer.alloc(50_000, 1);
  const bytes = frame('binary', message);
  const count = 40;
  for (let n = 0; n < count; n += 1) stalled.stream.write(bytes);
  // The window that is not opened for it stays closed: it is not read.
  await until(() => stalled.stream.writableLength > 0, 'the window to close');
  for (let n = 0; n < 200; n += 1) {
    await neighbour.echo(`${n}`);
    if (n % 50 === 0) assert.is((await ask(client.session, '/hello')).status, 200);
  }
  assert.ok(stalled.stream.writableLength > (count * message.length) / 4, 'it was held up');
  assert.is((await client.told()).dropped, 0);
  stalled.stream.resume();
  for (let n = 0; n < count; n += 1) {
    const { payload } = await stalled.message();
    assert.ok(payload.equals(message), `message ${n}`);
  }
});

both(
  'a window of nothing withholds what is said, and a larger one lets it go',
  async (_, { port }) => {
    const client = await raw(port, [[4, 0]]);
    client.send(h2frame(1, 4, 1, connectBlock()));
    await client.wait(1);
    client.send(data(1, frame('text', 'hello')), data(1, frame('text', 'p')));
    // Another stream is answered by a head, which no window holds up.
    client.send(
      h2frame(
        1,
        5,
        3,
        Buffer.concat([
          indexed(2),
          indexed(6),
          literal(':path', '/head'),
          literal(':authority', 'a'),
        ]),
      ),
    );
    await client.wait(1);
    assert.not.ok(
      client.frames.some(({ type }) => type === 0),
      'nothing was sent',
    );
    const got: Buffer[] = [];
    const take = async (length: number): Promise<void> => {
      let left = length;
      while (left > 0) {
        const { stream, payload } = await client.wait(0);
        if (stream !== 1) continue;
        got.push(payload);
        left -= payload.length;
      }
      assert.is(left, 0);
    };
    client.send(windowUpdate(1, 3));
    await take(3);
    // Of all streams: those that are open have so much more.
    const settings = Buffer.alloc(6);
    settings.writeUInt16BE(4);
    settings.writeUInt32BE(100, 2);
    client.send(h2frame(4, 0, 0, settings));
    await take(7);
    const expected = [
      frame('text', 'hello', { masked: false }),
      frame('text', 'p', { masked: false }),
    ];
    assert.ok(Buffer.concat(got).equals(Buffer.concat(expected)));
    client.socket.destroy();
  },
);

both('a long message is sent in turns with those of others', async (_, { port }) => {
  // Both orders: of streams that take no turns that of the lower number would go first.
  for (const [long, short] of [
    [1, 3],
    [3, 1],
  ] as const) {
    const client = await raw(port, [[4, 2 ** 28]]);
    client.send(h2frame(1, 4, 1, connectBlock()), h2frame(1, 4, 3, connectBlock()));
    await client.wait(1);
    await client.wait(1);
    client.send(data(long, frame('text', '!large 8000000')));
    for (let left = 65_535; left > 0; left -= (await client.wait(0)).payload.length);
    client.send(data(short, frame('text', 'between')));
    const streams = new Set<number>();
    // The window of the connection, which both of them wait for.
    for (let given = 0; !streams.has(short); given += 65_535) {
      assert.ok(given < 4_000_000, `behind ${given} bytes`);
      client.send(windowUpdate(0, 65_535));
      for (let left = 65_535; left > 0; ) {
        const { stream, payload } = await client.wait(0);
        streams.add(stream);
        left -= payload.length;
      }
    }
    client.socket.destroy();
  }
});

both(
  'hundreds of sockets on one connection, beside requests',
  async (client) => {
    const sockets: Tunnel[] = [];
    for (let n = 0; n < 400; n += 1) sockets.push(await client.socket());
    assert.is((await client.told()).open, 400);
    const rounds = sockets.map(async (socket, n) => {
      for (let m = 0; m < 10; m += 1) await socket.echo(`${n} ${m}`);
    });
    await Promise.all([...rounds, ask(client.session, '/hello')]);
    await (sockets[7] as Tunnel).say('text', '!all everybody');
    await Promise.all(sockets.map((socket) => socket.expectText('everybody')));
    for (const socket of sockets.slice(0, 200)) socket.stream.close(constants.NGHTTP2_CANCEL);
    await client.hasEnded(200);
    await Promise.all(sockets.slice(200).map((socket, n) => socket.echo(`${n}`)));
    client.session.destroy();
  },
  { streams: 500 },
);

both('a connection that goes takes its sockets along', async (client, server) => {
  const other = await Client.open(server);
  for (let n = 0; n < 50; n += 1) await (await client.socket()).echo(`${n}`);
  client.session.destroy();
  assert.is((await other.hasEnded(50)).code, 1006);
  other.close();
});

both('sockets that are begun and reset in a flood end the connection', async (client, { port }) => {
  const one = await raw(port);
  const sent = await one.flood(20_000, (n) =>
    Buffer.concat([
      h2frame(1, 4, 2 * n + 1, connectBlock()),
      h2frame(3, 0, 2 * n + 1, Buffer.from([0, 0, 0, 8])),
    ]),
  );
  assert.ok(sent < 20_000);
  assert.is(await one.goaway(), constants.NGHTTP2_ENHANCE_YOUR_CALM);
  one.socket.destroy();
  await until(async () => (await client.told()).open === 0, 'their ends');
  await (await client.socket()).echo('still here');
});

both('frames of nothing that flood a stream end the connection', async (client, { port }) => {
  const one = await raw(port);
  one.send(h2frame(1, 4, 1, connectBlock()));
  await one.wait(1);
  const sent = await one.flood(100_000, () => data(1, Buffer.alloc(0)));
  assert.ok(sent < 100_000);
  assert.is(await one.goaway(), constants.NGHTTP2_ENHANCE_YOUR_CALM);
  assert.is((await client.hasEnded(1)).code, 1006);
});

both('a stop tells 1001 on each stream, and waits for the answers', async (client, server) => {
  const sockets = await Promise.all(Array.from({ length: 20 }, () => client.socket()));
  server.child.kill('SIGTERM');
  for (const socket of sockets) {
    const { opcode, payload } = await socket.frame();
    assert.equal([opcode, payload], [opcodes.close, closing(1001)]);
  }
  for (const socket of sockets) await socket.say('close', closing(1001));
  for (const socket of sockets) assert.is((await socket.readToEnd()).length, 0);
  await within(server.ended, 'its end');
});

// What was on its way when its connection was told of the end, having been idle, begins yet.
for (const [kind, target, idle] of [
  ['zig', engine, { idle_timeout_ms: 50 }],
  ['typescript', serveApp, { keepAliveTimeout: 50 }],
] as const) {
  test.alone(
    `a socket that began while its connection was idle is told 1001 by a stop, ${kind}`,
    async () => {
      const server = await target.start({ workers: 1, ...idle });
      const client = await raw(server.port);
      const pong = h2frame(6, 1, 0, Buffer.from('gyrfalcn'));
      client.send(pong, get(1));
      await client.wait(1);
      assert.is((await client.wait(7)).payload.readUInt32BE(), 2 ** 31 - 1);
      client.send(h2frame(1, 4, 3, connectBlock()), pong);
      await client.wait(1);
      server.child.kill('SIGTERM');
      const { payload } = await client.wait(0);
      assert.equal([payload[0], payload.readUInt16BE(2)], [0x88, 1001]);
      client.send(data(3, frame('close', closing(1001)), 1));
      await within(server.ended, 'its end');
      client.socket.destroy();
      await target.stop(server);
    },
  );
}

// Servers of this process, and what they log.
const inTurn = suite('websocket over HTTP/2, served here');
const { open } = serversOf(inTurn);

inTurn('a program in TypeScript is asked by GET, and may answer later', async () => {
  const seen: unknown[] = [];
  const server = open({
    fetch: async (request, own) => {
      seen.push(request.method, request.headers.get('upgrade'), new URL(request.url).pathname);
      await new Promise((resolve) => setImmediate(resolve));
      const isUpgraded = own.upgrade(request, { data: request.headers.get('x-name') });
      return isUpgraded ? undefined : new Response('none\n', { status: 426 });
    },
    websocket: {
      data: '' as string | null,
      message(ws, message) {
        ws.send(`${ws.data} ${message}`);
      },
    },
  });
  const client = new Client(server.port, await session(server.url.href));
  const { stream, status } = await client.ask({ ':path': '/a/b', 'x-name': 'me' });
  assert.is(status, 200);
  const socket = new Tunnel(stream);
  await socket.say('text', 'hello');
  await socket.expectText('me hello');
  assert.equal(seen, ['GET', null, '/a/b']);
  assert.is((await ask(client.session, '/a/b')).status, 426, 'another GET asks for none');
  client.close();
});

inTurn('a program in TypeScript without WebSockets offers none', async () => {
  const server = open({ fetch: () => new Response('here\n') });
  const client = await session(server.url.href);
  assert.is(client.remoteSettings.enableConnectProtocol, false);
  client.destroy();
});

const mib = 2 ** 20;
const socketOn = (id: number): Buffer => h2frame(1, 4, id, connectBlock());
const cancelled = (id: number): Buffer => h2frame(3, 0, id, Buffer.from([0, 0, 0, 8]));

/** So many bytes of DATA of a stream, or more; what comes for others is dropped. */
async function take(client: FrameClient, id: number, bytes: number): Promise<Buffer> {
  const got: Buffer[] = [];
  for (let left = bytes; left > 0; ) {
    const { stream, payload } = await client.wait(0);
    if (stream !== id) continue;
    got.push(payload);
    left -= payload.length;
  }
  return Buffer.concat(got);
}

test.alone(
  'who takes nothing leaves room for others of its connection, who are told of more',
  async () => {
    const server = await engine.start({
      workers: 1,
      body_buffered_bytes_max: mib,
      websocket_message_bytes_max: mib,
      connection_memory_bytes_max: 4 * mib,
    });
    const watcher = await Client.open(server);
    const one = await raw(server.port, [[4, 0]]); // no stream has a window
    const stalled = [1, 3, 5];
    for (const id of stalled) one.send(socketOn(id), data(id, frame('text', '!flood 100')));
    await until(async () => (await watcher.told()).dropped > 180, 'their floods');
    one.send(socketOn(7), windowUpdate(0, 10 * mib), windowUpdate(7, 10 * mib));
    const text = 'x'.repeat(10_000);
    one.send(data(7, frame('text', text)));
    const expected = frame('text', text, { masked: false });
    assert.ok((await take(one, 7, expected.length)).equals(expected), 'a neighbour is answered');
    const { drained, ended } = await watcher.told();
    assert.is(ended, 0);
    // What it is refused now is for what others hold.
    one.send(data(7, frame('text', '!large 600000')), ...stalled.map(cancelled));
    await until(async () => (await watcher.told()).drained === drained + 1, 'word of room');
    one.send(data(7, frame('text', '!large 600000')));
    await take(one, 7, 600_000);
    one.socket.destroy();
    watcher.close();
    await engine.stop(server);
  },
);

both('what was sent ahead of the connection’s end is read', async (client, { port }) => {
  const one = await raw(port);
  const count = 300;
  one.send(socketOn(1));
  await one.wait(1);
  const texts = Array.from({ length: count }, (_, n) => frame('text', `${n}`));
  one.send(data(1, Buffer.concat([...texts, frame('close', closing(4000))])));
  one.socket.end();
  assert.is((await client.hasEnded(1)).code, 4000);
});

test.alone('who leaves the end of its stream off behind a Close is late for nothing', async () => {
  const server = await engine.start({ workers: 1, body_timeout_ms: 1000 });
  const one = await raw(server.port);
  one.send(socketOn(1));
  await one.wait(1);
  one.send(data(1, frame('close', closing(1000))));
  const { stream, payload } = await one.wait(3);
  assert.equal([stream, payload.readUInt32BE()], [1, constants.NGHTTP2_NO_ERROR]);
  one.socket.destroy();
  assert.is((await stopEngine(server)).timeouts, 0);
});

inTurn(
  'a page without end that is asked for a WebSocket is answered with one that ends',
  async () => {
    const server = open({
      fetch: () => new Response(new ReadableStream({ pull: () => new Promise(() => {}) })),
      websocket: { message() {} },
    });
    const client = new Client(server.port, await session(server.url.href));
    const { stream, status } = await client.ask();
    assert.is(status, 501);
    let ended = false;
    stream.on('end', () => {
      ended = true;
    });
    stream.resume();
    await until(() => ended, 'the end of the page');
    client.close();
  },
);

test.run();
inTurn.run();
