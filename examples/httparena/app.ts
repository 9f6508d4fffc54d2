/** What each profile asks for. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { defineApp, dir, type Handler, type Request } from 'gyrfalcon';
import { compressed } from './compressed.ts';
import { createItem, findItem, itemsByPrice, listItems, updateItem } from './crud.ts';
import { serverStream, unary } from './grpc.ts';
import { BadRequest, integer } from './query.ts';

const { DATA_DIR = '/data' } = process.env;

/** An item of the data set. */
interface Item {
  id: number;
  name: string;
  category: string;
  price: number;
  quantity: number;
  active: boolean;
  tags: string[];
  rating: { score: number; count: number };
}

const items = JSON.parse(readFileSync(join(DATA_DIR, 'dataset.json'), 'utf8')) as Item[];

function sumOfQuery(request: Request): number {
  const { searchParams } = new URL(request.url);
  return integer(searchParams, 'a') + integer(searchParams, 'b');
}

const sum = (request: Request): Response => new Response(String(sumOfQuery(request)));

/** The body is a third summand. */
async function sumWithBody(request: Request): Promise<Response> {
  const body = Number(await request.text());
  if (!Number.isInteger(body)) throw new BadRequest('The body is no integer');
  return new Response(String(sumOfQuery(request) + body));
}

/** The first items of the data set, each with a total. */
function json(request: Request<{ count: string }>): Response {
  const count = Number(request.params.count);
  if (!Number.isInteger(count) || count < 0) throw new BadRequest('/json/{count}: an integer');
  const multiplier = integer(new URL(request.url).searchParams, 'm', 1);
  const chosen = items.slice(0, count).map((item) => ({
    ...item,
    total: item.price * item.quantity * multiplier,
  }));
  return compressed(request, { items: chosen, count: chosen.length });
}

async function upload(request: Request): Promise<Response> {
  let bytes = 0;
  for await (const piece of request.body ?? []) bytes += piece.length;
  return new Response(String(bytes));
}

const notFound = (): Response => new Response('There is nothing here\n', { status: 404 });

/** What a handler threw. */
function error(thrown: Error): Response {
  if (thrown instanceof BadRequest) return new Response(`${thrown.message}\n`, { status: 400 });
  console.error(thrown);
  return new Response('Something went wrong\n', { status: 500 });
}

const app = defineApp({
  routes: {
    '/': new Response('An entry for HttpArena: README.md has what there is\n'),
    '/baseline11': { GET: sum, POST: sumWithBody },
    '/baseline2': sum,
    // A constant would be written down here as a Response. The rules ask for the usual way of a request.
    '/pipeline': () => new Response('ok'),
    '/json/:count': json,
    '/upload': { POST: upload },
    '/static/*': dir(join(DATA_DIR, 'static')),
    '/async-db': itemsByPrice,
    '/crud/items': { GET: listItems, POST: createItem },
    '/crud/items/:id': { GET: findItem, PUT: updateItem },
    '/benchmark.BenchmarkService/GetSum': { POST: unary(({ a, b }) => a + b) },
    '/benchmark.BenchmarkService/StreamSum': {
      POST: serverStream(function* ({ a, b, count }) {
        for (let i = 0; i < Math.max(1, count); i += 1) yield a + b + i;
      }),
    },
    '/ws': (request, server) =>
      server.upgrade(request)
        ? undefined
        : new Response('Here is a WebSocket\n', { status: 426, headers: { upgrade: 'websocket' } }),
  },
  websocket: {
    message: (ws, message) => {
      ws.send(message);
    },
  },
  fetch: notFound,
  error,
});

/** As `gyrfalcon start` and `gyrfalcon explain` take it too. */
export default app;

/** A handler of a port for HTTP/2 alone: what comes in HTTP/1 is refused. */
function overHttp2<Path extends string>(handler: Handler<Path>): Handler<Path> {
  return (request, server, context) =>
    request.httpVersion === '2.0'
      ? handler(request, server, context)
      : new Response('This port is for HTTP/2\n', { status: 505 });
}

/** The port for HTTP/2 in the clear. */
export const http2App = defineApp({
  routes: { '/baseline2': overHttp2(sum), '/json/:count': overHttp2(json) },
  fetch: overHttp2(notFound),
  error,
});
