// node:http2, the constant answer. `node_h2.mjs <port> [<certificate> <key>]`
import { readFileSync } from 'node:fs';
import { createSecureServer, createServer } from 'node:http2';

const [port, cert, key] = process.argv.slice(2);
const server =
  cert === undefined
    ? createServer()
    : createSecureServer({ cert: readFileSync(cert), key: readFileSync(key) });
server.on('stream', (stream) => {
  stream.respond({ ':status': 200, 'content-type': 'text/plain', 'content-length': 13 });
  stream.end('Hello, World!');
});
server.listen(Number(port), '127.0.0.1');
