/** Trailers both ways, early hints, refused messages and framing, as clients of serve() see them. */
import { setTimeout as sleep } from 'node:timers/promises';
import {
  type ErrorCode,
  type ProtocolError,
  type Request,
  Response,
  type ServeOptions,
  type Server,
  serve,
} from 'gyrfalcon';
import { Hono } from 'hono';
import { Client } from 'undici';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { serversOf } from '../support/servers.ts';
import { connect, exchange } from '../support/socket.ts';
import { until } from '../support/wait.ts';

const test = suite('trailers');
const servers = serversOf(test);
const { open } = servers;

const get = (path: string, fields = ''): string =>
  `GET ${path} HTTP/1.1\r\nHost: a\r\n${fields}\r\n`;
const post = (rest: string, fields = ''): string =>
  `POST / HTTP/1.1\r\nHost: a\r\n${fields}Transfer-Encoding: chunked\r\n\r\n${rest}`;

/** Answers with the request's trailers, after `read` has done with the body. */
function describing(read: (request: Request) => unknown): Server {
  return open({
    async fetch(request, server) {
      const before = await read(request);
      return Response.json([before ?? null, ...(await server.requestTrailers(request))]);
    },
  });
}

test('trailers of a request come to the handler, however the bytes are cut', async () => {
  const server = describing((request) => request.text());
  const message = post('3\r\nabc\r\n0\r\nX-Sum:  17 \r\nx-two: \xe9\r\nX-SUM: 18\r\n\r\n');
  const client = await connect(server.port);
  for (const pieces of [undefined, 1, 7, [message.length - 3], [message.length - 20]]) {
    await client.send(message, pieces);
    const expected = ['abc', ['x-sum', '17, 18'], ['x-two', '\xe9']];
    assert.equal(JSON.parse((await client.response()).body.toString()), expected);
  }
  client.destroy();
});

test('trailers without the body read and drop it, however large it is', async () => {
  const server = describing((request) => {
    assert.not.ok(request.bodyUsed);
  });
  const client = await connect(server.port);
  const chunk = `10000\r\n${'x'.repeat(65_536)}\r\n`;
  await client.send(post(''));
  for (let i = 0; i < 64; i++) await client.send(chunk);
  await client.send('0\r\na: b\r\n\r\n');
  assert.equal(JSON.parse((await client.response()).body.toString()), [null, ['a', 'b']]);
  client.destroy();
});

test('trailers are read beside a body that is streamed', async () => {
  const server = describing(async (request) => {
    let bytes = 0;
    for await (const chunk of request.body as ReadableStream<Uint8Array>) bytes += chunk.length;
    return bytes;
  });
  const client = await connect(server.port);
  await client.send(post(`${`10000\r\n${'x'.repeat(65_536)}\r\n`.repeat(10)}0\r\na: b\r\n\r\n`));
  assert.equal(JSON.parse((await client.response()).body.toString()), [655_360, ['a', 'b']]);
  client.destroy();
});

test('a client that leaves before its trailers rejects them, and the server goes on', async () => {
  let name = '';
  const server = open({
    fetch: async (request, it) => {
      if (request.method === 'GET') return new Response('alive');
      await it.requestTrailers(request).catch((error: Error) => {
        name = error.name;
      });
      return new Response('nobody reads it');
    },
  });
  const client = await connect(server.port);
  await client.send(post('3\r\nabc\r\n'));
  await until(() => server.stats().pending === 1, 'the request');
  client.reset();
  await until(() => name !== '', 'the rejection');
  assert.is(name, 'AbortError');
  assert.is((await exchange(server.port, get('/'))).body.toString(), 'alive');
});

