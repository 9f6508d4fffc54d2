// h3 2 for the race, on Gyrfalcon and on srvx.
import { H3 } from 'h3';
import { serve } from 'srvx';
import { list, user } from '../../../../bench/peers/work.mjs';

const app = new H3()
  .get('/', () => 'Hello, World!')
  .get('/json', () => list())
  .get('/users/:id', (event) => user(event.context.params.id, event.url.searchParams))
  .post('/echo', async (event) => {
    const body = new Uint8Array(await event.req.arrayBuffer());
    event.res.headers.set('Content-Type', 'text/plain');
    return body;
  });

export const { fetch } = app;
export const listen = (port) => serve({ fetch, port, hostname: '127.0.0.1', silent: true });
