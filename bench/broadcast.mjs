// What a message to many WebSockets costs: one connection speaks, all the others listen, and are sent each message once all
// have had the one before. `node bench/broadcast.mjs [--listeners 10000] [--messages 50] [--bytes 64] [--rounds 3]
// [--only zig,bun] [--smoke]`. The server has core 0, the clients core 1.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { parseArgs } from 'node:util';
import { MissingError } from '../scripts/lib/project.mjs';
import { main } from '../scripts/lib/setup.mjs';
import { checkCores, checkDescriptors } from './lib/machine.mjs';
import { integer } from './lib/options.mjs';
import {
  cpuMicrosBetween,
  cpuTime,
  freePort,
  residentBytes,
  start,
  stop,
  tree,
} from './lib/process.mjs';
import { socketServers } from './lib/sockets.mjs';
import { median } from './lib/statistics.mjs';
import { zigProgram } from './lib/tools.mjs';
import { verifyWhenReady } from './lib/verify.mjs';

const { values } = parseArgs({
  options: {
    listeners: { type: 'string', default: '10000' },
    messages: { type: 'string', default: '50' },
    bytes: { type: 'string', default: '64' },
    rounds: { type: 'string', default: '3' },
    only: { type: 'string', default: '' },
    smoke: { type: 'boolean', default: false },
  },
});
const [listeners, messages, rounds] = values.smoke
  ? [100, 3, 1]
  : [
      integer(values, 'listeners', 1, 60_000),
      integer(values, 'messages', 1, 1_000_000),
      integer(values, 'rounds', 1, 1000),
    ];
const bytes = integer(values, 'bytes', 1, 2 ** 20);
const only = values.only.split(',').filter(Boolean);

checkDescriptors(listeners, '--listeners');
await main(async () => {
  checkCores({ serverCore: 0, loadCore: 1 });
  const found = new Map();
  const chosen = socketServers.filter(({ name }) => only.length === 0 || only.includes(name));
  const missing = new Set();
  for (let round = 0; round < rounds; round += 1) {
    for (const one of chosen) {
      if (missing.has(one.name)) continue;
      try {
        const figures = await measure(one);
        found.set(one.name, [...(found.get(one.name) ?? []), figures]);
      } catch (error) {
        if (!(error instanceof MissingError)) throw error;
        missing.add(one.name);
        console.error(`${one.name} is left out: ${error.message}`);
      }
    }
  }
  if (found.size === 0) throw new MissingError('no server is left');
  console.log(
    `${listeners} listeners, ${messages} messages of ${bytes} bytes, medians of ${rounds}`,
  );
  console.log('server     CPU µs/delivery  deliveries/s  p50 ms until the last  KiB a socket');
  for (const [name, all] of found) {
    const of = (key) => median(all.map((figures) => figures[key]));
    const cells = [
      of('cpu_us').toFixed(3).padStart(15),
      of('perSecond').toFixed(0).padStart(13),
      of('p50_ms').toFixed(1).padStart(22),
      of('socketKib').toFixed(1).padStart(13),
    ];
    console.log(`${name.padEnd(11)}${cells.join(' ')}`);
  }
  if (values.smoke) console.log('a smoke run: everything runs, the numbers mean nothing');
});

/** One server, from its start to its end. */
async function measure({ command, env }) {
  const port = await freePort();
  const server = start(await command({ port }), { core: 0, nice: 0, env });
  try {
    await verifyWhenReady(port, { path: '/echo', socket: { bytes } }, server);
    const empty = residentBytes(tree(server.pid));
    const program = await zigProgram('ws_load', ['-lc', 'bench/ws_load.zig']);
    const numbers = [listeners, messages, bytes].map(String);
    const args = ['-c', '1', program, 'cast', String(port), '/cast', ...numbers];
    const client = spawn('taskset', args, { stdio: ['pipe', 'pipe', 'inherit'] });
    const ended = once(client, 'exit');
    const lines = createInterface({ input: client.stdout })[Symbol.asyncIterator]();
    if ((await lines.next()).value !== 'ready') throw new Error('the clients did not connect');
    const resident = residentBytes(tree(server.pid));
    const before = cpuTime(tree(server.pid));
    client.stdin.end('go\n');
    const line = (await lines.next()).value ?? '';
    const after = cpuTime(tree(server.pid));
    const [code] = await ended;
    if (code !== 0 || !line.startsWith('GYR ')) throw new Error(`the clients failed: ${line}`);
    const { requests, duration_us, p50 } = JSON.parse(line.slice(4));
    return {
      cpu_us: cpuMicrosBetween(before, after) / requests,
      perSecond: (requests / duration_us) * 1e6,
      p50_ms: p50 / 1000,
      socketKib: (resident - empty) / listeners / 1024,
    };
  } finally {
    await stop(server);
  }
}
