// Coverage-guided fuzzing: the fuzzers of zig/fuzz driven by libFuzzer.
import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { at, MissingError, root, SetupError } from './lib/project.mjs';
import { outputOf, run, tail } from './lib/run.mjs';
import { main, setup } from './lib/setup.mjs';

const usage = `usage: node scripts/fuzz-coverage.mjs NAME [--minutes N] [--keep] [--replay FILE] [--smoke]

NAME: decoder, chunked, hpack, frames, connection, websocket, ws_extensions, uri, range or date.
--minutes N    how long (default 60; 0: only what is there already)
--keep         adds the smallest set of inputs that reach every edge to tests/fuzz/NAME afterwards
--replay FILE  runs one input, such as one that failed
--smoke        five seconds, and nothing is kept in the project: shows that it runs

Inputs that were found are kept in build/fuzz/NAME/corpus; those that fail, in build/fuzz/NAME/failed.
Needs a C++ compiler and libFuzzer from LLVM's compiler-rt: on Debian, g++ and libclang-rt-14-dev.
GYRFALCON_LIBFUZZER may name the archive.
`;

/** Inputs longer than this reach nothing new and take their time. */
const inputBytesMax = 4096;
const smokeSeconds = 5;
/** Inputs kept in the project are small. */
const keptBytesMax = 1024;

/** The archive that holds libFuzzer and its main(). */
function libFuzzer() {
  const named = process.env.GYRFALCON_LIBFUZZER;
  if (named !== undefined) return named;
  const folders = existsSync('/usr/lib') ? readdirSync('/usr/lib') : [];
  for (const folder of folders
    .filter((name) => name.startsWith('llvm-'))
    .sort()
    .reverse()) {
    const versions = join('/usr/lib', folder, 'lib/clang');
    if (!existsSync(versions)) continue;
    for (const version of readdirSync(versions)) {
      const arch = process.arch === 'arm64' ? 'aarch64' : 'x86_64';
      const archive = join(versions, version, `lib/linux/libclang_rt.fuzzer-${arch}.a`);
      if (existsSync(archive)) return archive;
    }
  }
  throw new MissingError(
    'no libFuzzer here: install libclang-rt-14-dev, or set GYRFALCON_LIBFUZZER',
  );
}

async function mustRun(command, args) {
  const { code, output } = await run(command, args, { cwd: root });
  if (code !== 0) throw new SetupError(`${command} ${args[0]} failed\n${tail(output, 40)}`);
}

/** Builds the program that fuzzes `name` and gives its path. */
async function build(folder) {
  const archive = libFuzzer();
  const compiler = process.env.CXX ?? 'g++';
  if (outputOf(compiler, ['--version']) === undefined) {
    throw new MissingError(`no C++ compiler to link with: ${compiler} does not run`);
  }
  const args = ['build', 'fuzz-library', '-Doptimize=ReleaseSafe', '--prefix', folder];
  const { zig } = await setup({ engine: false, quiet: true });
  await mustRun(zig, args);
  const program = join(folder, 'fuzzer');
  const library = join(folder, 'lib/libfuzz_coverage.a');
  await mustRun(compiler, ['-o', program, archive, library, '-lpthread', '-ldl', '-lm']);
  return program;
}

/** libFuzzer's options for a run of so many seconds. */
function options(name, folder, seconds) {
  return [
    // No time at all is no limit to libFuzzer.
    seconds === 0 ? '-runs=0' : `-max_total_time=${seconds}`,
    `-max_len=${inputBytesMax}`,
    `-artifact_prefix=${join(folder, 'failed')}/`,
    `-dict=${join(folder, 'words')}`,
    // By the clock: with the lowest priority an input of 8 ms was once held up for seven seconds.
    '-timeout=60',
    '-rss_limit_mb=1024',
    '-print_final_stats=1',
    '-reload=0',
    join(folder, 'corpus'),
    at('tests/fuzz', name),
  ];
}

/** Runs libFuzzer; resolves to its exit code and what it said. */
function fuzz(program, name, args, folder) {
  const env = {
    ...process.env,
    GYRFALCON_FUZZER: name,
    GYRFALCON_FUZZER_WORDS: join(folder, 'words'),
  };
  return new Promise((resolve) => {
    const child = spawn(program, args, { env, stdio: ['ignore', 'inherit', 'pipe'] });
    let said = '';
    child.stderr.on('data', (bytes) => {
      said = (said + bytes.toString('latin1')).slice(-65_536);
      process.stderr.write(bytes);
    });
    for (const signal of ['SIGINT', 'SIGTERM']) process.once(signal, () => child.kill(signal));
    child.on('close', (code) => resolve({ code: code ?? 1, said }));
  });
}

/** What a run came to, out of libFuzzer's last lines. */
function summary(said) {
  const last = [...said.matchAll(/#(\d+)\s+\w+\s+cov: (\d+) ft: (\d+) corp: (\d+)\/(\S+)/g)].at(-1);
  if (last === undefined) return undefined;
  const [, executions, edges, features, inputs, bytes] = last;
  const perSecond = /stat::average_exec_per_sec:\s+(\d+)/.exec(said)?.[1];
  return {
    executions: +executions,
    perSecond: +perSecond,
    edges: +edges,
    features: +features,
    inputs: +inputs,
    bytes,
  };
}

/** Adds the inputs to tests/fuzz/`name` that reach edges which those there do not. */
async function keep(program, name, folder) {
  const kept = at('tests/fuzz', name);
  const chosen = join(folder, 'chosen');
  rmSync(chosen, { recursive: true, force: true });
  mkdirSync(chosen);
  // The project's own come first: merging takes what adds something, smallest first.
  const args = ['-merge=1', '-use_counters=0', `-max_len=${keptBytesMax}`, chosen, kept];
  await fuzz(program, name, [...args, join(folder, 'corpus')], folder);
  const hash = (bytes) => createHash('sha1').update(bytes).digest('hex').slice(0, 12);
  const old = new Set(readdirSync(kept).map((file) => hash(readFileSync(join(kept, file)))));
  let added = 0;
  for (const file of readdirSync(chosen)) {
    const bytes = readFileSync(join(chosen, file));
    if (old.has(hash(bytes))) continue;
    writeFileSync(join(kept, `found-${hash(bytes)}`), bytes);
    added += 1;
  }
  console.log(`tests/fuzz/${name}: ${added} added`);
}

await main(async () => {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: {
      minutes: { type: 'string', default: '60' },
      keep: { type: 'boolean', default: false },
      replay: { type: 'string' },
      smoke: { type: 'boolean', default: false },
    },
  });
  const [name, ...rest] = positionals;
  const seconds = values.smoke ? smokeSeconds : Math.round(Number(values.minutes) * 60);
  if (
    name === undefined ||
    rest.length > 0 ||
    !(seconds >= 0) ||
    !existsSync(at('tests/fuzz', name))
  ) {
    process.stderr.write(usage);
    process.exitCode = 2;
    return;
  }
  const folder = at('build/fuzz', name);
  for (const part of ['corpus', 'failed']) mkdirSync(join(folder, part), { recursive: true });
  const program = await build(folder);
  if (values.replay !== undefined) {
    process.exitCode = (await fuzz(program, name, [values.replay], folder)).code;
    return;
  }
  const { code, said } = await fuzz(program, name, options(name, folder, seconds), folder);
  console.log(JSON.stringify({ name, seconds, ...summary(said), failed: code !== 0 }));
  if (values.keep && !values.smoke) await keep(program, name, folder);
  process.exitCode = code === 0 ? 0 : 1;
});
