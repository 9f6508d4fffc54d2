import { setImmediate as tick } from 'node:timers/promises';
import { runInNewContext } from 'node:vm';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { collectYoung, noteOutside } from './young.ts';

const test = suite('collections of what is young');

const MiB = 2 ** 20;

/** Memory outside of the heap, which is dropped at once. */
function make(bytes: number): void {
  for (let left = bytes; left > 0; left -= 65_536) Buffer.allocUnsafeSlow(65_536);
  noteOutside(bytes);
}

test('there is one for every 12 MiB outside of the heap, and none for less', () => {
  noteOutside(11 * MiB);
  assert.is(collectYoung(), false);
  noteOutside(MiB);
  assert.is(collectYoung(), true);
  assert.is(collectYoung(), false, 'nothing has been made since');
});

test('it frees what was made, and leaves nothing to the program', async () => {
  const before = process.memoryUsage().arrayBuffers;
  for (let i = 0; i < 50; i += 1) {
    make(16 * MiB);
    assert.is(collectYoung(), true);
  }
  await tick();
  const grown = process.memoryUsage().arrayBuffers - before;
  assert.ok(grown < 64 * MiB, `${grown} bytes of ${50 * 16 * MiB}`);
  assert.is((globalThis as { gc?: unknown }).gc, undefined);
  assert.is(runInNewContext('typeof gc'), 'undefined');
});

test.run();
