/** Handlers that run for every request, as those of bench/peers/bun_handler.mjs do. */
import type { ServeOptions } from 'gyrfalcon';
import { limits } from './limits.ts';

export default {
  ...limits,
  routes: {
    '/users/:id': (request) => Response.json({ id: request.params.id }),
  },
  fetch: () => new Response('Hello, World!'),
} satisfies ServeOptions;
