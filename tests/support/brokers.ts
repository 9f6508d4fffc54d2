/** Brokers in processes of their own, at a place that stays theirs when they are started anew. */
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { connect as connectNats } from '@nats-io/transport-node';
import { createClient } from 'redis';
import { lacks, type Running, start } from './process.ts';
import { until, within } from './wait.ts';

/** Debian has it where only root looks. */
const natsServer = existsSync('/usr/sbin/nats-server') ? '/usr/sbin/nats-server' : 'nats-server';

export type BrokerKind = 'redis' | 'nats';

export const noBroker: Record<BrokerKind, string | undefined> = {
  redis: lacks('redis-server'),
  nats: lacks(natsServer),
};

/** A broker that is running, or has been. */
export abstract class TestBroker {
  protected running: Running | null = null;
  private readonly folder = mkdtempSync(join(tmpdir(), 'gyrfalcon-broker-'));

  /** Where clients find it. */
  abstract readonly place: string;
  protected abstract command(): [program: string, args: string[]];
  protected abstract readonly ready: RegExp;
  /** Publishes as any other client of it may. */
  abstract publish(topic: string, message: Uint8Array): Promise<void>;

  static of(kind: BrokerKind): TestBroker {
    return kind === 'redis' ? new RedisBroker() : new NatsBroker();
  }

  protected file(name: string): string {
    return join(this.folder, name);
  }

  /** Starts it, for the first time or anew. */
  async start(): Promise<void> {
    const running = start(...this.command());
    this.running = running;
    const told = (): string => running.stdout() + running.stderr();
    await until(() => this.ready.test(told()), 'the start of a broker');
    this.started(told());
  }

  protected started(_output: string): void {}

  signal(signal: NodeJS.Signals): void {
    this.running?.child.kill(signal);
  }

  async kill(): Promise<void> {
    this.signal('SIGKILL');
    if (this.running !== null) await within(this.running.ended, 'the end of a broker');
  }

  async remove(): Promise<void> {
    await this.kill();
    rmSync(this.folder, { recursive: true, force: true });
  }
}

class RedisBroker extends TestBroker {
  readonly place = this.file('socket');
  protected readonly ready = /ready to accept connections/i;

  protected command(): [string, string[]] {
    const args = ['--port', '0', '--unixsocket', this.place, '--save', '', '--appendonly', 'no'];
    return ['redis-server', args];
  }

  async publish(topic: string, message: Uint8Array): Promise<void> {
    const client = createClient({ socket: { path: this.place, tls: false } });
    await client.connect();
    await client.publish(`gyrfalcon:${topic}`, Buffer.from(message));
    client.destroy();
  }
}

class NatsBroker extends TestBroker {
  protected readonly ready = /Server is ready/;
  private port = -1;

  get place(): string {
    return `127.0.0.1:${this.port}`;
  }

  /** -1: a port that is free, and is kept from then on. */
  protected command(): [string, string[]] {
    return [natsServer, ['-a', '127.0.0.1', '-p', `${this.port}`]];
  }

  protected override started(output: string): void {
    this.port = Number(/client connections on [\d.]+:(\d+)/.exec(output)?.[1]);
  }

  async publish(topic: string, message: Uint8Array): Promise<void> {
    const client = await connectNats({ servers: this.place });
    client.publish(`gyrfalcon.${topic}`, message);
    await client.drain();
  }
}
