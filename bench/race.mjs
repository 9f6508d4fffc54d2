// The race: every contender beside the others, in interleaved rounds. Method: bench/README.md.
import { mkdir, writeFile } from 'node:fs/promises';
import { dirname, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { MissingError, SetupError } from '../scripts/lib/project.mjs';
import { main } from '../scripts/lib/setup.mjs';
import { prepareFiles } from './contenders/data.mjs';
import { contenders, roleOf } from './contenders.mjs';
import { drawChart } from './lib/chart.mjs';
import { choose, startEntrant } from './lib/entrant.mjs';
import { goals } from './lib/goals.mjs';
import { chooseLoad } from './lib/load.mjs';
import { checkCores, machineFacts } from './lib/machine.mjs';
import { measure, settle } from './lib/measure.mjs';
import { runUnder } from './lib/node.mjs';
import { readOptions } from './lib/options.mjs';
import { stopPostgres } from './lib/postgres.mjs';
import { raiseGroup, stop } from './lib/process.mjs';
import { atRates } from './lib/rates.mjs';
import { goalText, markdown, page, textTable } from './lib/report.mjs';
import { heatOf, judge, summarise } from './lib/statistics.mjs';
import { buildNothing, root } from './lib/tools.mjs';
import { verify } from './lib/verify.mjs';

const options = readOptions();
if (options.list) {
  for (const { name, group, what } of contenders) {
    console.log(`${name.padEnd(24)}${group.padEnd(11)}${what}`);
  }
  process.exit(0);
}

/** Contenders that do not race, with the reason, for the report. */
const leftOut = [];

await main(async () => {
  if (options.node !== null) {
    await runUnder(options.node, fileURLToPath(import.meta.url), process.argv.slice(2));
  }
  checkCores(options);
  raiseGroup(options.nice);
  if (options.smoke) buildNothing();
  await prepareFiles();
  await chooseLoad(options);
  const found = { results: [], rates: [], slots: [] };
  try {
    for (const rows of heats(choose(options.only))) await heat(rows, found);
  } finally {
    await stopPostgres();
  }
  if (found.results.length === 0) {
    const Reason = process.exitCode === undefined ? MissingError : SetupError;
    throw new Reason('no contender is left');
  }
  await report(found);
});

/** Rows in the groups that run beside each other. */
function heats(rows) {
  const names = [...new Set(rows.map(heatOf))];
  return names.map((name) => rows.filter((row) => heatOf(row) === name));
}

/** Starts those of a heat, races them, and adds to what was found. */
async function heat(rows, found) {
  const entrants = await startAll(rows);
  try {
    if (entrants.length === 0) return;
    const slots = await race(entrants);
    const rates = options.rates ? await atRates(entrants, summarise(slots, entrants), options) : [];
    const right = await stillRight(entrants);
    const isRight = ({ name }) => right.some(({ row }) => row.name === name);
    found.slots.push(...slots.filter(isRight));
    found.rates.push(...rates.filter(isRight));
    found.results.push(...summarise(slots, right));
  } finally {
    await Promise.all(entrants.map(({ server }) => stop(server)));
  }
}

/** Starts and verifies all; those that take on another's response size come last. */
async function startAll(rows) {
  const started = new Map();
  const inOrder = [...rows].sort((a, b) => Number('likeSizeOf' in a) - Number('likeSizeOf' in b));
  for (const row of inOrder) {
    try {
      const responseBytes = started.get(row.likeSizeOf)?.responseBytes;
      const entrant = await startEntrant(row, options, { responseBytes });
      started.set(row.name, { ...entrant, role: roleOf(row) });
      console.error(`${row.name.padEnd(20)}verified, ${entrant.responseBytes} bytes per response`);
    } catch (error) {
      console.error(`${row.name} is left out: ${error.message}\n`);
      leftOut.push(`${row.name}: ${error.message}`);
      // What this machine lacks is nobody's fault; what does not build or answers wrongly is.
      if (!(error instanceof MissingError)) process.exitCode = 1;
    }
  }
  return rows.filter(({ name }) => started.has(name)).map(({ name }) => started.get(name));
}

/** Those that answer correctly behind the load too; what others have shown does not count. */
async function stillRight(entrants) {
  const right = [];
  for (const entrant of entrants) {
    const { row, port, expected, server } = entrant;
    try {
      await verify(port, expected);
      right.push(entrant);
    } catch (error) {
      const how = server.exited === null ? '' : ` (${server.exited}; it said: ${server.output})`;
      console.error(
        `${row.name} does not answer correctly behind the load: ${error.message}${how}`,
      );
      leftOut.push(`${row.name}: behind the load ${error.message}${how}`);
      process.exitCode = 1;
    }
  }
  return right;
}

/** @returns {Promise<object[]>} the slots of all rounds */
async function race(entrants) {
  if (options.warmup > 0) {
    for (const entrant of entrants) await measure(entrant, { ...options, seconds: options.warmup });
  }
  const slots = [];
  for (let round = 0; round < options.rounds; round += 1) {
    // Each round begins with another contender, so that none always runs behind the same one.
    const order = entrants.map((_, i) => entrants[(i + round) % entrants.length]);
    for (const entrant of order) {
      await settle(options);
      const slot = { round, ...(await measure(entrant, options)) };
      slots.push(slot);
      console.error(
        `round ${round + 1}/${options.rounds}  ${slot.name.padEnd(20)}` +
          `${slot.cpu_us_per_request.toFixed(2).padStart(9)} µs  ` +
          `${slot.requests_per_second.toFixed(0).padStart(7)} req/s  ` +
          `others ${(slot.others_share * 100).toFixed(0)} %`,
      );
    }
  }
  return slots;
}

async function report({ results, rates, slots }) {
  const verdicts = options.smoke ? [] : judge(goals, results, slots);
  const facts = await machineFacts();
  const path = resolve(root, options.output);
  await mkdir(dirname(path), { recursive: true });
  const json = { facts, options, results, goals: verdicts, rates, leftOut, slots };
  const found = { results, rates, verdicts, facts, leftOut };
  await writeFile(path, `${JSON.stringify(json, null, 2)}\n`);
  await writeFile(`${path.replace(/\.json$/, '')}.md`, markdown(found));

  console.log(`\n${textTable(results, rates)}\n`);
  if (options.smoke) console.log('a smoke run: everything runs, the numbers mean nothing');
  for (const verdict of verdicts) console.log(goalText(verdict));
  for (const line of leftOut) console.log(`left out, ${line}`);
  console.log(
    `\n${Object.entries(facts)
      .map(([key, value]) => `${key}: ${value}`)
      .join('\n')}`,
  );
  console.log(`\nwritten: ${options.output} and the same as markdown beside it`);
  if (options.write) await writePage(found);
  if ([...results, ...rates].some(({ errors }) => errors > 0)) process.exitCode = 1;
}

/** The page of the documentation and its chart; of a smoke run, which says nothing, beside the results. */
async function writePage(found) {
  const folder = options.smoke ? 'bench/results' : 'docs';
  const command = ['npm run bench --', ...process.argv.slice(2)].join(' ');
  const { date, cpu } = found.facts;
  const about = `${date.slice(0, 10)} · ${cpu} · one core each for server and load`;
  await writeFile(resolve(root, folder, 'RACE.md'), page(found, { command, chart: 'race.svg' }));
  await writeFile(resolve(root, folder, 'race.svg'), drawChart(found.results, about));
  console.log(`written: ${folder}/RACE.md and ${folder}/race.svg`);
}
