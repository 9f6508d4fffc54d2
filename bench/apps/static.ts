/** DirServer on the folder that the race has filled. */
import { dir, type ServeOptions } from 'gyrfalcon';
import { limits } from './limits.ts';

export default {
  ...limits,
  routes: {
    '/*': dir(process.env.GYRFALCON_BENCH_WWW ?? '.'),
  },
} satisfies ServeOptions;
