/** serve() end to end: routes, handlers, errors, streams, stop and reload, on the thread that called it. */
import {
  dir,
  GyrfalconError,
  type ListenInfo,
  Request,
  Response,
  type ServeOptions,
  type Server,
  serve,
} from 'gyrfalcon';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { backendHere } from '../support/backend.ts';
import { logged } from '../support/console.ts';
import { project } from '../support/process.ts';
import { connect, exchange } from '../support/socket.ts';
import { until } from '../support/wait.ts';

const test = suite('serve');
const running: Server[] = [];

function open<const Path extends string>(options: ServeOptions<Path>): Server {
  const here = { port: 0, workers: 2, hostname: '127.0.0.1' };
  const server = serve({ ...here, ...options } as unknown as ServeOptions) as Server;
  running.push(server);
  return server;
}

test.after.each(async () => {
  await Promise.all(running.splice(0).map((server) => server.stop(true)));
});

const get = (server: Server, path: string, init?: RequestInit) =>
  fetch(new URL(path, server.url), init);
const text = async (server: Server, path: string, init?: RequestInit) =>
  (await get(server, path, init)).text();

test('every kind of route answers, and what none matches goes to fetch', async () => {
  const server = open({
    routes: {
      '/': new Response('constant'),
      '/users/:id': (request) => Response.json({ id: request.params.id }),
      '/item': {
        GET: new Response('got'),
        POST: async (r) => new Response(`put ${await r.text()}`),
      },
      '/files/*': dir(project('zig', 'bridge')),
    },
    fetch: (request) => new Response(`${request.method} ${new URL(request.url).pathname}`),
  });
  assert.is(await text(server, '/'), 'constant');
  assert.equal(await (await get(server, '/users/a%20b')).json(), { id: 'a b' });
  assert.is(await text(server, '/item'), 'got');
  assert.is(await text(server, '/item', { method: 'POST', body: 'it' }), 'put it');
  assert.is(await text(server, '/item', { method: 'DELETE' }), 'DELETE /item');
  assert.match(await text(server, '/files/abi.zig'), 'pub const RequestHead');
  assert.is((await get(server, '/files/nothing')).status, 404);
  assert.is(await text(server, '/nowhere'), 'GET /nowhere');
});

test('without fetch, the engine answers 404, and 405 with the methods that there are', async () => {
  const server = open({
    routes: { '/a': { GET: () => new Response('a'), PUT: new Response('b') } },
  });
  assert.is((await get(server, '/b')).status, 404);
  const refused = await get(server, '/a', { method: 'DELETE' });
  assert.is(refused.status, 405);
  assert.is(refused.headers.get('allow'), 'GET, HEAD, PUT');
  const accept = { headers: { accept: 'application/json' } };
  for (const [path, init, status, code] of [
    ['/b', accept, 404, 'not_found'],
    ['/a', { ...accept, method: 'DELETE' }, 405, 'method_not_allowed'],
  ] as const) {
    const response = await get(server, path, init);
    assert.is(response.headers.get('content-type'), 'application/problem+json');
    const problem = (await response.json()) as { status: number; code: string };
    assert.equal([problem.status, problem.code], [status, code]);
  }
});

test('HEAD has the head of GET and no body, whatever answers', async () => {
  const server = open({
    routes: {
      '/constant': new Response('12345'),
      '/handler': () => new Response('12345'),
      '/stream': () =>
        new Response(new Blob(['12345']).stream(), { headers: { 'content-length': '5' } }),
    },
  });
  for (const path of ['/constant', '/handler', '/stream']) {
    const client = await connect(server.port);
    await client.send(
      `HEAD ${path} HTTP/1.1\r\nHost: a\r\n\r\nGET ${path} HTTP/1.1\r\nHost: a\r\n\r\n`,
    );
    const head = await client.response('HEAD');
    const body = await client.response();
    assert.is(head.headers.get('content-length'), '5', path);
    assert.is(body.body.toString(), '12345');
    client.destroy();
  }
});

