/** Items in Postgres: a range of prices, a paginated list, and one at a time, which is cached for a moment. */
import type { Request } from 'gyrfalcon';
import pg from 'pg';
import { openCache } from './cache.ts';
import { BadRequest, integer, within } from './query.ts';

const { DATABASE_URL, DATABASE_MAX_CONN = '256', PROCESSES = '1' } = process.env;

interface Row {
  id: number;
  name: string;
  category: string;
  price: number;
  quantity: number;
  active: boolean;
  tags: string[];
  rating_score: number;
  rating_count: number;
}

/** What clients send of an item. */
interface Fields {
  name: string;
  category: string | null;
  price: number;
  quantity: number;
}

const columns = 'id, name, category, price, quantity, active, tags, rating_score, rating_count';

const itemOf = ({ rating_score: score, rating_count: count, ...item }: Row) => ({
  ...item,
  rating: { score, count },
});

/** All processes together may have so many connections. */
function openPool(): pg.Pool {
  const max = Math.max(1, Math.floor(Number(DATABASE_MAX_CONN) / Number(PROCESSES)));
  const pool = new pg.Pool({ connectionString: DATABASE_URL, max });
  // A connection that breaks while nobody uses it: the pool opens another when it needs one.
  pool.on('error', (error) => console.error(`Postgres: ${error.message}`));
  return pool;
}

const pool = DATABASE_URL === undefined ? null : openPool();
const cache = openCache();

/** Rows of a statement that each connection prepares once. */
async function rowsOf(name: string, text: string, values: unknown[]): Promise<Row[]> {
  if (pool === null) throw new Error('There is no database: set DATABASE_URL');
  const { rows } = await pool.query<Row>({ name, text, values });
  return rows;
}

/** GET /async-db?min=&max=&limit= */
export async function itemsByPrice(request: Request): Promise<Response> {
  const query = new URL(request.url).searchParams;
  const values = [
    integer(query, 'min', 10),
    integer(query, 'max', 50),
    within(query, 'limit', 50, [1, 50]),
  ];
  const text = `SELECT ${columns} FROM items WHERE price BETWEEN $1 AND $2 LIMIT $3`;
  try {
    const items = (await rowsOf('items-by-price', text, values)).map(itemOf);
    return Response.json({ items, count: items.length });
  } catch (error) {
    // The profile asks for an empty list, not an error, while there is no database.
    console.error(error);
    return Response.json({ items: [], count: 0 });
  }
}

/** GET /crud/items?category=&page=&limit= */
export async function listItems(request: Request): Promise<Response> {
  const query = new URL(request.url).searchParams;
  const page = within(query, 'page', 1, [1, 1_000_000]);
  const limit = within(query, 'limit', 10, [1, 50]);
  const values = [query.get('category') ?? 'electronics', limit, (page - 1) * limit];
  const text = `SELECT ${columns} FROM items WHERE category = $1 ORDER BY id LIMIT $2 OFFSET $3`;
  const items = (await rowsOf('items-of-category', text, values)).map(itemOf);
  return Response.json({ items, total: items.length, page, limit });
}

const noItem = (): Response => Response.json({ error: 'no such item' }, { status: 404 });

/** GET /crud/items/{id} */
export async function findItem(request: Request<{ id: string }>): Promise<Response> {
  const id = idOf(request.params.id);
  const cached = await cache.get(id);
  if (cached !== null) return itemResponse(cached, 'HIT');
  const text = `SELECT ${columns} FROM items WHERE id = $1`;
  const [row] = await rowsOf('item', text, [id]);
  if (row === undefined) return noItem();
  const json = JSON.stringify(itemOf(row));
  await cache.set(id, json);
  return itemResponse(json, 'MISS');
}

const itemResponse = (json: string, found: 'HIT' | 'MISS'): Response =>
  new Response(json, { headers: { 'content-type': 'application/json', 'x-cache': found } });

/** POST /crud/items */
export async function createItem(request: Request): Promise<Response> {
  const body = await bodyOf(request);
  const { name, category, price, quantity } = fieldsOf(body);
  const id = integerOf(body, 'id');
  const text = `INSERT INTO items (${columns}) VALUES ($1, $2, $3, $4, $5, true, '[]', 0, 0)
    ON CONFLICT (id) DO UPDATE SET name = $2, category = $3, price = $4, quantity = $5
    RETURNING ${columns}`;
  const [row] = await rowsOf('create-item', text, [id, name, category ?? '', price, quantity]);
  await cache.delete(id);
  return Response.json(itemOf(row as Row), { status: 201 });
}

/** PUT /crud/items/{id} */
export async function updateItem(request: Request<{ id: string }>): Promise<Response> {
  const id = idOf(request.params.id);
  const { name, category, price, quantity } = fieldsOf(await bodyOf(request));
  const text = `UPDATE items SET name = $2, category = coalesce($3, category), price = $4, quantity = $5
    WHERE id = $1 RETURNING ${columns}`;
  const [row] = await rowsOf('update-item', text, [id, name, category, price, quantity]);
  await cache.delete(id);
  return row === undefined ? noItem() : Response.json(itemOf(row));
}

type Body = Readonly<Record<string, unknown>>;

async function bodyOf(request: Request): Promise<Body> {
  const body: unknown = await request.json().catch(() => null);
  if (typeof body !== 'object' || body === null) throw new BadRequest('The body is no JSON object');
  return body as Body;
}

function fieldsOf(body: Body): Fields {
  const { name, category = null } = body;
  if (typeof name !== 'string') throw new BadRequest('name has to be text');
  if (category !== null && typeof category !== 'string') {
    throw new BadRequest('category has to be text');
  }
  return {
    name,
    category,
    price: integerOf(body, 'price'),
    quantity: integerOf(body, 'quantity'),
  };
}

/** Postgres has integers of 32 bits. */
const isInteger = (value: unknown): value is number =>
  typeof value === 'number' && value === (value | 0);

function integerOf(body: Body, name: string): number {
  const value = body[name];
  if (!isInteger(value)) throw new BadRequest(`${name} has to be an integer`);
  return value;
}

function idOf(text: string): number {
  const id = Number(text);
  if (!isInteger(id)) throw new BadRequest('/crud/items/{id}: an integer');
  return id;
}
