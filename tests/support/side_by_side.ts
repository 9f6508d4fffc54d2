/** Tests that run beside each other: each has servers of its own, or one that does not mind, and waits for most of its time. */
import { suite, type Test } from 'uvu';
import { underWine } from './process.ts';

/** Adds a test, which is told nothing. */
interface Adding {
  (name: string, run: () => unknown): void;
  skip(name: string): void;
}

/** What runs before the first test, or behind the last. */
type Hook = (hook: () => Promise<void> | void) => void;

export interface SideBySide extends Adding {
  /** For one that asks how long something short took: nothing of its suite runs beside it. */
  readonly alone: Adding;
  readonly before: Hook;
  readonly after: Hook;
  run: Test['run'];
}

/** An emulated processor, or wine, has enough to do with one. */
const isSlow = underWine || process.env.GYRFALCON_TARGET !== undefined;

/**
 * A suite of which some tests run at a time. They begin in their order, the first ones together, and are told of in it.
 * It has no `before.each` and `after.each`, and throws where they are asked for.
 *
 * @param atOnce - how many; each may start two or three processes
 */
export function sideBySide(name: string, atOnce = 3): SideBySide {
  return besideEachOther(suite(name), atOnce);
}

/** What runs before each test would run while others are under way. */
function refuseEach(): never {
  throw new Error('before.each and after.each are not for tests that run side by side');
}

/** {@link sideBySide}, of a suite that nothing was added to. */
export function besideEachOther(suite: Test, atOnce: number): SideBySide {
  const all = isSlow ? 1 : atOnce;
  const waiting: { places: number; begin: () => void }[] = [];
  let free = all;
  const beginSome = (): void => {
    for (let next = waiting[0]; next !== undefined && next.places <= free; next = waiting[0]) {
      waiting.shift();
      free -= next.places;
      next.begin();
    }
  };
  const adding = (places: number) => (name: string, run: () => unknown) => {
    let outcome: Promise<unknown> | undefined;
    const begin = (): void => {
      outcome = new Promise((resolve) => resolve(run())).finally(() => {
        free += places;
        beginSome();
      });
      outcome.catch(() => {}); // its turn to be told of comes
    };
    waiting.push({ places, begin });
    suite(name, async () => {
      beginSome();
      await outcome;
    });
  };
  const skip = (name: string): void => suite.skip(name);
  const { run } = suite;
  const before = Object.assign((hook: () => void) => suite.before(hook), { each: refuseEach });
  const after = Object.assign((hook: () => void) => suite.after(hook), { each: refuseEach });
  const alone = Object.assign(adding(all), { skip });
  return Object.assign(adding(1), { skip, alone, before, after, run });
}
