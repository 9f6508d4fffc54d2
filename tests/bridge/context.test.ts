/** What runs for one request starts in the context in which the server was started, and leaves nothing behind. */
import {
  AsyncLocalStorage,
  createHook,
  executionAsyncId,
  executionAsyncResource,
} from 'node:async_hooks';
import { type Request, Response, type Server } from 'gyrfalcon';
import { Hono } from 'hono';
import { contextStorage, getContext } from 'hono/context-storage';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { serversOf } from '../support/servers.ts';
import { connect, exchange } from '../support/socket.ts';
import { until, within } from '../support/wait.ts';

const test = suite('context');
const servers = serversOf(test);
const { open } = servers;
const store = new AsyncLocalStorage<string>();
const tick = () => new Promise((resolve) => setImmediate(resolve));

const get = (path: string): string => `GET ${path} HTTP/1.1\r\nHost: a\r\n\r\n`;

/** What is found in the store as it is called; then it is filled with `value`. */
function lookAndEnter(value: string): string {
  const found = store.getStore() ?? 'nothing';
  store.enterWith(value);
  return found;
}

/** Answers of GET `paths`, sent in one piece over one connection. */
async function pipelined(server: Server, ...paths: string[]): Promise<string[]> {
  const client = await connect(server.port);
  client.send(paths.map(get).join(''));
  const bodies: string[] = [];
  for (const _ of paths) bodies.push((await client.response()).body.toString());
  client.destroy();
  return bodies;
}

async function bodyOf(server: Server, path: string): Promise<string> {
  return (await exchange(server.port, get(path))).body.toString();
}

const routes = {
  '/sync': () => new Response(lookAndEnter('of /sync')),
  '/async': async () => {
    const found = lookAndEnter('of /async');
    await tick();
    return new Response(`${found}, then ${store.getStore()}`);
  },
  '/throws': () => {
    lookAndEnter('of /throws');
    throw new Error('thrown');
  },
  '/rejects': async () => {
    lookAndEnter('of /rejects');
    await tick();
    throw new Error('thrown');
  },
};

test('what a handler enters before its first await is not found by the next request', async () => {
  const server = open({ routes });
  const expected = ['nothing', 'nothing, then of /async', 'nothing', 'nothing, then of /async'];
  const paths = ['/sync', '/async', '/sync', '/async'];
  assert.equal(await pipelined(server, ...paths), expected); // in one turn
  for (const [i, path] of paths.entries()) assert.is(await bodyOf(server, path), expected[i]);
});

test('handlers start in the context that serve() was called in, also after reload()', async () => {
  const server = store.run('start', () => open({ routes }));
  assert.equal(await pipelined(server, '/async', '/sync'), ['start, then of /async', 'start']);
  // Requests come in while reload() waits for those of the old table, and are its turn's.
  const asked: Promise<string>[] = [];
  await store.run('reload', async () => {
    const reloading = server.reload({ routes });
    for (let i = 0; i < 20; i++) asked.push(bodyOf(server, '/sync'));
    await reloading;
  });
  assert.equal(new Set(await Promise.all(asked)), new Set(['start']));
  assert.equal(await pipelined(server, '/sync', '/sync'), ['start', 'start']);
});

test('the error hook is in its own request’s context, and leaves nothing behind', async () => {
  const error = () => new Response(`error: ${lookAndEnter('of error')}`);
  const server = open({ routes, error });
  const answers = await pipelined(server, '/throws', '/sync', '/rejects', '/sync');
  assert.equal(answers, ['error: of /throws', 'nothing', 'error: of /rejects', 'nothing']);
});

test('onProtocolError leaves nothing behind', async () => {
  const found: string[] = [];
  const server = open({ routes, onProtocolError: () => found.push(lookAndEnter('of hook')) });
  for (let i = 1; i <= 2; i++) {
    await exchange(server.port, 'GET / HTTP/1.1\r\n\r\n');
    await until(() => found.length === i, 'the hook');
  }
  assert.equal(found, ['nothing', 'nothing']);
  assert.is(await bodyOf(server, '/sync'), 'nothing');
});

