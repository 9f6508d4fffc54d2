import type { BrokerHost, BrokerLink } from '../broker/broker.ts';

/** What is needed of a client of ioredis, from version 5 on. */
export interface IoRedisClient {
  readonly status: string;
  duplicate(override: IoRedisOverride): IoRedisClient;
  connect(): Promise<unknown>;
  disconnect(): void;
  on(event: string, listener: (...values: never[]) => void): unknown;
  publish(channel: string, message: Buffer): Promise<unknown>;
  subscribe(channel: string): Promise<unknown>;
  unsubscribe(channel: string): Promise<unknown>;
}

/** Options that a broker's connections have whatever the program's client has. */
export interface IoRedisOverride {
  lazyConnect: true;
  /** What was sent and not answered when a connection ended would be sent, and arrive, twice. */
  autoResendUnfulfilledCommands: false;
  autoResubscribe: true;
}

const override: IoRedisOverride = {
  lazyConnect: true,
  autoResendUnfulfilledCommands: false,
  autoResubscribe: true,
};

/** As openNodeRedis. */
export function openIoRedis(client: IoRedisClient, prefix: string, host: BrokerHost): BrokerLink {
  const publisher = client.duplicate(override);
  const subscriber = client.duplicate(override);
  const both = [publisher, subscriber];
  const look = (): void => host.connected(both.every(({ status }) => status === 'ready'));
  const failed = (error: unknown): void => {
    look();
    host.failed(error);
  };
  for (const one of both) {
    one.on('ready', look);
    one.on('close', look);
    one.on('error', failed);
    one.on('end', () => host.lost(new Error('its retryStrategy has given up')));
    one.connect().catch(failed); // it is tried again; `end` tells where it is not
  }
  subscriber.on('messageBuffer', (channel: Buffer, message: Buffer) => {
    const name = channel.toString();
    if (name.startsWith(prefix)) host.received(name.slice(prefix.length), message);
  });
  return {
    publish: (topic, { buffer, byteOffset, length }) =>
      publisher.publish(prefix + topic, Buffer.from(buffer, byteOffset, length)),
    subscribe: (topic) => subscriber.subscribe(prefix + topic),
    unsubscribe: (topic) => subscriber.unsubscribe(prefix + topic),
    async close() {
      for (const one of both) one.disconnect();
    },
  };
}
