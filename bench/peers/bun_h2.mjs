// Bun.serve over HTTP/2: a handler that runs for every request. `bun_h2.mjs <port> [<certificate> <key>]`
const [port, cert, key] = process.argv.slice(2);
Bun.serve({
  port: Number(port),
  hostname: '127.0.0.1',
  http2: true,
  ...(cert === undefined ? {} : { tls: { cert: Bun.file(cert), key: Bun.file(key) } }),
  fetch: () => new Response('Hello, World!'),
});
