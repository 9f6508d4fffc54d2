import type { BrokerHost, BrokerLink } from '../broker/broker.ts';

/** What is needed of a client of node-redis (the package redis, from version 5 on). */
export interface NodeRedisClient {
  readonly isOpen: boolean;
  readonly isReady: boolean;
  duplicate(): NodeRedisClient;
  connect(): Promise<unknown>;
  destroy(): void;
  on(event: string, listener: (...values: unknown[]) => void): unknown;
  publish(channel: string, message: Buffer): Promise<unknown>;
  subscribe(
    channel: string,
    listener: (message: Buffer, channel: Buffer) => unknown,
    bufferMode: true,
  ): Promise<unknown>;
  unsubscribe(channel: string): Promise<unknown>;
}

/** Of what `open` makes: one for what is published, one that is subscribed and can do nothing else. */
export function openNodeRedis(
  client: NodeRedisClient,
  prefix: string,
  host: BrokerHost,
): BrokerLink {
  const publisher = client.duplicate();
  const subscriber = client.duplicate();
  const both = [publisher, subscriber];
  const look = (): void => host.connected(both.every(({ isReady }) => isReady));
  for (const one of both) {
    one.on('ready', look);
    one.on('end', look);
    one.on('reconnecting', look);
    one.on('error', (error) => {
      look();
      if (one.isOpen) host.failed(error);
      else host.lost(error); // its reconnectStrategy has given up
    });
    one.connect().catch((error: unknown) => host.lost(error));
  }
  return {
    publish: (topic, { buffer, byteOffset, length }) =>
      publisher.publish(prefix + topic, Buffer.from(buffer, byteOffset, length)),
    subscribe: (topic) =>
      subscriber.subscribe(prefix + topic, (message) => host.received(topic, message), true),
    unsubscribe: (topic) => subscriber.unsubscribe(prefix + topic),
    async close() {
      for (const one of both) one.destroy();
    },
  };
}
