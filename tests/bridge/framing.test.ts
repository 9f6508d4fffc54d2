/** What a handler says of framing, hosts and heads, and what reaches the wire. */
import { Headers, Request, Response, type Server } from 'gyrfalcon';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { serversOf } from '../support/servers.ts';
import { connect, exchange } from '../support/socket.ts';
import { until } from '../support/wait.ts';

const test = suite('framing');
const servers = serversOf(test);
const { open } = servers;

const get = (path: string, method = 'GET'): string =>
  `${method} ${path} HTTP/1.1\r\nHost: a\r\n\r\n`;

type Init = [body: ConstructorParameters<typeof Response>[0], headers: Record<string, string>];

/** A server whose /N answers with the Nth of `responses`. */
function answering(responses: Init[]): Server {
  return open({
    fetch(request) {
      const number = Number(new URL(request.url).pathname.slice(1));
      const [body, headers] = responses[number] ?? ['right', {}];
      return new Response(body, { headers });
    },
  });
}

test('a wrong Content-Length beside a body at hand is told, and the body’s own is sent', async () => {
  const responses: Init[] = [
    ['0123456789', { 'content-length': '5' }],
    ['0123456789', { 'content-length': '50' }],
    ['0123456789', { 'content-length': '-1' }],
    ['0123456789', { 'content-length': '10, 10' }],
    ['0123456789', { 'content-length': 'ten' }],
    ['0123456789', { 'content-length': '0x0a' }],
    ['01234\xe9789', { 'content-length': '9' }],
    [Buffer.from('0123456789'), { 'content-length': '11' }],
    [null, { 'content-length': '10' }],
    [new Blob(['0123456789']), { 'content-length': '3' }],
  ];
  const server = answering(responses);
  const client = await connect(server.port);
  for (const [number] of responses.entries()) {
    servers.log = '';
    await client.send(get(`/${number}`) + get('/right'));
    const { headers, body } = await client.response();
    assert.is(headers.get('content-length'), String(body.length), `${number}`);
    assert.is(body.length, number === 8 ? 0 : 10);
    assert.match(servers.log, 'GYR_RESPONSE_FRAMING', `${number}`);
    assert.is((await client.response()).body.toString(), 'right');
  }
  client.destroy();
});

test('a right Content-Length is taken without a word', async () => {
  const server = answering([
    ['0123456789', { 'content-length': '10' }],
    ['\xe9', { 'content-length': '2' }],
  ]);
  for (const path of ['/0', '/1']) {
    assert.ok((await exchange(server.port, get(path))).headers.has('content-length'));
  }
  assert.is(servers.log, '');
});

for (const [what, length, received] of [
  ['more', 5, '01234'],
  ['fewer', 50, '0123456789'],
] as const) {
  test(`a stream of ${what} bytes than it announced ends the connection, which is told`, async () => {
    const server = open({
      fetch: () =>
        new Response(new Blob(['0123456789']).stream(), {
          headers: { 'content-length': String(length) },
        }),
    });
    const client = await connect(server.port);
    await client.send(get('/') + get('/'));
    const all = (await client.readToEnd()).toString();
    assert.match(all, `content-length: ${length}\r\n`.replace('content-length', 'Content-Length'));
    assert.is(all.split('\r\n\r\n')[1], received);
    assert.is(all.match(/HTTP\/1\.1/g)?.length, 1, 'no second response');
    await until(() => servers.log.includes('GYR_RESPONSE_FRAMING'), 'the line in the log');
  });
}

test('HEAD announces what GET would send: the body’s length, or the one declared for none', async () => {
  const server = answering([
    ['0123456789', {}],
    [null, { 'content-length': '77' }],
    ['', { 'content-length': '77' }],
  ]);
  const client = await connect(server.port);
  for (const [path, length] of [
    ['/0', '10'],
    ['/1', '77'],
    ['/2', '77'],
  ] as const) {
    await client.send(get(path, 'HEAD') + get('/0'));
    assert.is((await client.response('HEAD')).headers.get('content-length'), length);
    assert.is((await client.response()).body.toString(), '0123456789');
  }
  assert.is(servers.log, '');
  client.destroy();
});

