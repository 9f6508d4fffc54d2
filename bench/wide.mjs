// What a server of many workers and JavaScript threads takes before anybody has asked it for something: memory that is
// reserved, memory that is resident, and how long start, reload and stop take. `node bench/wide.mjs [--workers 64]
// [--threads 64] [--connections 10000] [--smoke]`. It runs on whatever CPUs there are: what takes long on two does not on 64.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { main, setup } from '../scripts/lib/setup.mjs';
import { checkDescriptors } from './lib/machine.mjs';
import { integer } from './lib/options.mjs';
import { residentBytes, tree } from './lib/process.mjs';

const { values } = parseArgs({
  options: {
    workers: { type: 'string', default: '64' },
    threads: { type: 'string', default: '64' },
    connections: { type: 'string', default: '10000' },
    smoke: { type: 'boolean', default: false },
  },
});
const asked = {
  workers: integer(values, 'workers', 1, 256),
  threads: integer(values, 'threads', 0, 256),
  connections: integer(values, 'connections', 1, 1_000_000),
};
const connections = values.smoke ? 1000 : asked.connections;
const shapes = values.smoke
  ? [
      [1, 0],
      [2, 2],
    ]
  : [
      [1, 0],
      [asked.workers, 0],
      [asked.workers, asked.threads],
    ];

const app = fileURLToPath(new URL('./apps/wide.ts', import.meta.url));
const loader = new URL('../dist/loader/register.js', import.meta.url).href;

checkDescriptors(connections, '--connections');
await main(async () => {
  if (process.env.GYRFALCON_SETUP !== '0') await setup({ quiet: true });
  console.log(`up to ${connections} connections`);
  console.log('workers threads  reserved MiB  resident MiB  start ms  reload ms  stop ms');
  for (const [workers, threads] of shapes) print(workers, threads, await measure(workers, threads));
  if (values.smoke) console.log('a smoke run: everything runs, the numbers mean nothing');
});

/** One server, from its start to its end. */
async function measure(workers, threads) {
  const given = [workers, threads, connections].map(String);
  const child = spawn(process.execPath, ['--import', loader, app, ...given], {
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  const ended = once(child, 'exit');
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  const said = async () => {
    const { value } = await lines.next();
    if (value === undefined) throw new Error(`the server has ended: ${(await ended)[0]}`);
    return JSON.parse(value);
  };
  try {
    const started = await said();
    const resident = residentBytes(tree(child.pid));
    child.stdin.write('reload\n');
    const { reloadMs } = await said();
    child.stdin.end('stop\n');
    const { stopMs } = await said();
    await ended;
    return { ...started, resident, reloadMs, stopMs };
  } finally {
    child.kill('SIGKILL');
  }
}

function print(workers, threads, { memoryBytes, resident, startMs, reloadMs, stopMs }) {
  const mib = (bytes) => (bytes / 2 ** 20).toFixed(1);
  const cells = [
    String(workers).padStart(7),
    String(threads).padStart(8),
    mib(memoryBytes).padStart(14),
    mib(resident).padStart(14),
    ...[startMs, reloadMs, stopMs].map((ms, n) =>
      ms.toFixed(0).padStart(n === 1 ? 11 : 10 - (n >> 1)),
    ),
  ];
  console.log(cells.join(''));
}
