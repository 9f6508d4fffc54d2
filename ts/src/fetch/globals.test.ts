import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { Hono } from 'hono';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import type { BodySource } from './body.ts';
import { installGlobals } from './globals.ts';
import { Headers } from './headers.ts';
import { PlatformHeaders, PlatformRequest, PlatformResponse } from './originals.ts';
import { fromSource, Request, type RequestSource } from './request.ts';
import { Response } from './response.ts';
import { responseParts } from './response_parts.ts';

const pairs = [
  ['Headers', Headers, PlatformHeaders, (C: new () => object) => new C()],
  ['Request', Request, PlatformRequest, (C: new (url: string) => object) => new C('http://a/')],
  ['Response', Response, PlatformResponse, (C: new () => object) => new C()],
] as unknown as [string, new () => object, new () => object, (C: unknown) => object][];

for (const [name, light, platform, make] of pairs) {
  test(`${name}: instanceof holds both ways, and for nothing else`, () => {
    assert.instance(make(light), light);
    assert.instance(make(light), platform);
    assert.instance(make(platform), light);
    assert.not.instance({}, light);
    assert.not.instance(Object.create(null), light);
    assert.is((null as unknown) instanceof light, false);
  });

  test(`${name}: a subclass is one of its own`, () => {
    class Mine extends light {}
    const mine = make(Mine);
    assert.instance(mine, Mine);
    assert.instance(mine, light);
    assert.instance(mine, platform);
    assert.not.instance(make(light), Mine);
    assert.not.instance(make(platform), Mine);
  });
}

/** In undici 6 by a slip; it is no member of the interface. */
const slips = new Set(['attribute']);

for (const [name, light, platform] of pairs) {
  test(`${name}: every member of the platform's class is there, enumerable where it is there`, () => {
    const members = Object.entries(Object.getOwnPropertyDescriptors(platform.prototype));
    for (const [key, { enumerable }] of members) {
      if (slips.has(key)) continue;
      const own = Object.getOwnPropertyDescriptor(light.prototype, key);
      assert.is(own?.enumerable, enumerable, key);
    }
  });
}

test('light objects have the types of the platform ones', () => {
  // The compiler checks this one: frameworks declare their handlers with the global types.
  const request: globalThis.Request = new Request('http://a/');
  const response: globalThis.Response = new Response('x');
  const headers: globalThis.Headers = new Headers();
  new Response('x', new PlatformResponse());
  new Request(new PlatformRequest('http://a/'));
  new Headers(new PlatformHeaders());
  new PlatformResponse('x', new Response());
  new PlatformHeaders(new Headers());
  const handler: (request: Request) => unknown = new Hono().fetch;
  assert.ok([request, response, headers, handler].every(Boolean));
});

test('the globals are replaced and come back with the last uninstall', () => {
  const before = ['Headers', 'Request', 'Response', 'fetch'].map((name) =>
    Object.getOwnPropertyDescriptor(globalThis, name),
  );
  const first = installGlobals();
  const second = installGlobals();
  assert.is(globalThis.Response, Response);
  assert.is(globalThis.Request, Request);
  assert.is(globalThis.Headers, Headers);
  first();
  first();
  assert.is(globalThis.Response, Response);
  second();
  const after = ['Headers', 'Request', 'Response', 'fetch'].map((name) =>
    Object.getOwnPropertyDescriptor(globalThis, name),
  );
  assert.equal(after, before);
  assert.is(globalThis.Response, PlatformResponse);
});

test('uninstall leaves what somebody else has put there', () => {
  const uninstall = installGlobals();
  const theirs = class Theirs {};
  Object.assign(globalThis, { Headers: theirs });
  uninstall();
  assert.is(globalThis.Headers, theirs as unknown);
  Object.assign(globalThis, { Headers: PlatformHeaders });
});

/** Tells what it was sent. */
function upstream(): Promise<Server> {
  const server = createServer((request, response) => {
    let body = '';
    request.setEncoding('utf8');
    request.on('data', (chunk) => {
      body += chunk;
    });
    request.on('end', () => {
      const { method, url, headers } = request;
      response.setHeader('set-cookie', ['a=1', 'b=2']);
      response.setHeader('content-type', 'application/json');
      response.end(JSON.stringify({ method, url, body, headers }));
    });
  });
  return new Promise((resolve) => server.listen(0, '127.0.0.1', () => resolve(server)));
}

