import { EventEmitter } from 'node:events';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import type { BrokerHost } from '../broker/broker.ts';
import { type IoRedisClient, type NodeRedisClient, redisBroker } from './index.ts';

const test = suite('a broker by Redis');
const settled = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

/** A client of either kind, which notes what its duplicates are asked for. */
class Fake extends EventEmitter {
  readonly asked: string[];
  constructor(asked: string[] = []) {
    super();
    this.asked = asked;
  }
  copies: Fake[] = [];
  duplicate(): this {
    const copy = new (this.constructor as new (asked: string[]) => this)(this.asked);
    this.copies.push(copy);
    return copy;
  }
  connect = async (): Promise<void> => void this.asked.push('connect');
  publish = async (channel: string): Promise<void> => void this.asked.push(`publish ${channel}`);
  subscribe = async (channel: string): Promise<void> =>
    void this.asked.push(`subscribe ${channel}`);
  unsubscribe = async (): Promise<void> => {};
}

class NodeRedis extends Fake {
  isOpen = true;
  isReady = false;
  destroy = (): void => {
    if (!this.isOpen) throw new Error('the client is closed');
    this.asked.push('destroy');
  };
}

class IoRedis extends Fake {
  status = 'wait';
  disconnect = (): void => void this.asked.push('disconnect');
}

function host() {
  const told: string[] = [];
  const hostOf: BrokerHost = {
    received: (topic, message) => told.push(`${topic} ${Buffer.from(message)}`),
    connected: (is) => told.push(`connected ${is}`),
    failed: (error) => told.push(`failed ${(error as Error).message}`),
    lost: (error) => told.push(`lost ${(error as Error).message}`),
  };
  return { told, hostOf };
}

test('node-redis: two connections of its own, that are closed; the client is left alone', async () => {
  const client = new NodeRedis();
  const { told, hostOf } = host();
  const link = await redisBroker(client as unknown as NodeRedisClient, { prefix: 'p' }).open(
    hostOf,
  );
  const [publisher, subscriber] = client.copies as [NodeRedis, NodeRedis];
  publisher.isReady = true;
  publisher.emit('ready');
  subscriber.isReady = true;
  subscriber.emit('ready');
  assert.equal(told.splice(0), ['connected false', 'connected true']);
  await link.publish('t', Buffer.from('x'));
  await link.subscribe('t');
  subscriber.isReady = false;
  subscriber.emit('error', new Error('reset'));
  assert.equal(told.splice(0), ['connected false', 'failed reset']);
  // The first of both: the other is to be closed all the same.
  publisher.isOpen = false;
  publisher.emit('error', new Error('for good'));
  assert.equal(told.splice(0), ['connected false', 'lost for good']);
  await link.close();
  assert.equal(client.asked, ['connect', 'connect', 'publish p:t', 'subscribe p:t', 'destroy']);
  assert.is(client.listenerCount('error'), 0);
});

test('ioredis: the same; what comes on channels of others is not told', async () => {
  const client = new IoRedis();
  const { told, hostOf } = host();
  const link = await redisBroker(client as unknown as IoRedisClient).open(hostOf);
  const [publisher, subscriber] = client.copies as [IoRedis, IoRedis];
  for (const one of [publisher, subscriber]) {
    one.status = 'ready';
    one.emit('ready');
  }
  assert.equal(told.splice(0), ['connected false', 'connected true']);
  subscriber.emit('messageBuffer', Buffer.from('gyrfalcon:grüße'), Buffer.from('hello'));
  subscriber.emit('messageBuffer', Buffer.from('else:t'), Buffer.from('hello'));
  assert.equal(told.splice(0), ['grüße hello']);
  publisher.status = 'close';
  publisher.emit('close');
  publisher.emit('end');
  await settled();
  assert.equal(told[0], 'connected false');
  assert.match(told[1] as string, /^lost/);
  await link.close();
  assert.equal(client.asked, ['connect', 'connect', 'disconnect', 'disconnect']);
});

test('what is no client, and no prefix, is refused at once', () => {
  for (const wrong of [undefined, null, {}, 'redis://localhost', { duplicate() {} }]) {
    assert.throws(() => redisBroker(wrong as never), /redisBroker\(\) its client is/);
  }
  for (const prefix of ['', 7]) {
    const client = new NodeRedis() as unknown as NodeRedisClient;
    assert.throws(() => redisBroker(client, { prefix: prefix as string }), /prefix is/);
  }
});

test.run();
