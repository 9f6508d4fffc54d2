import { inspect } from 'node:util';
import { GyrfalconError } from '../core/errors.ts';

/**
 * The error for an option that has a value which cannot be.
 *
 * @param rule - what it would have to be: "it must be …"
 * @param depth - how far into an object is shown
 */
export function invalid(name: string, value: unknown, rule: string, depth = 0): GyrfalconError {
  const shown = inspect(value, { depth, breakLength: Number.POSITIVE_INFINITY });
  const message = `Option ${name} is ${shown}`;
  return new GyrfalconError('GYR_OPTION_INVALID', message, `it must be ${rule}`);
}
