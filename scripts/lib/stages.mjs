// The stages of the test run. Each returns { passed, failed, skipped, failures }.
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { runFiles } from '../../tests/runner/run-files.mjs';
import { lackOf, smoke } from './backends.mjs';
import { buildFor, enginePath, optimize } from './build.mjs';
import { compiledFolder, compiledTest, compileTests } from './compiled.mjs';
import { debianRoot } from './debian_root.mjs';
import { deflateOption, deflateThere } from './deflate.mjs';
import { executableOptions, executableTargets, prefixFor } from './executables.mjs';
import { emulated, emulatorOf, librariesOf, staticTargets, wineCommand } from './foreign.mjs';
import { architectures, imagesLack, prepareExecutable } from './images.mjs';
import { copyWithKqueue } from './kqueue.mjs';
import { nodeOf } from './nodes.mjs';
import { at, emptyAbove, exitMissing, filesBelow, root, SetupError } from './project.mjs';
import { Progress, run, stepsDone, tail } from './run.mjs';
import {
  aboutHttp,
  aboutRequests,
  anywhere,
  inGroups,
  matching,
  onArm64,
  onWine,
  servedByTypeScript,
  socketSuite,
  testFiles,
} from './suites.mjs';
import { targetHere, targets, tripleOf } from './targets.mjs';
import { tlsFolder, tlsOption, tlsThere, tryTls } from './tls.mjs';
import { installFrameworks, installRegistry } from './toolchain.mjs';

/** Where the Zig executables for the tests are installed. */
const zigPrefix = at('build', 'zig');
/** Where the programs of tests/support/go.ts are built to, and from which folders. */
const goFolder = at('build', 'go');
const goPrograms = { client: 'clients', tls_client: 'https' };
/**
 * What the loader has made of TypeScript, for all the processes and threads that tests start. Tests write files of their
 * own in temporary folders, which nobody asks for again: a run that finds too many begins anew.
 */
const loaderCache = at('.toolchain', 'loader-kept');
const loaderCacheMax = 8000;

/** Before the first stage: later others use it. */
export function trimLoaderCache() {
  emptyAbove(loaderCache, loaderCacheMax);
}

const loader = pathToFileURL(at('dist', 'loader', 'register.js')).href;