/** A stream whose pull and cancel tell what they find, of so many chunks of 64 KiB. */
function tellingStream(found: Set<string>, chunks: number): ReadableStream<Uint8Array> {
  let sent = 0;
  return new ReadableStream(
    {
      pull(controller) {
        found.add(lookAndEnter('of pull'));
        controller.enqueue(new Uint8Array(65_536));
        if (++sent === chunks) controller.close();
      },
      cancel() {
        found.add(`cancel: ${lookAndEnter('of cancel')}`);
      },
    },
    { highWaterMark: 0 },
  );
}

test('pull and cancel of a response stream are in their request’s context', async () => {
  const found = new Set<string>();
  const server = open({
    routes: {
      ...routes,
      '/stream': () => {
        store.enterWith('of /stream');
        return new Response(tellingStream(found, 64));
      },
      // More than the sockets of any system take from it while nobody reads.
      '/endless': () => {
        store.enterWith('of /endless');
        return new Response(tellingStream(found, Number.POSITIVE_INFINITY));
      },
    },
  });
  assert.is((await exchange(server.port, get('/stream'))).body.length, 64 * 65_536);
  assert.is(await bodyOf(server, '/sync'), 'nothing');
  const client = await connect(server.port);
  client.socket.pause();
  client.send(get('/endless'));
  await until(() => server.stats().requests === 3, 'the request');
  client.destroy();
  await until(() => [...found].some((line) => line.startsWith('cancel')), 'cancel');
  for (const line of found) assert.match(line, /^(cancel: )?of (\/stream|\/endless|pull)$/);
  assert.is(await bodyOf(server, '/sync'), 'nothing');
});

test('abort listeners are in their request’s context, also when the server stops', async () => {
  const found: string[] = [];
  const waiting = (request: Request) => {
    store.enterWith(`of ${new URL(request.url).pathname}`);
    request.signal.addEventListener('abort', () => found.push(lookAndEnter('of listener')));
    return new Promise<Response>(() => {});
  };
  const server = open({ routes: { ...routes, '/wait/*': waiting } });
  const left = await connect(server.port);
  left.send(get('/wait/1'));
  await until(() => server.stats().requests === 1, 'the request');
  left.destroy();
  await until(() => found.length === 1, 'the abort');
  assert.is(await bodyOf(server, '/sync'), 'nothing');
  const kept = await connect(server.port);
  kept.send(get('/wait/2') + get('/wait/3'));
  await until(() => server.stats().requests === 4, 'the requests');
  await server.stop(true);
  assert.equal(found, ['of /wait/1', 'of /wait/2', 'of /wait/3']);
});

test('a function that makes trailers is in its request’s context', async () => {
  const found: string[] = [];
  const server = open({
    routes: {
      ...routes,
      '/trailers': (request, server) => {
        store.enterWith('of /trailers');
        server.responseTrailers(request, () => {
          found.push(lookAndEnter('of the function'));
          return { 'x-sum': '1' };
        });
        return new Response('body');
      },
    },
  });
  assert.equal(await pipelined(server, '/trailers', '/sync'), ['body', 'nothing']);
  assert.equal(found, ['of /trailers']);
});

test('each request is one async resource of its own', async () => {
  const server = open({
    fetch: async () => {
      const id = executionAsyncId();
      const mark = Object.getOwnPropertySymbols(executionAsyncResource()).length;
      assert.ok(mark > 0);
      await tick();
      return new Response(`${id}`);
    },
  });
  const made: number[] = [];
  const ran: number[] = [];
  const hook = createHook({
    init: (id, type) => void (type === 'GYRFALCON_REQUEST' && made.push(id)),
    before: (id) => void (made.includes(id) && ran.push(id)),
  }).enable();
  const ids = (await pipelined(server, '/a', '/b', '/c')).map(Number);
  hook.disable();
  assert.is(new Set(ids).size, 3);
  assert.equal(made, ids);
  assert.equal(ran, ids);
});

test('Hono’s contextStorage gives each request its own context', async () => {
  const app = new Hono<{ Variables: { path: string } }>();
  app.use(contextStorage());
  app.get('/:name', async (c) => {
    c.set('path', c.req.path);
    await tick();
    return c.text(getContext<{ Variables: { path: string } }>().var.path);
  });
  const server = open({ fetch: app.fetch });
  const paths = ['/a', '/b', '/c'];
  assert.equal(await within(pipelined(server, ...paths), 'answers'), paths);
});

test.run();
