import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { type Gathered, Gathering } from './gathered.ts';
import type { Block } from './lane.ts';

const test = suite('messages that come in parts');

const block = { u8: Buffer.alloc(100_000, 'x') } as unknown as Block;

/** `count` messages of which `bytes` have come. */
function begin(gathering: Gathering, count: number, bytes: number, lost: Gathered[]): Gathered[] {
  return Array.from({ length: count }, () => {
    const one: Gathered = gathering.begin({
      lostParts: () => {
        lost.push(one);
      },
    });
    one.add(block, 0, bytes);
    return one;
  });
}

test('above the limit goes who has its share, and has not grown for longest', () => {
  const gathering = new Gathering({ partialMessagesLimit: 65_536 });
  const lost: Gathered[] = [];
  const holders = begin(gathering, 16, 4096, lost);
  const [honest] = begin(gathering, 1, 5000, lost) as [Gathered];
  assert.equal(
    lost.splice(0).map((one) => holders.indexOf(one)),
    [0, 1],
  );
  assert.is(honest.whole().length, 5000);
});

test('who holds less does not go, however long it holds that', () => {
  const gathering = new Gathering({ partialMessagesLimit: 65_536 });
  const lost: Gathered[] = [];
  begin(gathering, 100, 1, lost); // far below their shares
  const [first, second] = [30_000, 30_000].map((bytes) => begin(gathering, 1, bytes, lost)[0]);
  assert.equal(lost, [first]);
  assert.is(second?.whole().length, 30_000);
});

test('a message of the longest that may be takes no more than that', () => {
  const gathering = new Gathering({ maxPayloadLength: 10_000 });
  const [one] = begin(gathering, 1, 6000, []) as [Gathered];
  one.add(block, 0, 1);
  assert.is(one.capacity, 10_000);
  one.add(block, 0, 3999);
  assert.is(one.whole().length, 10_000);
});

test.run();
