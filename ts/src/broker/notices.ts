import { inspect } from 'node:util';
import type { Log } from '../core/log.ts';

/** Between two lines of one kind, ms. */
const quiet = 60_000;

/** Lines in the log about a broker: of each kind one a minute, however often it happens. */
export class Notices {
  private readonly name: string;
  private readonly log: Log;
  /** When each kind may have a line again, and how often it has happened since the last. */
  private readonly kinds = new Map<string, { after: number; missed: number }>();

  constructor(name: string, log: Log) {
    this.name = name;
    this.log = log;
  }

  /** Says `text` unless that kind has had a line. `error`: what has brought it about. */
  tell(kind: string, text: string, error?: unknown): void {
    const now = performance.now();
    const { after, missed } = this.kinds.get(kind) ?? { after: now, missed: 0 };
    if (now < after) {
      this.kinds.set(kind, { after, missed: missed + 1 });
      return;
    }
    this.kinds.set(kind, { after: now + quiet, missed: 0 });
    const more = missed === 0 ? '' : ` (and ${missed} times since the last such line)`;
    this.say(`${text}${more}`, error);
  }

  /** Says it in any case. */
  say(text: string, error?: unknown): void {
    if (!this.log.shows('warn')) return;
    const cause = error === undefined ? '' : `: ${messageOf(error)}`;
    console.error(`gyrfalcon: broker ${this.name}: ${text}${cause}`);
  }
}

function messageOf(error: unknown): string {
  if (!(error instanceof Error)) return inspect(error, { depth: 0 });
  const { code } = error as NodeJS.ErrnoException;
  return error.message === '' ? (code ?? error.name) : error.message;
}
