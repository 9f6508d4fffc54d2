/**
 * The stage `commands`: makes a fresh clone of this checkout, with an empty home folder, and runs in it every command
 * that Markdown names, as the table says.
 *
 *   node --import ./scripts/ts.mjs tests/commands/run.ts [WORD]   those alone whose text contains WORD, and the first
 *
 * What is not committed yet is in the clone too. The last line is the sum.
 */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import {
  cpSync,
  existsSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { delimiter, dirname, join } from 'node:path';
import { project, root } from '../support/process.ts';
import { until } from '../support/wait.ts';
import { readPages } from './pages.ts';
import { type Row, rowOf, rows } from './table.ts';

/** How a command ends that misses something on this machine. */
const { exitMissing } = (await import(project('scripts', 'lib', 'project.mjs'))) as {
  exitMissing: number;
};
/** What a row may take unless it says otherwise; most of it is Zig's compiler, on a machine that is busy. */
const minutesMax = 20;
/** How long a server may take to end, ms. */
const stopMax = 20_000;
const outputLines = 40;

type Verdict = 'passed' | 'failed' | 'skipped';

interface Place {
  readonly checkout: string;
  readonly env: NodeJS.ProcessEnv;
}

const folder = mkdtempSync(join(tmpdir(), 'gyrfalcon-fresh-'));
const running = new Set<ChildProcess>();

/** Ends a process and all that it has started. */
function kill(child: ChildProcess, signal: NodeJS.Signals): void {
  try {
    process.kill(-(child.pid as number), signal);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
  }
}

process.on('exit', () => {
  for (const child of running) kill(child, 'SIGKILL');
  rmSync(folder, { recursive: true, force: true });
});
for (const signal of ['SIGINT', 'SIGTERM'] as const) {
  process.once(signal, () => {
    console.log(`  ✘ ended by ${signal}`);
    process.exit(130);
  });
}

function git(cwd: string, ...args: string[]): string {
  const { status, stdout, stderr } = spawnSync('git', args, { cwd, encoding: 'utf8' });
  if (status !== 0) throw new Error(`git ${args[0]}: ${stderr}`);
  return stdout;
}

/** A clone as somebody else would have it, with the changes that are not committed. */
function freshClone(): Place {
  const [checkout, home] = [join(folder, 'checkout'), join(folder, 'home')];
  mkdirSync(home);
  git(folder, 'clone', '--quiet', root, checkout);
  const changed = git(root, 'diff', '--name-only', '-z', 'HEAD');
  const added = git(root, 'ls-files', '-z', '--others', '--exclude-standard');
  for (const name of `${changed}${added}`.split('\0').filter((text) => text !== '')) {
    const [from, to] = [project(name), join(checkout, name)];
    rmSync(to, { force: true });
    if (!existsSync(from) || lstatSync(from).isDirectory()) continue;
    mkdirSync(dirname(to), { recursive: true });
    cpSync(from, to);
  }
  return { checkout, env: freshEnvironment(checkout, home) };
}

/** Nothing of this run, nor of the npm that started it; but the registry that npm was told to ask. */
function freshEnvironment(checkout: string, home: string): NodeJS.ProcessEnv {
  const env: NodeJS.ProcessEnv = {};
  for (const [name, value] of Object.entries(process.env)) {
    if (!/^(?:npm_|NODE_|GYRFALCON_(?!LIBFUZZER)|INIT_CWD$|XDG_)/i.test(name)) env[name] = value;
  }
  const userConfig = join(process.env.HOME ?? '', '.npmrc');
  if (existsSync(userConfig)) env.npm_config_userconfig = userConfig;
  const path = (process.env.PATH ?? '').split(delimiter);
  return {
    ...env,
    HOME: home,
    // As CONTRIBUTING.md has it where `zig` is not on PATH.
    PATH: [
      join(checkout, '.toolchain', 'zig-0.14.1', 'ziglang'),
      ...path.filter((part) => !part.endsWith('/node_modules/.bin')),
    ].join(delimiter),
  };
}

class Attempt {
  readonly child: ChildProcess;
  output = '';
  code: number | undefined;

  constructor(command: string, { checkout, env }: Place) {
    this.child = spawn('sh', ['-c', command], {
      cwd: checkout,
      env,
      stdio: ['ignore', 'pipe', 'pipe'],
      detached: true, // a group of its own, so that it can be ended with all that it starts
    });
    running.add(this.child);
    for (const stream of [this.child.stdout, this.child.stderr]) {
      stream?.setEncoding('utf8').on('data', (text: string) => {
        this.output += text;
      });
    }
    // What it has left running ends with it.
    this.child.on('exit', () => kill(this.child, 'SIGKILL'));
    this.child.on('close', (code) => {
      running.delete(this.child);
      this.code = code ?? 128;
    });
  }

  get url(): string | undefined {
    const port = /https?:\/\/\S+?:(\d+)\/|listening on \S+:(\d+)/.exec(this.output);
    return port === null ? undefined : `http://127.0.0.1:${port[1] ?? port[2]}/`;
  }

  /** Waits for the end; throws when it does not come in time. */
  async ended(ms: number): Promise<void> {
    await until(() => this.code !== undefined, 'the end of the command', ms);
  }
}

/** Runs a command to its end, or a server until it has answered. Throws when that is not what happens. */
async function run(attempt: Attempt, row: Row): Promise<Verdict> {
  const ms = (row.minutes ?? minutesMax) * 60_000;
  if (row.serves) {
    await until(() => attempt.url !== undefined || attempt.code !== undefined, 'the URL', ms);
    if (attempt.url === undefined) throw new Error(`it ended with ${attempt.code}, no URL`);
    const { status } = await fetch(attempt.url, { signal: AbortSignal.timeout(10_000) });
    if (status !== 200) throw new Error(`${attempt.url} was answered with ${status}`);
    kill(attempt.child, 'SIGTERM');
    await attempt.ended(stopMax);
    return 'passed';
  }
  await attempt.ended(ms);
  if (attempt.code === exitMissing && row.mayLack?.test(attempt.output)) return 'skipped';
  if (attempt.code !== 0) throw new Error(`it ended with ${attempt.code}`);
  return 'passed';
}

async function attempt(command: string, row: Row, place: Place): Promise<Verdict> {
  const begun = Date.now();
  const seconds = (): string => `${((Date.now() - begun) / 1000).toFixed(1)} s`;
  const line = row.short?.(command) ?? command;
  const named = line === command ? command : `${command}  as  ${line}`;
  for (const [name, text] of Object.entries(row.files ?? {})) {
    mkdirSync(dirname(join(place.checkout, name)), { recursive: true });
    writeFileSync(join(place.checkout, name), text);
  }
  const tried = new Attempt(line, place);
  try {
    const verdict = await run(tried, row);
    if (verdict === 'skipped') {
      const why = /^error: (.*)$/m.exec(tried.output)?.[1];
      console.log(`  – ${named}: skipped: ${why} (${seconds()})`);
    } else {
      console.log(`  ✓ ${named} (${seconds()})`);
    }
    return verdict;
  } catch (error) {
    const said = tried.output.trimEnd().split('\n').slice(-outputLines);
    for (const text of said) console.log(`      ${text}`);
    console.log(`  ✘ ${named}: ${(error as Error).message} (${seconds()})`);
    return 'failed';
  } finally {
    if (tried.code === undefined) kill(tried.child, 'SIGKILL');
    for (const name of Object.keys(row.files ?? {})) rmSync(join(place.checkout, name));
  }
}

/** What the commands have changed in the clone, other than what git ignores. */
function changes({ checkout }: Place, before: string): Verdict {
  const after = git(checkout, 'status', '--porcelain');
  if (after === before) {
    console.log('  ✓ no command has changed a file of the project');
    return 'passed';
  }
  console.log(`  ✘ commands have changed files of the project:\n${after}`);
  return 'failed';
}

const word = process.argv[2] ?? '';
const place = freshClone();
const before = git(place.checkout, 'status', '--porcelain');
const counts = { passed: 0, failed: 0, skipped: 0 };
const commands = [...readPages().commands.keys()];
for (const [at, row] of rows.entries()) {
  for (const command of commands.filter((text) => rowOf(text) === row)) {
    if (row.elsewhere !== undefined || (at > 0 && !command.includes(word))) continue;
    counts[await attempt(command, row, place)] += 1;
  }
}
counts[changes(place, before)] += 1;
const skipped = counts.skipped > 0 ? `, ${counts.skipped} skipped` : '';
console.log(`\n${counts.passed} passed, ${counts.failed} failed${skipped}`);
process.exitCode = counts.failed > 0 ? 1 : 0;
