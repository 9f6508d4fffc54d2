// Elysia for the race, on Gyrfalcon, on Bun and on @hono/node-server (on srvx it answers in chunks).
import { serve } from '@hono/node-server';
import { Elysia } from 'elysia';
import { list, plain } from '../../../../bench/peers/work.mjs';

const app = new Elysia()
  .get('/', () => 'Hello, World!')
  .get('/json', () => list())
  .get('/users/:id', ({ params, query }) => ({
    id: params.id,
    page: query.page,
    sort: query.sort,
  }))
  .post('/echo', ({ body }) => plain(body), { parse: 'arrayBuffer' });

export const fetch = (request) => app.fetch(request);
export const listen = (port) => serve({ fetch, port, hostname: '127.0.0.1' });
export const bun = (where) => app.listen(where);
