// Hono for the race, on Gyrfalcon, on Bun and on @hono/node-server.
import { serve } from '@hono/node-server';
import { Hono } from 'hono';
import { list, plain } from '../../../../bench/peers/work.mjs';

const app = new Hono()
  .get('/', (c) => c.text('Hello, World!'))
  .get('/json', (c) => c.json(list()))
  .get('/users/:id', (c) =>
    c.json({ id: c.req.param('id'), page: c.req.query('page'), sort: c.req.query('sort') }),
  )
  .post('/echo', async (c) => plain(await c.req.arrayBuffer()));

export const { fetch } = app;
export const listen = (port) => serve({ fetch, port, hostname: '127.0.0.1' });
