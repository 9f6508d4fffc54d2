// What one greedy client costs the others: some connections pipeline requests for a large file and read as fast as they
// can, while a neighbour asks for something small, one request at a time. Prints the neighbour's latency without and
// with them. `node bench/neighbour.mjs [--greedy 8] [--seconds 5] [--smoke]`
import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createConnection } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { main, setup } from '../scripts/lib/setup.mjs';
import { checkCores } from './lib/machine.mjs';
import { integer } from './lib/options.mjs';

const { values } = parseArgs({
  options: {
    greedy: { type: 'string', default: '8' },
    seconds: { type: 'string', default: '5' },
    smoke: { type: 'boolean', default: false },
    /** Of a child of this program: to be greedy towards this port. */
    child: { type: 'string' },
  },
});
const greedy = integer(values, 'greedy', 1, 10_000);
const seconds = values.smoke ? 0.5 : integer(values, 'seconds', 1, 600);
const fileBytes = 1_000_000;

if (values.child !== undefined) beGreedy(Number(values.child));
else {
  await main(async () => {
    checkCores({ serverCore: 0, loadCore: 1 });
    await setup({ quiet: true });
    await measure();
  });
}

function beGreedy(port) {
  const batch = 'GET /files/large.bin HTTP/1.1\r\nHost: a\r\n\r\n'.repeat(64);
  for (let i = 0; i < greedy; i += 1) {
    let received = 0;
    const ask = () => socket.write(batch);
    const socket = createConnection({
      port,
      host: '127.0.0.1',
      onread: {
        buffer: Buffer.allocUnsafe(2 ** 20),
        callback: (count) => {
          received += count;
          if (received < 32 * fileBytes) return true;
          received -= 32 * fileBytes;
          socket.write(batch.slice(0, batch.length / 2));
          return true;
        },
      },
    });
    socket.on('connect', ask).on('error', () => process.exit());
  }
}

async function measure() {
  const folder = mkdtempSync(join(tmpdir(), 'gyrfalcon-neighbour-'));
  const children = [];
  const start = (args, core) => {
    const child = spawn('taskset', ['-c', core, process.execPath, ...args], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    children.push(child);
    return child;
  };
  try {
    writeFileSync(join(folder, 'large.bin'), Buffer.alloc(fileBytes, 'l'));
    const app = join(folder, 'app.mjs');
    writeFileSync(
      app,
      `import { dir } from ${JSON.stringify(import.meta.resolve('../dist/index.js'))};\n` +
        `export default { routes: { '/': new Response('small'), '/files/*': dir(${JSON.stringify(folder)}) } };\n`,
    );
    const command = fileURLToPath(new URL('../bin/gyrfalcon.mjs', import.meta.url));
    const server = start([command, 'start', app, '--port', '0', '--workers', '1'], '0');
    const port = await portOf(server);
    await latencies(port, 500);
    report('alone', await latencies(port, seconds * 1000));
    start(
      [fileURLToPath(import.meta.url), '--child', String(port), '--greedy', values.greedy],
      '1',
    );
    await latencies(port, 500);
    report(`beside ${greedy}`, await latencies(port, seconds * 1000));
  } finally {
    for (const child of children) child.kill('SIGKILL');
    rmSync(folder, { recursive: true, force: true });
  }
}

async function portOf(server) {
  let output = '';
  for await (const chunk of server.stdout) {
    output += chunk;
    const found = /:(\d+)\//.exec(output);
    if (found !== null) {
      server.stdout.resume();
      return Number(found[1]);
    }
  }
  throw new Error(`the server did not start: ${output}`);
}

/** Milliseconds of each of the requests that are made one after the other for so long. */
async function latencies(port, forMs) {
  const socket = createConnection({ port, host: '127.0.0.1', noDelay: true });
  const times = [];
  const end = performance.now() + forMs;
  await new Promise((resolve, reject) => {
    let asked = 0;
    const ask = () => {
      asked = performance.now();
      if (asked >= end) return resolve();
      socket.write('GET / HTTP/1.1\r\nHost: a\r\n\r\n');
    };
    socket.on('connect', ask).on('error', reject);
    socket.on('data', (bytes) => {
      if (!bytes.includes('small')) return;
      times.push(performance.now() - asked);
      ask();
    });
  });
  socket.destroy();
  return times.sort((a, b) => a - b);
}

function report(name, times) {
  const at = (part) =>
    times[Math.min(times.length - 1, Math.floor(times.length * part))].toFixed(2);
  console.log(
    `${name.padEnd(10)} ${times.length} requests, ms: p50 ${at(0.5)}, p99 ${at(0.99)}, p99.9 ${at(0.999)}, most ${at(1)}`,
  );
}
