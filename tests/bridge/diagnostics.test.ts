/** What a program hears of its requests by node:diagnostics_channel, in which order, and in which context. */
import { AsyncLocalStorage } from 'node:async_hooks';
import { channel, tracingChannel } from 'node:diagnostics_channel';
import { Response, type ServeOptions, type Server } from 'gyrfalcon';
import { WebSocket } from 'undici';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { serversOf } from '../support/servers.ts';
import { connect, exchange } from '../support/socket.ts';
import { until } from '../support/wait.ts';

const test = suite('diagnostics');
const servers = serversOf(test);
const tick = () => new Promise((resolve) => setImmediate(resolve));

interface Heard {
  name: string;
  message: Record<string, unknown>;
}

const plain = [
  'response.start',
  'response.finish',
  'request.abort',
  'websocket.open',
  'websocket.close',
];
const phases = ['start', 'end', 'asyncStart', 'asyncEnd', 'error'] as const;

/** Hears everything until `stop()`. */
function hear(): { heard: Heard[]; names: () => string[]; stop: () => void } {
  const heard: Heard[] = [];
  const note = (name: string) => (message: unknown) => {
    heard.push({ name, message: message as Record<string, unknown> });
  };
  const subscribed = plain.map((name) => {
    const subscriber = note(name);
    channel(`gyrfalcon.${name}`).subscribe(subscriber);
    return () => channel(`gyrfalcon.${name}`).unsubscribe(subscriber);
  });
  const subscribers = Object.fromEntries(phases.map((phase) => [phase, note(phase)]));
  const tracing = tracingChannel<unknown, object>('gyrfalcon.request');
  for (const phase of phases) tracing[phase].subscribe(subscribers[phase] as () => void);
  return {
    heard,
    names: () => heard.map(({ name }) => name),
    stop: () => {
      for (const unsubscribe of subscribed) unsubscribe();
      for (const phase of phases) tracing[phase].unsubscribe(subscribers[phase] as () => void);
    },
  };
}

/** Gives ten bytes, and fails when it is asked for more. */
function failing(): ReadableStream<Uint8Array> {
  let given = false;
  return new ReadableStream(
    {
      async pull(controller) {
        await tick();
        if (given) controller.error(new Error('no more'));
        else controller.enqueue(new Uint8Array(10));
        given = true;
      },
    },
    { highWaterMark: 0 },
  );
}

const options: ServeOptions = {
  log: 'silent',
  globals: false,
  routes: {
    '/sync/:id': { GET: () => new Response('sync', { status: 201 }) },
    '/async': async () => {
      await tick();
      return new Response('async');
    },
    '/throws': () => {
      throw new Error('thrown');
    },
    '/rejects': async () => {
      await tick();
      throw new Error('rejected');
    },
    '/cut': () => new Response(failing(), { headers: { 'content-length': '100' } }),
    '/large': () => new Response(null, { headers: { large: 'x'.repeat(100_000) } }),
  },
  fetch: () => new Response('rest'),
};

async function ask(server: Server, path: string): Promise<string> {
  return (await exchange(server.port, `GET ${path} HTTP/1.1\r\nHost: a\r\n\r\n`)).body.toString();
}

/** What is told of a request for `path`, up to what ends it. */
async function toldOf(server: Server, path: string): Promise<Heard[]> {
  const { heard, names, stop } = hear();
  try {
    await ask(server, path).catch(() => {}); // it is cut where its body fails
    await until(() => names().includes('response.finish'), `the end of ${path}`);
    return heard;
  } finally {
    stop();
  }
}

const requestOf = (told: Heard | undefined) => told?.message.request as Request;
const errorOf = (told: Heard | undefined) => (told?.message.error as Error | undefined)?.message;
const named = (heard: Heard[]): string => heard.map(({ name }) => name).join(' ');

test('a handler that answers at once is told with its route, its result and its response', async () => {
  const server = servers.open(options);
  const heard = await toldOf(server, '/sync/7?a');
  assert.is(named(heard), 'start end response.start response.finish');
  for (const { message } of heard) {
    assert.is(message.route, '/sync/:id');
    assert.is(message.server, server);
    assert.is(message.request, heard[0]?.message.request);
  }
  assert.is(new URL(requestOf(heard[0]).url).search, '?a');
  assert.is(heard[0]?.message, heard[1]?.message, 'one object for all events of a call');
  assert.ok(heard[1]?.message.result instanceof Response);
  assert.is(heard[2]?.message.status, 201);
  assert.is(heard[3]?.message.complete, true);
});

test('a promise is told when it has settled', async () => {
  const server = servers.open(options);
  const heard = await toldOf(server, '/async');
  assert.is(named(heard), 'start end asyncStart asyncEnd response.start response.finish');
  assert.ok(heard[2]?.message.result instanceof Response);
});

