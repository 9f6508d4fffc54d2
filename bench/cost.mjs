// A guard without clocks: what a request costs in instructions and in misses of simulated caches, beside the numbers that
// bench/cost.json keeps. `node bench/cost.mjs`
import { readFileSync, writeFileSync } from 'node:fs';
import { mkdir } from 'node:fs/promises';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { MissingError } from '../scripts/lib/project.mjs';
import { main } from '../scripts/lib/setup.mjs';
import { prepareFiles } from './contenders/data.mjs';
import { beginCounting, counting, countsSince, removeDumps } from './lib/callgrind.mjs';
import { changes, table } from './lib/cost.mjs';
import { choose, startEntrant } from './lib/entrant.mjs';
import { integer } from './lib/options.mjs';
import { stop } from './lib/process.mjs';
import { askOneByOne } from './lib/steady.mjs';
import { home, onPath, root } from './lib/tools.mjs';

const usage = `usage: node bench/cost.mjs [--only name,name] [--requests 2000] [--write] [--smoke]

Counts, with valgrind, what the engine executes for a request, and compares it with bench/cost.json. Ends with 1 where
that is more by its tolerance (bench/lib/cost.mjs), or less by it and nobody has written that down.

--only      some of: zig, constant, handler, inline, dir
--requests  how many are counted, one at a time on one connection
--write     writes what was counted to bench/cost.json
--smoke     200 of one: shows that it runs`;

/** A row of contenders.mjs, and whose instructions count. JavaScript's vary with what V8 has compiled by then. */
const measured = [
  { name: 'zig', row: 'zig', part: /zig_hello/ },
  { name: 'constant', row: 'constant-threads', part: /engine\.zigar/ },
  { name: 'handler', row: 'handler-threads', part: /engine\.zigar/ },
  { name: 'inline', row: 'handler-inline', part: /engine\.zigar/ },
  { name: 'dir', row: 'dir-threads', part: /engine\.zigar/ },
];

const kept = join(root, 'bench', 'cost.json');
const folder = join(home, 'cost');

function options() {
  const { values } = parseArgs({
    options: {
      only: { type: 'string', default: '' },
      requests: { type: 'string', default: '2000' },
      write: { type: 'boolean', default: false },
      smoke: { type: 'boolean', default: false },
      help: { type: 'boolean', short: 'h', default: false },
    },
  });
  if (values.help) {
    console.log(usage);
    process.exit(0);
  }
  const only = values.smoke ? ['zig'] : values.only.split(',').filter((name) => name !== '');
  const unknown = only.filter((name) => !measured.some((one) => one.name === name));
  const requests = values.smoke ? 200 : integer(values, 'requests', 1, 1_000_000);
  if (unknown.length > 0) {
    console.error(`no such entry: ${unknown.join(', ')}`);
    process.exit(2);
  }
  return { ...values, only, requests };
}

/** What the engine executes for one request of `entry`. */
async function cost(entry, requests) {
  const file = join(folder, entry.name);
  removeDumps(file);
  const [row] = choose([entry.row]);
  const how = { wrap: counting(file), readyMs: 120_000 };
  const where = { serverCore: availableParallelism() - 1, nice: 0 };
  const { server, port, expected } = await startEntrant(row, where, how);
  try {
    const { path } = expected;
    await beginCounting(server.pid);
    // What happens once only has happened then.
    await askOneByOne({ port, path, requests: 300 });
    await countsSince(server.pid, file, entry.part);
    await askOneByOne({ port, path, requests });
    const counts = await countsSince(server.pid, file, entry.part);
    return Object.fromEntries(
      Object.entries(counts).map(([name, count]) => [
        name,
        Math.round((count / requests) * 10) / 10,
      ]),
    );
  } finally {
    await stop(server);
    removeDumps(file);
  }
}

await main(async () => {
  const { only, requests, write, smoke } = options();
  if (process.platform !== 'linux' || process.arch !== 'x64')
    throw new MissingError('the numbers of bench/cost.json are those of Linux on x86-64');
  if (onPath('valgrind') === null) throw new MissingError('valgrind is not on PATH: install it');
  await mkdir(folder, { recursive: true });
  await prepareFiles();
  const found = {};
  for (const entry of measured.filter(({ name }) => only.length === 0 || only.includes(name)))
    found[entry.name] = await cost(entry, requests);
  const before = JSON.parse(readFileSync(kept, 'utf8'));
  console.log(table(before, found));
  if (write) writeFileSync(kept, `${JSON.stringify({ ...before, ...found }, null, 2)}\n`);
  if (write || smoke) return;
  const changed = changes(before, found);
  if (changed.length === 0) return;
  console.error(
    `${changed.join('\n')}\nWhat is meant is written down by: node bench/cost.mjs --write`,
  );
  process.exitCode = 1;
});
