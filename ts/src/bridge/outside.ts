import type { Published } from './published.ts';

/** Where else what is published goes: other processes. */
export interface Outside {
  /** Tells it there. Who takes it keeps nothing of `message`, whose bytes are the caller's. */
  publish(topic: string, message: Published): void;
  /** Whether somebody of this thread is subscribed, when that changes. */
  wants(topic: string, isWanted: boolean): void;
}

/** How often sockets of a thread are subscribed to each topic. */
export class TopicCounts {
  private readonly outside: Outside;
  private readonly counts = new Map<string, number>();

  constructor(outside: Outside) {
    this.outside = outside;
  }

  /** A socket has subscribed. */
  began(topic: string): void {
    const name = topicName(topic);
    const count = this.counts.get(name) ?? 0;
    this.counts.set(name, count + 1);
    if (count === 0) this.outside.wants(name, true);
  }

  /** One that had is so no more. */
  ended(topic: string): void {
    const name = topicName(topic);
    const count = this.counts.get(name) ?? 0;
    if (count > 1) {
      this.counts.set(name, count - 1);
      return;
    }
    this.counts.delete(name);
    this.outside.wants(name, false);
  }
}

/** The name that the engine knows a topic by, which is bytes: half a pair of surrogates is U+FFFD there. */
export function topicName(topic: string): string {
  return /\p{Surrogate}/u.test(topic) ? Buffer.from(topic).toString() : topic;
}