test('a handler that throws is a 500, error() may answer for it, and the server goes on', async () => {
  const failing = open({
    fetch: () => {
      throw new Error('boom');
    },
  });
  const lines = await logged(async () => {
    assert.is((await get(failing, '/')).status, 500);
    assert.is((await get(failing, '/')).status, 500);
  });
  assert.match(lines.join('\n'), 'boom');
  const told = open({
    fetch: () => Promise.reject('no Error'),
    error: (error) => Response.json({ is: error.message }, { status: 502 }),
  });
  const answer = await get(told, '/');
  assert.is(answer.status, 502);
  assert.equal(await answer.json(), { is: 'no Error' });
});

test('a field that would split the response is refused with 500', async () => {
  // Past the light Headers, which refuse it: an object that only looks like a Response.
  const fields = new Map([['x', 'a\r\nset-cookie: stolen=1']]);
  const forged = {
    [Symbol.toStringTag]: 'Response',
    ...{ status: 200, statusText: '', body: null, bodyUsed: false, url: '', headers: fields },
  };
  Object.assign(fields, { get: () => null });
  const splitting = open({ fetch: () => forged as unknown as Response });
  const raw = await exchange(
    splitting.port,
    'GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n',
  );
  assert.is(raw.status, 500);
  assert.not.match(raw.head, 'stolen');
});

test('pipelined requests are answered in their order, whatever the order of completion', async () => {
  const finish = new Map<string, () => void>();
  const server = open({
    routes: {
      '/wait/:n': (request) =>
        new Promise((resolve) => {
          finish.set(request.params.n, () => resolve(new Response(`waited ${request.params.n}`)));
        }),
      '/now/:n': (request) => new Response(`now ${request.params.n}`),
      '/constant': new Response('constant'),
    },
  });
  const client = await connect(server.port);
  const paths = ['/wait/1', '/now/2', '/constant', '/wait/4', '/now/5'];
  await client.send(paths.map((path) => `GET ${path} HTTP/1.1\r\nHost: a\r\n\r\n`).join(''));
  await until(() => finish.size === 2, 'both handlers');
  finish.get('4')?.();
  finish.get('1')?.();
  const bodies: string[] = [];
  for (const _ of paths) bodies.push((await client.response()).body.toString());
  assert.equal(bodies, ['waited 1', 'now 2', 'constant', 'waited 4', 'now 5']);
  client.destroy();
});

test('streams go both ways at the same time', async () => {
  const server = open({
    fetch: (request) =>
      new Response(
        request.body?.pipeThrough(
          new TransformStream({
            transform(chunk, controller) {
              controller.enqueue(Buffer.from(chunk).map((byte) => byte ^ 0x20));
            },
          }),
        ),
      ),
  });
  const client = await connect(server.port);
  await client.send(
    'POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n',
  );
  await client.readUntil((received) => received.includes('HELLO'));
  await client.send('5\r\nworld\r\n0\r\n\r\n');
  const rest = await client.readUntil((received) => received.includes('0\r\n\r\n'));
  assert.match(rest.toString(), 'WORLD');
  client.destroy();
});

test('a client that leaves aborts request.signal', async () => {
  let signal: AbortSignal | undefined;
  const server = open({
    fetch: (request) => {
      signal = request.signal;
      return new Promise<Response>(() => {});
    },
  });
  const client = await connect(server.port);
  await client.send('GET / HTTP/1.1\r\nHost: a\r\n\r\n');
  await until(() => signal, 'the request');
  assert.not(signal?.aborted);
  client.destroy();
  await until(() => signal?.aborted, 'the abort');
});

test('a client that leaves in the middle of a download cancels the stream', async () => {
  let cancelled = false;
  const server = open({
    fetch: () =>
      new Response(
        new ReadableStream({
          pull(controller) {
            controller.enqueue(new Uint8Array(65_536));
          },
          cancel() {
            cancelled = true;
          },
        }),
      ),
  });
  const client = await connect(server.port);
  await client.send('GET / HTTP/1.1\r\nHost: a\r\n\r\n');
  await client.read(100_000);
  client.destroy();
  await until(() => cancelled, 'the cancellation');
  await until(() => server.stats().pending === 0, 'the end of the exchange');
});

