import { setImmediate as tick } from 'node:timers/promises';
import { runInNewContext } from 'node:vm';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { collectYoung, type Host, maySetFlags, noteOutside } from './young.ts';

const test = suite('collections of what is young');

const MiB = 2 ** 20;

/** Memory outside of the heap, which is dropped at once. */
function make(bytes: number): void {
  for (let left = bytes; left > 0; left -= 65_536) Buffer.allocUnsafeSlow(65_536);
  noteOutside(bytes);
}

test('there is one for every 6 MiB outside of the heap, and none for less', () => {
  noteOutside(5 * MiB);
  assert.is(collectYoung(), false);
  // What the program calls so has nothing to do with it.
  Object.assign(globalThis, { gc: 'garbage carrier' });
  noteOutside(MiB);
  assert.is(collectYoung(), true);
  assert.is(collectYoung(), false, 'nothing has been made since');
  Reflect.deleteProperty(globalThis, 'gc');
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

test('flags of V8 are set in Node.js alone, and not where they are frozen or told to be left alone', () => {
  const node: Host = { release: { name: 'node' }, versions: { v8: '13' }, execArgv: [], env: {} };
  assert.ok(maySetFlags(node));
  assert.ok(maySetFlags(), 'here');
  const others: Partial<Host>[] = [
    { release: { name: 'io.js' } },
    { versions: { bun: '1' } },
    { versions: { deno: '2' } },
    { versions: { electron: '40' } },
    { versions: { nw: '0.67' } },
    { execArgv: ['--freeze-flags-after-init'] },
    { execArgv: ['--freeze_flags_after_init'] },
    { env: { NODE_OPTIONS: '--enable-source-maps --freeze-flags-after-init' } },
    { env: { GYRFALCON_COLLECT: 'off' } },
  ];
  for (const other of others) assert.not(maySetFlags({ ...node, ...other }), JSON.stringify(other));
});

test.run();
