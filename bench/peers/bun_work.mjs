// Bun.serve with the workloads of the race: `bun_work.mjs <port>`
import { join } from 'node:path';
import { count, events, folder, list, plain, publish, user } from './work.mjs';

Bun.serve({
  port: Number(process.argv[2]),
  hostname: '127.0.0.1',
  // A listener waits for events for as long as it takes.
  idleTimeout: 0,
  routes: {
    '/json': () => Response.json(list()),
    '/users/:id': (request) =>
      Response.json(user(request.params.id, new URL(request.url).searchParams)),
    '/echo': async (request) => plain(await request.arrayBuffer()),
    '/upload': async (request) => plain(await count(request.body)),
    '/events': () => events(),
    '/publish': async (request) => plain(publish(await request.text())),
    '/:file': (request) => new Response(Bun.file(join(folder, request.params.file))),
  },
  fetch: () => new Response('Hello, World!'),
});
