/** The workloads of the race, as those of bench/peers/bun_work.mjs. */
import type { ServeOptions } from 'gyrfalcon';
import { count, events, list, plain, publish, user } from '../peers/work.mjs';
import { limits } from './limits.ts';

export default {
  ...limits,
  routes: {
    '/json': () => Response.json(list()),
    '/users/:id': (request) =>
      Response.json(user(request.params.id, new URL(request.url).searchParams)),
    '/echo': async (request) => plain(await request.arrayBuffer()),
    '/upload': async (request) => plain(await count(request.body)),
    '/events': () => events(),
    '/publish': async (request) => plain(publish(await request.text())),
  },
  fetch: () => new Response('Hello, World!'),
} satisfies ServeOptions;
