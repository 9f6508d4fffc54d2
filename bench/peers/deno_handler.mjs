// Deno.serve with a handler that runs for every request: `deno_handler.mjs <port>`
Deno.serve(
  { port: Number(Deno.args[0]), hostname: '127.0.0.1' },
  () => new Response('Hello, World!'),
);
