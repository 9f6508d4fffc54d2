// `npm run test:nodes`: the stages that run TypeScript, under this Node.js and under the other versions that are
// supported. Their binaries come from npm (what the package `node` would choose for this system) into .toolchain.
//   npm run test:nodes -- --only unit     arguments are those of npm test
//   npm run test:nodes -- --smoke         one test file: that each Node.js is there and runs
import { parseArgs } from 'node:util';
import { nodeOf } from './lib/nodes.mjs';
import { at, root } from './lib/project.mjs';
import { outputOf, Progress, run } from './lib/run.mjs';
import { main } from './lib/setup.mjs';

const versions = ['22', '24'];
const stages = 'unit,blackbox,examples,readme,frameworks';
/** What --smoke makes of the options. */
const smoke = { only: 'unit', filter: 'fetch/mime_type' };

await main(async () => {
  const { values } = parseArgs({
    options: {
      only: { type: 'string', default: stages },
      filter: { type: 'string' },
      smoke: { type: 'boolean', default: false },
    },
  });
  const { only, filter } = values.smoke ? smoke : values;
  const args = ['--only', only];
  if (filter !== undefined) args.push('--filter', filter);
  const own = process.versions.node.split('.')[0];
  const nodes = [{ version: own, path: process.execPath }];
  for (const version of versions.filter((other) => other !== own)) {
    nodes.push({ version, path: await nodeOf(version, new Progress()) });
  }
  const results = [];
  for (const { version, path } of nodes) {
    console.log(`\n=== Node.js ${version} (${outputOf(path, ['--version'])})`);
    const { code, output } = await run(path, [at('scripts', 'test.mjs'), ...args], {
      cwd: root,
      echo: true,
    });
    results.push({ version, code, last: output.trimEnd().split('\n').at(-1) });
  }
  summarize(results);
});

function summarize(results) {
  const total = { passed: 0, failed: 0, skipped: 0 };
  console.log('\nVersions:');
  for (const { version, code, last } of results) {
    const counts = [...last.matchAll(/(\d+) (passed|failed|skipped)/g)];
    if (counts.length === 0) total.failed += 1;
    for (const [, number, key] of counts) total[key] += Number(number);
    console.log(`  ${code === 0 ? '✓' : '✘'} Node.js ${version}: ${last}`);
  }
  if (results.some(({ code }) => code !== 0)) process.exitCode = 1;
  const skipped = total.skipped > 0 ? `, ${total.skipped} skipped` : '';
  console.log(`\n${total.passed} passed, ${total.failed} failed${skipped}`);
}