/**
 * All stages, in the order that finds the cheap mistakes first. `engine`: the stage needs the engine's module; `programs`:
 * and the executables. `tls`: it needs OpenSSL and picotls; they are built before all stages, so that the engine of the
 * others has TLS too. `deflate`: the same of zlib-ng's sources. `systems`: those for which it needs OpenSSL and picotls, too,
 * by their triples: they are built in the background of the stages before. `single`: it keeps one processor busy, and those
 * that follow each other run two at a time, the longest first. `ci`: it takes more than its share of ten minutes, and runs
 * in continuous integration (`--ci`). `long`: so it does, and runs when it is asked for. Both run with `--all`, and where
 * they are named (`--only`). With each of the three a stage is whole (`context.isWhole`); in a plain run some do less.
 */
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
    run: ({ zig }) => one('abi', zig, ['build', 'abi-check'], { hint: 'run `zig build abi`' }),
  },
  {
    name: 'systems',
    about: 'executable and module compile for the systems that are not this one',
    ci: true,
    run: ({ zig }) => otherSystems(zig),
  },
  { name: 'zig', about: 'zig build test', single: true, run: (context) => zigTests(context) },
  {
    name: 'bugs',
    about: 'the simulator finds the bugs that are planted',
    single: true,
    ci: true,
    run: () => one('planted bugs', process.execPath, [at('scripts', 'sim-bugs.mjs')]),
  },
  {
    name: 'races',
    about: 'zig build test under ThreadSanitizer',
    single: true,
    ci: true,
    run: (context) =>
      zigTests(context, { name: 'races', step: 'test', options: ['-Dsanitize-thread'] }),
  },
  {
    name: 'tls',
    about: 'the TLS filter, with picotls and OpenSSL as clients; builds OpenSSL once',
    tls: true,
    single: true,
    run: (context) => tlsTests(context),
  },
  {
    name: 'unit',
    about: 'TypeScript units',
    engine: true,
    single: true,
    run: (context) => runTests(context, testFiles(context, 'ts/src'), { processors: 1 }),
  },
  {
    name: 'sim',
    about: 'the simulator over a smoke set of seeds',
    single: true,
    run: async ({ zig, isWhole }) => {
      const count = `-Dseeds=${isWhole ? 120 : 40}`;
      const seeds = await one('sim', zig, ['build', 'fuzz', '-Dseed=1', count]);
      const program = at('scripts', 'sim-bugs.mjs');
      const bugs = await one('planted bugs fit', process.execPath, [program, '--check']);
      return together([seeds, bugs]);
    },
  },
  {
    name: 'fuzz',
    about: 'the fuzzers’ smoke mode, ReleaseSafe',
    single: true,
    run: ({ zig }) =>
      one('fuzz', zig, ['build', 'fuzz', '-Doptimize=ReleaseSafe', '--', '--smoke']),
  },
  {
    name: 'deflate',
    about: 'compression of WebSocket messages, with zlib-ng',
    deflate: true,
    single: true,
    run: (context) => deflateTests(context),
  },
  {
    name: 'blackbox',
    about: 'the server over sockets, engine built ReleaseSafe',
    engine: true,
    programs: true,
    // A run for which a backend is named is one more: that of kqueue, and `npm run test:io`.
    run: (context) =>
      withPrograms(context, socketSuite(context, { isAgain: Boolean(process.env.GYRFALCON_IO) })),
  },
  {
    name: 'https',
    about: 'the tests of messages, limits and hostile input once more, over TLS',
    engine: true,
    programs: true,
    tls: true,
    ci: true,
    run: (context) => overTls(context),
  },
  {
    name: 'http2',
    about: 'the tests of messages, handlers and files once more, over HTTP/2',
    engine: true,
    programs: true,
    ci: true,
    run: (context) => overHttp2(context),
  },
  {
    name: 'smoke',
    about: 'a part of the black-box tests on io_uring',
    engine: true,
    programs: true,
    run: (context) => onBackend('io_uring', context, smoke),
  },
  {
    name: 'readme',
    about: 'every snippet of the README and of docs/HTTP2.md',
    engine: true,
    single: true,
    run: (context) => runTests(context, testFiles(context, 'tests/readme')),
  },
  {
    name: 'examples',
    about: 'every example',
    engine: true,
    single: true,
    programs: true,
    run: (context) => withPrograms(context, testFiles(context, 'tests/examples')),
  },
  {
    name: 'frameworks',
    about: 'frameworks, unmodified, answer as they do on the servers that are usual for them',
    engine: true,
    single: true,
    run: async (context) => {
      await installFrameworks(new Progress());
      return runTests(context, testFiles(context, 'tests/frameworks'), { processors: 1 });
    },
  },
  {
    name: 'packages',
    about: 'npm’s packages, installed from a registry of their own, in folders without Zig',
    engine: true,
    ci: true,
    run: (context) => packages(context),
  },
  {
    name: 'cost',
    about: 'what a request costs in instructions and cache misses is what bench/cost.json says',
    engine: true,
    single: true,
    ci: true,
    run: () => one('cost', process.execPath, [at('bench', 'cost.mjs')]),
  },
  {
    name: 'static',
    about: 'static executables for x86-64 and arm64, a part of the tests over sockets on each',
    engine: true,
    ci: true,
    systems: () => staticTargets.filter((it) => isRunnable(it)).map(({ triple }) => triple),
    run: (context) => staticExecutables(context),
  },
  {
    name: 'images',
    about:
      'images of the executable and of an app in TypeScript, for both processors, as containers',
    engine: true,
    ci: true,
    systems: () => (imagesLack() === undefined ? architectures.map(({ triple }) => triple) : []),
    run: (context) => images(context),
  },
  {
    name: 'modules',
    about: 'the engine’s module for every system; that for arm64 runs',
    engine: true,
    long: true,
    run: (context) => modules(context),
  },
  {
    name: 'io_uring',
    about: 'the whole server over sockets, on io_uring',
    engine: true,
    programs: true,
    ci: true,
    run: (context) => onBackend('io_uring', context),
  },
  {
    name: 'inline',
    about: 'what TypeScript serves over sockets, with the engine in Node.js’s loop',
    engine: true,
    programs: true,
    ci: true,
    run: (context) => inInlineMode(context),
  },
  {
    name: 'kqueue',
    about:
      'the whole server over sockets, on a kqueue that stands in for that of macOS and FreeBSD',
    ci: true,
    run: (context) => onKqueue(context),
  },
  {
    name: 'wine',
    about:
      'executables of Windows: their own tests, and a part of the suite over sockets, under wine',
    engine: true,
    ci: true,
    systems: () => (wineCommand() === undefined ? [] : [windowsTarget]),
    run: (context) => onWindows(context),
  },
  {
    name: 'release',
    about: 'what a release is made of: executables, Debian’s packages, the package for Zig',
    ci: true,
    systems: () => releasedHere.map(tripleOf),
    run: (context) => release(context),
  },
  {
    name: 'commands',
    about: 'every command of the Markdown files, in a short form, in a fresh clone',
    long: true,
    run: () => commands(),
  },
];