test('undici reads the trailers of every kind of body', async () => {
  const make: Record<string, () => ConstructorParameters<typeof Response>[0]> = {
    text: () => 'body',
    bytes: () => Buffer.from('body'),
    stream: () => new Blob(['body']).stream(),
    none: () => null,
  };
  const server = open({
    fetch(request, it) {
      it.responseTrailers(request, { 'X-Sum': '1' });
      it.responseTrailers(request, async () => {
        await sleep(5);
        return [['x-late', '2']];
      });
      const body = make[new URL(request.url).pathname.slice(1)]?.() ?? null;
      return new Response(body, { headers: { 'content-length': '4' } });
    },
  });
  const client = new Client(server.url.origin);
  for (const kind of Object.keys(make)) {
    const { headers, body, trailers } = await client.request({ method: 'GET', path: `/${kind}` });
    assert.is(await body.text(), kind === 'none' ? '' : 'body');
    assert.is(headers['transfer-encoding'], 'chunked');
    assert.is(headers.trailer, 'x-sum');
    assert.equal({ ...trailers }, { 'x-sum': '1', 'x-late': '2' }, kind);
  }
  await client.close();
});

test('a platform Response has trailers too', async () => {
  const origin = open({ fetch: () => new Response('from upstream') });
  const server = open({
    async fetch(request, it) {
      it.responseTrailers(request, { a: 'b' });
      return fetch(origin.url);
    },
  });
  const client = await connect(server.port);
  await client.send(get('/'));
  const raw = (
    await client.readUntil((bytes) => bytes.includes('\r\n\r\nd\r\n') && bytes.includes('a: b'))
  ).toString();
  assert.match(raw, /\r\n\r\nd\r\nfrom upstream\r\n0\r\na: b\r\n\r\n$/);
  client.destroy();
});

test('trailers are dropped where they have no place, and the connection goes on', async () => {
  const server = open({
    fetch(request, it) {
      it.responseTrailers(request, { a: 'b' });
      const status = Number(new URL(request.url).pathname.slice(1));
      return new Response(status === 200 ? 'body' : null, { status });
    },
  });
  const client = await connect(server.port);
  for (const [method, path] of [
    ['HEAD', '/200'],
    ['GET', '/204'],
    ['GET', '/304'],
  ] as const) {
    await client.send(get(path).replace('GET', method));
    const { head } = await client.response(method);
    assert.not.match(head.toLowerCase(), 'trailer');
  }
  const old = await exchange(server.port, 'GET /200 HTTP/1.0\r\nHost: a\r\n\r\n');
  assert.is(old.body.toString(), 'body');
  client.destroy();
});

test('a trailer function that throws closes the connection before the end of the body', async () => {
  const server = open({
    fetch(request, it) {
      it.responseTrailers(request, () => {
        throw new Error('intended');
      });
      return new Response('body');
    },
  });
  const client = await connect(server.port);
  await client.send(get('/'));
  const all = (await client.readToEnd()).toString();
  assert.not.match(all, '\r\n0\r\n');
  assert.match(servers.log, 'GYR_RESPONSE_TRAILERS');
});

test('early hints arrive while the handler is still at work', async () => {
  let release = () => {};
  const sent: boolean[] = [];
  const server = open({
    async fetch(request, it) {
      sent.push(it.earlyHints(request, { link: '</a.css>; rel=preload; as=style' }));
      await new Promise<void>((resolve) => {
        release = resolve;
      });
      sent.push(it.earlyHints(request, { link: '</b.js>' }));
      return new Response('done');
    },
  });
  const client = await connect(server.port);
  await client.send(get('/'));
  const first = await client.response();
  assert.is(
    first.head,
    'HTTP/1.1 103 Early Hints\r\nlink: </a.css>; rel=preload; as=style\r\n\r\n',
  );
  release();
  assert.is((await client.response()).headers.get('link'), '</b.js>');
  assert.is((await client.response()).body.toString(), 'done');
  client.destroy();
  const old = await connect(server.port);
  await old.send('GET / HTTP/1.0\r\nHost: a\r\n\r\n');
  await until(() => sent.length === 3, 'the request');
  release();
  assert.is((await old.response()).body.toString(), 'done');
  assert.equal(sent, [true, true, false, false]);
});

test('early hints of pipelined requests wait for their turn', async () => {
  const server = open({
    async fetch(request, it) {
      it.earlyHints(request, { link: request.url });
      if (request.url.endsWith('/slow')) await sleep(30);
      return new Response(request.url);
    },
  });
  const client = await connect(server.port);
  await client.send(get('/slow') + get('/fast'));
  for (const url of ['http://a/slow', 'http://a/fast']) {
    const hint = await client.response();
    assert.equal([hint.status, hint.headers.get('link')], [103, url]);
    assert.is((await client.response()).body.toString(), url);
  }
  client.destroy();
});

