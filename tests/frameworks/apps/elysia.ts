/** Elysia, beside srvx. */
import { Elysia, form, redirect, sse, status, t } from 'elysia';
import type { Running } from '../compare.ts';
import { onSrvx } from './srvx.ts';

const build = () =>
  new Elysia({ aot: false })
    .onRequest(({ set }) => {
      set.headers['x-middleware'] = 'yes';
    })
    .get('/', () => 'Hello')
    .get('/constant', 'constant')
    .get('/number/:id', ({ params: { id } }) => ({ id }), { params: t.Object({ id: t.Number() }) })
    .get('/about', ({ request, path, query, headers }) => {
      const { method, url } = request;
      return { method, search: new URL(url).search, path, query, headers };
    })
    .post('/echo', ({ body }) => ({ body }))
    .post('/person', ({ body }) => body.name, { body: t.Object({ name: t.String() }) })
    .post('/upload', ({ body }) => ({ name: body.file.name, size: body.file.size }), {
      body: t.Object({ file: t.File() }),
    })
    .get('/response', () => new Response('made', { status: 202, headers: { 'x-a': 'b' } }))
    .get('/bytes', () => new Uint8Array([1, 2, 3]))
    .get('/form', () => form({ a: 'b' }).constructor.name)
    .get('/generator', function* () {
      yield 'a';
      yield 'b';
    })
    .get('/later', async function* () {
      for (const part of ['a', 'b', 'c']) {
        yield part;
        await new Promise((resolve) => setTimeout(resolve, 2));
      }
    })
    .get('/sse', function* () {
      yield sse({ event: 'e', data: { a: 1 } });
      yield sse('text');
    })
    .get('/stream', () => new Blob(['streamed']).stream())
    .get('/cookies', ({ cookie: { name, old } }) => {
      const before = name?.value;
      name?.set({ value: 'a b', httpOnly: true });
      old?.remove();
      return String(before);
    })
    .get('/status', ({ set }) => {
      set.status = 203;
      set.headers.link = '<a>';
      return 'status';
    })
    .get('/tea', () => status(418, 'tea'))
    .get('/away', () => redirect('/number/1', 307))
    .get('/fails', () => {
      throw new Error('failed');
    })
    .onError(({ code, error }) => {
      if (code === 'UNKNOWN') return new Response((error as Error).message, { status: 500 });
    })
    .group('/under', (app) =>
      app.derive(() => ({ extra: 'derived' })).get('/thing', ({ extra }) => extra),
    );

export async function make(): Promise<{
  fetch: (request: Request) => Response | Promise<Response>;
}> {
  const app = build();
  return { fetch: (request) => app.fetch(request) };
}

export async function peer(): Promise<Running> {
  const app = build();
  return onSrvx((request) => app.fetch(request));
}

const json = { 'content-type': 'application/json' };
const urlencoded = { 'content-type': 'application/x-www-form-urlencoded' };
const multipart = { 'content-type': 'multipart/form-data; boundary=xyz' };
const parts =
  '--xyz\r\nContent-Disposition: form-data; name="file"; filename="f.txt"\r\n' +
  'Content-Type: text/plain\r\n\r\ntext\r\n--xyz--\r\n';

export const requests = [
  { path: '/' },
  { path: '/', method: 'POST' },
  { path: '/constant' },
  { path: '/number/7' },
  { path: '/number/seven' },
  { path: '/about?x=%20&y=1', headers: { 'x-a': 'b' } },
  { path: '/echo', method: 'POST', headers: json, body: '{"a":"ü"}' },
  { path: '/echo', method: 'POST', headers: json, body: '{' },
  { path: '/echo', method: 'POST', headers: urlencoded, body: 'a=b&c=d' },
  { path: '/echo', method: 'POST', headers: { 'content-type': 'text/plain' }, body: 'text' },
  { path: '/person', method: 'POST', headers: json, body: '{"name":"n"}' },
  { path: '/person', method: 'POST', headers: json, body: '{"name":7}' },
  { path: '/upload', method: 'POST', headers: multipart, body: parts },
  { path: '/response' },
  { path: '/bytes' },
  { path: '/form' },
  { path: '/generator' },
  { path: '/later' },
  { path: '/sse' },
  { path: '/stream' },
  { path: '/cookies' },
  { path: '/cookies', cookies: true },
  { path: '/status' },
  { path: '/tea' },
  { path: '/away' },
  { path: '/fails' },
  { path: '/under/thing' },
  { path: '/elsewhere' },
];
