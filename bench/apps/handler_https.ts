/** The handler of handler.ts, over TLS. */
import type { ServeOptions } from 'gyrfalcon';
import { limits } from './limits.ts';

const { GYRFALCON_BENCH_CERT: cert = '', GYRFALCON_BENCH_KEY: key = '' } = process.env;

export default {
  ...limits,
  tls: { cert, key },
  fetch: () => new Response('Hello, World!'),
} satisfies ServeOptions;
