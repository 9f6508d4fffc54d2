import { suite, type Test } from 'uvu';
import * as assert from 'uvu/assert';
import { serversOf } from './servers.ts';
import { besideEachOther, type SideBySide, sideBySide } from './side_by_side.ts';

const test = suite('side by side');

interface Added {
  /** What the suite runs, one after the other. */
  turns: (() => Promise<void>)[];
  add: SideBySide;
}

function added(atOnce: number): Added {
  const turns: (() => Promise<void>)[] = [];
  const suite = (_name: string, run: () => Promise<void>): void => void turns.push(run);
  return { turns, add: besideEachOther(suite as never, atOnce) };
}

test('so many run at a time, in their order, and none is told of before its end', async () => {
  const { turns, add } = added(2);
  const log: string[] = [];
  const ends: (() => void)[] = [];
  for (const name of ['a', 'b', 'c', 'd']) {
    add(name, async () => {
      log.push(`${name} begins`);
      await new Promise<void>((resolve) => ends.push(resolve));
      log.push(`${name} ends`);
    });
  }
  const told = (async () => {
    for (const turn of turns) {
      await turn();
      log.push('told');
    }
  })();
  assert.equal(log, ['a begins', 'b begins']);
  for (const n of [1, 0, 2, 3]) {
    ends[n]?.();
    await new Promise((resolve) => setImmediate(resolve));
  }
  await told;
  assert.equal(log, [
    ...['a begins', 'b begins', 'b ends', 'c begins'],
    ...['a ends', 'd begins', 'told', 'told'],
    ...['c ends', 'told', 'd ends', 'told'],
  ]);
});

test('one that wants to be alone begins when all before it have ended, and the next behind it', async () => {
  const { turns, add } = added(2);
  const log: string[] = [];
  const one = (name: string) => async () => {
    log.push(`${name} begins`);
    await new Promise((resolve) => setImmediate(resolve));
    log.push(`${name} ends`);
  };
  add('a', one('a'));
  add('b', one('b'));
  add.alone('c', one('c'));
  add('d', one('d'));
  add('e', one('e'));
  for (const turn of turns) await turn();
  assert.equal(log, [
    ...['a begins', 'b begins', 'a ends', 'b ends', 'c begins', 'c ends'],
    ...['d begins', 'e begins', 'd ends', 'e ends'],
  ]);
});

test('one that fails fails in its turn, and the others go on', async () => {
  const { turns, add } = added(3);
  const ran: string[] = [];
  add('a', async () => void ran.push('a'));
  add('b', async () => Promise.reject(new Error('b failed')));
  for (const name of ['c', 'd']) add(name, async () => void ran.push(name));
  const failures: string[] = [];
  for (const turn of turns) await turn().catch((error: Error) => failures.push(error.message));
  assert.equal([ran, failures], [['a', 'c', 'd'], ['b failed']]);
});

test('what is to run before or behind each test is refused', () => {
  const add = sideBySide('no test of it runs');
  for (const hook of [add.before, add.after] as unknown as Test['before'][]) {
    assert.throws(() => hook.each(() => {}), /before\.each and after\.each are not for tests/);
  }
  assert.throws(() => serversOf(add as unknown as Test), /side by side/);
});

test.run();
