/** What docs/BRIDGE.md says of V8: `Atomics` on a plain ArrayBuffer over memory of the engine. */
import { spawnSync } from 'node:child_process';
import { Worker } from 'node:worker_threads';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { loadEngine } from '../../ts/src/bridge/engine.ts';
import { testUnless } from '../support/skip.ts';
import {
  isOptimised,
  type Order,
  optimise,
  type PartName,
  type PeerData,
  places,
  play,
  prepare,
  type Report,
} from './fixtures/memory_peer.ts';

const test = suite('memory shared with V8');
const engine = loadEngine();
const id = engine.create({});
const memory = engine.memory(id);
const i32 = new Int32Array(memory.buffer, memory.byteOffset, memory.byteLength >> 2);
const own = new Int32Array(i32.length);

const rounds = 1_000;
const patienceMs = 60_000;
let next = 1;

const peer = new Worker(new URL('./fixtures/memory_peer.ts', import.meta.url), {
  workerData: { id } satisfies PeerData,
});
const heard = (): Promise<Report> =>
  new Promise((resolve, reject) => {
    peer.once('message', resolve);
    peer.once('error', reject);
  });
const begun = heard();

test.after(async () => {
  await peer.terminate();
  engine.destroy(id);
});

interface Observation {
  round: number;
  here: number;
  there: number;
}

/** Runs a part on both threads, and gives what each saw in each place of each round. */
async function both(name: PartName): Promise<Observation[]> {
  assert.ok((await begun).plain);
  const from = next;
  next += rounds;
  optimise(name, own);
  prepare(i32, from);
  const there = heard();
  const order: Order = { name, from, to: next, patienceMs };
  peer.postMessage(order);
  const here = play(i32, 0, order);
  const { seen, optimised } = await there;
  assert.ok(isOptimised(name) && optimised, 'both sides ran what V8 had optimised, to the end');
  assert.is(seen.length, here.length);
  return Array.from(here, (value, k) => ({
    round: from + Math.floor(k / places),
    here: value,
    there: seen[k] as number,
  }));
}

const neither = ({ round, here, there }: Observation) => here < round && there < round;

test('the engine’s memory is a plain ArrayBuffer, and the same in every thread', async () => {
  assert.instance(memory.buffer, ArrayBuffer);
  assert.ok((await begun).plain);
});

test('of two threads that store and then look by Atomics, one sees the other', async () => {
  assert.is((await both('publishAndLook')).filter(neither).length, 0);
});

test('by plain accesses neither may: the test above is able to fail', async () => {
  // On one core, threads that take turns may well see each other always.
  for (let tries = 0; tries < 20; tries++) {
    if ((await both('publishAndLookPlain')).some(neither)) return;
  }
  assert.unreachable('no store was ever passed by a load');
});

test('plain words are read as they were when a position was published behind them', async () => {
  const seen = await both('publishOrRead');
  assert.is(seen.filter(({ round, there }) => there !== round).length, 0);
});

test('a flag that two threads exchange for 0 is had by one of them', async () => {
  const seen = await both('takeFlag');
  assert.is(seen.filter(({ here, there }) => here + there !== 1).length, 0);
});

/** The machine code of one of V8's builtins in this Node.js. Empty where it cannot be had. */
function codeOf(builtin: string): string {
  const list = spawnSync('nm', ['-S', '--defined-only', process.execPath], {
    encoding: 'utf8',
    maxBuffer: 1 << 28,
  });
  const line = list.stdout?.split('\n').find((text) => text.endsWith(` Builtins_${builtin}`));
  const [, start = '', size = ''] = /^(\w+) (\w+) /.exec(line ?? '') ?? [];
  if (size === '') return '';
  const end = Number.parseInt(start, 16) + Number.parseInt(size, 16);
  const range = [`--start-address=0x${start}`, `--stop-address=0x${end.toString(16)}`];
  const code = spawnSync('objdump', ['-d', '--no-show-raw-insn', ...range, process.execPath], {
    encoding: 'utf8',
  });
  return code.stdout ?? '';
}

const whyNoCode =
  process.arch !== 'x64'
    ? 'the instructions looked for are those of x64'
    : codeOf('AtomicsStore') === ''
      ? 'needs nm and objdump, and a Node.js with symbols'
      : undefined;

testUnless(test, whyNoCode, 'Atomics.store and exchange are exchanges of the processor', () => {
  // A locked instruction, which empties the store buffer: XCHG with memory is one without a prefix.
  const exchange = /\bxchg\s+%(?:e[a-d]x|e[sd]i|r\d+d),\S*\(/;
  assert.match(codeOf('AtomicsStore'), exchange);
  assert.match(codeOf('AtomicsExchange'), exchange);
});

test.run();
