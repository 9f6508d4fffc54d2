/** The framework that GYRFALCON_BENCH_FRAMEWORK names, as tests/frameworks/apps/race has it. */
import type { ServeOptions } from 'gyrfalcon';
import { nodeHandler } from 'gyrfalcon/node';
import { limits } from './limits.ts';

const name = process.env.GYRFALCON_BENCH_FRAMEWORK;
const app = await import(
  new URL(`../../tests/frameworks/apps/race/${name}.mjs`, import.meta.url).href
);

export default {
  ...limits,
  fetch: 'node' in app ? nodeHandler(app.node) : app.fetch,
} satisfies ServeOptions;
