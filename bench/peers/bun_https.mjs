// Bun.serve over TLS: a handler that runs for every request. `bun_https.mjs <port> <certificate> <key>`
const [port, cert, key] = process.argv.slice(2);
Bun.serve({
  port: Number(port),
  hostname: '127.0.0.1',
  tls: { cert: Bun.file(cert), key: Bun.file(key) },
  fetch: () => new Response('Hello, World!'),
});
