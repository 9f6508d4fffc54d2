import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { until } from '../../../tests/support/wait.ts';
import { Published } from '../bridge/published.ts';
import type { WebSocketData } from '../bridge/websocket.ts';
import { Log } from '../core/log.ts';
import type { Broker, BrokerHost, BrokerLink } from './broker.ts';
import { seal } from './envelope.ts';
import { Hub } from './hub.ts';

const test = suite('a server among others');
const other = 'another-process_';

interface Opened {
  host: BrokerHost;
  sent: string[];
  topics: Set<string>;
  isClosed: boolean;
}

/** A broker that is there from the first, and the links that were opened. */
function fake(open: (opened: Opened) => void = ({ host }) => host.connected(true)) {
  const links: Opened[] = [];
  const broker: Broker = {
    name: 'fake',
    async open(host) {
      const opened: Opened = { host, sent: [], topics: new Set(), isClosed: false };
      links.push(opened);
      open(opened);
      const link: BrokerLink = {
        publish: async (topic, message) => {
          opened.sent.push(`${topic} ${Buffer.from(message).toString('latin1').slice(21)}`);
        },
        subscribe: async (topic) => opened.topics.add(topic),
        unsubscribe: async (topic) => opened.topics.delete(topic),
        close: async () => {
          opened.isClosed = true;
        },
      };
      return link;
    },
  };
  return { broker, links };
}

/** A hub, what it has delivered, and how to say that the engine has taken that. */
function hubOf(broker: Broker) {
  const delivered: WebSocketData[] = [];
  const taken: (() => void)[] = [];
  const hub = new Hub(broker, new Log('silent'), (_topic, data, _compress, whenWritten) => {
    delivered.push(data);
    taken.push(whenWritten);
  });
  return { hub, delivered, taken };
}

const message = (text: string): Published => new Published('t', text, 0, undefined);
const sealed = (text: string, origin = other): Uint8Array => seal(origin, message(text));
const settled = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

test('it sends what is published here, and delivers what others publish, but not its own', async () => {
  const { broker, links } = fake();
  const { hub, delivered } = hubOf(broker);
  hub.publish('t', message('before it is open'));
  hub.wants('t', true);
  hub.open();
  await settled();
  hub.publish('t', message('then'));
  await settled();
  const { host, sent, topics } = links[0] as Opened;
  assert.equal(sent, ['t before it is open', 't then']);
  assert.equal([...topics], ['t']);
  host.received('t', sealed('from another'));
  host.received('t', sealed('its own', hub.origin));
  host.received('unknown', sealed('nobody wants it'));
  assert.equal(delivered, ['from another']);
  assert.equal(hub.stats(), {
    brokerConnected: 1,
    brokerTopics: 1,
    brokerSent: 2,
    brokerReceived: 1,
    brokerDropped: 0,
    brokerRefused: 0,
    brokerWaitingBytes: 0,
  });
  await hub.close(0);
  assert.ok(links[0]?.isClosed);
});

test('what is malformed is refused, and what the engine does not take; a topic leaves others room', async () => {
  const { broker, links } = fake();
  const { hub, delivered, taken } = hubOf(broker);
  hub.wants('hot', true);
  hub.wants('cold', true);
  hub.open();
  await settled();
  const { host } = links[0] as Opened;
  for (const wrong of ['', 'GYR1', 'x'.repeat(2_000_000)]) host.received('hot', Buffer.from(wrong));
  assert.is(hub.stats().brokerRefused, 3);
  const large = sealed('h'.repeat(500_000));
  for (let n = 0; n < 20; n += 1) host.received('hot', large);
  assert.is(delivered.length, 4, 'half of 4 MB, about');
  assert.is(hub.stats().brokerRefused, 3 + 16);
  host.received('cold', sealed('finds room'));
  assert.is(delivered.at(-1), 'finds room');
  for (const take of taken.splice(0)) take();
  host.received('hot', large);
  assert.is(delivered.length, 6);
  await hub.close(0);
});

test('while it is not connected what is published waits, and goes when it is', async () => {
  const { broker, links } = fake(() => {});
  const { hub } = hubOf(broker);
  hub.open();
  await settled();
  const { host, sent } = links[0] as Opened;
  hub.publish('t', message('waits'));
  host.failed(new Error('connection refused'));
  await settled();
  assert.equal([sent, hub.stats().brokerConnected], [[], 0]);
  assert.ok((hub.stats().brokerWaitingBytes as number) > 5);
  host.connected(true);
  await settled();
  assert.equal([sent, hub.stats().brokerConnected], [['t waits'], 1]);
  host.connected(false);
  hub.publish('t', message('again'));
  await settled();
  assert.is(sent.length, 1);
  await hub.close(0);
});

test('a client that gives up is closed, and another opened, which is told all; the old one is not heard', async () => {
  const { broker, links } = fake();
  const { hub, delivered } = hubOf(broker);
  hub.wants('t', true);
  hub.open();
  await settled();
  const [first] = links as [Opened];
  first.host.lost(new Error('for good'));
  assert.is(hub.stats().brokerConnected, 0);
  first.host.lost(new Error('twice'));
  first.host.connected(true);
  first.host.received('t', sealed('late'));
  assert.equal([hub.stats().brokerConnected, delivered], [0, []]);
  hub.publish('t', message('meanwhile'));
  await until(() => links.length === 2, 'another link');
  await settled();
  assert.ok(first.isClosed);
  const second = links[1] as Opened;
  await settled();
  assert.equal([[...second.topics], second.sent], [['t'], ['t meanwhile']]);
  await hub.close(0);
  assert.is(links.length, 2);
});

test('an open that fails is tried again; one that comes after the end is closed', async () => {
  let fails = 1;
  const { broker, links } = fake(({ host }) => {
    fails -= 1;
    if (fails >= 0) throw new Error('not yet');
    host.connected(true);
  });
  const { hub } = hubOf(broker);
  hub.open();
  await until(() => hub.stats().brokerConnected === 1, 'the second time');
  assert.is(links.length, 2);
  await hub.close(0);

  let give: (link: BrokerLink) => void = () => {};
  let isClosed = false;
  const late: Broker = {
    name: 'late',
    open: () =>
      new Promise((resolve) => {
        give = resolve;
      }),
  };
  const { hub: second } = hubOf(late);
  second.open();
  const closed = second.close(0);
  give({
    close: async () => {
      isClosed = true;
    },
  } as BrokerLink);
  await closed;
  assert.ok(isClosed);
});

test('what waits at the end has some time to leave, and a link that does not close holds nothing up', async () => {
  const { broker, links } = fake();
  const { hub } = hubOf(broker);
  hub.open();
  await settled();
  hub.publish('t', message('the last'));
  await hub.close(1000);
  assert.equal(links[0]?.sent, ['t the last']);
  const { hub: stuck } = hubOf({
    name: 'stuck',
    open: (host) => {
      host.connected(true);
      const never = (): Promise<void> => new Promise(() => {});
      return { publish: never, subscribe: never, unsubscribe: never, close: never };
    },
  });
  stuck.open();
  await settled();
  stuck.publish('t', message('never'));
  stuck.wants('t', true);
  await stuck.close(10);
  assert.is(stuck.stats().brokerDropped, 1);
});

test.run();
