// node:http with the workloads of the race, the paths told apart by hand: `node_work.mjs <port>`
import { createServer } from 'node:http';
import { count, item, list, user } from './work.mjs';

const listeners = new Set();

function send(response, type, body) {
  response.writeHead(200, { 'Content-Type': type, 'Content-Length': Buffer.byteLength(body) });
  response.end(body);
}
const sendText = (response, body) => send(response, 'text/plain', body);
const sendJson = (response, value) => send(response, 'application/json', JSON.stringify(value));

async function whole(request) {
  const pieces = [];
  for await (const piece of request) pieces.push(piece);
  return Buffer.concat(pieces);
}

const routes = {
  '/': (_request, response) => sendText(response, 'Hello, World!'),
  '/json': (_request, response) => sendJson(response, list()),
  '/query': async (_request, response, query) =>
    sendJson(response, await item(new URLSearchParams(query).get('id'))),
  '/echo': async (request, response) => sendText(response, await whole(request)),
  '/upload': async (request, response) => sendText(response, await count(request)),
  '/events': (_request, response) => {
    response.writeHead(200, { 'Content-Type': 'text/event-stream' });
    response.write(':\n\n');
    listeners.add(response);
    response.on('close', () => listeners.delete(response));
  },
  '/publish': async (request, response) => {
    const event = `data: ${await whole(request)}\n\n`;
    for (const listener of listeners) listener.write(event);
    sendText(response, '~');
  },
};

/** A client that goes in the middle of what it sends is nobody's mistake. */
function gone(error) {
  if (error.code !== 'ECONNRESET') throw error;
}

createServer((request, response) => {
  const [path, query = ''] = request.url.split('?');
  const route = routes[path];
  if (route !== undefined) return route(request, response, query)?.catch(gone);
  if (path.startsWith('/users/'))
    return sendJson(response, user(path.slice(7), new URLSearchParams(query)));
  response.writeHead(404).end();
}).listen(Number(process.argv[2]), '127.0.0.1', 2048);
