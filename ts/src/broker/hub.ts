import * as abi from '../bridge/abi.gen.ts';
import type { Outside } from '../bridge/outside.ts';
import type { Published } from '../bridge/published.ts';
import type { WebSocketData } from '../bridge/websocket.ts';
import type { Log } from '../core/log.ts';
import type { Broker, BrokerHost, BrokerLink } from './broker.ts';
import { isFrom, newOrigin, seal, unseal } from './envelope.ts';
import { Notices } from './notices.ts';
import { type DropReason, Outbox } from './outbox.ts';
import { Shares } from './shares.ts';
import { Topics } from './topics.ts';

/** Messages from elsewhere that the engine has not taken yet, bytes. */
const incomingBytes = 4 * abi.PUBLISH_BYTES_MAX;
const waitingBytesDefault = 4 * 2 ** 20;
const waitingTimeDefault = 10_000;
/** Until a link is opened again, ms: doubles up to the longest. */
const reopenWaitMin = 500;
const reopenWaitMax = 30_000;
/** How long a link may take to close, ms. */
const closeTime = 1000;

/** Publishes to the subscribers of this process; calls back when the engine has it. */
export type Deliver = (
  topic: string,
  data: WebSocketData,
  compress: boolean | undefined,
  whenWritten: () => void,
) => void;

const dropTexts: Record<DropReason, string> = {
  full: 'messages are dropped, as too much waits',
  old: 'messages are dropped that have waited too long',
  long: 'a message is dropped that is longer than it takes',
  failed: 'messages may not have arrived',
};

/**
 * What connects a server to those of other processes, by way of a broker. One for a server, on the
 * thread that has called `serve`. Nothing waits for it: what it cannot take it drops and counts.
 */
export class Hub implements Outside {
  /** Names this server in what it publishes, so that it knows its own. */
  readonly origin: string = newOrigin();
  private readonly broker: Broker;
  private readonly deliver: Deliver;
  private readonly notices: Notices;
  private readonly outbox: Outbox;
  private readonly topics: Topics;
  private readonly incoming = new Shares(incomingBytes);
  private link: BrokerLink | null = null;
  /** The host of the link that is there or is being opened: others are not heard. */
  private host: BrokerHost | null = null;
  private opening: Promise<void> = Promise.resolve();
  private isConnected = false;
  private isAwayTold = false;
  private isClosed = false;
  private reopenWait = reopenWaitMin;
  private reopenTimer: NodeJS.Timeout | null = null;
  private received = 0;
  private dropped = 0;
  private refused = 0;

  constructor(broker: Broker, log: Log, deliver: Deliver) {
    this.broker = broker;
    this.deliver = deliver;
    this.notices = new Notices(broker.name, log);
    this.topics = new Topics((error) => this.failed(error));
    this.outbox = new Outbox(
      broker.maxWaitingBytes ?? waitingBytesDefault,
      broker.maxWaitingTime ?? waitingTimeDefault,
      (reason, error) => this.drop(reason, error),
    );
  }

  // What this process says.

  publish(topic: string, message: Published): void {
    this.forward(topic, seal(this.origin, message));
  }

  /** Publishes what a thread has sealed. The bytes are no longer the caller's. */
  forward(topic: string, sealed: Uint8Array): void {
    if (!this.isClosed) this.outbox.add(topic, sealed);
  }

  wants(topic: string, isWanted: boolean): void {
    this.topics.want(topic, isWanted);
  }

  /** A thread has dropped so many messages by itself. */
  droppedElsewhere(count: number): void {
    this.dropped += count;
    this.notices.tell('full', dropTexts.full);
  }

  /** Counters for `Server.stats()`. */
  stats(): Record<string, number> {
    return {
      brokerConnected: this.isConnected ? 1 : 0,
      brokerTopics: this.topics.subscribed,
      brokerSent: this.outbox.sent,
      brokerReceived: this.received,
      brokerDropped: this.dropped,
      brokerRefused: this.refused,
      brokerWaitingBytes: this.outbox.bytes,
    };
  }

  // The link's life.

  /** The server listens. */
  open(): void {
    if (!this.isClosed) this.opening = this.openLink();
  }

