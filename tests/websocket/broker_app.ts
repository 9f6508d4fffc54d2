// A server among others, for tests/websocket/broker_scenarios.ts. Arguments: the client, where the broker is, and how many
// threads. Requests to its other port, printed as CONTROL, are for the server itself: /stats, /publish?topic=…, /reload.
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { type Broker, type ReloadOptions, serve } from 'gyrfalcon';
import { moduleOf } from '../support/process.ts';
import { handlers } from './handlers.ts';

const [client = '', place = '', threads = '0'] = process.argv.slice(2);

/** How often it tries to reach a broker that is away: soon, for tests. */
const wait = 20;
const natsOptions = {
  servers: place,
  maxReconnectAttempts: -1,
  reconnectTimeWait: wait,
  reconnectJitter: 1,
};

/** Each with its own client alone: they take longer to load than all else of this program. */
const brokers: Record<string, () => Promise<Broker>> = {
  redis: async () => {
    const [{ redisBroker }, { createClient }] = [
      await import('gyrfalcon/redis'),
      await import('redis'),
    ];
    const socket = { path: place, tls: false, reconnectStrategy: () => wait } as const;
    return redisBroker(createClient({ socket }));
  },
  ioredis: async () => {
    const [{ redisBroker }, { Redis }] = [await import('gyrfalcon/redis'), await import('ioredis')];
    return redisBroker(new Redis({ path: place, lazyConnect: true, retryStrategy: () => wait }));
  },
  nats: async () => {
    const [{ natsBroker }, { connect }] = [
      await import('gyrfalcon/nats'),
      await import('@nats-io/transport-node'),
    ];
    return natsBroker(() => connect(natsOptions));
  },
  nats2: async () => {
    const [{ natsBroker }, { connect }] = [await import('gyrfalcon/nats'), await import('nats')];
    return natsBroker(() => connect(natsOptions));
  },
};

const broker = (await brokers[client]?.()) as Broker;
const options = { hostname: '127.0.0.1', port: 0, workers: 2, broker };
const server =
  threads === '0'
    ? serve({ ...options, ...handlers('main') })
    : await serve({
        ...options,
        threads: Number(threads),
        module: moduleOf('tests', 'websocket', 'handlers.ts'),
      });

const control = createServer(async (request, response) => {
  const { pathname, searchParams } = new URL(request.url ?? '', 'http://localhost');
  const parts: Buffer[] = [];
  for await (const part of request) parts.push(part);
  let answer: unknown = null;
  if (pathname === '/publish')
    answer = server.publish(searchParams.get('topic') ?? '', Buffer.concat(parts));
  else if (pathname === '/reload')
    await server.reload(threads === '0' ? (handlers('second') as ReloadOptions) : undefined);
  else answer = { ...server.stats(), memory: process.memoryUsage().rss };
  response.end(JSON.stringify(answer));
});
control.listen(0, '127.0.0.1', () => {
  console.log(`CONTROL ${(control.address() as AddressInfo).port}`);
  console.log(`${server.url}`);
});

process.once('SIGTERM', async () => {
  control.closeAllConnections();
  control.close();
  await server.stop({ deadline: 5000 });
  console.log('STOPPED');
});
