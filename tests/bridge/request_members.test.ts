/** What frameworks look for on a request beside Fetch's members: ip, runtime, waitUntil, context. */
import { setTimeout as sleep } from 'node:timers/promises';
import { BroadcastChannel } from 'node:worker_threads';
import { type ErrorCode, Request, Response, serve } from 'gyrfalcon';
import { getConnInfo } from 'gyrfalcon/hono';
import { Hono } from 'hono';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { overHttp2 } from '../support/over_http2.ts';
import { serversOf } from '../support/servers.ts';
import { connect, exchange } from '../support/socket.ts';
import { until } from '../support/wait.ts';

const test = suite('request members');
const servers = serversOf(test);
const { open } = servers;
const get = (path = '/') => `GET ${path} HTTP/1.1\r\nHost: a\r\n\r\n`;

/** What is touched of Node.js's response by frameworks (h3's writeEarlyHints and onDispose). */
interface NodeResponse {
  readonly closed: boolean;
  readonly writableFinished: boolean;
  readonly errored: Error | null;
  writeEarlyHints(hints: Record<string, string | string[]>, callback: () => void): void;
  once(event: 'close', listener: () => void): void;
  setHeader(name: string, value: string): void;
}
const responseOf = (request: Request) => request.runtime?.node.res as NodeResponse;

test('request.ip is the address of the connection; a request of one’s own has none', async () => {
  const seen: unknown[] = [];
  const server = open({
    fetch(request) {
      const own = new Request(request.url);
      seen.push(own.ip, own.httpVersion, own.runtime, own.waitUntil, own.context);
      request.context = { user: 'a' };
      return Response.json([request.ip, request.runtime?.name, request.context]);
    },
  });
  const { body } = await exchange(server.port, get());
  assert.equal(JSON.parse(body.toString()), ['127.0.0.1', 'gyrfalcon', { user: 'a' }]);
  assert.equal(seen, [undefined, undefined, undefined, undefined, undefined]);
});

test('request.httpVersion is that of the message, and can be given to a request of one’s own', async () => {
  const server = open({
    fetch(request) {
      const own = new Request('http://a/sub');
      own.httpVersion = request.httpVersion;
      return Response.json([request.httpVersion, own.httpVersion]);
    },
  });
  const old = await exchange(server.port, 'GET / HTTP/1.0\r\n\r\n');
  assert.equal(JSON.parse(old.body.toString()), ['1.0', '1.0']);
  const version = overHttp2 ? '2.0' : '1.1';
  const { body } = await exchange(server.port, get());
  assert.equal(JSON.parse(body.toString()), [version, version]);
});

test('a request of one’s own takes these members from the one that came, as h3 gives them', async () => {
  let done = false;
  const server = open({
    async fetch(request) {
      const own = new Request('http://a/sub');
      own.ip = request.ip;
      own.runtime = request.runtime;
      own.waitUntil = request.waitUntil;
      own.waitUntil?.(
        sleep(10).then(() => {
          done = true;
        }),
      );
      return Response.json([own.ip, own.runtime === request.runtime]);
    },
  });
  const { body } = await exchange(server.port, get());
  assert.equal(JSON.parse(body.toString()), ['127.0.0.1', true]);
  await server.stop();
  assert.ok(done);
});

test('stop() waits for what waitUntil() was given, and what that adds; failures are told', async () => {
  const done: string[] = [];
  const server = open({
    fetch(request) {
      const { waitUntil } = request;
      waitUntil?.(
        sleep(20).then(() => {
          done.push('first');
          waitUntil?.(sleep(20).then(() => done.push('second')));
        }),
      );
      waitUntil?.(Promise.reject(new Error('behind the response')));
      return new Response('at once');
    },
  });
  assert.is((await exchange(server.port, get())).body.toString(), 'at once');
  await server.stop();
  assert.equal(done, ['first', 'second']);
  assert.match(servers.log, /waitUntil\(\) failed: Error: behind the response/);
});

