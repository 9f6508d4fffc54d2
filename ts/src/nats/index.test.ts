import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import type { BrokerHost, BrokerLink } from '../broker/broker.ts';
import { type NatsClient, natsBroker } from './index.ts';

const test = suite('a broker by NATS');

/** A connection that notes what it is asked for. */
function connection() {
  const asked: string[] = [];
  let end: (reason?: unknown) => void = () => {};
  const ended = new Promise<unknown>((resolve) => {
    end = resolve;
  });
  const client: NatsClient = {
    info: { max_payload: 1000 },
    publish: (subject) => void asked.push(`publish ${subject}`),
    subscribe(subject) {
      asked.push(`subscribe ${subject}`);
      return { unsubscribe: () => void asked.push(`unsubscribe ${subject}`) };
    },
    flush: async () => asked.push('flush'),
    async *status() {},
    closed: () => ended,
    isClosed: () => asked.includes('close'),
    close: async () => asked.push('close'),
  };
  return { client, asked, end };
}

function host() {
  const told: string[] = [];
  const hostOf: BrokerHost = {
    received: (topic) => told.push(`received ${topic}`),
    connected: (is) => told.push(`connected ${is}`),
    failed: (error) => told.push(`failed ${error}`),
    lost: (error) => told.push(`lost ${error}`),
  };
  return { told, hostOf };
}

test('a subscription that the server refuses is told so, and may be asked for again', async () => {
  const { client, asked } = connection();
  const { told, hostOf } = host();
  const callbacks: ((error: Error | null, message: { data: Uint8Array }) => void)[] = [];
  const { subscribe } = client;
  client.subscribe = (subject, options) => {
    callbacks.push(options.callback);
    return subscribe(subject, options);
  };
  const link: BrokerLink = await natsBroker(client).open(hostOf);
  const refused = link.subscribe('t');
  callbacks[0]?.(new Error('Permissions Violation'), { data: new Uint8Array() });
  try {
    await refused;
    assert.unreachable();
  } catch (error) {
    assert.match((error as Error).message, /Permissions/);
  }
  assert.equal(told, ['connected true']);
  await link.subscribe('t');
  assert.equal(asked, ['subscribe gyrfalcon.t', 'flush', 'subscribe gyrfalcon.t', 'flush']);
  // Who was subscribed loses that: another link is to find out what there is.
  callbacks[1]?.(new Error('Permissions Violation'), { data: new Uint8Array() });
  assert.equal(told.slice(1), ['lost Error: Permissions Violation']);
});

test('a connection that was given is used, and left to the program with nothing subscribed to', async () => {
  const { client, asked, end } = connection();
  const { told, hostOf } = host();
  const link: BrokerLink = await natsBroker(client, { prefix: 'a.b' }).open(hostOf);
  assert.equal([told, link.messageBytesMax], [['connected true'], 1000]);
  await link.subscribe('room/1.x*');
  await link.subscribe('room/1.x*');
  await Promise.all([link.publish('>', new Uint8Array(1)), link.publish('t', new Uint8Array(1))]);
  await link.close();
  assert.equal(asked, [
    'subscribe a.b.room%2F1%2Ex%2A',
    'flush',
    'flush',
    'publish a.b.%3E',
    'publish a.b.t',
    'flush',
    'unsubscribe a.b.room%2F1%2Ex%2A',
  ]);
  end();
  await client.closed();
  assert.is(told.length, 2);
  assert.match(told[1] as string, /^lost .*closed/);
});

test('one that a function gave is closed; one that has ended is none', async () => {
  const { client, asked } = connection();
  const broker = natsBroker(async () => client);
  const link = await broker.open(host().hostOf);
  await link.close();
  assert.equal(asked, ['close']);
  await rejectsAsClosed(async () => broker.open(host().hostOf));
});

test('what is no connection, and no prefix, is refused at once', () => {
  for (const wrong of [undefined, null, {}, 'localhost:4222']) {
    assert.throws(() => natsBroker(wrong as never), /natsBroker\(\) its connection is/);
  }
  for (const prefix of ['', 'a.', 'a b', '*', 'a.>', 7]) {
    assert.throws(() => natsBroker(connection().client, { prefix: prefix as string }), /prefix is/);
  }
});

async function rejectsAsClosed(action: () => Promise<unknown>): Promise<void> {
  let thrown: unknown;
  await action().catch((error: unknown) => {
    thrown = error;
  });
  assert.match(String(thrown), /is closed/);
}

test.run();
