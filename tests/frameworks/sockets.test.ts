import { createServer } from 'node:http';
import type { Server } from 'gyrfalcon';
import { serve } from 'gyrfalcon';
import { nodeHandler } from 'gyrfalcon/node';
import { WebSocketServer, websocket } from 'gyrfalcon/ws';
import { WebSocket as Undici } from 'undici';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { until, within } from '../support/wait.ts';

// Libraries that are written for the package ws run on 'gyrfalcon/ws', unmodified.
const test = suite('libraries for ws');

// What the programs export, in types that need none of their libraries: those are installed for these tests alone.
type Http = ReturnType<typeof createServer>;
interface GraphqlClient {
  iterate(request: { query: string }): AsyncIterableIterator<unknown>;
  dispose(): void | Promise<void>;
}
interface GraphqlApp {
  start(server: unknown): { dispose(): void | Promise<void> };
  say(text: string): void;
  listeners(): number;
  connect(url: string, webSocketImpl: unknown, token?: string): GraphqlClient;
}
interface SocketIo {
  readonly connected: boolean;
  readonly io: { engine: { transport: { name: string } } };
  emit(event: string, ...args: unknown[]): unknown;
  emitWithAck(event: string, ...args: unknown[]): Promise<unknown>;
  once(event: string, listener: (value: unknown) => void): unknown;
  disconnect(): unknown;
}
interface SocketIoApp {
  attach(
    http: Http,
    wsEngine: unknown,
  ): {
    sockets: {
      sockets: Map<string, { once(event: string, listener: (why: string) => void): unknown }>;
    };
    engine: { close(): unknown };
  };
  connect(url: string, transports: string[], token?: string): SocketIo;
}
interface CrosswsApp {
  attach(http: Http, wss: unknown): string[];
}

const load = (file: string): Promise<unknown> =>
  import(new URL(`apps/${file}`, import.meta.url).href);
const graphql = (await load('graphql-ws.ts')) as GraphqlApp;
const socketIo = (await load('socket.io.ts')) as SocketIoApp;

const crossws = (await load('crossws.ts')) as CrosswsApp;

const servers: Server[] = [];
test.after(async () => {
  await Promise.all(servers.map((server) => server.stop({ deadline: 2000 })));
});

function start(http: Http): Server {
  const fetch = nodeHandler(http);
  const server = serve({ hostname: '127.0.0.1', port: 0, workers: 1, fetch, websocket });
  servers.push(server);
  return server;
}

type Result = { data?: Record<string, unknown> | null };

test('graphql-ws: queries, subscriptions, and a client that leaves', async () => {
  const http = createServer((_req, res) => res.end('not a WebSocket\n'));
  const wss = new WebSocketServer({ server: http, path: '/graphql' });
  const graphqlServer = graphql.start(wss);
  const { port } = start(http);
  const url = `ws://127.0.0.1:${port}/graphql`;
  const client = graphql.connect(url, Undici);
  const results = async (query: string): Promise<unknown[]> => {
    const found: unknown[] = [];
    for await (const { data } of client.iterate({ query }) as AsyncIterable<Result>) {
      found.push(data);
    }
    return found;
  };
  assert.equal(await within(results('{ hello }'), 'an answer'), [{ hello: 'world' }]);
  const counted = await within(results('subscription { count(to: 100) }'), '100 results');
  assert.equal(
    counted,
    Array.from({ length: 100 }, (_, n) => ({ count: n + 1 })),
  );

  const other = graphql.connect(url, Undici);
  const heard = other.iterate({ query: 'subscription { said }' });
  const first = heard.next();
  await until(() => (graphql.listeners() === 1 ? true : undefined), 'a subscriber');
  graphql.say('hello');
  const { value } = (await within(first, 'what was said')) as { value: Result };
  assert.equal(value.data, { said: 'hello' });
  await other.dispose();
  await until(() => (graphql.listeners() === 0 ? true : undefined), 'its end');

  const refused = graphql.connect(url, Undici, 'wrong');
  const failure = await refused
    .iterate({ query: '{ hello }' })
    .next()
    .catch((error: unknown) => error);
  assert.is((failure as { code: number }).code, 4403);
  assert.is(await (await fetch(`http://127.0.0.1:${port}/`)).text(), 'not a WebSocket\n');
  await client.dispose();
  await graphqlServer.dispose();
});

