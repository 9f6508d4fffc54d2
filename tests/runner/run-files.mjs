// Runs uvu test files, each in a process of its own, so that one that crashes or hangs is one failure with a name.
import { spawn } from 'node:child_process';
import { relative } from 'node:path';

/** Runs files, `jobs` at a time, and prints a line for each. Types and defaults: run-files.d.mts. */
export async function runFiles(files, { jobs = 1, ...options }) {
  const total = { passed: 0, failed: 0, skipped: 0, failures: [], skips: [] };
  const queue = [...files];
  const runNext = async () => {
    for (let file = queue.shift(); file !== undefined; file = queue.shift()) {
      add(total, await runFile(file, options));
    }
  };
  await Promise.all(Array.from({ length: jobs }, runNext));
  return total;
}

function add(total, outcome) {
  for (const key of ['passed', 'failed', 'skipped']) total[key] += outcome[key];
  total.failures.push(...outcome.failures);
  total.skips.push(...outcome.skips);
}

async function runFile(file, { root, timeoutMs = 240_000, quiet = false, ...options }) {
  const name = relative(root, file);
  const begun = Date.now();
  const { code, signal, output, late } = await runProcess(file, { root, timeoutMs, ...options });
  const outcome = read(output);
  const fail = (why) => {
    outcome.failed += 1;
    outcome.failures.push(`${name}: ${why}`);
  };
  if (late)
    fail(`did not end within ${timeoutMs / 1000} s (a test that hangs or something left open)`);
  else if (!outcome.ended) fail('ended before its tests did (no summary; is test.run() called?)');
  else if (code !== 0 && outcome.failed === 0) fail(`ended with ${signal ?? `exit code ${code}`}`);
  else if (outcome.passed + outcome.failed + outcome.skipped === 0) fail('has no tests');
  if (outcome.failed > 0) {
    if (outcome.failures.length === 0) outcome.failures.push(`${name}: ${outcome.failed} failed`);
    if (!quiet) process.stdout.write(`${output.trimEnd()}\n`);
  }
  if (quiet) return outcome;
  const seconds = ((Date.now() - begun) / 1000).toFixed(1);
  const skipped = outcome.skipped > 0 ? `, ${outcome.skipped} skipped` : '';
  const mark = outcome.failed > 0 ? '✘' : '✓';
  console.log(
    `  ${mark} ${name}: ${outcome.passed} passed, ${outcome.failed} failed${skipped} (${seconds} s)`,
  );
  for (const skip of outcome.skips) console.log(`      skipped: ${skip}`);
  return outcome;
}

function runProcess(file, options) {
  const { root, loader, compiled, timeoutMs, env, node = [process.execPath] } = options;
  return new Promise((resolve) => {
    const [command, ...args] = node;
    const program = compiled?.(file);
    if (program === undefined) args.push('--import', loader, file);
    else args.push('--enable-source-maps', program);
    const child = spawn(command, args, {
      cwd: root,
      env: { ...process.env, NO_COLOR: '1', FORCE_COLOR: '0', ...env },
      stdio: ['ignore', 'pipe', 'pipe'],
      // A group of its own, so that what a test left running ends with it.
      detached: process.platform !== 'win32',
    });
    const parts = [];
    let late = false;
    child.stdout.on('data', (bytes) => parts.push(bytes));
    child.stderr.on('data', (bytes) => parts.push(bytes));
    const timer = setTimeout(() => {
      late = true;
      killGroup(child);
    }, timeoutMs);
    child.on('exit', () => killGroup(child));
    child.on('close', (code, signal) => {
      clearTimeout(timer);
      resolve({ code, signal, late, output: Buffer.concat(parts).toString('utf8') });
    });
  });
}

function killGroup(child) {
  try {
    if (process.platform === 'win32') child.kill();
    else process.kill(-child.pid, 'SIGKILL');
  } catch (error) {
    if (error.code !== 'ESRCH') throw error;
  }
}

/** Reads uvu's summary, and the reasons that tests/support/skip.ts prints. */
function read(output) {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: terminal colours are control characters
  const text = output.replace(/\u001b\[[0-9;]*m/g, '');
  const last = (label) => {
    const found = [...text.matchAll(new RegExp(`^ {2}${label}: +(\\d+)`, 'gm'))].at(-1);
    return found === undefined ? undefined : Number(found[1]);
  };
  const ran = last('Total');
  const passed = last('Passed') ?? 0;
  return {
    ended: ran !== undefined,
    passed,
    failed: (ran ?? 0) - passed,
    skipped: last('Skipped') ?? 0,
    failures: [...text.matchAll(/^ {3}FAIL {2}(.+)$/gm)].map((match) => match[1]),
    skips: [...text.matchAll(/^SKIP (.+)$/gm)].map((match) => match[1]),
  };
}
