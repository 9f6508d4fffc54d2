// Shows that the simulator finds bugs: puts each of tests/sim/bugs into a copy of zig/, builds the simulator from it,
// and expects it to fail.
//   node scripts/sim-bugs.mjs [NAME...]   all, or those named
//   node scripts/sim-bugs.mjs --check     only that each still fits the sources
import { spawnSync } from 'node:child_process';
import { cpSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { parseArgs } from 'node:util';
import { at, toolchain } from './lib/project.mjs';
import { Progress } from './lib/run.mjs';
import { main } from './lib/setup.mjs';
import { findZig } from './lib/toolchain.mjs';

const folder = at('tests', 'sim', 'bugs');
/** Seeds that are tried; each bug is found within a fraction of them. */
const seeds = 400;

function bugs(names) {
  return readdirSync(folder)
    .map((file) => ({
      name: basename(file, '.json'),
      ...JSON.parse(readFileSync(join(folder, file), 'utf8')),
    }))
    .filter(({ name }) => names.length === 0 || names.includes(name));
}

/** The file of `bug` with the bug in it; an Error when the text to replace is not there once. */
function planted(bug) {
  const parts = readFileSync(at(bug.file), 'utf8').split(bug.find);
  if (parts.length === 2) return parts.join(bug.replace);
  throw new Error(`${bug.name}: what it replaces is ${parts.length - 1} times in ${bug.file}`);
}

/** What the simulator says about the engine with `bug` in it. */
function find(bug, zig, work) {
  cpSync(at('zig'), join(work, 'zig'), { recursive: true });
  writeFileSync(join(work, bug.file), planted(bug));
  const program = join(work, 'sim');
  // Unoptimised: what has to be compiled that often takes longer than what has to be run.
  const args = ['build-exe', 'zig/sim.zig', '-lc', `-femit-bin=${program}`];
  args.push('--cache-dir', join(toolchain, 'sim-bugs'));
  const built = spawnSync(zig, args, { cwd: work, encoding: 'utf8' });
  if (built.status !== 0) throw new Error(`${bug.name}: it does not compile\n${built.stderr}`);
  // Where the first one is long and cannot find it, others go first.
  const run = ['--seed', String(bug.seed ?? 1), '--seeds', String(seeds)];
  const { status, stderr } = spawnSync(program, run, { encoding: 'utf8' });
  return { isFound: status !== 0, said: /^sim: seed \d+ fails: .*$/m.exec(stderr)?.[0] ?? stderr };
}

await main(async () => {
  const { values, positionals } = parseArgs({
    options: { check: { type: 'boolean' } },
    allowPositionals: true,
  });
  const chosen = bugs(positionals);
  if (values.check) {
    for (const bug of chosen) planted(bug);
    console.log(`${chosen.length} planted bugs fit the sources`);
    return;
  }
  const zig = await findZig(new Progress({ quiet: true }));
  for (const bug of chosen) {
    const work = mkdtempSync(join(tmpdir(), 'gyrfalcon-bug-'));
    try {
      const { isFound, said } = find(bug, zig, work);
      console.log(`${isFound ? '✓' : '✘'} ${bug.name}: ${bug.about}\n    ${said}`);
      if (!isFound) process.exitCode = 1;
    } finally {
      rmSync(work, { recursive: true, force: true });
    }
  }
});
