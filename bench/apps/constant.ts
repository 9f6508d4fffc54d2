/** A constant route: the engine answers it, JavaScript is not asked. */
import type { ServeOptions } from 'gyrfalcon';
import { limits } from './limits.ts';

export default {
  ...limits,
  routes: {
    '/': new Response('Hello, World!', { headers: { 'Content-Type': 'text/plain' } }),
  },
} satisfies ServeOptions;
