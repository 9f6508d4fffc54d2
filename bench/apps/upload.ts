/**
 * Takes uploads: into a file of the folder GYRFALCON_BENCH_INTO, by a pipeline or by a reader with memory of its own, or,
 * at /count, nowhere.
 */
import { createWriteStream } from 'node:fs';
import { open, unlink } from 'node:fs/promises';
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
    '/byob': async (request) => {
      const path = join(into, 'gyrfalcon-byob.bin');
      const file = await open(path, 'w');
      let bytes = 0;
      try {
        const reader = request.body?.getReader({ mode: 'byob' });
        let memory = new ArrayBuffer(256 * 1024);
        while (reader !== undefined) {
          const { value, done } = await reader.read(new Uint8Array(memory));
          if (done) break;
          for (let at = 0; at < value.length; ) at += (await file.write(value, at)).bytesWritten;
          bytes += value.length;
          memory = value.buffer;
        }
      } finally {
        await file.close();
      }
      await unlink(path);
      return new Response(String(bytes));
    },
  },
  fetch: () => new Response('Hello, World!'),
} satisfies ServeOptions;