  /** Never rejects. What waits has `ms` to leave. */
  async close(ms: number): Promise<void> {
    if (this.isConnected) await atMost(this.outbox.emptied(), ms);
    this.isClosed = true;
    if (this.reopenTimer !== null) clearTimeout(this.reopenTimer);
    await atMost(this.opening, closeTime);
    await this.dropLink();
  }

  private async openLink(): Promise<void> {
    const host = this.newHost();
    this.host = host;
    try {
      const link = await this.broker.open(host);
      if (this.isClosed || this.host !== host) {
        await this.closeLink(link); // it came too late
        return;
      }
      this.link = link;
      this.topics.use(link);
      this.direct();
    } catch (error) {
      if (this.host === host) this.lost(error);
    }
  }

  private newHost(): BrokerHost {
    const host: BrokerHost = {
      received: (topic, message) => {
        if (this.host === host) this.take(topic, message);
      },
      connected: (isConnected) => {
        if (this.host === host) this.connected(isConnected);
      },
      failed: (error) => {
        if (this.host === host) this.failed(error);
      },
      lost: (error) => {
        if (this.host === host) this.lost(error);
      },
    };
    return host;
  }

  private connected(isConnected: boolean): void {
    if (isConnected === this.isConnected) return;
    this.isConnected = isConnected;
    if (isConnected) {
      this.reopenWait = reopenWaitMin;
      if (this.isAwayTold) this.notices.say('is there again');
      this.isAwayTold = false;
    } else this.tellAway();
    this.direct();
  }

  /** Messages go to the link while it is connected. */
  private direct(): void {
    this.outbox.use(this.isConnected ? this.link : null);
  }

  private failed(error: unknown): void {
    if (this.isConnected) this.notices.tell('error', 'something failed', error);
    else this.tellAway(error);
  }

  private tellAway(error?: unknown): void {
    if (this.isAwayTold || this.isClosed) return;
    this.isAwayTold = true;
    this.notices.say('is away: what is published stays in this process', error);
  }

  private lost(error: unknown): void {
    this.isConnected = false;
    this.tellAway(error);
    void this.dropLink();
    if (this.isClosed) return;
    this.reopenTimer = setTimeout(() => this.open(), this.reopenWait);
    this.reopenTimer.unref();
    this.reopenWait = Math.min(2 * this.reopenWait, reopenWaitMax);
  }

  private async dropLink(): Promise<void> {
    const { link } = this;
    this.host = null;
    this.link = null;
    this.isConnected = false;
    this.direct();
    this.topics.use(null);
    this.outbox.giveUp();
    if (link !== null) await this.closeLink(link);
  }

  private async closeLink(link: BrokerLink): Promise<void> {
    try {
      await atMost(link.close(), closeTime);
    } catch (error) {
      this.notices.tell('close', 'a connection could not be closed', error);
    }
  }

  // What other processes say.

  private take(topic: string, sealed: Uint8Array): void {
    if (!this.topics.has(topic) || isFrom(this.origin, sealed)) return;
    const message = unseal(sealed);
    if (message === null) {
      this.refuse('malformed', `a message on ${JSON.stringify(topic)} is none of a server's`);
      return;
    }
    const cost = sealed.length + abi.SOCKET_MESSAGE_COST;
    if (!this.incoming.take(topic, cost)) {
      this.refuse('slow', 'messages that come are dropped, as the engine takes them too slowly');
      return;
    }
    this.received += 1;
    const whenWritten = () => this.incoming.give(topic, cost);
    this.deliver(topic, message.data, message.compress, whenWritten);
  }

  private refuse(kind: string, text: string): void {
    this.refused += 1;
    this.notices.tell(kind, text);
  }

  private drop(reason: DropReason, error?: unknown): void {
    this.dropped += 1;
    if (!this.isClosed) this.notices.tell(reason, dropTexts[reason], error);
  }
}

/** Settles as `work` does, or after `ms`. */
async function atMost(work: Promise<unknown>, ms: number): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<void>((resolve) => {
    timer = setTimeout(resolve, ms);
  });
  try {
    await Promise.race([work, late]);
  } finally {
    clearTimeout(timer);
  }
}