test('`fetch` has no route', async () => {
  const heard = await toldOf(servers.open(options), '/else');
  assert.is(named(heard), 'start end response.start response.finish');
  assert.ok(heard.every(({ message }) => message.route === null));
});

test('what a handler throws is told, and the page that the engine answers with', async () => {
  const server = servers.open(options);
  const thrown = await toldOf(server, '/throws');
  assert.is(named(thrown), 'start error end response.start response.finish');
  assert.is(errorOf(thrown[1]), 'thrown');
  assert.is(thrown[3]?.message.status, 500);
  const rejected = await toldOf(server, '/rejects');
  assert.is(named(rejected), 'start end error asyncStart asyncEnd response.start response.finish');
  assert.is(errorOf(rejected[2]), 'rejected');
});

test('what the error handler answers is told as the response', async () => {
  const server = servers.open({ ...options, error: () => new Response('sorry', { status: 503 }) });
  const heard = await toldOf(server, '/throws');
  assert.is(named(heard), 'start error end response.start response.finish');
  assert.is(heard[3]?.message.status, 503);
});

test('a head that does not fit is told as the page of its error', async () => {
  const heard = await toldOf(servers.open(options), '/large');
  assert.is(named(heard), 'start end response.start response.finish');
  assert.is(heard[2]?.message.status, 500);
});

test('a response that is cut is not told as complete', async () => {
  const heard = await toldOf(servers.open(options), '/cut');
  assert.is(named(heard), 'start end response.start response.finish');
  assert.is(heard[2]?.message.status, 200);
  assert.is(heard[3]?.message.complete, false);
});

test('a client that leaves is told', async () => {
  let isThere = false;
  const server = servers.open({
    log: 'silent',
    globals: false,
    fetch: () => {
      isThere = true;
      return new Promise<Response>(() => {});
    },
  });
  const { heard, names, stop } = hear();
  try {
    const client = await connect(server.port);
    client.send('GET / HTTP/1.1\r\nHost: a\r\n\r\n');
    await until(() => isThere, 'the request');
    client.socket.resetAndDestroy();
    await until(() => names().includes('request.abort'), 'the abort');
    assert.is(named(heard), 'start end request.abort');
    assert.is(heard[2]?.message.request, heard[0]?.message.request);
  } finally {
    stop();
  }
});

test('a store that is bound to `start` is there in the handler and behind what it waits for', async () => {
  const store = new AsyncLocalStorage<{ path: string }>();
  const { start } = tracingChannel<{ path: string }, object>('gyrfalcon.request');
  start.bindStore(store, (message) => {
    const { request } = message as unknown as { request: Request };
    return { path: new URL(request.url).pathname };
  });
  try {
    const server = servers.open({
      globals: false,
      fetch: async () => {
        const first = store.getStore()?.path;
        await tick();
        return new Response(`${first} ${store.getStore()?.path}`);
      },
    });
    assert.equal(await Promise.all([ask(server, '/a'), ask(server, '/b')]), ['/a /a', '/b /b']);
    assert.is(store.getStore(), undefined);
  } finally {
    start.unbindStore(store);
  }
});

test('a subscriber that throws harms no request', async () => {
  const server = servers.open(options);
  const uncaught: unknown[] = [];
  const before = process.listeners('uncaughtException');
  process.removeAllListeners('uncaughtException');
  process.on('uncaughtException', (error) => uncaught.push(error));
  const broken = (): void => {
    throw new Error('a broken subscriber');
  };
  const names = ['tracing:gyrfalcon.request:start', 'gyrfalcon.response.finish'];
  for (const name of names) channel(name).subscribe(broken);
  try {
    assert.is(await ask(server, '/sync/1'), 'sync');
    assert.is(await ask(server, '/async'), 'async');
    await until(() => uncaught.length >= 4, 'what was thrown');
    assert.ok(uncaught.every((error) => (error as Error).message === 'a broken subscriber'));
  } finally {
    for (const name of names) channel(name).unsubscribe(broken);
    process.removeAllListeners('uncaughtException');
    for (const listener of before) process.on('uncaughtException', listener);
  }
});

test('WebSockets are told when they open and close', async () => {
  const server = servers.open({
    globals: false,
    fetch: (request, self) => {
      self.upgrade(request);
    },
    websocket: { message() {} },
  });
  const { heard, names, stop } = hear();
  try {
    const socket = new WebSocket(`ws://127.0.0.1:${server.port}/`);
    await new Promise((resolve) => socket.addEventListener('open', resolve));
    socket.close(4001, 'enough');
    await until(() => names().includes('websocket.close'), 'its end');
    const told = heard.filter(({ name }) => name.startsWith('websocket.'));
    assert.is(told[0]?.message.socket, told[1]?.message.socket);
    assert.is(told[1]?.message.code, 4001);
    assert.is(told[1]?.message.reason, 'enough');
    assert.not.ok(names().some((name) => name.startsWith('response.')));
  } finally {
    stop();
  }
});

test.run();
