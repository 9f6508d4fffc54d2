/** The engine's parsers, in the executable `differential`. */
import { type ChildProcessByStdio, spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import type { Readable, Writable } from 'node:stream';
import { project } from '../support/process.ts';
import type { Verdict } from './verdict.ts';

export class ZigSide {
  readonly #child: ChildProcessByStdio<Writable, Readable, null>;
  readonly #lines: AsyncIterator<string>;

  constructor() {
    const prefix = process.env.GYRFALCON_ZIG_PREFIX ?? project('build', 'zig');
    const path = join(prefix, 'bin', 'differential');
    if (!existsSync(path)) {
      throw new Error(`not built: zig build test-apps -Doptimize=ReleaseSafe -p ${prefix}`);
    }
    this.#child = spawn(path, { stdio: ['pipe', 'pipe', 'inherit'] });
    this.#lines = createInterface({ input: this.#child.stdout })[Symbol.asyncIterator]();
  }

  /** Verdicts on connections of which each sends the bytes of one case. */
  async frame(cases: readonly Buffer[]): Promise<Verdict[]> {
    const parts = cases.flatMap((bytes) => {
      const length = Buffer.alloc(4);
      length.writeUInt32LE(bytes.length);
      return [length, bytes];
    });
    this.#child.stdin.write(Buffer.concat(parts));
    const verdicts: Verdict[] = [];
    for (const bytes of cases) {
      const { done, value } = await this.#lines.next();
      if (done)
        throw new Error(`the engine's parser ended: ${JSON.stringify(bytes.toString('latin1'))}`);
      verdicts.push(JSON.parse(value) as Verdict);
    }
    return verdicts;
  }

  close(): void {
    this.#child.stdin.end();
  }
}
