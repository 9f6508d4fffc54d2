import { Fifo } from '../core/fifo.ts';
import type { BrokerLink } from './broker.ts';
import { Shares } from './shares.ts';

/** What a message takes beside its bytes while it waits, about. */
const messageCost = 256;
/** What a link is given before it has told that some of it has left, bytes. */
const windowBytes = 2 ** 20;

interface Waiting {
  readonly topic: string;
  readonly message: Uint8Array;
  readonly cost: number;
  /** When it came, by `performance.now()`. */
  readonly at: number;
}

/** Why a message is not sent. */
export type DropReason = 'full' | 'old' | 'long' | 'failed';

/** What waits for the broker, in the order of the calls, within bounds. */
export class Outbox {
  /** Messages that have left. */
  sent = 0;
  /** What waits, and what the link was given and has not told of, bytes. */
  bytes = 0;
  private readonly waiting = new Fifo<Waiting>();
  /** Given to the link. */
  private readonly given = new Set<Waiting>();
  private givenBytes = 0;
  private readonly shares: Shares;
  private readonly maxAge: number;
  private readonly dropped: (reason: DropReason, error?: unknown) => void;
  private link: BrokerLink | null = null;
  private isPumping = false;
  private whenEmpty: (() => void) | null = null;

  /** `maxAge`: ms. */
  constructor(
    maxBytes: number,
    maxAge: number,
    dropped: (reason: DropReason, error?: unknown) => void,
  ) {
    this.shares = new Shares(maxBytes);
    this.maxAge = maxAge;
    this.dropped = dropped;
  }

  /** Sends it in its turn, or drops it. The bytes are no longer the caller's. */
  add(topic: string, message: Uint8Array): void {
    this.dropOld(); // it keeps out what is new
    const cost = message.length + messageCost;
    if (!this.shares.take(topic, cost)) {
      this.dropped('full');
      return;
    }
    this.bytes += cost;
    this.waiting.push({ topic, message, cost, at: performance.now() });
    this.pump();
  }

  /** Where it goes now; null: nowhere, and what was given to the one before may be lost or not. */
  use(link: BrokerLink | null): void {
    this.link = link;
    this.pump();
  }

  /** The link is no more: what it was given is dropped, as it may not have left. */
  giveUp(): void {
    for (const one of [...this.given]) this.settle(one, 'failed');
  }

  /** Resolves when nothing waits. */
  emptied(): Promise<void> {
    if (this.bytes === 0) return Promise.resolve();
    return new Promise((resolve) => {
      this.whenEmpty = resolve;
    });
  }

  private pump(): void {
    if (this.isPumping) return; // what settles in it is seen by its loop
    this.isPumping = true;
    for (let one = this.waiting.first; one !== undefined; one = this.waiting.first) {
      if (this.link === null || this.givenBytes >= windowBytes) break;
      this.take(one);
      this.give(this.link, one);
    }
    this.isPumping = false;
  }

  /** `one`, the first, waits no more: it is to be settled. */
  private take(one: Waiting): void {
    this.waiting.shift();
    this.given.add(one);
    this.givenBytes += one.cost;
  }

  private give(link: BrokerLink, one: Waiting): void {
    if (this.isOld(one)) this.settle(one, 'old');
    else if (one.message.length > (link.messageBytesMax ?? Number.POSITIVE_INFINITY)) {
      this.settle(one, 'long');
    } else {
      sending(link, one).then(
        () => this.settle(one),
        (error: unknown) => this.settle(one, 'failed', error),
      );
    }
  }

  private isOld({ at }: Waiting): boolean {
    return performance.now() - at > this.maxAge;
  }

  /** They wait in the order in which they came. */
  private dropOld(): void {
    for (let one = this.waiting.first; one !== undefined; one = this.waiting.first) {
      if (!this.isOld(one)) return;
      this.take(one);
      this.settle(one, 'old');
    }
  }

  /** It has left, or never will. */
  private settle(one: Waiting, reason?: DropReason, error?: unknown): void {
    if (!this.given.delete(one)) return; // it was given up
    this.givenBytes -= one.cost;
    this.bytes -= one.cost;
    this.shares.give(one.topic, one.cost);
    if (reason === undefined) this.sent += 1;
    else this.dropped(reason, error);
    if (this.bytes === 0) this.whenEmpty?.();
    this.pump();
  }
}

async function sending(link: BrokerLink, { topic, message }: Waiting): Promise<void> {
  await link.publish(topic, message);
}
