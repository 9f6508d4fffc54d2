import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { until } from '../../../tests/support/wait.ts';
import type { BrokerLink } from './broker.ts';
import { Topics } from './topics.ts';

const test = suite('what is subscribed to at a broker');
const settled = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

/** A link that does what it is asked when it is told to. */
class Asked implements BrokerLink {
  readonly asked: string[] = [];
  readonly subscribed = new Set<string>();
  readonly waiting: ((error?: Error) => void)[] = [];
  /** How many more are refused. */
  refuses = 0;

  async publish(): Promise<void> {}
  subscribe = (topic: string): Promise<void> =>
    this.ask(`+${topic}`, () => this.subscribed.add(topic));
  unsubscribe = (topic: string): Promise<void> =>
    this.ask(`-${topic}`, () => this.subscribed.delete(topic));
  async close(): Promise<void> {}

  private ask(what: string, act: () => unknown): Promise<void> {
    this.asked.push(what);
    return new Promise((resolve, reject) => {
      this.waiting.push(() => {
        this.refuses -= 1;
        if (this.refuses >= 0) return reject(new Error('refused'));
        act();
        resolve();
      });
    });
  }

  /** All that was asked for is done, and what comes of it. */
  async doAll(): Promise<void> {
    while (this.waiting.length > 0) {
      for (const act of this.waiting.splice(0)) act();
      await settled();
    }
  }
}

test('the first who wants a topic subscribes, the last who does not unsubscribes', async () => {
  const link = new Asked();
  const topics = new Topics(() => {});
  topics.use(link);
  topics.want('a', true);
  topics.want('a', true);
  assert.equal([link.asked, topics.subscribed], [['+a'], 0]);
  await link.doAll();
  assert.is(topics.subscribed, 1);
  topics.want('a', false);
  assert.ok(topics.has('a'));
  topics.want('a', false);
  assert.not.ok(topics.has('a'));
  await link.doAll();
  assert.equal([link.asked, topics.subscribed], [['+a', '-a'], 0]);
});

test('however often that changes, a topic has one thing under way, and ends as it is wanted', async () => {
  const link = new Asked();
  const topics = new Topics(() => {});
  topics.use(link);
  for (let n = 0; n < 1001; n += 1) topics.want('a', n % 2 === 0);
  assert.equal(link.asked, ['+a']);
  await link.doAll();
  assert.equal([link.asked, [...link.subscribed]], [['+a'], ['a']]);
  topics.want('a', false);
  topics.want('a', true);
  topics.want('a', false);
  await link.doAll();
  assert.equal([...link.subscribed], []);
});

test('of many topics a part is under way at a time', async () => {
  const link = new Asked();
  const topics = new Topics(() => {});
  topics.use(link);
  for (let n = 0; n < 1000; n += 1) topics.want(`${n}`, true);
  assert.is(link.asked.length, 64);
  await link.doAll();
  assert.equal([link.subscribed.size, topics.subscribed], [1000, 1000]);
});

test('one that is refused is asked for again later', async () => {
  const link = new Asked();
  const failures: unknown[] = [];
  const topics = new Topics((error) => failures.push(error));
  topics.use(link);
  link.refuses = 1;
  topics.want('a', true);
  await link.doAll();
  assert.equal([failures.length, topics.subscribed], [1, 0]);
  await until(() => link.asked.length === 2, 'the second time');
  await link.doAll();
  assert.is(topics.subscribed, 1);
});

test('another link is told all that is wanted, and what the old one says then is not heard', async () => {
  const [first, second] = [new Asked(), new Asked()];
  const topics = new Topics(() => assert.unreachable('it is gone'));
  topics.want('a', true);
  topics.use(first);
  topics.want('b', true);
  assert.equal(first.asked, ['+a', '+b']);
  topics.use(null);
  topics.want('c', true);
  topics.want('b', false);
  topics.use(second);
  assert.equal(second.asked, ['+a', '+c']);
  first.refuses = 2;
  await first.doAll();
  assert.is(topics.subscribed, 0);
  await second.doAll();
  assert.is(topics.subscribed, 2);
});

test.run();