/** `N passed, N failed`, with the skipped when there are some. */
export function sum(outcomes) {
  const total = (key) => outcomes.reduce((all, outcome) => all + outcome[key], 0);
  const skipped = total('skipped');
  return `${total('passed')} passed, ${total('failed')} failed${skipped > 0 ? `, ${skipped} skipped` : ''}`;
}

/** The versions of Node.js that packages are installed under, and one that is too old for them. */
const nodeMajors = [18, 20, 22, 24];

/**
 * The packages are made of what is built for this machine. The registry is installed here, and so are other versions of
 * Node.js, Bun and Deno: without one of them its tests are skipped.
 */
async function packages(context) {
  try {
    await installRegistry(new Progress());
  } catch (error) {
    if (!(error instanceof SetupError)) throw error;
    return skipped(`no registry: ${error.message}`);
  }
  const own = Number.parseInt(process.versions.node, 10);
  const { bun, deno } = await import('../../bench/lib/tools.mjs');
  const others = nodeMajors
    .filter((major) => major !== own)
    .map((major) => () => nodeOf(major, new Progress()));
  for (const install of [...others, bun, deno]) {
    await install().catch((error) => {
      if (!(error instanceof SetupError)) throw error;
      console.log(`      not there: ${error.message}`);
    });
  }
  // One after the other: they share the registry's folder. npm takes long where others are busy.
  const options = { processors: 1, timeoutMs: 600_000 };
  return runTests(context, testFiles(context, 'tests/packages'), options);
}

/** The version of Node.js in the image of an app: that of examples/10-container/Dockerfile. */
const imageNodeMajor = 24;

/**
 * Executables come from the stage `static`, or are compiled here; so is an engine for the other processor, with TLS where
 * that is built for it. What is for an app needs a registry of npm's, as `packages` does. Where an image cannot be built, or
 * a part of one cannot be had, its tests are skipped and say so.
 */
