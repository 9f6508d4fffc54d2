// Bun.serve with a static route: the response never reaches JavaScript.
const type = { headers: { 'Content-Type': 'text/plain' } };

Bun.serve({
  port: Number(process.argv[2]),
  hostname: '127.0.0.1',
  routes: { '/': new Response('Hello, World!', type) },
  fetch: () => new Response('no such route', { status: 404 }),
});
