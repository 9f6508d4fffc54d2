import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import type { BrokerLink } from './broker.ts';
import { Outbox } from './outbox.ts';

const test = suite('what waits for a broker');
const megabyte = 1_000_000;

/** A link that keeps what it is given until it is told that it has left. */
class Slow implements BrokerLink {
  readonly given: { topic: string; text: string; left: (error?: Error) => void }[] = [];
  readonly messageBytesMax = megabyte;

  publish(topic: string, message: Uint8Array): Promise<void> {
    return new Promise((resolve, reject) => {
      const left = (error?: Error): void => (error === undefined ? resolve() : reject(error));
      this.given.push({ topic, text: Buffer.from(message).toString(), left });
    });
  }
  async subscribe(): Promise<void> {}
  async unsubscribe(): Promise<void> {}
  async close(): Promise<void> {}
}

function outbox(maxAge = 60_000): { box: Outbox; drops: string[] } {
  const drops: string[] = [];
  const box = new Outbox(4 * 2 ** 20, maxAge, (reason, error) =>
    drops.push(error === undefined ? reason : `${reason}: ${(error as Error).message}`),
  );
  return { box, drops };
}

const settled = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

test('what is said without a link goes to the one that comes, in order', async () => {
  const { box, drops } = outbox();
  for (const text of ['one', 'two', 'three']) box.add('t', Buffer.from(text));
  const link = new Slow();
  box.use(link);
  assert.equal(
    link.given.map(({ text }) => text),
    ['one', 'two', 'three'],
  );
  for (const { left } of link.given) left();
  await box.emptied();
  assert.equal([box.sent, box.bytes, drops], [3, 0, []]);
});

test('a link that takes nothing is given a window, the rest waits, and what is more is dropped', async () => {
  const { box, drops } = outbox();
  const link = new Slow();
  box.use(link);
  for (let n = 0; n < 10; n += 1) box.add('hot', Buffer.alloc(megabyte / 2));
  assert.is(link.given.length, 3, 'the window is a MiB, and what went beyond it');
  assert.is(drops.length, 6, 'a topic has half of what may wait');
  assert.ok(drops.every((reason) => reason === 'full'));
  box.add('cold', Buffer.from('another topic finds room'));
  assert.is(drops.length, 6);
  const emptied = box.emptied();
  while (box.bytes > 0) {
    for (const { left } of link.given.splice(0)) left();
    await settled();
  }
  await emptied;
  assert.is(box.sent, 5);
});

test('what has waited too long is dropped, however much of it there is', async () => {
  const { box, drops } = outbox(1);
  for (let n = 0; n < 5000; n += 1) box.add('t', Buffer.from('old'));
  const until = performance.now() + 3;
  while (performance.now() < until);
  const link = new Slow();
  box.use(link);
  assert.equal([link.given.length, drops.length, box.bytes], [0, 5000, 0]);
  assert.is(drops[0], 'old');
  box.add('t', Buffer.from('new'));
  assert.is(link.given.length, 1);
});

test('what the link does not take, and what is too long for it, is counted and told', async () => {
  const { box, drops } = outbox();
  const link = new Slow();
  box.use(link);
  box.add('t', Buffer.alloc(megabyte + 1));
  assert.equal(drops, ['long']);
  box.add('t', Buffer.from('refused'));
  link.given[0]?.left(new Error('no'));
  await settled();
  assert.equal(drops, ['long', 'failed: no']);
  box.use({
    ...link,
    publish: () => {
      throw new Error('at once');
    },
  } as unknown as BrokerLink);
  box.add('t', Buffer.from('thrown at'));
  await settled();
  assert.equal(drops, ['long', 'failed: no', 'failed: at once']);
  assert.is(box.bytes, 0);
});

test('what a link that is gone was given is dropped once; the next is given what is new', async () => {
  const { box, drops } = outbox();
  const [first, second] = [new Slow(), new Slow()];
  box.use(first);
  box.add('t', Buffer.from('lost'));
  box.use(null);
  box.add('t', Buffer.from('waits'));
  box.giveUp();
  assert.equal(drops, ['failed']);
  first.given[0]?.left();
  await settled();
  assert.is(box.sent, 0);
  box.use(second);
  assert.equal(
    second.given.map(({ text }) => text),
    ['waits'],
  );
});

test.run();