for (const transports of [['websocket'], ['polling', 'websocket']]) {
  test(`Socket.IO: messages, bytes and rooms, by ${transports.join(', then ')}`, async () => {
    const http = createServer();
    const server = socketIo.attach(http, WebSocketServer);
    const { port } = start(http);
    const url = `http://127.0.0.1:${port}`;
    const sockets = [0, 1].map(() => socketIo.connect(url, transports));
    const [one, two] = sockets as [SocketIo, SocketIo];
    for (const socket of sockets) {
      await until(() => (socket.connected ? true : undefined), 'a connection');
      await until(
        () => (socket.io.engine.transport.name === 'websocket' ? true : undefined),
        'a WebSocket',
      );
    }
    const bytes = Buffer.alloc(100_000, 'abc');
    const [text, back, transport] = await echo(one, bytes);
    assert.equal([text, transport], ['ü', 'websocket']);
    assert.ok(Buffer.from(back as Buffer).equals(bytes));

    await within(two.emitWithAck('join', 'room'), 'the room');
    const told = new Promise((resolve) => two.once('told', resolve));
    one.emit('tell', 'room', 'hello');
    assert.is(await within(told, 'a message'), 'hello');

    const refused = socketIo.connect(url, transports, 'wrong');
    const error = await within(
      new Promise<Error>((resolve) =>
        refused.once('connect_error', (why) => resolve(why as Error)),
      ),
      'a refusal',
    );
    assert.is(error.message, 'wrong token');
    const left = new Promise<string>((resolve) => {
      for (const socket of server.sockets.sockets.values()) socket.once('disconnect', resolve);
    });
    for (const socket of [...sockets, refused]) socket.disconnect();
    assert.match(await within(left, 'its end'), /disconnect|close/);
    server.engine.close();
  });
}

test('crossws by its adapter for Node.js, with h3’s WebSocket handlers', async () => {
  const http = createServer();
  const told = crossws.attach(http, new WebSocketServer({ noServer: true }));
  const { port } = start(http);
  const url = `ws://127.0.0.1:${port}/chat`;
  const clients = [0, 1].map(() => new Undici(url));
  const [one, two] = clients.map((client) => {
    const come: unknown[] = [];
    client.binaryType = 'arraybuffer';
    client.addEventListener('message', ({ data }) => come.push(data));
    client.addEventListener('close', ({ code, reason }) => come.push(`${code} ${reason}`));
    return () => until(() => come.shift(), 'a message');
  }) as [() => Promise<unknown>, () => Promise<unknown>];
  assert.is(await one(), 'welcome h3 from 127.0.0.1');
  assert.is(await two(), 'welcome h3 from 127.0.0.1');
  clients[0]?.send('hello');
  assert.is(await one(), '{"text":"hello"}');
  clients[0]?.send('bytes');
  assert.equal(new Uint8Array((await one()) as ArrayBuffer), new Uint8Array([1, 2, 3]));
  clients[0]?.send('tell the news');
  assert.is(await two(), 'the news');
  clients[0]?.send('close');
  assert.is(await one(), '4003 asked');
  clients[1]?.close(4004, 'done');
  await until(() => (told.length === 2 ? true : undefined), 'both ends');
  assert.ok(told.includes('4004 done'), `${told}`);
  const refused = new Undici(`${url}?refused`);
  const error = new Promise((resolve) => refused.addEventListener('error', resolve));
  await within(error, 'a refusal');
});

function echo(socket: SocketIo, bytes: Buffer): Promise<unknown[]> {
  const answered = new Promise<unknown[]>((resolve) => {
    socket.emit('echo', 'ü', bytes, (...args: unknown[]) => resolve(args));
  });
  return within(answered, 'an answer');
}

test.run();
