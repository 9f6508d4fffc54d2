// The race: every contender beside the others, in interleaved rounds. Method: bench/README.md.
import { mkdir, writeFile } from 'node:fs/promises';
import { dirname, resolve } from 'node:path';
import { MissingError, SetupError } from '../scripts/lib/project.mjs';
import { main } from '../scripts/lib/setup.mjs';
import { contenders, prepareFiles } from './contenders.mjs';
import { choose, startEntrant } from './lib/entrant.mjs';
import { chooseLoad, load } from './lib/load.mjs';
import { checkCores, machineFacts } from './lib/machine.mjs';
import { readOptions } from './lib/options.mjs';
import {
  coreBusyMicros,
  cpuMicrosBetween,
  cpuTime,
  raiseGroup,
  residentBytes,
  stop,
  threadsOff,
  tree,
} from './lib/process.mjs';
import { goalText, judge, markdown, summarise, textTable } from './lib/report.mjs';
import { root } from './lib/tools.mjs';
import { verify } from './lib/verify.mjs';

const options = readOptions();
if (options.list) {
  for (const { name, group, what } of contenders) {
    console.log(`${name.padEnd(18)}${group.padEnd(11)}${what}`);
  }
  process.exit(0);
}

/** Contenders that do not race, with the reason, for the report. */
const leftOut = [];

await main(async () => {
  checkCores(options);
  raiseGroup(options.nice);
  await prepareFiles();
  await chooseLoad(options);
  const entrants = await startAll(choose(options.only));
  try {
    await race(entrants);
  } finally {
    await Promise.all(entrants.map(({ server }) => stop(server)));
  }
});

/** Starts and verifies all; those that take on another's response size come last. */
async function startAll(rows) {
  const started = new Map();
  const inOrder = [...rows].sort((a, b) => Number('likeSizeOf' in a) - Number('likeSizeOf' in b));
  for (const row of inOrder) {
    try {
      const responseBytes = started.get(row.likeSizeOf)?.responseBytes;
      const entrant = await startEntrant(row, options, { responseBytes });
      started.set(row.name, entrant);
      console.error(`${row.name.padEnd(16)}verified, ${entrant.responseBytes} bytes per response`);
    } catch (error) {
      console.error(`${row.name} is left out: ${error.message}\n`);
      leftOut.push(`${row.name}: ${error.message}`);
      // What this machine lacks is nobody's fault; what does not build or answers wrongly is.
      if (!(error instanceof MissingError)) process.exitCode = 1;
    }
  }
  return rows.filter(({ name }) => started.has(name)).map(({ name }) => started.get(name));
}

async function race(entrants) {
  if (entrants.length === 0) {
    const Reason = process.exitCode === undefined ? MissingError : SetupError;
    throw new Reason('no contender is left');
  }
  if (options.warmup > 0) {
    for (const entrant of entrants) await measure(entrant, { ...options, seconds: options.warmup });
  }
  const slots = [];
  for (let round = 0; round < options.rounds; round += 1) {
    // Each round begins with another contender, so that none always runs behind the same one.
    const order = entrants.map((_, i) => entrants[(i + round) % entrants.length]);
    for (const entrant of order) {
      await calm();
      const slot = { round, ...(await measure(entrant, options)) };
      slots.push(slot);
      console.error(
        `round ${round + 1}/${options.rounds}  ${slot.name.padEnd(16)}` +
          `${slot.cpu_us_per_request.toFixed(2).padStart(7)} µs  ` +
          `${slot.requests_per_second.toFixed(0).padStart(7)} req/s  ` +
          `others ${(slot.others_share * 100).toFixed(0)} %`,
      );
    }
  }
  for (const { port, expected } of entrants) await verify(port, expected);
  await report(slots, entrants);
}

/** One slot: load on one contender, its CPU time read right before and after. */
async function measure({ row, port, expected, server, responseBytes }, settings) {
  const pids = tree(server.pid);
  const off = threadsOff(pids, settings.serverCore);
  if (off > 0)
    throw new Error(`${row.name}: ${off} of its threads left core ${settings.serverCore}`);
  const before = { core: coreBusyMicros(settings.serverCore), at: now(), cpu: cpuTime(pids) };
  const result = await load({ ...expected, port, responseBytes }, settings);
  const cpu_us = cpuMicrosBetween(before.cpu, cpuTime(pids));
  const wall_us = now() - before.at;
  const busy_us = coreBusyMicros(settings.serverCore) - before.core;
  if (server.exited !== null) throw new Error(`${row.name} ended: ${server.exited}`);
  if (result.requests === 0) throw new Error(`${row.name} answered nothing`);
  return {
    name: row.name,
    requests: result.requests,
    requests_per_second: result.requests / result.seconds,
    cpu_us_per_request: cpu_us / result.requests,
    server_share: cpu_us / wall_us,
    others_share: Math.max(0, busy_us - cpu_us) / wall_us,
    p50_us: result.p50_us,
    p99_us: result.p99_us,
    resident_bytes: residentBytes(pids),
    errors: result.errors,
  };
}

function now() {
  return Number(process.hrtime.bigint() / 1000n);
}

/** Waits until both cores are nearly idle, at most `--calm` seconds. */
async function calm() {
  const cores = [options.serverCore, options.loadCore];
  const busy = () => cores.reduce((sum, core) => sum + coreBusyMicros(core), 0);
  for (let waited_ms = 0; waited_ms < options.calm * 1000; waited_ms += 500) {
    const before = busy();
    await new Promise((done) => setTimeout(done, 500));
    if (busy() - before < 0.05 * 500_000 * cores.length) return;
  }
}

async function report(slots, entrants) {
  const results = summarise(
    slots,
    entrants.map(({ row }) => row),
  );
  const verdicts = judge(results, slots);
  const facts = await machineFacts();
  const path = resolve(root, options.output);
  await mkdir(dirname(path), { recursive: true });
  const json = { facts, options, results, goals: verdicts, slots };
  await writeFile(path, `${JSON.stringify(json, null, 2)}\n`);
  await writeFile(`${path.replace(/\.json$/, '')}.md`, markdown(results, verdicts, facts));

  console.log(`\n${textTable(results)}\n`);
  if (options.smoke) console.log('a smoke run: everything runs, the numbers mean nothing');
  else for (const verdict of verdicts) console.log(goalText(verdict));
  for (const line of leftOut) console.log(`left out, ${line}`);
  console.log(
    `\n${Object.entries(facts)
      .map(([key, value]) => `${key}: ${value}`)
      .join('\n')}`,
  );
  console.log(`\nwritten: ${options.output} and the same as markdown beside it`);
  if (results.some(({ errors }) => errors > 0)) process.exitCode = 1;
}
