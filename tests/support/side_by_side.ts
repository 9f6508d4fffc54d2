/** Tests that run beside each other: each has servers of its own, or one that does not mind, and waits for most of its time. */
import type { Test } from 'uvu';
import { underWine } from './process.ts';

/** Adds a test, which is told nothing. */
interface Adding {
  (name: string, run: () => unknown): void;
  skip(name: string): void;
}

export interface SideBySide extends Adding {
  /** For one that asks how long something short took: nothing of its suite runs beside it. */
  readonly alone: Adding;
  before: Test['before'];
  after: Test['after'];
  run: Test['run'];
}

/** An emulated processor, or wine, has enough to do with one. */
const isSlow = underWine || process.env.GYRFALCON_TARGET !== undefined;

/**
 * A suite of which some tests run at a time. They begin in their order, the first ones together, and are told of in it.
 * `before.each` and `after.each` are not for them.
 *
 * @param atOnce - how many; each may start two or three processes
 */
export function sideBySide(suite: Test, atOnce = 3): SideBySide {
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
  const { before, after, run } = suite;
  const alone = Object.assign(adding(all), { skip });
  return Object.assign(adding(1), { skip, alone, before, after, run });
}