async function images(context) {
  const { zig } = context;
  const progress = new Progress();
  if (imagesLack() === undefined) {
    // What this machine cannot link is not what these tests are about.
    const options = { isPartial: true };
    for (const one of architectures) await prepareExecutable(one, zig, progress, options);
    for (const { arch } of architectures) {
      await buildFor(targetOf(tripleOf({ platform: 'linux', arch })), zig, progress);
    }
    const installs = architectures.map(
      ({ arch }) =>
        () =>
          nodeOf(imageNodeMajor, progress, arch),
    );
    for (const install of [() => installRegistry(progress), ...installs]) {
      await install().catch((error) => {
        if (!(error instanceof SetupError)) throw error;
        console.log(`      not there: ${error.message}`);
      });
    }
  }
  // One after the other: npm and an emulated Node.js take long where others are busy.
  const options = { processors: 1, timeoutMs: 600_000 };
  return runTests(context, testFiles(context, 'tests/images'), options);
}

/** A stage that is one program: it passes or it fails. */
async function one(name, command, args, { hint, env } = {}) {
  const begun = Date.now();
  const { code, output } = await run(command, args, { cwd: root, env: { ...process.env, ...env } });
  const ms = Date.now() - begun;
  stepsDone.push({ name, ms });
  if (code === 0) {
    console.log(`  ✓ ${name} (${(ms / 1000).toFixed(1)} s)`);
    return { passed: 1, failed: 0, skipped: 0, failures: [] };
  }
  if (code === exitMissing) return skipped(tail(output, 1));
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

/**
 * Compiles for each system what is shipped, with TLS and without. Nothing is written: that would take ten times as long.
 * One executable is linked, for the functions that a libc has not; Zig has none of FreeBSD to link with.
 */
async function otherSystems(zig) {
  const outcomes = [];
  for (const target of ['x86_64-macos', 'aarch64-macos', 'x86_64-freebsd', windowsTarget]) {
    const args = ['build', 'products', `-Dtarget=${target}`];
    outcomes.push(await one(`executable and module for ${target}`, zig, args));
  }
  const target = 'aarch64-macos';
  const args = ['build', 'install', `-Dtarget=${target}`, '--prefix', at('build', `zig-${target}`)];
  outcomes.push(await one(`executable for ${target}, linked`, zig, args));
  return together(outcomes);
}

/** The options of build.zig that choose tests, by its steps. */
const filters = { test: 'test-filter', 'test-tls': 'tls-filter' };

/** `step` of the Zig build; `name`: what it is called in the output. */
async function zigTests({ zig, filter }, { name = 'zig', step = 'test', options = [] } = {}) {
  const args = ['build', step, '--summary', 'all', ...options];
  if (filter !== undefined) args.push(`-D${filters[step]}=${filter}`);
  const { code, output } = await run(zig, args, { cwd: root });
  const summary = output.split('\n').find((line) => line.startsWith('Build Summary:')) ?? '';
  const number = (pattern) => Number(pattern.exec(summary)?.[1] ?? 0);
  const passed = number(/(\d+)\/\d+ tests passed/);
  const skipped = number(/(\d+) skipped/);
  let failed = number(/\/(\d+) tests passed/) - passed - skipped;
  if (code !== 0 && failed <= 0) failed = 1;
  if (failed > 0) console.log(tail(output, 120));
  console.log(`  ${failed > 0 ? '✘' : '✓'} ${name}: ${summary || `zig build ${step}`}`);
  const names = [...output.matchAll(/^error: '([^']+)' failed/gm)].map((match) => match[1]);
  const failures = failed > 0 && names.length === 0 ? [`zig build ${step}`] : names;
  return { passed, failed, skipped, failures };
}

/** Skipped where the machine lacks what OpenSSL is built with. */
async function tlsTests(context) {
  if (context.tlsLack !== undefined) return skipped(context.tlsLack);
  const options = [tlsOption(tlsFolder(targetHere()))];
  const outcomes = [await zigTests(context, { name: 'tls', step: 'test-tls', options })];
  if (context.filter === undefined) {
    const args = ['build', 'tls-module', ...options, '--prefix', zigPrefix];
    const built = await one('a module for Node.js with OpenSSL in it', context.zig, args);
    outcomes.push(built);
    if (built.failed === 0) {
      const files = testFiles(context, 'tests/tls');
      outcomes.push(await runTests(context, files));
    }
    const bench = ['build', 'bench-tls', ...options, '--', '--smoke'];
    outcomes.push(await one('bench-tls --smoke', context.zig, bench));
  }
  return together(outcomes);
}

/** Skipped where the machine cannot fetch zlib-ng. */
async function deflateTests({ zig, deflateLack }) {
  if (deflateLack !== undefined) return skipped(deflateLack);
  const option = deflateOption(deflateThere());
  const bench = ['build', 'bench-websocket', option, '--', '--smoke'];
  return together([
    await one('zig build test-deflate', zig, ['build', 'test-deflate', option]),
    await one('bench-websocket --smoke', zig, bench),
  ]);
}

/** Runs test files that start programs which have to be built. */
async function withPrograms(context, chosen, options = {}) {
  const failures = [];
  if (chosen.length > 0 && !(await zigExecutables(context))) {
    failures.push('the Zig executables do not build');
  }
  if (chosen.some((path) => /\/tests\/(?:clients|http2|https)\/programs/.test(path)))
    await buildGoPrograms();
  const outcome = await runTests(context, chosen, options);
  outcome.failed += failures.length;
  outcome.failures.push(...failures);
  return outcome;
}

/**
 * Runs the suite of sockets, or the part of it whose paths `only` matches, on a backend. Where that cannot be had the
 * whole of it is one skipped test.
 */
async function onBackend(backend, context, only = /^/) {
  const lack = await lackOf(backend);
  if (lack !== null) {
    console.log(`SKIP ${backend}: ${lack}`);
    return { passed: 0, failed: 0, skipped: 1, failures: [] };
  }
  const chosen = matching(socketSuite(context, { isAgain: true }), only);
  return withPrograms(context, chosen, { env: { GYRFALCON_IO: backend } });
}

/** On the backend that GYRFALCON_IO names. */
async function inInlineMode(context) {
  if (process.platform !== 'linux') return skipped('inline mode is Linux’s');
  const chosen = matching(testFiles(context, 'tests'), servedByTypeScript);
  return withPrograms(context, chosen, { env: { GYRFALCON_MODE: 'inline' } });
}

async function overTls(context) {
  if (context.tlsLack !== undefined) return skipped(context.tlsLack);
  const chosen = matching(socketSuite(context), aboutHttp);
  // Clients do not look at whose certificate it is: it is made for the run.
  const env = { GYRFALCON_OVER_TLS: '1', NODE_TLS_REJECT_UNAUTHORIZED: '0' };
  return withPrograms(context, chosen, { env });
}

async function overHttp2(context) {
  const chosen = matching(socketSuite(context), aboutRequests);
  return withPrograms(context, chosen, { env: { GYRFALCON_OVER_HTTP2: '1' } });
}

/** The black-box stage of a copy of the project whose engine has kqueue on Linux. */
async function onKqueue({ filter }) {
  if (process.platform !== 'linux') return skipped('it stands in on Linux');
  const folder = copyWithKqueue();
  const args = [join(folder, 'scripts', 'test.mjs'), '--only', 'blackbox'];
  if (filter !== undefined) args.push('--filter', filter);
  const env = { ...process.env, GYRFALCON_IO: 'kqueue', GYRFALCON_OPTIMIZE: 'Debug' };
  const { code, output } = await run(process.execPath, args, { cwd: folder, echo: true, env });
  return summed('the copy of the project that has kqueue', code, output, /^ {2}blackbox: (.*)$/gm);
}

/** Builds the Zig executables that tests start. False, and what Zig said is printed, when it does not work. */
export async function zigExecutables({ zig }) {
  const options = [tlsOption(tlsThere(targetHere())), deflateOption()];
  const steps = ['install', 'examples', 'test-apps', ...options];
  const args = ['build', ...steps, `-Doptimize=${optimize}`, '--prefix', zigPrefix];
  const { code, output } = await run(zig, args, { cwd: root });
  if (code !== 0) console.log(tail(output, 60));
  return code === 0;
}

/**
 * Builds the clients of the tests that are written in Go, if Go is here. With a cold cache that is Go's net/http too,
 * which may take minutes. When it does not work what Go said is printed, and the test that misses the program fails.
 */
async function buildGoPrograms() {
  const env = { ...process.env, GOFLAGS: '-mod=mod' };
  for (const [name, tests] of Object.entries(goPrograms)) {
    const source = at('tests', tests, 'fixtures', 'go', 'main.go');
    const args = ['build', '-o', join(goFolder, name), source];
    const { code, missing, output } = await run('go', args, { env, timeoutMs: 480_000 });
    if (missing) return;
    if (code !== 0) console.log(tail(`go ${args.join(' ')}\n${output}`, 40));
  }
}

/**
 * Runs test files: as many at a time as there are processors, two at most. Those that measure time come by themselves,
 * beside others that mostly wait as they do; those that want the whole machine come one by one.
 */
async function runTests({ zig }, chosen, { env, processors, ...options } = {}) {
  const outcomes = [];
  await compileTests();
  for (const { files, jobs } of inGroups(chosen, processors)) {
    const outcome = await runFiles(files, {
      root,
      jobs,
      loader,
      compiled: compiledTest,
      ...options,
      env: {
        GYRFALCON_COMPILED: compiledFolder,
        GYRFALCON_ENGINE: enginePath,
        GYRFALCON_GO_PROGRAMS: goFolder,
        GYRFALCON_LOADER_CACHE: loaderCache,
        GYRFALCON_SETUP: '0',
        GYRFALCON_ZIG: zig,
        GYRFALCON_ZIG_PREFIX: zigPrefix,
        ...env,
      },
    });
    outcomes.push(outcome);
  }
  return together(outcomes);
}

/** On a processor that is emulated a test file takes five times as long at most. */
const emulatedTimeoutMs = 600_000;

const isRunnable = ({ arch, isForeign }) => !isForeign || emulatorOf(arch) !== undefined;

async function staticExecutables({ zig, filter }) {
  const outcomes = [];
  for (const { arch, triple, isForeign } of staticTargets) {
    console.log(`  ${triple}`);
    const emulator = isForeign ? emulatorOf(arch) : undefined;
    if (isForeign && emulator === undefined) {
      outcomes.push(skipped(`${triple}: qemu-user is not installed (qemu-user-static)`));
      continue;
    }
    const target = targetOf(triple);
    const prefix = prefixFor(target);
    const tls = await tlsFor(triple, zig);
    const steps = ['install', 'examples', 'test-server', ...executableOptions(target)];
    const args = ['build', ...steps, '--prefix', prefix];
    const built = await one(`zig build for ${triple}`, zig, args);
    outcomes.push(built);
    if (built.failed > 0) continue;
    if (filter === undefined && tls !== tlsOption()) {
      outcomes.push(await tlsTestsOn(triple, emulator, zig, tls, prefix));
    }
    const chosen = matching(testFiles({ filter }, 'tests'), anywhere);
    const env = {
      GYRFALCON_TARGET: triple,
      GYRFALCON_TARGET_PREFIX: prefix,
      GYRFALCON_ZIG_PREFIX: isForeign ? emulated(prefix, emulator) : prefix,
    };
    const timeoutMs = isForeign ? emulatedTimeoutMs : undefined;
    outcomes.push(await runTests({ zig }, chosen, { env, timeoutMs }));
  }
  return together(outcomes);
}

/** The tests of the TLS filter, as a program for a system that another processor may have. */
async function tlsTestsOn(triple, emulator, zig, tls, prefix) {
  const args = ['build', 'tls-tests', `-Dtarget=${triple}`, tls, '--prefix', prefix];
  const built = await one(`the tests of the TLS filter, for ${triple}`, zig, args);
  if (built.failed > 0) return built;
  const program = join(prefix, 'bin', 'tls_tests');
  const name = `the TLS filter on ${triple}`;
  if (emulator === undefined) return together([built, await one(name, program, [])]);
  // What is tried at hundreds of places is the same Zig code on every processor.
  const env = { GYRFALCON_TLS_STRIDE: '7', GYRFALCON_EMULATED: '1' };
  return together([built, await one(name, emulator, [program], { env })]);
}

/**
 * Begins to build OpenSSL for the systems that stages need it for, one after the other, with the lowest priority: most tests
 * over sockets leave much of two processors idle. A stage waits for its own.
 */
export async function buildAhead(chosen, { zig }) {
  const progress = new Progress({ isBackground: true });
  for (const triple of chosen.flatMap(({ systems }) => systems?.() ?? [])) {
    try {
      await tryTls(targetOf(triple), zig, progress, { isBackground: true });
    } catch (error) {
      if (!(error instanceof SetupError)) throw error;
      return; // The stage comes to the same, and tells.
    }
  }
}

const targetOf = (triple) => targets.find((one) => tripleOf(one) === triple);

/** What tells build.zig of TLS for a system. It is built where this machine can; else the reason is told. */
async function tlsFor(triple, zig) {
  const target = targetOf(triple);
  await tryTls(target, zig, new Progress());
  return tlsOption(tlsThere(target));
}

const windowsTarget = 'x86_64-windows-gnu';

/** Zig tests of Windows, by parts of their names. */
const windowsTests = ['backend:', 'doorbell', 'iocp:', 'Ctrl-C', 'windows:', 'names'];

async function onWindows({ zig, filter }) {
  const wine = wineCommand();
  if (wine === undefined) return skipped('wine is not installed (wine64)');
  const target = targetOf(windowsTarget);
  const prefix = prefixFor(target);
  await tlsFor(windowsTarget, zig);
  const steps = ['install', 'examples', 'test-server', ...executableOptions(target, { optimize })];
  const args = ['build', ...steps, '--prefix', prefix];
  const outcomes = [await one(`zig build for ${windowsTarget}`, zig, args)];
  if (outcomes[0].failed > 0) return outcomes[0];
  if (filter === undefined) {
    const program = at('build', 'windows-tests.exe');
    const names = windowsTests.flatMap((name) => ['--test-filter', name]);
    const options = ['-lc', '-target', windowsTarget, '--test-no-exec', `-femit-bin=${program}`];
    const compile = ['test', ...options, ...names, 'zig/windows_tests.zig'];
    const compiled = await one('the Zig tests of Windows, compiled', zig, compile);
    outcomes.push(compiled);
    if (compiled.failed === 0) {
      const line = `exec ${wine} '${program}'`;
      outcomes.push(await one('the Zig tests of Windows', 'sh', ['-c', line]));
    }
  }
  const chosen = matching(testFiles({ filter }, 'tests'), onWine);
  const env = { GYRFALCON_WINE: '1', GYRFALCON_ZIG_PREFIX: emulated(prefix, wine) };
  // One by one: what runs under wine shares one server of wine's, which is no measure of ours.
  const options = { env, timeoutMs: emulatedTimeoutMs, processors: 1 };
  outcomes.push(await runTests({ zig }, chosen, options));
  return together(outcomes);
}

/** The systems whose executables the stages before have built. */
const releasedHere = executableTargets.filter(({ platform }) => platform !== 'darwin');

/**
 * Rehearses a release (`npm run release -- --dry-run`) for those systems, and looks at what it has made. The root folder of
 * a Debian, in which packages are installed, is made once.
 */
async function release(context) {
  const folder = at('build', 'release-tested');
  const names = releasedHere.map(({ name }) => name);
  const args = [at('scripts', 'release.mjs'), '--dry-run', '--to', folder, '--partial'];
  args.push('--npm', 'none', '--url', 'https://example.invalid/gyrfalcon');
  args.push('--homepage', 'https://example.invalid/', ...names);
  const made = await one('npm run release -- --dry-run', process.execPath, args);
  if (made.failed > 0) return made;
  const debian = await debianRoot(new Progress());
  const env = {
    GYRFALCON_RELEASE: folder,
    GYRFALCON_RELEASE_TARGETS: names.join(' '),
    GYRFALCON_DEBIAN: debian.root ?? '',
  };
  if (debian.lacks !== undefined) env.GYRFALCON_DEBIAN_LACKS = debian.lacks;
  const options = { env, processors: 1, timeoutMs: emulatedTimeoutMs };
  return together([made, await runTests(context, testFiles(context, 'tests/release'), options)]);
}

async function modules({ zig, filter }) {
  const names = targets.filter(({ lacks }) => lacks === undefined).map(({ name }) => name);
  const script = at('scripts', 'build-modules.mjs');
  const built = await one('every module', process.execPath, [script, ...names]);
  if (built.failed > 0) return built;
  const files = testFiles({ filter }, 'tests');
  const those = (which) => matching(files, which);
  const outcomes = [built, await runTests({ zig }, those(/^tests\/targets\/modules/))];
  const { node, lacks } = await nodeForArm64();
  if (lacks !== undefined) return together([...outcomes, skipped(`on arm64: ${lacks}`)]);
  const env = {
    GYRFALCON_NODE: JSON.stringify(node),
    // The compiler for TypeScript that is installed: a program of this processor, which the kernel starts as such.
    ESBUILD_BINARY_PATH: at('node_modules', '@esbuild', `linux-${process.arch}`, 'bin', 'esbuild'),
  };
  const options = { env, timeoutMs: emulatedTimeoutMs };
  outcomes.push(await runTests({ zig }, those(onArm64), { ...options, node }));
  outcomes.push(await runTests({ zig }, those(/^tests\/targets\/arm64/), options));
  return together(outcomes);
}

/** The command for a Node.js of this version for arm64, in an emulator; or why there is none. */
async function nodeForArm64() {
  if (process.platform !== 'linux' || process.arch === 'arm64') {
    return { lacks: 'it is emulated on Linux and other processors alone' };
  }
  const emulator = emulatorOf('arm64');
  if (emulator === undefined) return { lacks: 'qemu-user is not installed (qemu-user-static)' };
  const libraries = librariesOf('arm64');
  if (libraries === undefined) return { lacks: 'libstdc++6-arm64-cross is not installed' };
  const major = process.versions.node.split('.')[0];
  try {
    const path = await nodeOf(major, new Progress(), 'arm64');
    return { node: [emulator, '-L', libraries, path] };
  } catch (error) {
    if (!(error instanceof SetupError)) throw error;
    return { lacks: error.message.split('\n')[0] };
  }
}

/** What cannot be tested here, and why. */
function skipped(why) {
  console.log(`      skipped: ${why}`);
  return { passed: 0, failed: 0, skipped: 1, failures: [] };
}

/** The programs of tests/commands tell by themselves what they do. */
async function commands() {
  const args = ['--import', loader, at('tests', 'commands', 'run.ts')];
  const { code, output } = await run(process.execPath, args, { cwd: root, echo: true });
  return summed('tests/commands/run.ts', code, output, /^ {2}✘ (.*)$/gm);
}

/** The outcome of a program whose last line is the sum. `failure`: its lines that name one. */
function summed(program, code, output, failure) {
  const outcome = { passed: 0, failed: 0, skipped: 0, failures: [] };
  const last = output.trimEnd().split('\n').at(-1);
  for (const [, count, key] of last.matchAll(/(\d+) (passed|failed|skipped)/g)) {
    outcome[key] = Number(count);
  }
  outcome.failures.push(...[...output.matchAll(failure)].map(([, what]) => what));
  if (code !== 0 && outcome.failed === 0) {
    outcome.failed = 1;
    outcome.failures.push(`${program} ended with exit code ${code}`);
  }
  return outcome;
}
