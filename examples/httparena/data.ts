/**
 * Data of the shape that HttpArena's runner brings along, for trying the entry without it: `dataset.json`, twenty files in
 * `static`, and `items.sql`, which fills a database.
 *
 *     node --import gyrfalcon/loader examples/httparena/data.ts build/httparena
 *     psql "$DATABASE_URL" -f build/httparena/items.sql
 */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';

/** The files, and about how many kilobytes each has there. */
export const staticFiles: Readonly<Record<string, number>> = {
  'reset.css': 8,
  'layout.css': 25,
  'theme.css': 18,
  'components.css': 200,
  'utilities.css': 60,
  'analytics.js': 12,
  'helpers.js': 22,
  'app.js': 200,
  'vendor.js': 300,
  'router.js': 35,
  'header.html': 120,
  'footer.html': 55,
  'regular.woff2': 18,
  'bold.woff2': 22,
  'logo.svg': 15,
  'icon-sprite.svg': 70,
  'hero.webp': 45,
  'thumb1.webp': 8,
  'thumb2.webp': 6,
  'manifest.json': 3,
};

const categories = ['electronics', 'office', 'garden', 'kitchen', 'music'];
const tags = ['new', 'used', 'rare', 'green', 'small', 'large'];

/** Rows of the table; the benchmark has 100,000. */
const rowsDefault = 100_000;

function dataset(): object[] {
  return Array.from({ length: 50 }, (_, n) => ({
    id: n + 1,
    name: `Thing ${n + 1}`,
    category: categories[n % categories.length],
    price: 1 + ((n * 137) % 500),
    quantity: 1 + ((n * 31) % 100),
    active: n % 3 !== 0,
    tags: tags.slice(n % tags.length, (n % tags.length) + 3),
    rating: { score: 1 + ((n * 7) % 50), count: 1 + ((n * 53) % 500) },
  }));
}

/** Lines that compress as text does, and are no two the same. */
function textOf(name: string, bytes: number): string {
  let text = '';
  for (let line = 1; text.length < bytes; line += 1) {
    text += `${name}, line ${line}: ${(line * 2654435761) % 4294967296}\n`;
  }
  return text.slice(0, bytes);
}

function sql(rows: number): string {
  const list = (words: string[]): string => `ARRAY['${words.join("', '")}']`;
  return `CREATE TABLE items (
  id INTEGER PRIMARY KEY,
  name TEXT NOT NULL,
  category TEXT NOT NULL,
  price INTEGER NOT NULL,
  quantity INTEGER NOT NULL,
  active BOOLEAN NOT NULL,
  tags JSONB NOT NULL,
  rating_score INTEGER NOT NULL,
  rating_count INTEGER NOT NULL
);
INSERT INTO items
SELECT n, 'Thing ' || n,
  (${list(categories)})[1 + n % ${categories.length}],
  1 + n * 137 % 500, 1 + n * 31 % 1000, n % 3 <> 0,
  jsonb_build_array((${list(tags)})[1 + n % ${tags.length}]),
  1 + n * 7 % 50, 1 + n * 53 % 500
FROM generate_series(1, ${rows}) AS n;
ANALYZE items;
`;
}

/** Writes all of it into a folder, which is made. */
export function writeData(folder: string, rows = rowsDefault): void {
  mkdirSync(join(folder, 'static'), { recursive: true });
  writeFileSync(join(folder, 'dataset.json'), JSON.stringify(dataset()));
  writeFileSync(join(folder, 'items.sql'), sql(rows));
  for (const [name, kilobytes] of Object.entries(staticFiles)) {
    writeFileSync(join(folder, 'static', name), textOf(name, kilobytes * 1024));
  }
}

const [, program = '', folder = 'build/httparena'] = process.argv;
if (import.meta.url === pathToFileURL(program).href) {
  writeData(folder);
  console.log(`Written to ${folder}`);
}
