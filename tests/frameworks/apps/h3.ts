/** h3 2, beside srvx. */
import { Readable } from 'node:stream';
import {
  deleteCookie,
  getQuery,
  getRouterParam,
  H3,
  HTTPError,
  handleCors,
  html,
  iterable,
  onError,
  parseCookies,
  readBody,
  redirect,
  setCookie,
} from 'h3';
import type { Running } from '../compare.ts';
import { onSrvx } from './srvx.ts';

function build(): H3 {
  const app = new H3({ silent: true });
  app.use((event) => {
    event.res.headers.set('x-middleware', 'yes');
  });
  app.use(onError((error, event) => void event.res.headers.set('x-error', `${error.status}`)));
  app.get('/', () => 'Hello');
  app.get('/json/:id', (event) => ({ id: getRouterParam(event, 'id'), query: getQuery(event) }));
  app.get('/html', () => html('<p>html</p>'));
  app.get('/response', () => new Response('made', { status: 202, headers: { 'x-a': 'b' } }));
  app.get('/about', (event) => {
    const { method, headers } = event.req;
    const { pathname, search } = event.url;
    return { method, pathname, search, headers: Object.fromEntries(headers) };
  });
  app.post('/echo', async (event) => ({ body: await readBody(event) }));
  app.post('/text', async (event) => event.req.text());
  app.post('/form', async (event) => {
    const form = await event.req.formData();
    return [...form].map(([name, value]) => [name, typeof value === 'string' ? value : value.size]);
  });
  app.get('/bytes', () => new Uint8Array([1, 2, 3]));
  app.get('/buffer', () => Buffer.from('buffer'));
  app.get('/blob', () => new Blob(['blob'], { type: 'a/b' }));
  app.get('/null', () => null);
  app.get('/true', () => true);
  app.get('/stream', () => new Blob(['a', 'b']).stream());
  app.get('/readable', () => Readable.toWeb(Readable.from(['a', 'b'])));
  app.get('/iterable', () =>
    iterable(async function* () {
      yield 'a';
      yield { b: 1 };
      yield new Uint8Array([99]);
    }),
  );
  app.get('/cookies', (event) => {
    setCookie(event, 'plain', 'a b', { httpOnly: true });
    deleteCookie(event, 'old');
    return { ...parseCookies(event) };
  });
  app.get('/status', (event) => {
    event.res.status = 203;
    event.res.statusText = 'Other';
    event.res.headers.append('link', '<a>');
    event.res.headers.append('link', '<b>');
    return 'status';
  });
  app.all('/cors', (event) => {
    const answered = handleCors(event, { origin: ['https://a.test'], methods: ['GET'] });
    return answered === false ? 'cors' : answered;
  });
  app.get('/away', () => redirect('/json/1', 307));
  app.get('/refuses', () => {
    throw new HTTPError({ status: 418, message: 'tea', data: { a: 1 } });
  });
  app.get('/fails', async () => {
    throw new Error('failed');
  });
  app.mount(
    '/under',
    new H3().get('/thing', (event) => event.url.pathname),
  );
  return app;
}

export async function make(): Promise<{ fetch: H3['fetch'] }> {
  return { fetch: build().fetch };
}

export async function peer(): Promise<Running> {
  return onSrvx(build().fetch);
}

const json = { 'content-type': 'application/json' };
const form = { 'content-type': 'application/x-www-form-urlencoded' };

export const requests = [
  { path: '/' },
  { path: '/', method: 'HEAD' },
  { path: '/', method: 'POST' },
  { path: '/json/7?a=b&a=c' },
  { path: '/html' },
  { path: '/response' },
  { path: '/about?x=%20', headers: { 'x-a': 'b' } },
  { path: '/echo', method: 'POST', headers: json, body: '{"a":"ü"}' },
  { path: '/echo', method: 'POST', headers: json, body: '{' },
  { path: '/echo', method: 'POST', headers: form, body: 'a=b&c=d' },
  { path: '/text', method: 'POST', body: 'x'.repeat(300_000) },
  { path: '/form', method: 'POST', headers: form, body: 'a=b&c=d' },
  { path: '/bytes' },
  { path: '/buffer' },
  { path: '/blob' },
  { path: '/null' },
  { path: '/true' },
  { path: '/stream' },
  { path: '/stream', method: 'HEAD' },
  { path: '/readable' },
  { path: '/iterable' },
  { path: '/cookies' },
  { path: '/cookies', cookies: true },
  { path: '/status' },
  { path: '/cors', headers: { origin: 'https://a.test' } },
  {
    path: '/cors',
    method: 'OPTIONS',
    headers: { origin: 'https://a.test', 'access-control-request-method': 'GET' },
  },
  { path: '/away' },
  { path: '/refuses' },
  { path: '/fails' },
  { path: '/under/thing' },
  { path: '/elsewhere' },
];