test('a stream that fails breaks the connection off, so that the client can tell', async () => {
  const server = open({
    fetch: () => {
      let count = 0;
      return new Response(
        new ReadableStream({
          pull(controller) {
            if (count++ < 3) controller.enqueue(Buffer.from('part'));
            else controller.error(new Error('disk'));
          },
        }),
      );
    },
  });
  const lines = await logged(async () => {
    const client = await connect(server.port);
    await client.send('GET / HTTP/1.1\r\nHost: a\r\n\r\n');
    const all = (await client.readToEnd()).toString();
    assert.not.match(all, '0\r\n\r\n');
    client.destroy();
  });
  assert.match(lines.join('\n'), 'GYR_RESPONSE_BODY');
});

test('requestIP tells the client’s address, and null for other requests', async () => {
  const server = open({ fetch: (request, self) => Response.json(self.requestIP(request)) });
  const { address, family } = (await (await get(server, '/')).json()) as Record<string, string>;
  assert.equal([address, family], ['127.0.0.1', 'IPv4']);
  assert.is(server.requestIP(new Request('http://a/')), null);
});

test('reload replaces routes under load; no request is lost or answered by the wrong handler', async () => {
  const table = (version: number): ServeOptions => ({
    routes: {
      '/constant': new Response(`v${version}`),
      '/handler': () => new Response(`v${version}`),
    },
    fetch: () => new Response(`v${version}`),
  });
  const server = open(table(0));
  let done = false;
  let low = 0;
  let high = 0;
  let count = 0;
  const load = Array.from({ length: 8 }, async (_, i) => {
    while (!done) {
      const floor = low;
      const path = ['/constant', '/handler', '/other'][i % 3] as string;
      const answer = await get(server, path);
      const version = Number((await answer.text()).slice(1));
      assert.is(answer.status, 200);
      assert.ok(version >= floor && version <= high, `${floor} <= ${version} <= ${high}`);
      count++;
    }
  });
  for (let version = 1; version <= 20; version++) {
    high = version;
    await server.reload(table(version));
    low = version;
    const target = count + 5;
    await until(() => count >= target, 'some requests');
  }
  done = true;
  await Promise.all(load);
});

test('reload tells of an option that it does not know, and takes those of serve()', async () => {
  const fetch = () => new Response('first');
  const server = open({ fetch });
  const misspelt = { fetch, onProtocolErrors: () => {} } as ServeOptions;
  await server.reload(misspelt).then(
    () => assert.unreachable(),
    ({ code, message }) => {
      assert.is(code, 'GYR_OPTION_UNKNOWN');
      assert.match(message, /reload\(\) has no option onProtocolErrors.*onProtocolError\?/);
    },
  );
  await server.reload({ port: 1, fetch: () => new Response('second') } as ServeOptions);
  assert.is(await (await globalThis.fetch(server.url)).text(), 'second');
});

test('a table that is refused on reload leaves the old one in place', async () => {
  const server = open({ routes: { '/': () => new Response('old') } });
  const code = async (routes: Record<string, unknown>) =>
    server.reload({ routes } as ServeOptions).then(
      () => '',
      (error: GyrfalconError) => error.code,
    );
  assert.is(await code({ '/:': () => new Response('new') }), 'GYR_ROUTE_PATTERN');
  assert.is(await code({ '/*': dir('/nowhere/at/all') }), 'GYR_ROUTE_DIRECTORY');
  assert.is(await text(server, '/'), 'old');
});

test('stop finishes what is in flight, refuses what comes after, and resolves', async () => {
  let finish: () => void = () => {};
  const server = open({
    fetch: () =>
      new Promise<Response>((resolve) => {
        finish = () => resolve(new Response('finished'));
      }),
  });
  const client = await connect(server.port);
  await client.send('GET / HTTP/1.1\r\nHost: a\r\n\r\n');
  await until(() => server.stats().pending === 1, 'the request');
  const stopped = server.stop();
  assert.is(server.stop(), stopped);
  await until(async () => {
    try {
      (await connect(server.port)).destroy();
      return false;
    } catch {
      return true;
    }
  }, 'the listener to close');
  finish();
  assert.is((await client.response()).body.toString(), 'finished');
  await stopped;
  assert.throws(() => server.stats(), /GYR_SERVER_STOPPED/);
  await server.stop();
});

