// Child processes and progress lines. Node.js builtins only.
import { spawn, spawnSync } from 'node:child_process';
import { constants, setPriority } from 'node:os';

/** The steps that this process has worked at: what, and how long, ms. */
export const stepsDone = [];

/**
 * A quiet progress reporter says nothing about steps that were fresh already. One of what goes on in the background tells
 * of the end of a step alone.
 */
export class Progress {
  #quiet;
  #isBackground;

  constructor({ quiet = false, isBackground = false } = {}) {
    this.#quiet = quiet || isBackground;
    this.#isBackground = isBackground;
  }

  /** A line about something that needed no work. */
  fresh(text) {
    if (!this.#quiet) console.error(`  ✓ ${text}`);
  }

  /** A line out of the ordinary. */
  note(text) {
    console.error(`  · ${text}`);
  }

  /** Runs `action`, with a line when it begins, one every ten seconds, and one with the time it took. */
  async work(text, action) {
    const begun = Date.now();
    const seconds = () => ((Date.now() - begun) / 1000).toFixed(1);
    if (!this.#isBackground) console.error(`  … ${text}`);
    const tick = () => console.error(`    still at it: ${text} (${seconds()} s)`);
    const ticking = this.#isBackground ? undefined : setInterval(tick, 10_000);
    try {
      const result = await action();
      console.error(`  ✓ ${text} (${seconds()} s)`);
      return result;
    } catch (error) {
      console.error(`  ✘ ${text} (${seconds()} s)`);
      throw error;
    } finally {
      clearInterval(ticking);
      stepsDone.push({ name: text, ms: Date.now() - begun });
    }
  }
}

/**
 * Runs a program to its end. `isBackground`: with the lowest priority, and so does what it starts.
 *
 * @returns {Promise<{ code: number, output: string, missing: boolean }>} `output` is stdout and stderr as they came;
 *   `missing` says that there is no such program
 */
export function run(command, args, options = {}) {
  const { echo = false, isBackground = false, timeoutMs, ...rest } = options;
  return new Promise((resolve) => {
    const child = spawn(command, args, { stdio: ['ignore', 'pipe', 'pipe'], ...rest });
    if (isBackground && child.pid !== undefined) {
      setPriority(child.pid, constants.priority.PRIORITY_LOW);
    }
    const parts = [];
    const timer =
      timeoutMs === undefined ? undefined : setTimeout(() => child.kill('SIGKILL'), timeoutMs);
    const take = (to) => (bytes) => {
      parts.push(bytes);
      if (echo) to.write(bytes);
    };
    child.stdout.on('data', take(process.stdout));
    child.stderr.on('data', take(process.stderr));
    const end = (code, missing) => {
      clearTimeout(timer);
      resolve({ code, missing, output: Buffer.concat(parts).toString('utf8') });
    };
    child.on('error', (error) => end(127, error.code === 'ENOENT'));
    child.on('close', (code, signal) => end(code ?? (signal === null ? 1 : 128), false));
  });
}

/** Runs npm: inside `npm start` the one that runs it, else the one on PATH. Resolves as run() does. */
export function npm(args, options) {
  const windows = process.platform === 'win32';
  const path = process.env.npm_execpath;
  return path?.endsWith('.js')
    ? run(process.execPath, [path, ...args], options)
    : run(windows ? 'npm.cmd' : 'npm', args, { ...options, shell: windows });
}

/**
 * What all of `promises` resolve to, once none of them is at work any more; rejects then with what the first of them has
 * failed with.
 */
export async function allOf(promises) {
  const outcomes = await Promise.allSettled(promises);
  const failed = outcomes.find(({ status }) => status === 'rejected');
  if (failed !== undefined) throw failed.reason;
  return outcomes.map(({ value }) => value);
}

/** What a program prints on stdout, trimmed; undefined when it is missing or fails. */
export function outputOf(command, args) {
  const { status, stdout } = spawnSync(command, args, { encoding: 'utf8', windowsHide: true });
  return status === 0 ? stdout.trim() : undefined;
}

/** The last lines of a text, indented, for an error message. */
export function tail(text, lines = 15) {
  return text
    .trimEnd()
    .split('\n')
    .slice(-lines)
    .map((line) => `    ${line}`)
    .join('\n');
}
