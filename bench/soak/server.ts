/** What bench/soak.mjs loads: every kind of answer and of body. It is forked, and tells of itself when it is asked. */
import { setTimeout as sleep } from 'node:timers/promises';
import { dir, type Request, Response, serve } from 'gyrfalcon';

const piece = new Uint8Array(16 * 1024).fill(0x61);

/** `count` pieces, each made when there is room for it. */
function streamOf(count: number): ReadableStream<Uint8Array> {
  let left = count;
  return new ReadableStream<Uint8Array>({
    pull(controller) {
      if (left === 0) controller.close();
      else controller.enqueue(piece);
      left -= 1;
    },
  });
}

/** Length and sum of a body that is read piece by piece; the sum again, and a trailer of the request, as trailers. */
async function digest(request: Request): Promise<Response> {
  let [length, sum] = [0, 0];
  for await (const bytes of request.body ?? []) {
    length += bytes.length;
    for (let i = 0; i < bytes.length; i += 1024) sum = (sum + (bytes[i] ?? 0)) >>> 0;
  }
  const trailers = await server.requestTrailers(request);
  server.responseTrailers(request, {
    'x-sum': String(sum),
    'x-mark': trailers.get('x-mark') ?? '',
  });
  return Response.json({ length, sum });
}

const server = serve({
  hostname: '127.0.0.1',
  port: 0,
  routes: {
    '/constant': new Response('constant\n'),
    '/files/*': dir(process.argv[2] ?? '.'),
    '/json/:id': (request) => Response.json({ id: request.params.id }),
    '/stream/:n': (request) => new Response(streamOf(Number(request.params.n))),
    '/echo': (request) => new Response(request.body),
    '/digest': digest,
    '/late': async () => {
      await sleep(20);
      return new Response('late\n');
    },
    '/fails': () => {
      throw new Error('intended');
    },
  },
  error: () => new Response('failed\n', { status: 500 }),
});

process.on('message', (word) => {
  if (word === 'sample') {
    const { rss, heapUsed, external, arrayBuffers } = process.memoryUsage();
    process.send?.({ stats: server.stats(), rss, heapUsed, external, arrayBuffers });
  }
  if (word === 'stop') void server.stop().then(() => process.disconnect());
});
process.on('disconnect', () => server.stop());
process.send?.({ port: server.port });