test('HEAD tells no length that the handler has not told: of a stream, of nothing at all', async () => {
  const server = answering([
    [new Blob(['x']).stream(), {}],
    [null, {}],
  ]);
  const client = await connect(server.port);
  for (const path of ['/0', '/1']) {
    await client.send(get(path, 'HEAD') + get('/right'));
    const { headers } = await client.response('HEAD');
    assert.is(headers.get('content-length'), undefined);
    assert.is(headers.get('transfer-encoding'), undefined);
    assert.is((await client.response()).body.toString(), 'right');
  }
  client.destroy();
});

test('CONNECT reaches fetch with a URL, where it is configured; a success of it is no tunnel', async () => {
  const seen: string[] = [];
  const server = open({
    connect: true,
    fetch(request) {
      seen.push(`${request.method} ${request.url}`);
      return new Response('body', { status: request.url.includes('tunnel') ? 200 : 403 });
    },
  });
  const cases: [target: string, url: string, status: number][] = [
    ['example.test:443', 'http://example.test:443/', 403],
    ['example.test:80', 'http://example.test/', 403],
    ['[::1]:8443', 'http://[::1]:8443/', 403],
    ['1.2.3.4.5:443', `http://127.0.0.1:${server.port}/`, 403],
    ['tunnel:443', 'http://tunnel:443/', 501],
  ];
  for (const [target, url, status] of cases) {
    const request = `CONNECT ${target} HTTP/1.1\r\nHost: ${target}\r\n\r\n`;
    assert.is((await exchange(server.port, request, 'CONNECT')).status, status);
    assert.is(seen.pop(), `CONNECT ${url}`);
  }
  const refusing = open({ fetch: () => new Response('not reached') });
  const refused = await exchange(refusing.port, 'CONNECT a:1 HTTP/1.1\r\nHost: a:1\r\n\r\n');
  assert.is(refused.status, 501);
});

test('OPTIONS * has a URL', async () => {
  const server = open({ fetch: (request) => new Response(request.url) });
  const { body } = await exchange(server.port, get('*', 'OPTIONS'));
  assert.is(body.toString(), 'http://a/*');
});

test('204 and 304 have no Content-Length and no body, whatever was declared', async () => {
  const server = open({
    fetch: (request) =>
      new Response(null, {
        status: Number(new URL(request.url).pathname.slice(1)),
        headers: { 'content-length': '10', 'transfer-encoding': 'chunked' },
      }),
  });
  const client = await connect(server.port);
  for (const status of [204, 304]) {
    await client.send(get(`/${status}`));
    const { headers } = await client.response();
    assert.is(headers.get('content-length'), undefined);
    assert.is(headers.get('transfer-encoding'), undefined);
  }
  client.destroy();
});

test('Transfer-Encoding, Connection and the like are not sent, and told when they meant something', async () => {
  const server = answering([
    [
      'body',
      { 'transfer-encoding': 'chunked', connection: 'keep-alive', 'keep-alive': 'timeout=9' },
    ],
    ['body', { 'transfer-encoding': 'gzip, chunked' }],
    ['body', { connection: 'x-mine', 'x-mine': '1' }],
  ]);
  const client = await connect(server.port);
  for (const number of [0, 1, 2]) {
    servers.log = '';
    await client.send(get(`/${number}`));
    const { headers, body } = await client.response();
    assert.is(body.toString(), 'body');
    assert.is(headers.get('content-length'), '4');
    for (const name of ['transfer-encoding', 'connection', 'keep-alive', 'te']) {
      assert.is(headers.get(name), undefined);
    }
    assert.is(servers.log.includes('GYR_RESPONSE_FRAMING'), number > 0, `${number}`);
  }
  client.destroy();
});

