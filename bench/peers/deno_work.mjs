// Deno.serve with the workloads of the race, the paths told apart by hand: `deno_work.mjs <port>`
import { count, events, folder, item, list, plain, publish, user } from './work.mjs';

/** What has a path of its own. */
const routes = {
  '/': () => new Response('Hello, World!'),
  '/json': () => Response.json(list()),
  '/query': async (_request, query) => Response.json(await item(query.get('id'))),
  '/echo': async (request) => plain(await request.arrayBuffer()),
  '/upload': async (request) => plain(await count(request.body)),
  '/events': () => events(),
  '/publish': async (request) => plain(publish(await request.text())),
};

async function file(path) {
  const opened = await Deno.open(`${folder}${path}`);
  const { size } = await opened.stat();
  const headers = { 'Content-Type': 'text/plain', 'Content-Length': String(size) };
  return new Response(opened.readable, { headers });
}

Deno.serve({ port: Number(Deno.args[0]), hostname: '127.0.0.1' }, (request) => {
  const { pathname, searchParams } = new URL(request.url);
  const route = routes[pathname];
  if (route !== undefined) return route(request, searchParams);
  if (pathname.startsWith('/users/')) return Response.json(user(pathname.slice(7), searchParams));
  return file(pathname);
});
