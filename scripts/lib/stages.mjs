// The stages of the test run. Each returns { passed, failed, skipped, failures }.
import { pathToFileURL } from 'node:url';
import { runFiles } from '../../tests/runner/run-files.mjs';
import { enginePath } from './build.mjs';
import { at, filesBelow, root } from './project.mjs';
import { run, tail } from './run.mjs';

/** Where the Zig executables for the tests are installed, built ReleaseSafe. */
const zigPrefix = at('build', 'zig');

/** All stages, in the order that finds the cheap mistakes first. `engine`: the stage needs the engine's module. */
export const stages = [
  {
    name: 'format',
    about: 'zig fmt --check',
    run: ({ zig }) => one('zig fmt --check', zig, ['fmt', '--check', ...zigFiles()]),
  },
  {
    name: 'types',
    about: 'the TypeScript of library, tests and examples is type-checked',
    run: () =>
      one('tsc', process.execPath, [at('node_modules/typescript/bin/tsc'), '-p', 'tsconfig.json']),
  },
  {
    name: 'lint',
    about: 'biome: lint and format',
    run: () =>
      one('biome', process.execPath, [
        at('node_modules/@biomejs/biome/bin/biome'),
        'check',
        '--error-on-warnings',
        '.',
      ]),
  },
  {
    name: 'abi',
    about: 'ts/src/bridge/abi.gen.ts is what the Zig declarations give',
    run: ({ zig }) => one('abi', zig, ['build', 'abi-check'], 'run `zig build abi`'),
  },
  { name: 'zig', about: 'zig build test', run: (context) => zigTests(context) },
  {
    name: 'races',
    about: 'zig build test under ThreadSanitizer',
    run: (context) => zigTests(context, ['-Dsanitize-thread']),
  },
  {
    name: 'fuzz',
    about: 'the fuzzers’ smoke mode, ReleaseSafe',
    run: ({ zig }) =>
      one('fuzz', zig, ['build', 'fuzz', '-Doptimize=ReleaseSafe', '--', '--smoke']),
  },
  {
    name: 'sim',
    about: 'the simulator over a smoke set of seeds; it finds the bugs that are planted',
    run: async ({ zig }) => {
      const seeds = await one('sim', zig, ['build', 'fuzz', '-Dseed=1', '-Dseeds=120']);
      const bugs = await one('planted bugs', process.execPath, [at('scripts', 'sim-bugs.mjs')]);
      return together([seeds, bugs]);
    },
  },
  {
    name: 'unit',
    about: 'TypeScript units',
    engine: true,
    run: (context) => files(context, at('ts', 'src'), { jobs: 2 }),
  },
  {
    name: 'blackbox',
    about: 'the whole server over sockets, engine built ReleaseSafe',
    engine: true,
    run: (context) =>
      zigExecutables(context, () =>
        files(context, at('tests'), { except: /^tests\/(?:examples|readme)\// }),
      ),
  },
  {
    name: 'examples',
    about: 'every example',
    engine: true,
    run: (context) => zigExecutables(context, () => files(context, at('tests', 'examples'))),
  },
  {
    name: 'readme',
    about: 'every snippet of the README',
    engine: true,
    run: (context) => files(context, at('tests', 'readme')),
  },
];

/** `N passed, N failed`, with the skipped when there are some. */
export function sum(outcomes) {
  const total = (key) => outcomes.reduce((all, outcome) => all + outcome[key], 0);
  const skipped = total('skipped');
  return `${total('passed')} passed, ${total('failed')} failed${skipped > 0 ? `, ${skipped} skipped` : ''}`;
}

/** A stage that is one program: it passes or it fails. */
async function one(name, command, args, hint) {
  const { code, output } = await run(command, args, { cwd: root });
  if (code === 0) {
    console.log(`  ✓ ${name}`);
    return { passed: 1, failed: 0, skipped: 0, failures: [] };
  }
  console.log(tail(output, 80));
  const failure = hint === undefined ? name : `${name}: ${hint}`;
  return { passed: 0, failed: 1, skipped: 0, failures: [failure] };
}

/** Several programs of one stage. */
function together(outcomes) {
  const total = (key) => outcomes.reduce((all, outcome) => all + outcome[key], 0);
  return {
    passed: total('passed'),
    failed: total('failed'),
    skipped: total('skipped'),
    failures: outcomes.flatMap(({ failures }) => failures),
  };
}

/** All Zig files but those that somebody is trying something in. */
function zigFiles() {
  const isZig = (path) => /\.zig(?:\.zon)?$/.test(path) && !path.includes('/_t_');
  return filesBelow(root, (path) => isZig(path) && !/^(?:build|dist|zig-out)\//.test(path));
}

async function zigTests({ zig, filter }, options = []) {
  const args = ['build', 'test', '--summary', 'all', ...options];
  if (filter !== undefined) args.push(`-Dtest-filter=${filter}`);
  const { code, output } = await run(zig, args, { cwd: root });
  const summary = output.split('\n').find((line) => line.startsWith('Build Summary:')) ?? '';
  const number = (pattern) => Number(pattern.exec(summary)?.[1] ?? 0);
  const passed = number(/(\d+)\/\d+ tests passed/);
  const skipped = number(/(\d+) skipped/);
  let failed = number(/\/(\d+) tests passed/) - passed - skipped;
  if (code !== 0 && failed <= 0) failed = 1;
  if (failed > 0) console.log(tail(output, 120));
  console.log(`  ${failed > 0 ? '✘' : '✓'} ${summary || 'zig build test'}`);
  const names = [...output.matchAll(/^error: '([^']+)' failed/gm)].map((match) => match[1]);
  const failures = failed > 0 && names.length === 0 ? ['zig build test'] : names;
  return { passed, failed, skipped, failures };
}

/** Builds the Zig executables that the tests of `action` start. */
async function zigExecutables({ zig }, action) {
  const args = [
    'build',
    'install',
    'examples',
    'test-apps',
    '-Doptimize=ReleaseSafe',
    '--prefix',
    zigPrefix,
  ];
  const { code, output } = await run(zig, args, { cwd: root });
  const outcome = await action();
  if (code === 0) return outcome;
  console.log(tail(output, 60));
  const failures = [...outcome.failures, 'the Zig executables do not build'];
  return { ...outcome, failed: outcome.failed + 1, failures };
}

function files({ zig, filter = '' }, folder, { jobs = 1, except } = {}) {
  const chosen = filesBelow(folder, (path) => {
    return path.endsWith('.test.ts') && path.includes(filter) && !except?.test(path);
  });
  return runFiles(chosen, {
    root,
    jobs,
    loader: pathToFileURL(at('dist', 'loader', 'register.js')).href,
    env: {
      GYRFALCON_ENGINE: enginePath,
      GYRFALCON_SETUP: '0',
      GYRFALCON_ZIG: zig,
      GYRFALCON_ZIG_PREFIX: zigPrefix,
    },
  });
}
