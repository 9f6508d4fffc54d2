// Hours in minutes: a server of every kind of answer under a load of every kind of client, and
// whether its memory, descriptors and pools stay flat.
//
//     node bench/soak.mjs [--minutes 30] [--clients 48] [--graph docs/soak.svg] [--smoke]
//
// On 127.0.0.1 only. The numbers go to stdout as JSON, what is happening to stderr. Ends with 1 when
// something grew, was not given back, or was answered wrongly. --smoke is a few seconds of a few clients: answers and
// what is given back count, growth does not, and the graph goes to build/.
import { fork } from 'node:child_process';
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { parseArgs } from 'node:util';
import { setup } from '../scripts/lib/setup.mjs';
import { integer } from './lib/options.mjs';
import { drawGraph } from './soak/graph.mjs';
import { runOne } from './soak/scenarios.mjs';

const sampleMs = 1000;
/** The first part of the run, in which caches and heaps fill, does not count. */
const warmUp = 1 / 6;
/** How much the median of the last third may be above that of the first: a part, and a floor. */
const growthMax = { part: 0.05, bytes: 8 * 2 ** 20 };
const failuresShown = 20;

const at = (path) => fileURLToPath(new URL(path, import.meta.url));
/** What --smoke makes of the other options. */
const smoke = { minutes: 0.1, clients: 8, graph: at('../build/soak-smoke.svg') };
const median = (values) => [...values].sort((a, b) => a - b)[values.length >> 1];
const mib = (bytes) => bytes / 2 ** 20;

class Server {
  static async start(folder) {
    const loader = pathToFileURL(at('../dist/loader/register.js')).href;
    const child = fork(at('soak/server.ts'), [folder], {
      execArgv: ['--import', loader],
      env: { ...process.env, GYRFALCON_SETUP: '0' },
      stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
    });
    const server = new Server(child);
    server.port = (await server.#word()).port;
    return server;
  }

  constructor(child) {
    this.child = child;
    this.ended = new Promise((resolve) => child.once('exit', (code) => resolve(code)));
  }

  /** Numbers of the process and the engine, now. */
  async sample() {
    this.child.send('sample');
    const { stats, ...memory } = await this.#word();
    const descriptors = readdirSync(`/proc/${this.child.pid}/fd`).length;
    return {
      ...memory,
      descriptors,
      connections: stats.connections,
      bufferBytes: stats.bufferBytes,
      requests: stats.requests,
      allocations: stats.allocationsAfterStart,
    };
  }

  async stop() {
    this.child.send('stop');
    return this.ended;
  }

  #word() {
    return new Promise((resolve, reject) => {
      const onExit = (code) => reject(new Error(`the server ended with ${code}`));
      this.child.once('exit', onExit);
      this.child.once('message', (message) => {
        this.child.off('exit', onExit);
        resolve(message);
      });
    });
  }
}

/** Clients one after the other until `deadline`. */
async function client(port, deadline, counts) {
  while (Date.now() < deadline) {
    const { name, failure } = await runOne(port);
    counts.runs[name] = (counts.runs[name] ?? 0) + 1;
    if (failure === undefined) continue;
    counts.failures += 1;
    if (counts.failures <= failuresShown) console.error(`  ✘ ${name}: ${failure}`);
  }
}

async function sampled(server, deadline, samples) {
  const begun = Date.now();
  while (Date.now() < deadline) {
    await sleep(sampleMs);
    const sample = await server.sample();
    samples.push(sample);
    if (samples.length % 60 === 0) {
      const minutes = ((Date.now() - begun) / 60_000).toFixed(0);
      const { rss, descriptors, requests } = sample;
      console.error(
        `  ${minutes} min: ${mib(rss).toFixed(0)} MiB, ${descriptors} descriptors, ${requests} requests`,
      );
    }
  }
}

/** Waits until what the load has used is given back, as far as it is. */
async function settled(server, baseline) {
  let sample;
  for (let i = 0; i < 100; i++) {
    sample = await server.sample();
    const back = sample.connections === 0 && sample.bufferBytes <= baseline.bufferBytes;
    if (back && sample.descriptors <= baseline.descriptors) break;
    await sleep(200);
  }
  return sample;
}