test('a Hono app has trailers and early hints by c.env', async () => {
  const app = new Hono<{ Bindings: Server }>();
  app.use(async (c, next) => {
    const begun = performance.now();
    c.env.responseTrailers(c.req.raw, () => ({
      'server-timing': `app;dur=${(performance.now() - begun).toFixed(1)}`,
    }));
    await next();
  });
  app.post('/', async (c) => {
    c.env.earlyHints(c.req.raw, { link: '</hono.css>; rel=preload' });
    const body = await c.req.text();
    const trailers = await c.env.requestTrailers(c.req.raw);
    return c.text(`${body} ${trailers.get('x-sum')}`);
  });
  const server = open({ fetch: app.fetch as ServeOptions['fetch'] & {} });
  const client = await connect(server.port);
  await client.send(post('3\r\nabc\r\n0\r\nx-sum: 6\r\n\r\n'));
  assert.is((await client.response()).status, 103);
  const raw = (await client.readUntil((bytes) => bytes.includes('dur='))).toString();
  assert.match(raw, /\r\n\r\n5\r\nabc 6\r\n0\r\nserver-timing: app;dur=[\d.]+\r\n\r\n$/);
  client.destroy();
});

test('in worker threads all of it works as well', async () => {
  const module = new URL('./fixtures/trailers_app.ts', import.meta.url);
  const server = await serve({ port: 0, hostname: '127.0.0.1', workers: 1, threads: 2, module });
  servers.keep(server);
  const client = await connect(server.port);
  for (let i = 0; i < 4; i++) {
    await client.send(post('3\r\nabc\r\n0\r\nx-sum: 6\r\n\r\n').replace('POST /', 'POST /both'));
    assert.is((await client.response()).status, 103);
    const raw = await client.readUntil((bytes) => bytes.includes('x-length: 3\r\n\r\n'));
    assert.match(raw.toString(), /3\r\nabc\r\n0\r\nx-sum: 6\r\nx-length: 3\r\n\r\n$/);
  }
  client.destroy();
  assert.is((await exchange(server.port, 'GET / HTTP/1.1\r\nHost : a\r\n\r\n')).status, 400);
  const heard = new Set<string>();
  await until(async () => {
    const answer = await fetch(new URL('/heard', server.url));
    for (const line of (await answer.json()) as string[]) heard.add(line);
    return heard.size > 0;
  }, 'the hook');
  assert.equal([...heard], ['space_before_colon 400 127.0.0.1']);
});

test('onProtocolError hears of refused messages, and what it throws ends nothing', async () => {
  const errors: ProtocolError[] = [];
  const server = open({
    fetch: () => new Response('alive'),
    onProtocolError(error) {
      errors.push(error);
      throw new Error('of the hook');
    },
  });
  await exchange(server.port, 'GET / HTTP/1.1\r\nHost: a\r\nSecret : 17\r\n\r\n');
  await exchange(server.port, post('zz\r\n'));
  await until(() => errors.length === 2, 'both');
  assert.equal(
    errors.map(({ code, status }) => [code, status]),
    [
      ['space_before_colon', 400],
      ['invalid_chunk_size', 400],
    ],
  );
  assert.is(errors[0]?.address?.address, '127.0.0.1');
  assert.not.match(JSON.stringify(errors), 'Secret');
  assert.is((await exchange(server.port, get('/'))).body.toString(), 'alive');
  await until(() => servers.log.includes('onProtocolError failed'), 'the line in the log');
});