test('stop(true) and a deadline end what hangs, and abort its signal', async () => {
  for (const how of [true, { deadline: 50 }]) {
    let signal: AbortSignal | undefined;
    const server = open({
      fetch: (request) => {
        signal = request.signal;
        return new Promise<Response>(() => {});
      },
    });
    const client = await connect(server.port);
    await client.send('GET / HTTP/1.1\r\nHost: a\r\n\r\n');
    await until(() => signal, 'the request');
    await server.stop(how);
    assert.ok(signal?.aborted);
    await client.closed();
  }
});

test('an AbortSignal stops the server; onListen is told when it listens, and what it is like', async () => {
  const controller = new AbortController();
  let told: [ListenInfo, Server] | undefined;
  const server = open({
    fetch: () => new Response(''),
    signal: controller.signal,
    maxConnections: 77,
    onListen: (listening, self) => {
      told = [listening, self];
    },
  });
  const [listening, self] = told as [ListenInfo, Server];
  const { url, memoryBytes, backendReason, modeReason, ...rest } = listening;
  assert.is(self, server);
  assert.is(url.href, server.url.href);
  assert.ok(memoryBytes > 2 ** 20 && backendReason !== '' && modeReason !== '');
  assert.equal(rest, {
    hostname: '127.0.0.1',
    port: server.port,
    backend: backendHere,
    workers: 2,
    mode: 'threads',
    threads: 0,
    maxConnections: 77,
  });
  controller.abort();
  await server.stop();
});

test('a port that is taken is told by a code, and the failed server leaves nothing behind', async () => {
  const server = open({ fetch: () => new Response('') });
  for (let i = 0; i < 3; i++) {
    try {
      serve({ port: server.port, hostname: '127.0.0.1', fetch: () => new Response('') });
      assert.unreachable();
    } catch (error) {
      assert.instance(error, GyrfalconError);
      assert.is((error as GyrfalconError).code, 'GYR_ADDRESS_IN_USE');
    }
  }
  assert.throws(
    () => serve({ port: 0, hostname: 'no.such.host.invalid', fetch: () => new Response('') }),
    /GYR_ADDRESS_INVALID/,
  );
});

test('the engine’s own checks name pattern and directory', () => {
  const handler = () => new Response('');
  assert.throws(
    () => serve({ port: 0, routes: { '/a//b': handler, '/:': handler } }),
    /GYR_ROUTE_PATTERN/,
  );
  assert.throws(
    () => serve({ port: 0, routes: { '/*': dir('/nowhere/at/all') } }),
    /GYR_ROUTE_DIRECTORY/,
  );
});

test('a constant that is refused late is told with each request and ends nothing', async () => {
  const headers = { 'x-long': 'a'.repeat(20_000) };
  const late = new globalThis.Response(new Blob(['late']), { headers });
  await logged(async () => {
    const server = open({ routes: { '/late': late } });
    assert.is((await get(server, '/late')).status, 500);
    await server.reload({ routes: { '/late': late.clone(), '/alive': new Response('alive') } });
    assert.is((await get(server, '/late')).status, 500);
    assert.is(await text(server, '/alive'), 'alive');
  });
});

test('a server whose onListen throws does not go on behind its caller’s back', async () => {
  let port = 0;
  const onListen = (listening: ListenInfo) => {
    port = listening.port;
    throw new Error('onListen');
  };
  assert.throws(() => open({ onListen, fetch: () => new Response('') }), /onListen/);
  const again = () => open({ port, fetch: () => new Response('again') });
  await until(() => {
    try {
      return again() !== null;
    } catch {
      return false;
    }
  }, 'the port to be free');
});

test('several servers live side by side, and many follow one another', async () => {
  const first = open({ fetch: () => new Response('first') });
  for (let i = 0; i < 5; i++) {
    const next = open({ fetch: () => new Response(`${i}`) });
    assert.is(await text(next, '/'), `${i}`);
    assert.is(await text(first, '/'), 'first');
    await next.stop();
  }
});

test('after the start the engine allocates nothing', async () => {
  const server = open({
    routes: { '/c': new Response('c') },
    fetch: async (request) => new Response(await request.text()),
  });
  for (const body of ['', 'x', 'x'.repeat(100_000)]) {
    await text(server, '/c');
    assert.is(await text(server, '/', { method: 'POST', body }), body);
  }
  assert.is(server.stats().allocationsAfterStart, 0);
  assert.is(server.stats().badRecords, 0);
});

test.run();
