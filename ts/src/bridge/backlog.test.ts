import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { Backlog } from './backlog.ts';

const test = suite('backlog');

const chunkBytes = 32 * 1024;

test('who copies what has come gets all of it, in order, from the same few blocks', () => {
  const backlog = new Backlog();
  const chunk = new Uint8Array(chunkBytes);
  const target = new Uint8Array(8 * chunkBytes);
  const rounds = 200;
  const before = process.memoryUsage().arrayBuffers;
  for (let round = 0; round < rounds; round += 1) {
    for (let i = 0; i < 8; i += 1) backlog.add(chunk.fill(round + i));
    // Not to the end each time: pieces are left over, and views of them.
    let taken = 0;
    while (backlog.length > 0) taken += backlog.takeInto(target.subarray(taken, taken + 50_000));
    assert.is(taken, target.length);
    for (let i = 0; i < 8; i += 1) {
      const value = (round + i) & 0xff;
      assert.is(target[i * chunkBytes], value);
      assert.is(target[(i + 1) * chunkBytes - 1], value);
    }
  }
  const grown = process.memoryUsage().arrayBuffers - before;
  assert.ok(grown < 2 ** 20, `${grown} bytes for ${rounds * target.length}`);
});

test('what is given away is never a block that is used again', () => {
  const backlog = new Backlog();
  const given: [Uint8Array, number][] = [];
  const target = new Uint8Array(6 * chunkBytes);
  for (let round = 1; round < 50; round += 1) {
    for (let i = 0; i < 8; i += 1) backlog.add(new Uint8Array(chunkBytes).fill(round));
    backlog.takeInto(target.subarray(0, (round % 6) * chunkBytes));
    while (backlog.length > 0) given.push([backlog.take(), round]);
  }
  for (const [bytes, round] of given) {
    assert.is(
      bytes.findIndex((byte) => byte !== round),
      -1,
      `of round ${round}`,
    );
  }
});

test.run();
