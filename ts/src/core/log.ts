import { GyrfalconError } from './errors.ts';

/** What a program throws may be anything, even something that throws when it is looked at. */
export function logError(message: string, error: unknown): void {
  try {
    console.error(message, error);
  } catch {
    console.error(message, 'something that cannot be shown');
  }
}

/** Lines about framing in a second; the rest is counted and told. */
const linesMax = 20;
const window = 1000;
let windowStart = Number.NEGATIVE_INFINITY;
let lines = 0;

/**
 * A field of a response says of its framing what is not so. The engine's own framing stands, and
 * the line in the log says what to mend: a handler may do it in every response, so few are written.
 */
export function logFraming(message: string, hint: string): void {
  const now = performance.now();
  if (now - windowStart > window) {
    const more = lines - linesMax;
    if (more > 0) console.error(`gyrfalcon: ${more} more such lines were dropped`);
    windowStart = now;
    lines = 0;
  }
  lines++;
  if (lines > linesMax) return;
  logError('gyrfalcon:', new GyrfalconError('GYR_RESPONSE_FRAMING', message, hint));
}
