/**
 * Carries what is published between processes by NATS: docs/BROKERS.md. Of the clients, `nats` and
 * `@nats-io/transport-node`, nothing is imported: the program gives a connection, or what makes one.
 *
 * @example
 * ```ts
 * import { connect } from '@nats-io/transport-node';
 * import { serve } from 'gyrfalcon';
 * import { natsBroker } from 'gyrfalcon/nats';
 *
 * const broker = natsBroker(() => connect({ servers: 'localhost:4222', maxReconnectAttempts: -1 }));
 * serve({ port: 3000, broker, fetch, websocket });
 * ```
 */
import { inspect } from 'node:util';
import type { Broker, BrokerHost, BrokerLink, BrokerOptions } from '../broker/broker.ts';
import { GyrfalconError } from '../core/errors.ts';

export type { Broker, BrokerOptions } from '../broker/broker.ts';

/** What is needed of a connection to NATS. */
export interface NatsClient {
  /** What the server has told; undefined while there is none. */
  readonly info?: { readonly max_payload: number } | undefined;
  publish(subject: string, payload: Uint8Array): void;
  subscribe(
    subject: string,
    options: { callback(error: Error | null, message: { readonly data: Uint8Array }): void },
  ): { unsubscribe(): void };
  /** Resolves when all that was said before is there. */
  flush(): Promise<unknown>;
  status(): AsyncIterable<{
    readonly type: string;
    readonly error?: unknown;
    readonly data?: unknown;
  }>;
  /** Resolves when it has ended for good, with the reason. */
  closed(): Promise<unknown>;
  isClosed(): boolean;
  close(): Promise<unknown>;
}

/**
 * A broker over a connection to NATS. One that is given is used, and is the program's own to close. A
 * function is called when the server listens, and again when what it gave has ended; the server closes
 * that when it stops. With `threads` it is a function that is wanted: each thread imports the module.
 *
 * A topic's subject is `prefix.topic`, of the topic as `encodeURIComponent` has it, with `%2E` and `%2A`
 * too. Throws GYR_OPTION_INVALID.
 */
export function natsBroker(
  connection: NatsClient | (() => Promise<NatsClient>),
  { prefix = 'gyrfalcon', ...limits }: BrokerOptions = {},
): Broker {
  if (typeof prefix !== 'string' || !/^[^\s.*>]+(?:\.[^\s.*>]+)*$/.test(prefix)) {
    throw wrong(`prefix is ${inspect(prefix)}`, 'a subject without wildcards');
  }
  const isMaker = typeof connection === 'function';
  if (!isMaker && typeof connection?.publish !== 'function') {
    throw wrong(
      `its connection is ${inspect(connection, { depth: 0 })}`,
      'what connect() resolves to, or a function',
    );
  }
  return {
    name: 'nats',
    ...limits,
    async open(host) {
      const client = isMaker ? await connection() : connection;
      if (client.isClosed()) throw new Error('its connection is closed');
      return new NatsLink(client, isMaker, `${prefix}.`, host);
    },
  };
}

class NatsLink implements BrokerLink {
  private readonly client: NatsClient;
  private readonly isOwn: boolean;
  private readonly prefix: string;
  private readonly host: BrokerHost;
  private readonly subscriptions = new Map<string, { unsubscribe(): void }>();
  private readonly statuses: ReturnType<NatsClient['status']>;
  /** Of all that is published in a turn. */
  private flushing: Promise<unknown> | null = null;

  constructor(client: NatsClient, isOwn: boolean, prefix: string, host: BrokerHost) {
    this.client = client;
    this.isOwn = isOwn;
    this.prefix = prefix;
    this.host = host;
    this.statuses = client.status();
    void this.watch();
    client.closed().then((reason) => host.lost(reason ?? new Error('its connection was closed')));
    host.connected(client.info !== undefined);
  }

  get messageBytesMax(): number {
    return this.client.info?.max_payload ?? Number.POSITIVE_INFINITY;
  }

  async publish(topic: string, message: Uint8Array): Promise<void> {
    this.client.publish(this.subjectOf(topic), message);
    this.flushing ??= this.flushTurn();
    await this.flushing;
  }

  async subscribe(topic: string): Promise<void> {
    if (!this.subscriptions.has(topic)) {
      const callback = (error: Error | null, { data }: { data: Uint8Array }): void => {
        if (error === null) this.host.received(topic, data);
        else this.host.failed(error);
      };
      this.subscriptions.set(topic, this.client.subscribe(this.subjectOf(topic), { callback }));
    }
    await this.client.flush();
  }

  async unsubscribe(topic: string): Promise<void> {
    this.subscriptions.get(topic)?.unsubscribe();
    this.subscriptions.delete(topic);
  }

  async close(): Promise<void> {
    // Its iterators have that: else one would wait for what comes next for ever.
    (this.statuses as { stop?(): void }).stop?.();
    if (this.isOwn) {
      await this.client.close();
      return;
    }
    for (const subscription of this.subscriptions.values()) subscription.unsubscribe();
    this.subscriptions.clear();
  }

  private async flushTurn(): Promise<void> {
    await Promise.resolve(); // behind what this turn publishes yet
    this.flushing = null;
    await this.client.flush();
  }

  private async watch(): Promise<void> {
    for await (const { type, error, data } of this.statuses) {
      if (type === 'disconnect') this.host.connected(false);
      else if (type === 'reconnect') this.host.connected(true);
      else if (type === 'error') this.host.failed(error ?? data);
    }
  }

  private subjectOf(topic: string): string {
    return this.prefix + encodeURIComponent(topic).replaceAll('.', '%2E').replaceAll('*', '%2A');
  }
}

function wrong(what: string, rule: string): GyrfalconError {
  return new GyrfalconError('GYR_OPTION_INVALID', `Of natsBroker() ${what}`, `it must be ${rule}`);
}