test('CR, LF and NUL reach a response head from no interface', async () => {
  const bad = 'a\r\nX-Injected: b';
  const ways: Record<string, (request: Request, server: Server) => unknown> = {
    value: () => new Response('', { headers: { x: bad } }),
    name: () => new Response('', { headers: { [bad]: 'x' } }),
    nul: () => new Response('', { headers: { x: 'a\0b' } }),
    bare: () => new Response('', { headers: [['x', 'a\rb']] }),
    set: () => {
      const response = new Response('');
      response.headers.set('x', bad);
      return response;
    },
    append: () => new Response('', { headers: new Headers([['x', bad]]) }),
    statusText: () => new Response('', { statusText: bad }),
    redirect: () => Response.redirect(`http://a/${bad}`),
    hint: (request, server) => server.earlyHints(request, { link: bad }),
    trailer: (request, server) => server.responseTrailers(request, { a: bad }),
    lateTrailer: (request, server) => {
      server.responseTrailers(request, () => ({ a: bad }));
      return new Response('');
    },
    type: () => new Response(new Blob([''], { type: bad })),
    foreign: () => ({
      [Symbol.toStringTag]: 'Response',
      status: 200,
      statusText: bad,
      headers: [
        ['x', bad],
        [bad, 'x'],
      ],
      body: null,
      bodyUsed: false,
    }),
    error: () => {
      throw Object.assign(new Error(bad), { status: bad, statusText: bad });
    },
  };
  const server = open({
    fetch(request, it) {
      const way = new URL(request.url).pathname.slice(1);
      return (ways[way] as (request: Request, server: Server) => Response)(request, it);
    },
  });
  for (const way of Object.keys(ways)) {
    const client = await connect(server.port);
    await client.send(`GET /${way} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n`);
    const raw = (await client.readToEnd()).toString('latin1');
    assert.not.match(raw, /\nX-Injected|\0|\r(?!\n)/i, way);
  }
});

test('a statusText is not sent: the phrase is that of the status', async () => {
  const server = open({ fetch: () => new Response('', { status: 201, statusText: 'Mine' }) });
  assert.match((await exchange(server.port, get('/'))).head, /^HTTP\/1\.1 201 Created\r\n/);
});

test('a request’s URL can be parsed whatever its Host is, and its headers keep the Host', async () => {
  const server = open({
    fetch(request) {
      const url = new URL(request.url);
      return Response.json([url.href, request.headers.get('host'), new Request(request).url]);
    },
  });
  const own = `http://127.0.0.1:${server.port}`;
  const cases: [target: string, host: string, url: string][] = [
    ['/a?b=c', 'example.test', 'http://example.test/a?b=c'],
    ['/a?b=c', 'EXAMPLE.test:80', 'http://example.test/a?b=c'],
    ['/a?b=c', '1.2.3.4.5', `${own}/a?b=c`],
    ['/', '1.2.3.4.5:8080', `${own}/`],
    ['/a', '1.2.3.4.5', `${own}/a`],
    ['/a', '256.1.1.1', `${own}/a`],
    ['/a', 'a%00b', `${own}/a`],
    ['/a', '%20', `${own}/a`],
    ['/a', '[::1::2]', `${own}/a`],
    ['/a', '[1:2]', `${own}/a`],
    ['http://1.2.3.4.5/b?c', '1.2.3.4.5', `${own}/b?c`],
    ['http://1.2.3.4.5', '1.2.3.4.5', `${own}/`],
  ];
  for (const [target, host, url] of cases) {
    const request = `GET ${target} HTTP/1.1\r\nHost: ${host}\r\n\r\n`;
    const { status, body } = await exchange(server.port, request);
    assert.is(status, 200, `${target} ${host}`);
    assert.equal(JSON.parse(body.toString()), [url, host, url], `${target} ${host}`);
  }
});

test.run();
