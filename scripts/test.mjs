// `npm test`: sets the project up and runs all tests. The last line is the sum of them.
//   npm test -- --only unit,blackbox     these stages alone (--list names them)
//   npm test -- --filter chunked         test files, and Zig tests, whose name contains this
//   npm test -- --ci                     also the stages that only continuous integration runs each time
//   npm test -- --all                    also the stages that take longest
import { parseArgs } from 'node:util';
import { SetupError } from './lib/project.mjs';
import { main, setup } from './lib/setup.mjs';
import { stages, sum } from './lib/stages.mjs';

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
      console.log(`${name.padEnd(10)}${about}${when}`);
    }
    return;
  }
  const { zig, tlsLack } = await setup({
    engine: chosen.some((stage) => stage.engine),
    tls: chosen.some((stage) => stage.tls),
  });
  const context = { zig, tlsLack, filter: values.filter };
  const outcomes = [];
  for (const stage of chosen) {
    const begun = Date.now();
    console.log(`\n${stage.name}: ${stage.about}`);
    const outcome = await stage.run(context);
    const seconds = ((Date.now() - begun) / 1000).toFixed(1);
    outcomes.push({ name: stage.name, seconds, ...outcome });
  }
  summarize(outcomes);
  if (values.filter !== undefined && sum(outcomes) === sum([])) {
    throw new SetupError(`no test of these stages has "${values.filter}" in its name`);
  }
});

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

function summarize(outcomes) {
  console.log('\nStages:');
  for (const { name, seconds, ...outcome } of outcomes) {
    console.log(
      `  ${outcome.failed > 0 ? '✘' : '✓'} ${name.padEnd(10)}${sum([outcome])} (${seconds} s)`,
    );
  }
  const failures = outcomes.flatMap(({ name, failures }) =>
    failures.map((line) => `${name}: ${line}`),
  );
  if (failures.length > 0) {
    console.log('\nFailures:');
    for (const line of failures) console.log(`  ${line}`);
  }
  if (outcomes.some((outcome) => outcome.failed > 0)) process.exitCode = 1;
  console.log(`\n${sum(outcomes)}`);
}