test('stop() waits for waitUntil() until its deadline, which a second call draws nearer', async () => {
  const handler = (request: Request) => {
    request.waitUntil?.(new Promise(() => {}));
    return new Response('at once');
  };
  const deadlines = open({ fetch: handler });
  await exchange(deadlines.port, get());
  const start = performance.now();
  await deadlines.stop({ deadline: 100 });
  const took = performance.now() - start;
  assert.ok(took >= 99 && took < 5000, `${took}`);
  const hurried = open({ fetch: handler });
  await exchange(hurried.port, get());
  const stopped = hurried.stop({ deadline: 60_000 });
  await hurried.stop(true);
  await stopped;
});

test('worker threads finish what waitUntil() was given, too', async () => {
  const module = new URL('./fixtures/background_app.ts', import.meta.url);
  const server = await serve({ port: 0, hostname: '127.0.0.1', workers: 1, threads: 2, module });
  servers.keep(server);
  await Promise.all([1, 2, 3, 4].map(() => exchange(server.port, get())));
  let done = 0;
  const channel = new BroadcastChannel('background_app');
  channel.onmessage = () => {
    done += 1;
  };
  await server.stop();
  await until(() => done === 4, 'word of all four');
  channel.close();
});

test('hints by way of Node.js’s response go out as 103, each value in a field of its own', async () => {
  const server = open({
    async fetch(request) {
      const link = ['</a.css>; rel=preload', '</b.js>; rel=preload'];
      await new Promise<void>((resolve) => {
        responseOf(request).writeEarlyHints({ link, 'x-trace': '1' }, resolve);
      });
      return new Response('body');
    },
  });
  const client = await connect(server.port);
  client.send(get());
  const hints = await client.response();
  assert.is(hints.status, 103);
  assert.match(hints.head, /link: <\/a\.css>; rel=preload\r\nlink: <\/b\.js>; rel=preload\r\n/i);
  assert.match(hints.head, /x-trace: 1/i);
  assert.is((await client.response()).body.toString(), 'body');
  client.destroy();
});

test('Node.js’s response tells of the end: sent, or with an error when the client left', async () => {
  const ends: unknown[] = [];
  const server = open({
    fetch(request) {
      const res = responseOf(request);
      assert.not.ok(res.closed);
      res.once('close', () => ends.push([res.writableFinished, res.errored === null]));
      return request.url.endsWith('/wait') ? new Promise<Response>(() => {}) : new Response('sent');
    },
  });
  await exchange(server.port, get());
  await until(() => ends.length === 1, 'the end');
  const client = await connect(server.port);
  client.send(get('/wait'));
  await until(() => server.stats().requests === 2, 'the request');
  client.socket.resetAndDestroy();
  await until(() => ends.length === 2, 'the second end');
  assert.equal(ends, [
    [true, true],
    [false, false],
  ]);
});

test('an answer by way of Node.js’s response is refused with a code', async () => {
  let code: ErrorCode | undefined;
  const server = open({
    fetch(request) {
      try {
        responseOf(request).setHeader('a', 'b');
      } catch (error) {
        ({ code } = error as { code: ErrorCode });
      }
      return new Response(null);
    },
  });
  await exchange(server.port, get());
  assert.is(code, 'GYR_NODE_RESPONSE');
});

test('getConnInfo of gyrfalcon/hono tells Hono’s handlers where a client is', async () => {
  const app = new Hono();
  app.get('/', (c) => c.json(getConnInfo(c)));
  const server = open({ fetch: app.fetch });
  const client = await connect(server.port);
  const { localPort } = client.socket;
  client.send(get());
  assert.equal(JSON.parse((await client.response()).body.toString()), {
    remote: { address: '127.0.0.1', addressType: 'IPv4', port: localPort, transport: 'tcp' },
  });
  client.destroy();
  const own = await app.fetch(new Request('http://a/'));
  assert.equal(await own.json(), { remote: {} });
});

test.run();
