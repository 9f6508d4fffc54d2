import { GyrfalconError } from '../core/errors.ts';

/** An option that there is not: what it may have been meant for is told. */
export function unknownOption(name: string, of: string, names: readonly string[]): GyrfalconError {
  const near = names.find((known) => distance(known.toLowerCase(), name.toLowerCase()) <= 2);
  const hint = near === undefined ? `options are ${names.join(', ')}` : `did you mean ${near}?`;
  return new GyrfalconError('GYR_OPTION_UNKNOWN', `${of} has no option ${name}`, hint);
}

/** Levenshtein's distance. */
function distance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, i) => i);
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    for (let j = 1; j <= b.length; j++) {
      const change = a[i - 1] === b[j - 1] ? 0 : 1;
      next.push(
        Math.min(
          (row[j] as number) + 1,
          (next[j - 1] as number) + 1,
          (row[j - 1] as number) + change,
        ),
      );
    }
    row = next;
  }
  return row[b.length] as number;
}
