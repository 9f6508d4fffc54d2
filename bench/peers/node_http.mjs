// node:http as its manual writes it: one handler, head and body in one call.
import { createServer } from 'node:http';

const body = 'Hello, World!';
const fields = { 'Content-Type': 'text/plain', 'Content-Length': body.length };

createServer((_request, response) => {
  response.writeHead(200, fields);
  response.end(body);
}).listen(Number(process.argv[2]), '127.0.0.1', 2048);
