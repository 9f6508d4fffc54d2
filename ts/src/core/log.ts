import { GyrfalconError } from './errors.ts';

/** How much a server tells on stderr; each level has the lines of those before it. */
export type LogLevel = 'silent' | 'error' | 'warn' | 'info' | 'debug';

/** All levels, the quietest first. */
export const LOG_LEVELS: readonly LogLevel[] = ['silent', 'error', 'warn', 'info', 'debug'];

/** Lines about framing in a second, of all servers together; the rest is counted and told. */
const framingLinesMax = 20;
const window = 1000;
let windowStart = Number.NEGATIVE_INFINITY;
let framingLines = 0;

/** What one server tells of its handlers. The engine has a log of its own, with the same level. */
export class Log {
  private readonly most: number;

  constructor(level: LogLevel = 'info') {
    this.most = LOG_LEVELS.indexOf(level);
  }

  /** Whether lines of `level` are written. */
  shows(level: LogLevel): boolean {
    return LOG_LEVELS.indexOf(level) <= this.most;
  }

  /**
   * @param error - what a program threw: anything, even something that throws when it is looked at
   */
  error(message: string, error: unknown): void {
    if (this.shows('error')) write(message, error);
  }

  /**
   * A field of a response says of its framing what is not so. The engine's own framing stands, and
   * the line says what to mend: a handler may do it in every response, so few are written.
   */
  framing(message: string, hint: string): void {
    if (!this.shows('warn')) return;
    const now = performance.now();
    if (now - windowStart > window) {
      const more = framingLines - framingLinesMax;
      if (more > 0) console.error(`gyrfalcon: ${more} more such lines were dropped`);
      windowStart = now;
      framingLines = 0;
    }
    framingLines++;
    if (framingLines > framingLinesMax) return;
    write('gyrfalcon:', new GyrfalconError('GYR_RESPONSE_FRAMING', message, hint));
  }
}

/** Where no server is near whose log it could be. */
export const standardLog = new Log();

function write(message: string, error: unknown): void {
  try {
    console.error(message, error);
  } catch {
    console.error(message, 'something that cannot be shown');
  }
}
