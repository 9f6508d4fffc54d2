// How connections should come to workers: one thread that accepts for all, workers that share a listener, or a listener
// for each (SO_REUSEPORT); pinned or not; how many in one go. Runs bench/accept.zig each way, wrk over it,
// and prints CPU time per connection and per request, and how evenly connections that stay are spread.
//   node bench/accept.mjs [--rounds 5] [--seconds 1] [--workers 2] [--smoke]
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { connect } from 'node:net';
import { availableParallelism } from 'node:os';
import { parseArgs } from 'node:util';
import { MissingError } from '../scripts/lib/project.mjs';
import { main } from '../scripts/lib/setup.mjs';
import { integer } from './lib/options.mjs';
import { cpuMicrosBetween, cpuTime } from './lib/process.mjs';
import { median } from './lib/statistics.mjs';
import { libraryEnv, run, wrk, zigProgram } from './lib/tools.mjs';

const { values } = parseArgs({
  options: {
    rounds: { type: 'string', default: '5' },
    seconds: { type: 'string', default: '1' },
    workers: { type: 'string', default: String(availableParallelism()) },
    smoke: { type: 'boolean', default: false },
  },
});
const rounds = values.smoke ? 1 : integer(values, 'rounds', 1, 1000);
const seconds = values.smoke ? 0.2 : integer(values, 'seconds', 1, 600);
const workers = integer(values, 'workers', 1, 1024);

const ways = ['acceptor', 'shared', 'listeners'];
const variants = [
  ...ways.map((way) => ({ way, batch: 64, pin: false })),
  ...ways.map((way) => ({ way, batch: 64, pin: true })),
  ...[1, 8, 512].map((batch) => ({ way: 'acceptor', batch, pin: false })),
];
const clients = values.smoke ? [8] : [1, 32, 256];
/** Connections that stay, as of browsers or proxies. */
const kept = 64;

await main(async () => {
  if (process.platform !== 'linux') throw new MissingError('this needs Linux');
  const program = await zigProgram('accept', ['bench/accept.zig', '-lc']);
  const load = await wrk();
  const found = new Map(
    variants.map((variant) => [variant, { close: new Map(), keep: [], spread: [] }]),
  );
  for (let round = 0; round < rounds; round += 1) {
    for (let i = 0; i < variants.length; i += 1) {
      // Each round begins with the next variant.
      const variant = variants[(i + round) % variants.length];
      await measure(program, load, variant, found.get(variant));
    }
  }
  print(found);
});

/** One server of a kind, loaded in each way, and another for connections that stay. */
async function measure(program, load, { way, batch, pin }, into) {
  const args = [way, String(workers), String(batch), ...(pin ? ['pin'] : [])];
  const server = await start(program, args);
  for (const count of clients) {
    const each = await loaded(server, load, count, true);
    into.close.set(count, [...(into.close.get(count) ?? []), each]);
  }
  into.keep.push(await loaded(server, load, kept, false));
  await countsOf(server);
  into.spread.push(await spreadOf(await start(program, args)));
}

async function start(program, args) {
  const child = spawn(program, args, { stdio: ['pipe', 'pipe', 'inherit'] });
  const server = { child, output: '', port: 0 };
  child.stdout.setEncoding('utf8').on('data', (text) => {
    server.output += text;
  });
  while (!server.output.includes('\n')) await once(child.stdout, 'data');
  server.port = Number(server.output.split('\n')[0]);
  return server;
}

/** Ends it, and returns how many connections each of its workers got. */
async function countsOf(server) {
  server.child.stdin.end();
  await once(server.child, 'close');
  return JSON.parse(server.output.split('\n')[1]);
}

/** CPU microseconds of the server for a request, each on a connection of its own or on one that is kept. */
async function loaded({ child, port }, load, count, closes) {
  const before = cpuTime([child.pid]);
  const wrkSeconds = Math.max(1, Math.round(seconds));
  const text = await run(
    [
      ...[load, '-t1', `-c${count}`, `-d${wrkSeconds}`],
      ...(closes ? ['-H', 'Connection: close'] : []),
      `http://127.0.0.1:${port}/`,
    ],
    { env: libraryEnv },
  );
  const requests = Number(/(\d+) requests in/.exec(text)?.[1]);
  return cpuMicrosBetween(before, cpuTime([child.pid])) / requests;
}

/** How many of the connections that stay the fullest worker has, in parts of what would be even. */
async function spreadOf(server) {
  const sockets = [];
  for (let i = 0; i < kept; i += 1) {
    const socket = connect(server.port, '127.0.0.1');
    sockets.push(socket);
    socket.write('GET / HTTP/1.1\r\nHost: a\r\n\r\n');
    await once(socket, 'data'); // a worker has it
  }
  for (const socket of sockets) socket.destroy();
  const counts = await countsOf(server);
  return (Math.max(...counts) * workers) / kept;
}

function print(found) {
  const number = (value) => value.toFixed(2).padStart(9);
  const header = [...clients.map((count) => `close ${count}`), 'keep 64', 'fullest', 'worst'].map(
    (text) => text.padStart(9),
  );
  console.log(`${workers} workers; CPU µs per request, medians of ${rounds}\n`);
  console.log(`${'way, batch, pinned'.padEnd(26)}${header.join(' ')}`);
  for (const [{ way, batch, pin }, { close, keep, spread }] of found) {
    const numbers = [
      ...clients.map((count) => median(close.get(count))),
      median(keep),
      median(spread),
      Math.max(...spread),
    ];
    const name = `${way}, ${batch}${pin ? ', pinned' : ''}`;
    console.log(`${name.padEnd(26)}${numbers.map(number).join(' ')}`);
  }
}
