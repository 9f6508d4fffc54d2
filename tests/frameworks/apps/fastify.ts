/** Fastify: schemas, hooks, streams, its own errors. */
import { Readable } from 'node:stream';
import Fastify, { type FastifyInstance } from 'fastify';
import { listen, type Running } from '../compare.ts';

function build(): FastifyInstance {
  const app = Fastify({ bodyLimit: 10_000, trustProxy: '127.0.0.1' });
  app.addHook('onRequest', async (_request, reply) => {
    reply.header('x-hook', 'on request');
  });
  app.addHook('onSend', async (_request, reply, payload) => {
    reply.header('x-sent', typeof payload);
    return payload;
  });
  app.get('/', async () => ({ hello: 'world' }));
  const params = { type: 'object', properties: { id: { type: 'integer' } } };
  const response = { 200: { type: 'object', properties: { id: { type: 'integer' } } } };
  app.get('/number/:id', { schema: { params, response } }, async (request) => ({
    id: (request.params as { id: number }).id,
    secret: 'left out by the schema',
  }));
  app.get('/about', async (request) => {
    const { method, url, originalUrl, ip, ips, hostname, host, port, protocol, query } = request;
    const { headers } = request;
    return { method, url, originalUrl, ip, ips, hostname, host, port, protocol, query, headers };
  });
  app.post('/echo', async (request, reply) => {
    reply.code(201);
    return request.body;
  });
  app.addContentTypeParser('application/x-lines', (_request, payload, done) => {
    let text = '';
    payload.setEncoding('utf8');
    payload.on('data', (chunk: string) => {
      text += chunk;
    });
    payload.on('end', () => done(null, text.split('\n')));
  });
  app.get('/stream', (_request, reply) => reply.type('text/plain').send(Readable.from(['a', 'b'])));
  app.get('/web', () => new Response('a web response', { status: 202, headers: { 'x-web': 'w' } }));
  app.get('/bytes', (_request, reply) => reply.send(Buffer.from([1, 2, 3])));
  app.get('/nothing', (_request, reply) => reply.code(204).send());
  app.get('/away', (_request, reply) => reply.redirect('/number/1', 303));
  app.get('/raw', (request, reply) => {
    reply.hijack();
    reply.raw.writeHead(200, { 'Content-Type': 'text/plain' });
    reply.raw.end(`raw ${request.raw.url}`);
  });
  app.get('/trailers', (_request, reply) => {
    reply.trailer('x-sum', async (_reply, payload) => `${String(payload).length}`);
    reply.send('text');
  });
  app.get('/throws', async () => {
    throw Object.assign(new Error('thrown'), { statusCode: 418, code: 'TEA' });
  });
  app.get('/fails', async () => {
    throw new Error('failed');
  });
  app.register(
    async (scope) => {
      scope.setErrorHandler((error, _request, reply) => {
        reply.code(422).send({ told: (error as Error).message });
      });
      scope.get('/fails', async () => {
        throw new Error('in a scope');
      });
    },
    { prefix: '/scope' },
  );
  return app;
}

export async function make(): Promise<{ node: FastifyInstance }> {
  return { node: build() };
}

export async function peer(): Promise<Running> {
  const app = build();
  await app.ready();
  return listen(app.server);
}

const json = { 'content-type': 'application/json' };

export const requests = [
  { path: '/' },
  { path: '/', method: 'HEAD' },
  { path: '/', method: 'PUT' },
  { path: '/number/7' },
  { path: '/number/seven' },
  { path: '/about?a=1&a=2', headers: { 'x-a': 'b', host: 'a.test:81' } },
  { path: '/about', headers: { 'x-forwarded-for': '1.2.3.4', 'x-forwarded-host': 'b.test' } },
  { path: '/echo', method: 'POST', headers: json, body: '{"a":[1,"ü"]}' },
  { path: '/echo', method: 'POST', headers: json, body: '{"a":' },
  { path: '/echo', method: 'POST', headers: json, body: '' },
  { path: '/echo', method: 'POST', headers: json, body: '{"__proto__":{}}' },
  { path: '/echo', method: 'POST', headers: json, body: JSON.stringify('x'.repeat(20_000)) },
  { path: '/echo', method: 'POST', headers: { 'content-type': 'text/plain' }, body: 'text' },
  { path: '/echo', method: 'POST', headers: { 'content-type': 'a/b' }, body: 'text' },
  {
    path: '/echo',
    method: 'POST',
    headers: { 'content-type': 'application/x-lines' },
    body: 'a\nb',
  },
  { path: '/stream' },
  { path: '/stream', method: 'HEAD' },
  { path: '/web' },
  { path: '/bytes' },
  { path: '/nothing' },
  { path: '/away' },
  { path: '/raw?q' },
  { path: '/trailers' },
  { path: '/throws' },
  { path: '/fails' },
  { path: '/scope/fails' },
  { path: '/elsewhere' },
];
