import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { Published } from '../bridge/published.ts';
import { unseal } from './envelope.ts';
import { type OutsideReport, ThreadSide, ThreadSideEnd } from './thread_side.ts';

const test = suite('a worker thread and the broker of the main thread');
const settled = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

/** Both ends, what the thread has posted, and what the hub was told. */
function ends() {
  const posted: OutsideReport[] = [];
  const told: string[] = [];
  const end = new ThreadSideEnd({
    origin: 'abcdefghijklmnop',
    forward: (topic, sealed) => told.push(`${topic} ${unseal(sealed)?.data}`),
    wants: (topic, isWanted) => told.push(`${isWanted ? '+' : '-'}${topic}`),
    droppedElsewhere: (count) => told.push(`dropped ${count}`),
  });
  return { end, side: new ThreadSide(end.data, (report) => posted.push(report)), posted, told };
}

const message = (text: string): Published => new Published('t', text, 0, undefined);

test('what a thread publishes comes to the hub, within a bound on what is under way', () => {
  const { end, side, posted, told } = ends();
  const megabyte = 'm'.repeat(999_000);
  for (let n = 0; n < 10; n += 1) side.publish('t', message(megabyte));
  assert.is(posted.length, 4, '4 MB are under way, and the rest is dropped');
  for (const report of posted.splice(0)) end.take(report);
  assert.equal(
    told.map((line) => (line.length > 20 ? line.slice(0, 3) : line)),
    ['t m', 'dropped 6', 't m', 't m', 't m'],
  );
  side.publish('t', message('there is room again'));
  assert.is(posted.length, 1);
  end.countDropped();
  assert.is(told.length, 5, 'none was dropped since');
});

test('of topics one report is under way, with what has changed by then, however often', async () => {
  const { end, side, posted, told } = ends();
  side.wants('a', true);
  side.wants('b', true);
  side.wants('b', false);
  await settled();
  assert.equal(posted, [{ kind: 'topics', topics: [['a', true]] }]);
  for (let n = 0; n < 999; n += 1) side.wants('a', n % 2 === 1);
  side.wants('c', true);
  await settled();
  assert.is(posted.length, 1);
  end.take(posted[0] as OutsideReport);
  side.taken();
  assert.equal(posted[1], {
    kind: 'topics',
    topics: [
      ['a', false],
      ['c', true],
    ],
  });
  end.take(posted[1] as OutsideReport);
  side.taken();
  assert.is(posted.length, 2);
  end.ended();
  assert.equal(told, ['+a', '-a', '+c', '-c'], 'nobody of a thread that is gone is subscribed');
});

test.run();