interface Seen {
  method: string;
  url: string;
  body: string;
  headers: Record<string, string>;
}

/** Runs `use` with the light globals and an upstream. */
function withGlobals(use: (url: string) => Promise<void>): () => Promise<void> {
  return async () => {
    const server = await upstream();
    const uninstall = installGlobals();
    try {
      await use(`http://127.0.0.1:${(server.address() as AddressInfo).port}`);
    } finally {
      uninstall();
      server.closeAllConnections();
      server.close();
    }
  };
}

test(
  'fetch takes a light request, its headers and its body',
  withGlobals(async (url) => {
    const request = new globalThis.Request(`${url}/x?y`, {
      method: 'PUT',
      headers: new globalThis.Headers({ a: '1' }),
      body: 'text',
    });
    const response = await fetch(request);
    const seen = (await response.json()) as Seen;
    assert.is(seen.method, 'PUT');
    assert.is(seen.url, '/x?y');
    assert.is(seen.body, 'text');
    assert.is(seen.headers.a, '1');
    assert.is(seen.headers['content-length'], '4');
    assert.is(request.bodyUsed, true);
    assert.instance(response, globalThis.Response);
    assert.instance(response.headers, globalThis.Headers);
  }),
);

test(
  'fetch takes a light request and init over it',
  withGlobals(async (url) => {
    const request = new globalThis.Request(`${url}/x`, { method: 'PUT', body: 'first' });
    const response = await fetch(request, { method: 'POST', body: 'second' });
    const seen = (await response.json()) as Seen;
    assert.is(`${seen.method} ${seen.body}`, 'POST second');
    assert.is(await request.text(), 'first');
  }),
);

test(
  'fetch takes a URL with light headers, and with the body of a light response',
  withGlobals(async (url) => {
    const response = await fetch(`${url}/z`, {
      method: 'POST',
      headers: new globalThis.Headers([['x', '1']]),
      body: new globalThis.Response('streamed').body,
      duplex: 'half',
    });
    const seen = (await response.json()) as Seen;
    assert.is(seen.body, 'streamed');
    assert.is(seen.headers.x, '1');
  }),
);

test(
  'fetch takes a light request as init',
  withGlobals(async (url) => {
    const request = new globalThis.Request('http://elsewhere/', { method: 'POST', body: 'b' });
    const seen = (await (await fetch(`${url}/to`, request)).json()) as Seen;
    assert.is(`${seen.method} ${seen.url} ${seen.body}`, 'POST /to b');
  }),
);

test(
  'a used light request, and a bad one, make fetch reject',
  withGlobals(async (url) => {
    const request = new globalThis.Request(url, { method: 'POST', body: 'x' });
    await request.text();
    for (const call of [() => fetch(request), () => fetch('not a url')]) {
      const promise = call();
      try {
        await promise;
        assert.unreachable();
      } catch (error) {
        assert.instance(error, TypeError);
      }
    }
  }),
);

test(
  'aborting the signal of a light request aborts its fetch',
  withGlobals(async (url) => {
    const controller = new AbortController();
    const request = new globalThis.Request(url, { signal: controller.signal });
    controller.abort(new RangeError('enough'));
    try {
      await fetch(request);
      assert.unreachable();
    } catch (error) {
      assert.is((error as Error).message, 'enough');
    }
  }),
);

test('an interceptor of fetch that was there before the light globals goes on, and stays', async () => {
  const server = await upstream();
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const pure = globalThis.fetch;
  const seen: string[] = [];
  const intercept: typeof fetch = (input, init) => {
    const request = new globalThis.Request(input, init);
    seen.push(`${request.method} ${new URL(request.url).pathname}`);
    return pure(request);
  };
  globalThis.fetch = intercept;
  const uninstall = installGlobals();
  try {
    for (const input of [`${url}/a`, new globalThis.Request(`${url}/b`)]) {
      const answer = await fetch(input, { method: 'POST', body: 'x' });
      assert.is(((await answer.json()) as Seen).body, 'x');
    }
    assert.equal(seen, ['POST /a', 'POST /b']);
    uninstall();
    assert.is(globalThis.fetch, intercept);
    const light = new Request(`${url}/c`, { method: 'POST', body: 'y' });
    assert.is(((await (await fetch(light)).json()) as Seen).body, 'y');
  } finally {
    uninstall();
    globalThis.fetch = pure;
    server.closeAllConnections();
    server.close();
  }
});

