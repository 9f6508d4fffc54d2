// What a request costs each thread of a server: the engine's worker, the thread of JavaScript, the acceptor. Those scale by
// their own numbers (docs/SCALE.md). `node bench/threads.mjs [--only constant,handler,json] [--rounds 5] [--seconds 1] [--smoke]`.
// The server has core 0 and no CPU but that, the load core 1; handlers run in mode 'threads'.
import { MissingError } from '../scripts/lib/project.mjs';
import { main } from '../scripts/lib/setup.mjs';
import { prepareFiles } from './contenders/data.mjs';
import { choose, startEntrant } from './lib/entrant.mjs';
import { load } from './lib/load.mjs';
import { checkCores, checkDescriptors } from './lib/machine.mjs';
import { readOptions } from './lib/options.mjs';
import { cpuTime, stop, tree } from './lib/process.mjs';
import { median } from './lib/statistics.mjs';

/** By default: those of the race that have parts in different threads, and the Zig server beside them. */
const namesDefault = ['zig', 'constant', 'handler', 'handler-json', 'ts-ws'];
/** A thread that has less of the time than this when connections are kept has no part in requests. */
const partMin = 0.02;

const options = readOptions();
const names = options.only.length > 0 ? options.only : namesDefault;
checkDescriptors(options.connections, '--connections');

await main(async () => {
  checkCores(options);
  await prepareFiles();
  const found = [];
  for (const row of names.map((name) => choose([name])[0])) {
    try {
      found.push(await measure(row));
    } catch (error) {
      if (!(error instanceof MissingError)) throw error;
      console.error(`${row.name} is left out: ${error.message}`);
    }
  }
  print(found);
});

async function measure(row) {
  const entrant = await startEntrant(row, options, { env: { GYRFALCON_MODE: 'threads' } });
  try {
    const kept = await rounds(entrant, {});
    const isSocket = entrant.expected.socket !== undefined;
    // A connection for each request; a WebSocket has none of that.
    const single = isSocket ? null : await rounds(entrant, { each: 1 });
    const main = String(entrant.server.pid);
    return {
      name: row.name,
      kept: parts(kept, kept, main),
      single: single && parts(single, kept, main),
    };
  } finally {
    await stop(entrant.server);
  }
}

/** Microseconds of each thread for a request, medians of the rounds. */
async function rounds({ port, expected, responseBytes, server }, shape) {
  const pids = tree(server.pid);
  const target = { ...expected, ...shape, port, responseBytes };
  // bench/load.zig: wrk ends no connections, and what it takes for a request is more than what is measured.
  const settings = { ...options, load: 'least' };
  if (options.warmup > 0) await load(target, { ...settings, seconds: options.warmup });
  const all = new Map();
  for (let round = 0; round < options.rounds; round += 1) {
    const before = cpuTime(pids).threads;
    const { requests, errors } = await load(target, settings);
    if (errors > 0) throw new Error(`${errors} requests failed`);
    for (const [thread, nanos] of cpuTime(pids).threads) {
      const micros = (nanos - (before.get(thread) ?? 0)) / 1000 / requests;
      all.set(thread, [...(all.get(thread) ?? []), micros]);
    }
  }
  return new Map([...all].map(([thread, micros]) => [thread, median(micros)]));
}

/**
 * Which thread is which: the main one has the handlers in Node.js and sleeps in a Zig server; of the others the worker has most of
 * what requests on kept connections take, and the acceptor nothing of it, and most of what is left otherwise.
 */
function parts(micros, kept, main) {
  const total = sum([...kept.values()]);
  const others = [...micros.keys()].filter((thread) => thread !== main);
  const most = (threads) =>
    threads.reduce((a, b) => (micros.get(b) > micros.get(a) ? b : a), threads[0]);
  const worker = others.reduce(
    (a, b) => ((kept.get(b) ?? 0) > (kept.get(a) ?? 0) ? b : a),
    others[0],
  );
  const acceptor = most(others.filter((thread) => (kept.get(thread) ?? 0) < partMin * total));
  const of = (thread) => micros.get(thread) ?? 0;
  return {
    main: of(main),
    worker: of(worker),
    acceptor: of(acceptor),
    rest: sum([...micros.values()]) - of(main) - of(worker) - of(acceptor),
  };
}

function sum(numbers) {
  return numbers.reduce((all, one) => all + one, 0);
}

function print(found) {
  const columns = ['worker', 'main', 'acceptor', 'rest'];
  const line = (name, cells) =>
    console.log(`${name.padEnd(28)}${cells.map((cell) => cell.padStart(10)).join('')}`);
  console.log(
    `CPU µs by thread, medians of ${options.rounds} rounds, ${options.connections} connections\n`,
  );
  line('', columns);
  for (const { name, kept, single } of found) {
    line(
      `${name}, a request`,
      columns.map((key) => kept[key].toFixed(2)),
    );
    if (single === null) continue;
    line(
      `${name}, a connection`,
      columns.map((key) => single[key].toFixed(2)),
    );
  }
  if (options.smoke) console.log('\na smoke run: everything runs, the numbers mean nothing');
}
