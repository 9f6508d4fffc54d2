// Bun.serve with handlers that run for every request: the fetch handler, and a route with a parameter.
Bun.serve({
  port: Number(process.argv[2]),
  hostname: '127.0.0.1',
  routes: {
    '/users/:id': (request) => Response.json({ id: request.params.id }),
  },
  fetch: () => new Response('Hello, World!'),
});