test(
  'a received GET with content: copies have it, and fetch, which sends none, leaves it out',
  withGlobals(async (url) => {
    const received = () => Request[fromSource]({ ...proxied(url), method: 'GET' }, null);
    const copy = new Request(received());
    assert.is(await new Response(copy.body).text(), 'from the client');
    const seen = (await (await fetch(received())).json()) as Seen;
    assert.is(`${seen.method} ${seen.body}`, 'GET ');
    const post = Request[fromSource](proxied(url), null);
    assert.throws(() => new Request(post, { method: 'GET' }), TypeError);
  }),
);

test(
  'the length that a client told goes with its body only, not with another, or none',
  withGlobals(async (url) => {
    const pairs: [string, string][] = [['content-length', '3']];
    const headerPairs = () => pairs;
    const bytes = Buffer.from('abc');
    const arrived = { ...proxied(url).body(), whole: () => bytes } as BodySource;
    const received = (method: string, body = arrived) =>
      Request[fromSource]({ ...proxied(url), method, headerPairs, body: () => body }, null);
    const coming = { ...arrived, whole: () => null, stream: () => new Blob([bytes]).stream() };
    const sent: [string, Promise<globalThis.Response>][] = [
      ['3 abc', fetch(received('POST'))],
      ['3 abc', fetch(received('POST', coming))],
      ['5 other', fetch(received('POST'), { body: 'other' })],
      ['undefined ', fetch(received('GET'))],
    ];
    for (const [right, answer] of sent) {
      const { headers, body } = (await (await answer).json()) as Seen;
      assert.is(`${headers['content-length']} ${body}`, right);
    }
  }),
);

/** A received request whose body is still coming. */
function proxied(url: string): RequestSource {
  return {
    method: 'POST',
    hasBody: true,
    url: () => `${url}/proxied`,
    fallbackUrl: () => '',
    header: () => null,
    headerPairs: () => [
      ['x-mine', '1'],
      ['connection', 'keep-alive'],
      ['transfer-encoding', 'chunked'],
      ['expect', '100-continue'],
      ['keep-alive', 'timeout=5'],
    ],
    signal: () => new AbortController().signal,
    body: () => ({
      whole: () => null,
      stream: () => new Blob(['from the ', 'client']).stream(),
      collect: () => Promise.reject(new Error('not collected')),
    }),
  };
}

test(
  'a received request is proxied, and the answer is sent with every cookie',
  withGlobals(async (url) => {
    const answer = await fetch(Request[fromSource](proxied(url), null));
    const parts = responseParts(answer);
    assert.is(parts.status, 200);
    const cookies = parts.fields.filter((_, i) => parts.fields[i - 1] === 'set-cookie');
    assert.equal(cookies, ['a=1', 'b=2']);
    assert.not(parts.fields.includes('transfer-encoding'));
    assert.not(parts.fields.includes('connection'));
    const seen = (await new Response(parts.body).json()) as Seen;
    assert.is(seen.body, 'from the client');
    assert.is(seen.headers['x-mine'], '1');
    assert.is(seen.headers.expect, undefined);
  }),
);

function honoApp(): Hono {
  const app = new Hono();
  app.use('*', async (c, next) => {
    await next();
    c.res.headers.set('x-served-by', 'hono');
  });
  app.get('/', (c) => c.text('hello'));
  app.get('/users/:id', (c) => c.json({ id: c.req.param('id'), q: c.req.query('q') }));
  app.post('/json', async (c) => c.json(await c.req.json(), 201));
  app.post('/form', async (c) => c.json(await c.req.parseBody()));
  app.post('/echo', (c) => new Response(c.req.raw.body));
  app.get('/html', (c) => c.html('<p>é</p>'));
  app.get('/cookies', (c) => {
    c.header('set-cookie', 'a=1', { append: true });
    c.header('set-cookie', 'b=2', { append: true });
    return c.body(null, 204);
  });
  app.get('/redirect', (c) => c.redirect('/elsewhere'));
  app.get('/throws', () => {
    throw new Error('on purpose');
  });
  app.get('/stream', (c) => {
    const stream = new Blob(['a', 'b']).stream();
    return c.body(stream as ReadableStream);
  });
  app.onError((error, c) => c.text(error.message, 500));
  return app;
}

