// node:http2, the constant answer, in clear text. `node_h2.mjs <port>`
import { createServer } from 'node:http2';

const server = createServer();
server.on('stream', (stream) => {
  stream.respond({ ':status': 200, 'content-type': 'text/plain', 'content-length': 13 });
  stream.end('Hello, World!');
});
server.listen(Number(process.argv[2]), '127.0.0.1');
