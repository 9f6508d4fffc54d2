/** Takes uploads: into a file of the folder GYRFALCON_BENCH_INTO, or, at /count, nowhere. */
import { createWriteStream } from 'node:fs';
import { unlink } from 'node:fs/promises';
import { join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import type { ServeOptions } from 'gyrfalcon';

const {
  GYRFALCON_BENCH_INTO: into = '',
  GYRFALCON_BENCH_CERT: cert = '',
  GYRFALCON_BENCH_KEY: key = '',
} = process.env;

export default {
  ...(cert === '' ? {} : { tls: { cert, key } }),
  maxRequestBodySize: 2 ** 31,
  routes: {
    '/count': async (request) => {
      let bytes = 0;
      for await (const piece of request.body ?? []) bytes += piece.length;
      return new Response(String(bytes));
    },
    '/file': async (request) => {
      const file = join(into, 'gyrfalcon.bin');
      const out = createWriteStream(file);
      await pipeline(request.body ?? [], out);
      await unlink(file);
      return new Response(String(out.bytesWritten));
    },
  },
  fetch: () => new Response('Hello, World!'),
} satisfies ServeOptions;