/** The request of an exchange with this head and body. */
function exchange(method: string, target: string, body = '', type = ''): Request {
  const fields: [string, string][] = [['host', 'test']];
  if (type !== '') fields.push(['content-type', type]);
  const bytes = Buffer.from(body);
  const source: RequestSource = {
    method,
    hasBody: body !== '',
    url: () => `http://test${target}`,
    fallbackUrl: () => '',
    header: (name) => fields.find(([key]) => key === name)?.[1] ?? null,
    headerPairs: () => fields,
    signal: () => new AbortController().signal,
    body: () => ({
      whole: () => bytes,
      stream: () => new Blob([bytes]).stream(),
      collect: () => Promise.resolve(bytes),
    }),
  };
  return Request[fromSource](source, null);
}

const honoCases: [string, Request, number, string][] = [
  ['text', exchange('GET', '/'), 200, 'hello'],
  ['params and query', exchange('GET', '/users/a%20b?q=1'), 200, '{"id":"a b","q":"1"}'],
  ['JSON body', exchange('POST', '/json', '{"a":1}', 'application/json'), 201, '{"a":1}'],
  [
    'form body',
    exchange('POST', '/form', 'a=1&b=2', 'application/x-www-form-urlencoded'),
    200,
    '{"a":"1","b":"2"}',
  ],
  ['echo of the body', exchange('POST', '/echo', 'back'), 200, 'back'],
  ['html', exchange('GET', '/html'), 200, '<p>é</p>'],
  ['a stream', exchange('GET', '/stream'), 200, 'ab'],
  ['not found', exchange('GET', '/none'), 404, '404 Not Found'],
  ['an error', exchange('GET', '/throws'), 500, 'on purpose'],
  ['HEAD', exchange('HEAD', '/'), 200, ''],
];

for (const [name, request, status, body] of honoCases) {
  test(
    `Hono answers a light request: ${name}`,
    withGlobals(async () => {
      const response = await honoApp().fetch(request);
      assert.instance(response, Response);
      const parts = responseParts(response);
      assert.is(parts.status, status);
      assert.ok(parts.fields.includes('x-served-by') || status === 500);
      assert.is(await new Response(parts.body).text(), body);
    }),
  );
}

test(
  'Hono sets several cookies and redirects',
  withGlobals(async () => {
    const cookies = await honoApp().fetch(exchange('GET', '/cookies'));
    assert.equal(cookies.headers.getSetCookie(), ['a=1', 'b=2']);
    assert.is(responseParts(cookies).status, 204);
    const redirect = responseParts(await honoApp().fetch(exchange('GET', '/redirect')));
    assert.is(redirect.status, 302);
    assert.is(redirect.fields[redirect.fields.indexOf('location') + 1], '/elsewhere');
  }),
);

test('structuredClone refuses light objects where it refuses the platform’s', () => {
  const outcome = (value: unknown) => {
    try {
      return structuredClone(value);
    } catch (error) {
      return (error as Error).name;
    }
  };
  const platform = [
    new PlatformHeaders(),
    new PlatformRequest('http://a/'),
    new PlatformResponse(),
  ];
  const expected = platform.map(outcome);
  const before = globalThis.structuredClone;
  const uninstall = installGlobals();
  try {
    const light = [new Headers(), new Request('http://a/'), new Response()];
    assert.equal(light.map(outcome), expected);
    assert.equal(structuredClone({ a: [1] }), { a: [1] });
    const { port1 } = new MessageChannel();
    assert.ok(structuredClone(port1, { transfer: [port1] }) instanceof MessagePort);
  } finally {
    uninstall();
  }
  assert.is(globalThis.structuredClone, before);
});

test.run();
