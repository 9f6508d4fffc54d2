/** Hono, beside @hono/node-server. */

import type { AddressInfo } from 'node:net';
import { serve } from '@hono/node-server';
import { Hono } from 'hono';
import { basicAuth } from 'hono/basic-auth';
import { bodyLimit } from 'hono/body-limit';
import { compress } from 'hono/compress';
import { deleteCookie, getCookie, setCookie, setSignedCookie } from 'hono/cookie';
import { cors } from 'hono/cors';
import { csrf } from 'hono/csrf';
import { etag } from 'hono/etag';
import { HTTPException } from 'hono/http-exception';
import { methodOverride } from 'hono/method-override';
import { prettyJSON } from 'hono/pretty-json';
import { secureHeaders } from 'hono/secure-headers';
import { stream, streamSSE, streamText } from 'hono/streaming';
import { validator } from 'hono/validator';
import type { Running } from '../compare.ts';

const large = 'All work and no play makes Jack a dull boy. '.repeat(500);

function build(): Hono {
  const app = new Hono();
  app.use(secureHeaders(), prettyJSON());
  app.use('/cors/*', cors({ origin: 'https://a.test', credentials: true, maxAge: 60 }));
  app.use('/etag', etag());
  app.use('/large', compress());
  app.use('/private', basicAuth({ username: 'u', password: 'p' }));
  app.use('/limited', bodyLimit({ maxSize: 100 }));
  app.use('/csrf', csrf());
  app.use('/override', methodOverride({ app }));
  app.get('/', (c) => c.text('Hello'));
  app.get('/json/:id{[0-9]+}', (c) => c.json({ id: c.req.param('id'), query: c.req.queries() }));
  app.get('/html', (c) => c.html('<p>html</p>'));
  app.get('/about', (c) => {
    const { method, path, url } = c.req;
    return c.json({ method, path, search: new URL(url).search, headers: c.req.header() });
  });
  app.get('/cors/a', (c) => c.text('cors'));
  app.get('/etag', (c) => c.text('tagged'));
  app.get('/large', (c) => c.text(large));
  app.get('/private', (c) => c.text('private'));
  app.post('/limited', async (c) => c.text(await c.req.text()));
  app.post('/csrf', (c) => c.text('safe'));
  app.delete('/override', (c) => c.text('deleted'));
  app.post('/echo', async (c) => {
    const type = c.req.header('content-type') ?? '';
    if (type.includes('json')) return c.json(await c.req.json(), 201);
    if (!type.includes('form'))
      return c.body(await c.req.arrayBuffer(), 200, { 'Content-Type': type });
    const form = await c.req.parseBody({ all: true });
    const shown = Object.entries(form).map(([name, value]) => [
      name,
      value instanceof File ? [value.name, value.type, value.size] : value,
    ]);
    return c.json(shown);
  });
  app.post(
    '/validated',
    validator('json', (value, c) => (typeof value.a === 'string' ? value : c.text('no', 422))),
    (c) => c.json(c.req.valid('json')),
  );
  app.get('/stream', (c) =>
    stream(c, async (out) => {
      c.header('Content-Type', 'text/plain');
      for (const part of ['a', 'b', 'c']) {
        await out.write(part);
        await out.sleep(2);
      }
    }),
  );
  app.get('/text', (c) => streamText(c, async (out) => void (await out.writeln('line'))));
  app.get('/sse', (c) =>
    streamSSE(c, async (out) => {
      for (let id = 0; id < 3; id++) await out.writeSSE({ data: `${id}`, event: 'e', id: `${id}` });
    }),
  );
  app.get('/cookies', async (c) => {
    setCookie(c, 'plain', 'a b', { httpOnly: true });
    await setSignedCookie(c, 'signed', 'c', 'secret');
    deleteCookie(c, 'old');
    return c.json(getCookie(c));
  });
  app.get('/away', (c) => c.redirect('/json/1', 307));
  app.get('/nothing', (c) => c.body(null, 204));
  app.get('/headers', (c) => {
    c.header('X-A', 'b');
    c.header('Link', '<a>', { append: true });
    c.header('Link', '<b>', { append: true });
    return c.newResponse(new Uint8Array([1, 2, 3]), 203, { 'Content-Type': 'a/b' });
  });
  app.get('/clone', async (c) => {
    await c.req.raw.clone().text();
    return new Response(c.req.raw.headers.get('x-a'), {
      headers: { 'x-url': c.req.url.slice(-6) },
    });
  });
  app.get('/refuses', () => {
    throw new HTTPException(401, { message: 'refused' });
  });
  app.get('/fails', () => {
    throw new Error('failed');
  });
  app.onError((error, c) =>
    error instanceof HTTPException ? error.getResponse() : c.json({ error: error.message }, 500),
  );
  app.notFound((c) => c.json({ missing: c.req.path }, 404));
  const under = new Hono().get('/thing', (c) => c.text(`under ${c.req.path}`));
  app.route('/under', under);
  return app;
}

