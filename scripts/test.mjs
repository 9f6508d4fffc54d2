// `npm test`: sets the project up and runs all tests. The last line is the sum of them.
//   npm test -- --only unit,blackbox     these stages alone (--list names them)
//   npm test -- --filter chunked         test files, and Zig tests, whose name contains this
//   npm test -- --ci                     also the stages that only continuous integration runs each time
//   npm test -- --all                    also the stages that take longest
import { availableParallelism } from 'node:os';
import { parseArgs } from 'node:util';
import { buildEngine, optimize } from './lib/build.mjs';
import { SetupError } from './lib/project.mjs';
import { Progress, stepsDone } from './lib/run.mjs';
import { main, setup } from './lib/setup.mjs';
import { buildAhead, stages, sum, trimLoaderCache, zigExecutables } from './lib/stages.mjs';

await main(async () => {
  const { values } = parseArgs({
    options: {
      only: { type: 'string' },
      filter: { type: 'string' },
      ci: { type: 'boolean', default: false },
      all: { type: 'boolean', default: false },
      list: { type: 'boolean' },
    },
  });
  const chosen = choose(values.list && values.only === undefined ? { all: true } : values);
  if (values.list) {
    for (const { name, about, ci, long } of chosen) {
      const when = ci ? ' (with --ci, --all or --only)' : long ? ' (with --all or --only)' : '';
      console.log(`${name.padEnd(11)}${about}${when}`);
    }
    return;
  }
  const needsEngine = chosen.some((stage) => stage.engine);
  const { zig, ...lacks } = await setup({
    engine: needsEngine,
    tls: chosen.some((stage) => stage.tls),
    deflate: chosen.some((stage) => stage.deflate),
    isEngineLater: true,
  });
  const { ci, all, only, filter } = values;
  const isWhole = ci || all || only !== undefined || filter !== undefined;
  const context = { zig, ...lacks, filter, isWhole };
  const builds = [];
  if (needsEngine) builds.push(() => buildEngine(zig, new Progress()));
  if (values.filter === undefined && chosen.some((stage) => stage.programs)) {
    const about = `executables that tests start: zig build, ${optimize}`;
    // When they do not build, the stages that need them say so.
    builds.push(() => new Progress().work(about, () => zigExecutables(context)));
  }
  trimLoaderCache();
  const outcomes = await runStages(chosen, builds, context);
  summarize(outcomes);
  if (values.filter !== undefined && sum(outcomes) === sum([])) {
    throw new SetupError(`no test of these stages has "${values.filter}" in its name`);
  }
});

/**
 * Runs stages one after the other, those that keep one processor busy two at a time where they follow each other. So are
 * the `builds` that stages with an engine need, which wait for them: they begin with those, or before the first such stage.
 */
async function runStages(chosen, builds, context) {
  const outcomes = [];
  const { jobs: buildJobs, ends } = awaitable(builds);
  const jobs = chosen.map((stage, index) => ({
    ...stage,
    run: async () => {
      if (stage.engine) await Promise.all(stage.programs ? ends : ends.slice(0, 1));
      outcomes[index] = await runStage(stage, context);
    },
  }));
  const first = jobs.findIndex(({ single, engine }) => single || engine);
  jobs.splice(first, 0, ...buildJobs);
  if (context.filter === undefined && chosen.some((stage) => stage.programs)) {
    const next = jobs.findIndex(({ single }, index) => index > first && !single);
    const at = next < 0 ? jobs.length : next;
    jobs.splice(at, 0, { run: async () => void buildAhead(chosen, context) });
  }
  for (const queue of together(jobs)) {
    const runNext = async () => {
      try {
        for (let job = queue.shift(); job !== undefined; job = queue.shift()) await job.run();
      } catch (error) {
        queue.length = 0; // the one beside it ends with what it is at
        throw error;
      }
    };
    await Promise.all(Array.from({ length: Math.min(2, availableParallelism()) }, runNext));
  }
  return outcomes;
}

/** The engine, then the executables, as jobs; `ends`: what waits for each, which fails as it does. */
function awaitable(builds) {
  const ends = [];
  const jobs = builds.map((run) => {
    let settle;
    const end = new Promise((resolve, reject) => {
      settle = { resolve, reject };
    });
    end.catch(() => {}); // the job tells
    ends.push(end);
    const build = async () => {
      const running = run();
      running.then(settle.resolve, settle.reject);
      await running;
    };
    return { single: true, run: build };
  });
  return { jobs, ends };
}

/** Lists of jobs: each is by itself, but for those that keep one processor busy and follow each other. */
function together(jobs) {
  const lists = [];
  for (const job of jobs) {
    const last = lists.at(-1);
    if (job.single && last?.[0].single) last.push(job);
    else lists.push([job]);
  }
  return lists;
}

async function runStage(stage, context) {
  const begun = Date.now();
  console.log(`\n${stage.name}: ${stage.about}`);
  const outcome = { name: stage.name, ...(await stage.run(context)), ms: Date.now() - begun };
  console.log(lineOf(outcome));
  return outcome;
}

function choose({ only, ci, all }) {
  if (only === undefined)
    return stages.filter((stage) => all || !(stage.long || (stage.ci && !ci)));
  const names = only.split(',');
  const unknown = names.find((name) => !stages.some((stage) => stage.name === name));
  if (unknown !== undefined) {
    const known = stages.map((stage) => stage.name).join(', ');
    throw new SetupError(`there is no stage "${unknown}"; there are ${known}`);
  }
  return stages.filter((stage) => names.includes(stage.name));
}

function secondsOf(ms) {
  return `${(ms / 1000).toFixed(1)} s`;
}

/** The closing line of a stage. */
function lineOf({ name, ms, ...outcome }) {
  return `  ${outcome.failed > 0 ? '✘' : '✓'} ${name.padEnd(11)}${sum([outcome])} (${secondsOf(ms)})`;
}

function summarize(outcomes) {
  console.log('\nStages:');
  for (const outcome of outcomes) console.log(lineOf(outcome));
  const failures = outcomes.flatMap(({ name, failures }) =>
    failures.map((line) => `${name}: ${line}`),
  );
  if (failures.length > 0) {
    console.log('\nFailures:');
    for (const line of failures) console.log(`  ${line}`);
  }
  if (outcomes.some((outcome) => outcome.failed > 0)) process.exitCode = 1;
  tellSlowest(outcomes);
  console.log(`\n${sum(outcomes)}`);
}

/** Where the time went: stages, and steps of the setup and of stages. A stage of one step is told of once. */
function tellSlowest(outcomes) {
  const isWhole = (step) => outcomes.some(({ ms }) => Math.abs(ms - step.ms) < 100);
  const all = outcomes.map(({ name, ms }) => ({ name: `stage ${name}`, ms }));
  all.push(...stepsDone.filter((step) => !isWhole(step)));
  const slowest = all.filter(({ ms }) => ms >= 5000).sort((one, other) => other.ms - one.ms);
  if (slowest.length === 0) return;
  console.log('\nSlowest stages and steps:');
  for (const { name, ms } of slowest.slice(0, 20)) {
    console.log(`  ${secondsOf(ms).padStart(8)}  ${name}`);
  }
  console.log(`  ${secondsOf(performance.now()).padStart(8)}  in all`);
}
