/** What a server asks of the system, seen with strace. */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { lacks, listening, type RunningServer, start, underWine } from './process.ts';
import { type EngineOptions, zigProgram } from './target.ts';

/** Why strace cannot be used here, or undefined when it can. */
export function cannotTrace(): string | undefined {
  if (underWine) return 'wine makes other calls, some of them in a process of its own';
  const missing = lacks('strace', '-V');
  if (missing !== undefined) return missing;
  const { status } = spawnSync('strace', ['-o', '/dev/null', 'true']);
  return status === 0 ? undefined : 'strace may not trace here';
}

/** Runs the engine under strace and returns the lines of `calls` that it made; `use` is given the server. */
export async function traced(
  calls: readonly string[],
  options: EngineOptions,
  use: (server: RunningServer) => Promise<void>,
): Promise<string[]> {
  const folder = mkdtempSync(join(tmpdir(), 'gyrfalcon-trace-'));
  try {
    const file = join(folder, 'trace');
    const given = Object.entries(options).map(([name, value]) => `--${name}=${value}`);
    // -D: the server stays the child, so that signals reach it and not strace.
    const server = await listening(
      start('strace', [
        ...['-D', '-f', '-o', file, '-e', `trace=${calls.join(',')}`],
        ...[zigProgram('engine_app'), ...given],
      ]),
    );
    await use(server);
    await server.stop();
    return readFileSync(file, 'utf8').split('\n');
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}
