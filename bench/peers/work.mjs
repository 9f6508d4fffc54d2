// What every server in JavaScript does for a request, whatever runs it: Gyrfalcon, Bun, Deno, node:http, the frameworks.
import { readFileSync } from 'node:fs';
import { env } from 'node:process';

const items = JSON.parse(readFileSync(env.GYRFALCON_BENCH_DATA, 'utf8'));

/** The folder of files. */
export const folder = env.GYRFALCON_BENCH_WWW;

/** Computes the total of every item: what /json sends. */
export const list = () => ({
  items: items.map((item) => ({ ...item, total: item.price * item.quantity })),
  count: items.length,
});

/** What /users/:id?page=&sort= sends. `query`: URLSearchParams */
export const user = (id, query) => ({ id, page: query.get('page'), sort: query.get('sort') });

const database = env.GYRFALCON_BENCH_POSTGRES;
/** Connections to Postgres, where the race has one. */
const pool =
  database === undefined
    ? null
    : new (await import('pg')).default.Pool({ connectionString: database, max: 16 });
const oneItem = { name: 'one', text: 'SELECT id, name, price FROM items WHERE id = $1' };

/** What /query?id= sends: a row of the table. */
export const item = async (id) => (await pool.query({ ...oneItem, values: [id] })).rows[0];

/** The length of a body that comes as a stream. */
export async function count(body) {
  let bytes = 0;
  for await (const piece of body ?? []) bytes += piece.length;
  return String(bytes);
}

const typed = { headers: { 'Content-Type': 'text/plain' } };
/** A response of plain text, as POST /echo and /upload send it. */
export const plain = (body) => new Response(body, typed);

const encoder = new TextEncoder();
/** Streams that are open, of whatever server. */
const listeners = new Set();

/** GET /events: a stream of events, which a comment opens. */
export function events() {
  let own;
  const stream = new ReadableStream({
    start(controller) {
      own = controller;
      controller.enqueue(encoder.encode(':\n\n'));
      listeners.add(controller);
    },
    cancel() {
      listeners.delete(own);
    },
  });
  return new Response(stream, { headers: { 'Content-Type': 'text/event-stream' } });
}

/** POST /publish: its body is an event for each of them. */
export function publish(message) {
  const event = encoder.encode(`data: ${message}\n\n`);
  for (const controller of listeners) controller.enqueue(event);
  return '~';
}

/** The table of those servers that have one, Gyrfalcon and Bun. */
export const routes = {
  '/json': () => Response.json(list()),
  '/users/:id': (request) =>
    Response.json(user(request.params.id, new URL(request.url).searchParams)),
  '/query': async (request) =>
    Response.json(await item(new URL(request.url).searchParams.get('id'))),
  '/echo': async (request) => plain(await request.arrayBuffer()),
  '/upload': async (request) => plain(await count(request.body)),
  '/events': () => events(),
  '/publish': async (request) => plain(publish(await request.text())),
};
