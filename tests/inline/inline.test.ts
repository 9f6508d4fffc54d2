/** The engine's worker on the thread of the handlers: mode: 'inline'. */
import { AsyncLocalStorage } from 'node:async_hooks';
import { Response, type ServeOptions, type Server } from 'gyrfalcon';
import { WebSocket } from 'undici';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { serversOf } from '../support/servers.ts';
import { testUnless } from '../support/skip.ts';
import { connect } from '../support/socket.ts';
import { until, within } from '../support/wait.ts';

const request = 'GET / HTTP/1.1\r\nHost: a\r\n\r\n';

const all = suite('inline');
const servers = serversOf(all);

for (const io of ['epoll', 'io_uring'] as const) {
  const lack = await lackOf(io);
  const test = (name: string, run: () => Promise<void>): void =>
    testUnless(all, lack, `${io}: ${name}`, run);
  const open = (options: ServeOptions): Server =>
    servers.open({ mode: 'inline', io, log: 'warn', ...options });

  test('handlers, constants and bodies are answered', async () => {
    const server = open({
      routes: {
        '/constant': new Response('constant'),
        '/users/:id': (req) => Response.json({ id: req.params.id }),
      },
      fetch: async (req) => new Response(`${req.method} ${(await req.text()).length}`),
    });
    assert.is(server.stats().inline, 1);
    assert.is(await textOf(server, '/constant'), 'constant');
    assert.is(await textOf(server, '/users/7'), '{"id":"7"}');
    const body = 'x'.repeat(100_000);
    assert.is(await textOf(server, '/', { method: 'POST', body }), 'POST 100000');
    for (let i = 0; i < 50; i++) assert.is(await textOf(server, '/'), 'GET 0');
    const { allocationsAfterStart, badRecords, pending } = server.stats();
    assert.equal([allocationsAfterStart, badRecords, pending], [0, 0, 0]);
  });

  test('many connections at once, each with a pipeline', async () => {
    const server = open({ fetch: () => new Response('hello') });
    const depth = 50;
    const clients = await Promise.all(Array.from({ length: 40 }, () => connect(server.port)));
    await Promise.all(
      clients.map(async (client) => {
        await client.send(request.repeat(depth));
        for (let i = 0; i < depth; i++) {
          assert.is((await client.response()).body.toString(), 'hello');
        }
        client.destroy();
      }),
    );
    assert.is(server.stats().requests, 40 * depth);
  });

  test('what a handler says later is sent at once, without anything coming in', async () => {
    let answer: (response: Response) => void = () => {};
    const server = open({
      fetch: () =>
        new Promise<Response>((resolve) => {
          answer = resolve;
        }),
    });
    const client = await connect(server.port);
    await client.send(request);
    await until(() => server.stats().pending === 1, 'the request');
    answer(new Response('late'));
    assert.is((await client.response()).body.toString(), 'late');
    client.destroy();
  });

  test('times pass without traffic', async () => {
    const server = open({
      headerTimeout: 50,
      keepAliveTimeout: 50,
      bodyTimeout: 50,
      fetch: async (req) => new Response(await req.text()),
    });
    const idle = await connect(server.port);
    const slow = await connect(server.port);
    const partial = await connect(server.port);
    await idle.send(request);
    await idle.response();
    await slow.send('GET / HTTP/1.1\r\nHo');
    await partial.send('POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nabc');
    assert.is((await slow.response()).status, 408);
    assert.is((await partial.response()).status, 408);
    for (const client of [slow, partial, idle]) await client.closed();
  });

  test('streams go both ways, as fast as they are taken', async () => {
    const piece = new Uint8Array(64 * 1024).fill(120);
    const pieces = 128;
    const server = open({
      fetch: (req) => {
        if (req.method === 'POST') return new Response(req.body);
        let sent = 0;
        const body = new ReadableStream({
          pull(controller) {
            if (sent++ === pieces) controller.close();
            else controller.enqueue(piece);
          },
        });
        return new Response(body);
      },
    });
    const down = await fetch(server.url);
    assert.is((await down.arrayBuffer()).byteLength, pieces * piece.length);
    const body = Buffer.alloc(pieces * piece.length, 'y');
    const up = await fetch(server.url, { method: 'POST', body });
    assert.ok(Buffer.from(await up.arrayBuffer()).equals(body));
    assert.is(server.stats().pending, 0);
  });

  test('a client that leaves aborts its request', async () => {
    let aborted = false;
    const server = open({
      fetch: (req) =>
        new Promise<Response>(() => {
          req.signal.addEventListener('abort', () => {
            aborted = true;
          });
        }),
    });
    const client = await connect(server.port);
    await client.send(request);
    await until(() => server.stats().pending === 1, 'the request');
    client.reset();
    await until(() => aborted, 'the abort');
  });

  test('WebSockets: echo, publish, close', async () => {
    const server = open({
      fetch: (req, own) => (own.upgrade(req) ? undefined : new Response('no', { status: 400 })),
      websocket: {
        open: (ws) => ws.subscribe('all'),
        message: (ws, message) => {
          if (message === 'publish') server.publish('all', 'to all');
          else ws.send(message);
        },
      },
    });
    const url = `ws://127.0.0.1:${server.port}/`;
    const clients = [new WebSocket(url), new WebSocket(url)];
    const heard: string[][] = [[], []];
    for (const [i, client] of clients.entries()) {
      client.addEventListener('message', ({ data }) => heard[i]?.push(data));
      await within(eventOf(client, 'open'), 'the socket');
    }
    for (let i = 0; i < 100; i++) clients[0]?.send(`${i}`);
    await until(() => heard[0]?.length === 100, 'the echoes');
    clients[1]?.send('publish');
    await until(() => heard.every((texts) => texts.at(-1) === 'to all'), 'what is published');
    const closed = clients.map((client) => eventOf(client, 'close'));
    await server.stop();
    await within(Promise.all(closed), 'the ends');
  });

  test('a stop within a handler sends the answer, and ends', async () => {
    let stopped: Promise<void> | undefined;
    const server = open({
      fetch: () => {
        stopped = server.stop();
        return new Response('the last');
      },
    });
    assert.is(await textOf(server, '/'), 'the last');
    assert.ok(stopped);
    await within(stopped, 'the stop');
    const late = await fetch(server.url).catch((error: Error) => error.message);
    assert.is(late, 'fetch failed');
    assert.throws(() => server.stats(), /GYR_SERVER_STOPPED/);
  });

  test('a stop waits for what is in flight, until its deadline', async () => {
    const server = open({ fetch: () => new Promise<Response>(() => {}) });
    const client = await connect(server.port);
    await client.send(request);
    await until(() => server.stats().pending === 1, 'the request');
    const start = performance.now();
    await within(server.stop({ deadline: 100 }), 'the stop');
    assert.ok(performance.now() - start >= 90);
    await client.closed();
    const second = open({ fetch: () => new Promise<Response>(() => {}) });
    const other = await connect(second.port);
    await other.send(request);
    await until(() => second.stats().pending === 1, 'the request');
    await within(second.stop(true), 'the stop');
    await other.closed();
  });

  test('a reload within a handler, and beside it', async () => {
    const server = open({
      routes: { '/constant': new Response('old') },
      fetch: async (_, own) => {
        await own.reload({
          routes: { '/constant': new Response('new') },
          fetch: () => new Response('new handler'),
        });
        return new Response('old handler');
      },
    });
    assert.is(await textOf(server, '/constant'), 'old');
    assert.is(await textOf(server, '/'), 'old handler');
    assert.is(await textOf(server, '/constant'), 'new');
    assert.is(await textOf(server, '/'), 'new handler');
    for (let i = 0; i < 20; i++) {
      const asked = textOf(server, '/');
      await server.reload({ fetch: () => new Response(`${i}`) });
      await asked;
      assert.is(await textOf(server, '/'), `${i}`);
    }
  });

  test('several servers on one thread, of which one asks the other', async () => {
    const inner = open({ fetch: () => new Response('inner') });
    const threaded = servers.open({
      mode: 'threads',
      log: 'warn',
      fetch: () => new Response('threaded'),
    });
    const outer = open({
      fetch: async () => new Response((await textOf(inner)) + (await textOf(threaded))),
    });
    const texts = await Promise.all(Array.from({ length: 20 }, () => textOf(outer)));
    assert.ok(texts.every((text) => text === 'innerthreaded'));
  });

  test('handlers run in the context that the server was started in, each in its own', async () => {
    const context = new AsyncLocalStorage<string>();
    const seen: unknown[] = [];
    const server = context.run('start', () =>
      open({
        fetch: async () => {
          seen.push(context.getStore());
          context.enterWith('mine');
          await null;
          return new Response(context.getStore());
        },
      }),
    );
    await context.run('client', async () => {
      for (let i = 0; i < 3; i++) assert.is(await textOf(server), 'mine');
    });
    assert.equal(seen, ['start', 'start', 'start']);
  });

  test('what a handler of a WebSocket throws is uncaught, and others go on', async () => {
    const thrown: unknown[] = [];
    const others = process.listeners('uncaughtException');
    process.removeAllListeners('uncaughtException');
    process.on('uncaughtException', (error) => thrown.push(error.message));
    try {
      const server = open({
        fetch: (_, own) => {
          setImmediate(() => {
            throw new Error('later');
          });
          process.nextTick(() => {
            throw new Error('next');
          });
          return new Response(`${own.stats().inline}`);
        },
      });
      for (let i = 0; i < 3; i++) assert.is(await textOf(server), '1');
      await until(() => thrown.length === 6, 'the exceptions');
    } finally {
      process.removeAllListeners('uncaughtException');
      for (const listener of others) process.on('uncaughtException', listener);
    }
  });
}

all.run();

function eventOf(client: WebSocket, name: 'open' | 'close'): Promise<unknown> {
  return new Promise((resolve) => client.addEventListener(name, resolve, { once: true }));
}

async function textOf(server: Server, path = '/', init?: RequestInit): Promise<string> {
  return (await fetch(new URL(path, server.url), init)).text();
}

/** Why this backend, or inline mode, cannot be had here. */
async function lackOf(io: 'epoll' | 'io_uring'): Promise<string | undefined> {
  if (process.platform !== 'linux') return 'inline mode is Linux’s';
  const { serve } = await import('gyrfalcon');
  let lack: string | undefined;
  const server = serve({
    port: 0,
    hostname: '127.0.0.1',
    io,
    mode: 'inline',
    log: 'silent',
    fetch: () => new Response(''),
    onListen: ({ backend, backendReason }) => {
      if (backend !== io) lack = backendReason;
    },
  });
  await server.stop(true);
  return lack;
}