/** First and last third after the warm-up, and whether the one is about the other. */
function compareThirds(samples, key) {
  const counted = samples.slice(Math.floor(samples.length * warmUp)).map((sample) => sample[key]);
  const third = Math.max(1, Math.floor(counted.length / 3));
  const [first, last] = [median(counted.slice(0, third)), median(counted.slice(-third))];
  return { first, last, flat: last <= first * (1 + growthMax.part) + growthMax.bytes };
}

function judge(samples, baseline, end, counts, isSmoke) {
  const memory = { rss: compareThirds(samples, 'rss'), heap: compareThirds(samples, 'heapUsed') };
  // A few seconds are all warm-up.
  const growth = isSmoke
    ? {}
    : { 'resident memory flat': memory.rss.flat, 'JavaScript heap flat': memory.heap.flat };
  const checks = {
    ...growth,
    'descriptors back': end.descriptors <= baseline.descriptors,
    'connections closed': end.connections === 0,
    'pools full again': end.bufferBytes <= baseline.bufferBytes,
    'no allocation after the start': end.allocations === baseline.allocations,
    'every answer right': counts.failures === 0,
  };
  return { memory, checks, flat: Object.values(checks).every(Boolean) };
}

function graphOf(samples, minutes, clients) {
  const of = (key, scale = 1) => samples.map((sample) => sample[key] / scale);
  const rates = samples.map(({ requests }, i) => requests - (samples[i - 1]?.requests ?? 0));
  return drawGraph(
    `Soak: ${minutes} min, ${clients} clients, ${samples.at(-1).requests} requests`,
    minutes,
    [
      { title: 'Resident memory', unit: ' MiB', values: of('rss', 2 ** 20) },
      { title: 'JavaScript heap in use', unit: ' MiB', values: of('heapUsed', 2 ** 20) },
      { title: 'Pool memory in use', unit: ' KiB', values: of('bufferBytes', 1024) },
      { title: 'Open descriptors', unit: '', values: of('descriptors') },
      { title: 'Connections', unit: '', values: of('connections') },
      { title: 'Requests per second', unit: '', values: rates.slice(1) },
    ],
  );
}

async function main() {
  const { values } = parseArgs({
    options: {
      minutes: { type: 'string', default: '30' },
      clients: { type: 'string', default: '48' },
      graph: { type: 'string', default: at('../docs/soak.svg') },
      smoke: { type: 'boolean', default: false },
    },
  });
  const { minutes, clients, graph } = values.smoke
    ? smoke
    : {
        ...values,
        minutes: integer(values, 'minutes', 1, 10_080),
        clients: integer(values, 'clients', 1, 10_000),
      };
  await setup({ quiet: true });
  const folder = mkdtempSync(join(tmpdir(), 'gyrfalcon-soak-'));
  writeFileSync(join(folder, 'small.txt'), 'a small file\n');
  writeFileSync(join(folder, 'middle.bin'), Buffer.alloc(65_536, 'm'));
  writeFileSync(join(folder, 'large.bin'), Buffer.alloc(2 ** 20, 'l'));
  const server = await Server.start(folder);
  const counts = { runs: {}, failures: 0 };
  const samples = [];
  // One client of each kind first: what is opened once, such as files, belongs to the baseline.
  for (let i = 0; i < 60; i++) await runOne(server.port);
  await sleep(sampleMs);
  const baseline = await server.sample();
  const deadline = Date.now() + minutes * 60_000;
  await Promise.all([
    sampled(server, deadline, samples),
    ...Array.from({ length: clients }, () => client(server.port, deadline, counts)),
  ]);
  const end = await settled(server, baseline);
  const verdict = judge(samples, baseline, end, counts, values.smoke);
  writeFileSync(graph, graphOf(samples, minutes, clients));
  const exitCode = await server.stop();
  rmSync(folder, { recursive: true, force: true });
  for (const [name, ok] of Object.entries(verdict.checks))
    console.error(`  ${ok ? '✓' : '✘'} ${name}`);
  console.log(
    JSON.stringify({ minutes, clients, baseline, end, ...counts, ...verdict, exitCode }, null, 2),
  );
  process.exitCode = verdict.flat && exitCode === 0 ? 0 : 1;
}

await main();
