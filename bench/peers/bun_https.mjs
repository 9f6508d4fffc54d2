// Bun.serve over TLS: a handler that runs for every request; a path other than `/` is that of a file.
// `bun_https.mjs <port> <certificate> <key>`
const [port, cert, key] = process.argv.slice(2);
Bun.serve({
  port: Number(port),
  hostname: '127.0.0.1',
  tls: { cert: Bun.file(cert), key: Bun.file(key) },
  fetch: ({ url }) => {
    const path = new URL(url).pathname;
    return new Response(path === '/' ? 'Hello, World!' : Bun.file(path));
  },
});
