import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { Shares } from './shares.ts';

const test = suite('room that many share');

/** Takes one by one until there is no more; how many that were. */
function takeAll(shares: Shares, key: string): number {
  for (let count = 0; ; count += 1) if (!shares.take(key, 1)) return count;
}

test('one alone has half of it, and who comes late finds some', () => {
  const shares = new Shares(1024);
  assert.is(takeAll(shares, 'a'), 512);
  assert.is(takeAll(shares, 'b'), 256);
  assert.is(takeAll(shares, 'c'), 128);
  assert.is(takeAll(shares, 'a'), 0);
});

test('what is given back is there again, for all', () => {
  const shares = new Shares(100);
  assert.ok(shares.take('a', 50));
  assert.not.ok(shares.take('a', 1));
  assert.not.ok(shares.take('b', 51));
  shares.give('a', 50);
  assert.ok(shares.take('b', 50));
  assert.not.ok(shares.take('b', 1));
});

test.run();
