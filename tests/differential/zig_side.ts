/** The engine's parsers, in the executable `differential`. */
import { type ChildProcessByStdio, spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import type { Readable, Writable } from 'node:stream';
import { project } from '../support/process.ts';
import type { Verdict } from './verdict.ts';

/** A program that is told cases, and answers each with a line of JSON. */
export class JsonSide<Answer> {
  readonly #child: ChildProcessByStdio<Writable, Readable, null>;
  readonly #lines: AsyncIterator<string>;

  constructor(command: string, args: readonly string[]) {
    this.#child = spawn(command, args, { stdio: ['pipe', 'pipe', 'inherit'] });
    this.#lines = createInterface({ input: this.#child.stdout })[Symbol.asyncIterator]();
  }

  /** What it says of each case. */
  async ask(cases: readonly Buffer[]): Promise<Answer[]> {
    const parts = cases.flatMap((bytes) => {
      const length = Buffer.alloc(4);
      length.writeUInt32LE(bytes.length);
      return [length, bytes];
    });
    this.#child.stdin.write(Buffer.concat(parts));
    const answers: Answer[] = [];
    for (const bytes of cases) {
      const { done, value } = await this.#lines.next();
      if (done) throw new Error(`the program ended at ${JSON.stringify(bytes.toString('latin1'))}`);
      answers.push(JSON.parse(value) as Answer);
    }
    return answers;
  }

  close(): void {
    this.#child.stdin.end();
  }
}

/** The executable `differential`. */
function executable(): string {
  const prefix = process.env.GYRFALCON_ZIG_PREFIX ?? project('build', 'zig');
  const path = join(prefix, 'bin', 'differential');
  if (existsSync(path)) return path;
  throw new Error(`not built: zig build test-apps -Doptimize=ReleaseSafe -p ${prefix}`);
}

/** The engine's parsers of HTTP/1. */
export class ZigSide extends JsonSide<Verdict> {
  constructor() {
    super(executable(), []);
  }

  /** Verdicts on connections of which each sends the bytes of one case. */
  frame(cases: readonly Buffer[]): Promise<Verdict[]> {
    return this.ask(cases);
  }
}

/** What a decoder of HPACK made of a connection's field blocks. */
export interface HpackVerdict {
  /** Of each block that it took: how many fields, a hash of them, and the table's size behind it. */
  readonly blocks: readonly (readonly [count: number, hash: number, table: number])[];
  /** 'fine', or why it went no further. */
  readonly end: string;
}

/** The engine's decoder of HPACK. */
export class ZigHpack extends JsonSide<HpackVerdict> {
  constructor() {
    super(executable(), ['hpack']);
  }
}