export async function make(): Promise<{ fetch: Hono['fetch'] }> {
  return { fetch: build().fetch };
}

export async function peer(): Promise<Running> {
  const server = serve({ fetch: build().fetch, port: 0, hostname: '127.0.0.1' });
  if (!server.listening) await new Promise((resolve) => server.once('listening', resolve));
  const close = (): Promise<unknown> => new Promise((resolve) => server.close(resolve));
  return { port: (server.address() as AddressInfo).port, close };
}

const json = { 'content-type': 'application/json' };
const form = { 'content-type': 'application/x-www-form-urlencoded' };
const multipart = { 'content-type': 'multipart/form-data; boundary=xyz' };
const parts =
  '--xyz\r\nContent-Disposition: form-data; name="a"\r\n\r\nb\r\n' +
  '--xyz\r\nContent-Disposition: form-data; name="f"; filename="f.txt"\r\n' +
  'Content-Type: text/plain\r\n\r\ntext\r\n--xyz--\r\n';
const gzip = { 'accept-encoding': 'gzip' };

export const requests = [
  { path: '/' },
  { path: '/', method: 'HEAD' },
  { path: '/', method: 'POST' },
  { path: '/json/7?a=b&a=c' },
  { path: '/json/7?pretty' },
  { path: '/json/x' },
  { path: '/html' },
  { path: '/about?x=%20', headers: { 'x-a': 'b', cookie: 'c=d' } },
  { path: '/cors/a', headers: { origin: 'https://a.test' } },
  {
    path: '/cors/a',
    method: 'OPTIONS',
    headers: { origin: 'https://a.test', 'access-control-request-method': 'PUT' },
  },
  { path: '/etag' },
  { path: '/etag', headers: { 'if-none-match': '"83f8b1a8d9c6c9b0f4bd8d1d8d0b8ba0d3a5e1ab"' } },
  { path: '/large' },
  { path: '/large', headers: gzip },
  { path: '/private' },
  { path: '/private', headers: { authorization: 'Basic dTpw' } },
  { path: '/limited', method: 'POST', body: 'short' },
  { path: '/limited', method: 'POST', body: 'x'.repeat(200) },
  { path: '/csrf', method: 'POST', headers: { ...form, origin: 'https://b.test' }, body: 'a=b' },
  { path: '/override', method: 'POST', headers: form, body: '_method=DELETE' },
  { path: '/echo', method: 'POST', headers: json, body: '{"a":"ü"}' },
  { path: '/echo', method: 'POST', headers: json, body: '{' },
  { path: '/echo', method: 'POST', headers: form, body: 'a=b&a=c&d=%20' },
  { path: '/echo', method: 'POST', headers: multipart, body: parts },
  { path: '/echo', method: 'POST', headers: { 'content-type': 'a/b' }, body: 'x'.repeat(300_000) },
  { path: '/validated', method: 'POST', headers: json, body: '{"a":"b"}' },
  { path: '/validated', method: 'POST', headers: json, body: '{"a":1}' },
  { path: '/stream' },
  { path: '/stream', method: 'HEAD' },
  { path: '/text' },
  { path: '/sse' },
  { path: '/cookies' },
  { path: '/cookies', cookies: true },
  { path: '/away' },
  { path: '/nothing' },
  { path: '/headers' },
  { path: '/clone', headers: { 'x-a': 'b' } },
  { path: '/refuses' },
  { path: '/fails' },
  { path: '/under/thing' },
  { path: '/elsewhere' },
];