test('reload replaces onProtocolError, and takes it away', async () => {
  const heard: string[] = [];
  const handlers = (name: string) => ({
    fetch: () => new Response('alive'),
    onProtocolError: () => heard.push(name),
  });
  const server = open(handlers('first'));
  const spoil = () => exchange(server.port, 'GET / HTTP/1.1\r\nHost : a\r\n\r\n');
  await spoil();
  await until(() => heard.length === 1, 'the first');
  await server.reload(handlers('second'));
  await spoil();
  await until(() => heard.length === 2, 'the second');
  await server.reload({ fetch: () => new Response('alive') });
  await spoil();
  assert.is((await exchange(server.port, get('/'))).body.toString(), 'alive');
  assert.equal(heard, ['first', 'second']);
});

test('clients that come, go and leave in the middle of trailers leave nothing behind', async () => {
  const server = open({
    async fetch(request, it) {
      it.earlyHints(request, { link: '</a.css>' });
      it.responseTrailers(request, async () => ({ 'x-sum': `${(await trailers).get('x-sum')}` }));
      const trailers = it.requestTrailers(request);
      return new Response('body');
    },
  });
  const message = post('3\r\nabc\r\n0\r\nx-sum: 6\r\n\r\n');
  const one = async (number: number): Promise<void> => {
    const client = await connect(server.port);
    const cut = (number * 7) % message.length;
    if (number % 3 === 0) {
      await client.send(message.slice(0, cut));
      client.reset();
    } else {
      await client.send(message, [cut]);
      const raw = await client.readUntil((bytes) => bytes.includes('0\r\nx-sum: 6\r\n\r\n'));
      assert.match(
        raw.toString(),
        /^HTTP\/1\.1 103 .*\r\n\r\n4\r\nbody\r\n0\r\nx-sum: 6\r\n\r\n$/s,
      );
      client.destroy();
    }
  };
  for (let round = 0; round < 10; round++) {
    await Promise.all(Array.from({ length: 30 }, (_, i) => one(round * 30 + i)));
  }
  await until(() => {
    const { pending, connections, bufferBytes } = server.stats();
    return pending === 0 && connections === 0 && bufferBytes === 0;
  }, 'nothing left');
  assert.is(server.stats().badRecords, 0);
  assert.is(server.stats().allocationsAfterStart, 0);
  assert.not.match(servers.log, /GYR_(?!BODY_UNREAD|RESPONSE_TRAILERS)/);
});

test('misuse is a 500 with a coded line, and never the end of the process', async () => {
  const codes: ErrorCode[] = [
    'GYR_REQUEST_FOREIGN',
    'GYR_FIELD_FORBIDDEN',
    'GYR_RESPONSE_HEAD_TOO_LARGE',
    'GYR_FIELD_FORBIDDEN',
  ];
  const mistakes: ((request: Request, server: Server) => unknown)[] = [
    (request, server) => server.requestTrailers(request.clone()),
    (request, server) => server.responseTrailers(request, { host: 'a' }),
    (request, server) => server.responseTrailers(request, { a: 'x'.repeat(20_000) }),
    (request, server) => server.earlyHints(request, { 'Content-Length': '3' }),
  ];
  const server = open({
    async fetch(request, it) {
      await mistakes[Number(new URL(request.url).pathname.slice(1))]?.(request, it);
      return new Response('not reached');
    },
  });
  for (const [number, code] of codes.entries()) {
    servers.log = '';
    const response = await exchange(server.port, get(`/${number}`));
    assert.is(response.status, 500);
    assert.match(servers.log, code);
  }
});

test('fields of a response fit up to the last byte of their lines, and one more has a code', async () => {
  const type = 'text/plain';
  const room = 16_384 - `content-type: ${type}\r\na: \r\n`.length;
  const server = open({
    fetch(request) {
      const more = Number(new URL(request.url).pathname.slice(1));
      const headers = { 'content-type': type, a: 'x'.repeat(room + more) };
      return new Response(new URL(request.url).search ? new Blob(['x']).stream() : 'x', {
        headers,
      });
    },
  });
  for (const query of ['', '?stream']) {
    servers.log = '';
    assert.is((await exchange(server.port, get(`/0${query}`))).status, 200);
    assert.is(servers.log, '');
    assert.is((await exchange(server.port, get(`/1${query}`))).status, 500);
    assert.match(servers.log, 'GYR_RESPONSE_HEAD_TOO_LARGE');
  }
});

test.run();
