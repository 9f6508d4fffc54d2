/** What the command says when something is wrong, and how. */

/** A mistake of the user's: told in a sentence, without a stack, with exit code 2. */
export class CliError extends Error {
  readonly hint: string | undefined;

  /** @param hint - what to do about it, a line of its own */
  constructor(message: string, hint?: string, options?: ErrorOptions) {
    super(message, options);
    this.hint = hint;
  }
}

/** The name nearest to `name`, or undefined when none is near. */
export function closest(name: string, names: readonly string[]): string | undefined {
  const ranked = names
    .map((candidate) => ({ candidate, distance: editDistance(name, candidate) }))
    .sort((a, b) => a.distance - b.distance);
  const best = ranked[0];
  return best !== undefined && best.distance <= Math.ceil(name.length * 0.4)
    ? best.candidate
    : undefined;
}

/** Levenshtein's distance. */
function editDistance(a: string, b: string): number {
  let previous = Array.from({ length: b.length + 1 }, (_, index) => index);
  for (let i = 1; i <= a.length; i += 1) {
    const current = [i];
    for (let j = 1; j <= b.length; j += 1) {
      const replaced = (previous[j - 1] as number) + (a[i - 1] === b[j - 1] ? 0 : 1);
      const removed = (previous[j] as number) + 1;
      const added = (current[j - 1] as number) + 1;
      current.push(Math.min(replaced, removed, added));
    }
    previous = current;
  }
  return previous[b.length] as number;
}

/**
 * Prints a mistake or a coded error to stderr, in a sentence with its hint.
 *
 * @returns false for any other error: Node.js shows those best itself, with an excerpt of the source and the stack
 */
export function report(error: unknown): boolean {
  const { message, code } = error as { message?: string; code?: unknown };
  // A coded error's message has its hint and its code in it.
  const coded = typeof code === 'string' && code.startsWith('GYR_');
  if (!(error instanceof CliError) && !coded) return false;
  console.error(`error: ${message}`);
  if (error instanceof CliError && error.hint !== undefined) console.error(`hint: ${error.hint}`);
  return true;
}
