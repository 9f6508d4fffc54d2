/** Koa with its router. */
import { createReadStream } from 'node:fs';
import { Readable } from 'node:stream';
import Router from '@koa/router';
import Koa from 'koa';

export async function make(): Promise<{ node: ReturnType<Koa['callback']> }> {
  const app = new Koa({ keys: ['secret'] });
  app.silent = true;
  const router = new Router();
  app.use(async (ctx, next) => {
    await next();
    ctx.set('X-Status', `${ctx.status}`);
  });
  router.get('/', (ctx) => {
    ctx.body = 'Hello';
  });
  router.get('/html', (ctx) => {
    ctx.body = '<p>html</p>';
  });
  router.get('/json/:id', (ctx) => {
    ctx.body = { id: ctx.params.id, query: ctx.query };
  });
  router.get('/about', (ctx) => {
    const { method, url, originalUrl, origin, href, path, querystring, host, hostname } = ctx;
    const { protocol, secure, ip, ips, fresh, stale, idempotent, subdomains } = ctx;
    ctx.body = {
      ...{ method, url, originalUrl, origin, href, path, querystring, host, hostname },
      ...{ protocol, secure, ip, ips, fresh, stale, idempotent, subdomains },
      writable: ctx.writable,
    };
  });
  router.post('/echo', async (ctx) => {
    let text = '';
    for await (const chunk of ctx.req) text += chunk;
    ctx.status = 201;
    ctx.body = { length: ctx.length, type: ctx.request.type, text };
  });
  router.get('/bytes', (ctx) => {
    ctx.body = Buffer.from([1, 2, 3]);
  });
  router.get('/stream', (ctx) => {
    ctx.body = Readable.from(['a', 'b', 'c']);
  });
  router.get('/file', (ctx) => {
    ctx.type = 'json';
    ctx.body = createReadStream(new URL('package.json', import.meta.url));
  });
  router.get('/blob', (ctx) => {
    ctx.body = new Blob(['blob']);
  });
  router.get('/web', (ctx) => {
    ctx.body = new Response('web', { status: 202, headers: { 'x-web': 'w' } });
  });
  router.get('/null', (ctx) => {
    ctx.body = null;
  });
  router.get('/etag', (ctx) => {
    ctx.etag = 'tag';
    ctx.status = 200;
    if (ctx.fresh) ctx.status = 304;
    else ctx.body = 'tagged';
  });
  router.get('/away', (ctx) => ctx.redirect('/json/1'));
  router.get('/cookies', (ctx) => {
    ctx.cookies.set('name', 'value', { signed: true });
    ctx.body = ctx.cookies.get('name', { signed: true }) ?? 'none';
  });
  router.get('/throws', (ctx) => ctx.throw(418, 'tea', { headers: { 'X-Error': 'e' } }));
  router.get('/fails', () => {
    throw new Error('failed');
  });
  router.get('/raw', (ctx) => {
    ctx.respond = false;
    ctx.res.statusCode = 200;
    ctx.res.end('raw');
  });
  app.use(router.routes()).use(router.allowedMethods());
  return { node: app.callback() };
}

const json = { 'content-type': 'application/json' };

export const requests = [
  { path: '/' },
  { path: '/', method: 'HEAD' },
  { path: '/', method: 'OPTIONS' },
  { path: '/', method: 'POST' },
  { path: '/html' },
  { path: '/json/1?a=b&a=c' },
  { path: '/about?x', headers: { host: 'a.b.c.test' } },
  { path: '/echo', method: 'POST', headers: json, body: '{"a":1}' },
  { path: '/echo', method: 'POST', body: 'x'.repeat(200_000) },
  { path: '/bytes' },
  { path: '/stream' },
  { path: '/stream', method: 'HEAD' },
  { path: '/file' },
  { path: '/blob' },
  { path: '/web' },
  { path: '/null' },
  { path: '/etag' },
  { path: '/etag', headers: { 'if-none-match': '"tag"' } },
  { path: '/away' },
  { path: '/away', headers: { accept: 'text/html' } },
  { path: '/cookies' },
  { path: '/cookies', cookies: true },
  { path: '/throws' },
  { path: '/fails' },
  { path: '/raw' },
  { path: '/elsewhere' },
];
