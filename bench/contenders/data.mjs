// What the race asks for: bodies, the folder of files, the data set.
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { home } from '../lib/tools.mjs';

/** Content-Type of the small response. */
export const text = /^text\/plain/;
export const json = /^application\/json/;

/** Body of the small response. */
export const hello = Buffer.from('Hello, World!');

/** Body of the file: 6150 bytes of text. */
export const file6150 = Buffer.from(
  'The gyrfalcon is the largest of the falcons.\n'.repeat(137).slice(0, 6150),
);

/** A page and what belongs to it: twenty files, whose sizes are spread as those of pages are, bytes. */
export const mixedSizes = [
  200, 400, 700, 1200, 1800, 2500, 3300, 4500, 6150, 8000, 10_000, 13_000, 17_000, 22_000, 28_000,
  36_000, 48_000, 64_000, 90_000, 130_000,
];
export const mixedBody = (bytes) => Buffer.alloc(bytes, file6150);
/** Body of the large file: 1 MiB. */
export const file1m = Buffer.alloc(2 ** 20, file6150);

/** What is posted and comes back: 1 KiB. */
export const posted = Buffer.alloc(1024, file6150);
/** What is uploaded and counted: 20 MB. */
export const uploaded = Buffer.alloc(20_000_000, file6150);

const categories = ['tools', 'garden', 'kitchen', 'books', 'music'];
const tags = ['new', 'sale', 'heavy', 'fragile', 'used', 'gift', 'large'];

/** The data set: fifty items of a shop. Numbers are whole, so that every language writes them alike. */
export const items = Array.from({ length: 50 }, (_, at) => ({
  id: at + 1,
  name: `Item number ${at + 1}`,
  category: categories[at % categories.length],
  price: 99 + ((at * 7919) % 10_000),
  quantity: 1 + ((at * 31) % 20),
  active: at % 3 !== 0,
  tags: [tags[at % tags.length], tags[(at * 3 + 1) % tags.length]],
  rating: { score: (at * 13) % 51, count: (at * 97) % 1000 },
}));

/** What is made of it for each request: every item with its total, and their number. */
export const listed = Buffer.from(
  JSON.stringify({
    items: items.map((item) => ({ ...item, total: item.price * item.quantity })),
    count: items.length,
  }),
);

/** The folder that is served. */
export const www = join(home, 'www');
export const helloFile = join(www, 'hello.txt');
export const file = join(www, 'file.txt');

const data = join(home, 'data');
/** Files for the programs of the race: the data set, bodies of the floor, what clients send. */
export const files = {
  items: join(data, 'items.json'),
  list: join(data, 'list.json'),
  posted: join(data, 'posted.txt'),
  uploaded: join(data, 'uploaded.txt'),
  user: join(data, 'user.json'),
};

/** A route with a parameter and a query, and what comes of it. */
export const user = {
  path: '/users/4711?page=3&sort=name',
  body: Buffer.from('{"id":"4711","page":"3","sort":"name"}'),
};

/** A row of a table, and what comes of it: bench/lib/postgres.mjs makes the table. */
export const queried = {
  path: '/query?id=4711',
  body: Buffer.from('{"id":4711,"name":"Item number 4711","price":6409}'),
};

/** What every server of the race finds in its environment. */
export const environment = {
  GYRFALCON_BENCH_DATA: files.items,
  GYRFALCON_BENCH_WWW: www,
  // Runtimes and frameworks do more for each request while a program is being written.
  NODE_ENV: 'production',
};

/** Writes them all. */
export async function prepareFiles() {
  await mkdir(www, { recursive: true });
  await mkdir(data, { recursive: true });
  await writeFile(helloFile, hello);
  await writeFile(file, file6150);
  for (const bytes of mixedSizes) await writeFile(join(www, `${bytes}.txt`), mixedBody(bytes));
  await writeFile(join(www, 'large.txt'), file1m);
  await writeFile(files.items, JSON.stringify(items));
  await writeFile(files.list, listed);
  await writeFile(files.posted, posted);
  await writeFile(files.uploaded, uploaded);
  await writeFile(files.user, user.body);
}
