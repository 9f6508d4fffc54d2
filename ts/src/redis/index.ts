/**
 * Carries what is published between processes by Redis or Valkey: docs/BROKERS.md. Of node-redis and
 * ioredis, which both do, nothing is imported: the program gives its client.
 *
 * @example
 * ```ts
 * import { serve } from 'gyrfalcon';
 * import { redisBroker } from 'gyrfalcon/redis';
 * import { createClient } from 'redis';
 *
 * const broker = redisBroker(createClient({ url: 'redis://localhost:6379' }));
 * serve({ port: 3000, broker, fetch, websocket });
 * ```
 */
import { inspect } from 'node:util';
import type { Broker, BrokerHost, BrokerLink, BrokerOptions } from '../broker/broker.ts';
import { GyrfalconError } from '../core/errors.ts';
import { type IoRedisClient, openIoRedis } from './ioredis.ts';
import { type NodeRedisClient, openNodeRedis } from './node_redis.ts';

export type { Broker, BrokerOptions } from '../broker/broker.ts';
export type { IoRedisClient } from './ioredis.ts';
export type { NodeRedisClient } from './node_redis.ts';

/**
 * A broker over two connections that are opened as `client`'s are, one for what is published and one for
 * subscriptions, and closed when the server stops. `client` itself is left alone, and need not be
 * connected. A topic's channel is `prefix:topic`.
 *
 * Throws GYR_OPTION_INVALID for what is no such client.
 */
export function redisBroker(
  client: NodeRedisClient | IoRedisClient,
  { prefix = 'gyrfalcon', ...limits }: BrokerOptions = {},
): Broker {
  if (typeof prefix !== 'string' || prefix === '') {
    throw wrong(`prefix is ${inspect(prefix)}`, 'a text that is not empty');
  }
  const open = opener(client);
  return { name: 'redis', ...limits, open: (host) => open(`${prefix}:`, host) };
}

function opener(client: unknown): (prefix: string, host: BrokerHost) => BrokerLink {
  const { duplicate, status, isOpen } = (client ?? {}) as Record<string, unknown>;
  if (typeof duplicate === 'function' && typeof isOpen === 'boolean') {
    return (prefix, host) => openNodeRedis(client as NodeRedisClient, prefix, host);
  }
  if (typeof duplicate === 'function' && typeof status === 'string') {
    return (prefix, host) => openIoRedis(client as IoRedisClient, prefix, host);
  }
  const what = inspect(client, { depth: 0, breakLength: Number.POSITIVE_INFINITY });
  throw wrong(
    `its client is ${what}`,
    'one that createClient() of redis, or new Redis() of ioredis, gives',
  );
}

function wrong(what: string, rule: string): GyrfalconError {
  return new GyrfalconError('GYR_OPTION_INVALID', `Of redisBroker() ${what}`, `it must be ${rule}`);
}
