import { type Server, serve } from 'gyrfalcon';
import { upgradeWebSocket, websocket } from 'gyrfalcon/hono';
import { Hono } from 'hono';
import { hc } from 'hono/client';
import { WebSocket } from 'undici';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { until, within } from '../support/wait.ts';

// Hono's upgradeWebSocket, of 'gyrfalcon/hono', with Hono's own client and with undici's.
const test = suite('websocket: Hono');

const told: unknown[] = [];
const app = new Hono()
  .get(
    '/ws/:name',
    upgradeWebSocket((c) => ({
      onOpen: (_event, ws) => {
        ws.raw?.subscribe('all');
        ws.send(`welcome, ${c.req.param('name')}: ${ws.protocol}, ${ws.url?.pathname}`);
      },
      onMessage: ({ data }, ws) => {
        if (data === 'throw') throw new Error('intended');
        if (data === 'close') ws.close(4002, 'asked');
        else if (data === 'all') ws.raw?.publish('all', 'to all');
        else ws.send(data as string | ArrayBuffer);
      },
      onClose: ({ code, reason, wasClean }, ws) =>
        void told.push([code, reason, wasClean, ws.readyState]),
      onError: (event) => void told.push(`${(event as unknown as { error: Error }).error}`),
    })),
    (c) => c.text('no WebSocket'),
  )
  .get('/later', async (c) => {
    await new Promise((resolve) => setImmediate(resolve));
    return upgradeWebSocket(c, {
      onMessage: async ({ data }, ws) => {
        await Promise.resolve();
        if (data === 'reject') throw new Error('intended');
        ws.send(typeof data);
      },
    });
  });

let server: Server;
test.before(() => {
  const options = { hostname: '127.0.0.1', port: 0, workers: 1, log: 'silent' } as const;
  server = serve({ ...options, fetch: app.fetch as never, websocket });
});
test.after(async () => {
  await server.stop({ deadline: 1000 });
});

/** Messages and the end, as they come. */
function reader(socket: WebSocket): () => Promise<unknown> {
  const come: unknown[] = [];
  socket.binaryType = 'arraybuffer';
  socket.addEventListener('message', ({ data }) => {
    come.push(typeof data === 'string' ? data : Buffer.from(data as ArrayBuffer).toString('hex'));
  });
  socket.addEventListener('close', ({ code, reason }) => come.push([code, reason]));
  return () => until(() => come.shift(), 'a message or the end');
}

const open = (socket: WebSocket): Promise<unknown> =>
  within(new Promise((resolve) => socket.addEventListener('open', resolve)), 'a connection');

test('Hono’s client has a socket, and what the handlers say and are told', async () => {
  const client = hc<typeof app>(`${server.url}`, {
    webSocket: (url: string | URL) => new WebSocket(url) as never,
  });
  const socket = client.ws[':name'].$ws({ param: { name: 'one' } }) as unknown as WebSocket;
  const next = reader(socket);
  await open(socket);
  assert.is(await next(), 'welcome, one: , /ws/one');
  socket.send('hello');
  assert.is(await next(), 'hello');
  socket.send(new Uint8Array([1, 2, 255]));
  assert.is(await next(), '0102ff');
  socket.send('throw');
  socket.send('still there');
  assert.is(await next(), 'still there');
  assert.is(told.shift(), 'Error: intended');
  socket.send('close');
  assert.equal(await next(), [4002, 'asked']);
  assert.equal(await until(() => told.shift(), 'onClose'), [4002, '', true, 3]);
});

test('topics, subprotocols, and requests that ask for no WebSocket', async () => {
  const url = `ws://127.0.0.1:${server.port}`;
  const [one, two] = [
    new WebSocket(`${url}/ws/a`, ['chat', 'other']),
    new WebSocket(`${url}/ws/b`),
  ];
  const [nextOne, nextTwo] = [reader(one), reader(two)];
  await Promise.all([open(one), open(two)]);
  assert.is(await nextOne(), 'welcome, a: chat, /ws/a');
  assert.is(one.protocol, 'chat');
  await nextTwo();
  one.send('all');
  assert.is(await nextTwo(), 'to all');
  assert.is(await (await fetch(`${server.url}ws/a`)).text(), 'no WebSocket');
  assert.is((await fetch(`${server.url}later`)).status, 500);
  one.close();
  two.close();
  await until(() => (told.length === 2 ? true : undefined), 'both ends');
});

test('a handler may wait before it upgrades; without onError what fails is 1011', async () => {
  const socket = new WebSocket(`ws://127.0.0.1:${server.port}/later`);
  const next = reader(socket);
  await open(socket);
  socket.send('text');
  assert.is(await next(), 'string');
  socket.send(new Uint8Array(1));
  assert.is(await next(), 'object');
  socket.send('reject');
  assert.equal(await next(), [1011, '']);
});

test.run();
