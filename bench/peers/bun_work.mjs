// Bun.serve with the workloads of the race: `bun_work.mjs <port>`
import { join } from 'node:path';
import { folder, routes } from './work.mjs';

Bun.serve({
  port: Number(process.argv[2]),
  hostname: '127.0.0.1',
  // A listener waits for events for as long as it takes.
  idleTimeout: 0,
  routes: {
    ...routes,
    '/:file': (request) => new Response(Bun.file(join(folder, request.params.file))),
  },
  fetch: () => new Response('Hello, World!'),
});
