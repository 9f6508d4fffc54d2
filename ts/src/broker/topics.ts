import type { BrokerLink } from './broker.ts';

/** Subscriptions that are beginning or ending at the broker at a time. */
const underWayMax = 64;
/** Until one that was refused is asked for again, ms. */
const retryWait = 1000;

/** Where a topic stands at the link: what was asked for last, and whether that is done. */
interface Standing {
  isAsked: boolean;
  isBusy: boolean;
}

/**
 * What is subscribed to at the broker follows what is wanted here. However often that changes, a topic
 * has one thing under way: what becomes of it is looked at when that is done.
 */
export class Topics {
  /** How many threads want it. */
  private readonly wanted = new Map<string, number>();
  /** Of the link that is there. */
  private standings = new Map<string, Standing>();
  /** Topics to look at. */
  private readonly changed = new Set<string>();
  private readonly refused = new Set<string>();
  private retry: NodeJS.Timeout | null = null;
  private underWay = 0;
  private link: BrokerLink | null = null;
  private readonly failed: (error: unknown) => void;

  constructor(failed: (error: unknown) => void) {
    this.failed = failed;
  }

  /** How many are subscribed to. */
  get subscribed(): number {
    let count = 0;
    for (const { isAsked, isBusy } of this.standings.values()) if (isAsked && !isBusy) count += 1;
    return count;
  }

  /** Whether it is wanted. */
  has(topic: string): boolean {
    return this.wanted.has(topic);
  }

  /** Another thread wants it, or one wants it no more. */
  want(topic: string, isWanted: boolean): void {
    const count = (this.wanted.get(topic) ?? 0) + (isWanted ? 1 : -1);
    if (count > 0) this.wanted.set(topic, count);
    else this.wanted.delete(topic);
    this.changed.add(topic);
    this.pump();
  }

  /** A link that is subscribed to nothing; null: none. */
  use(link: BrokerLink | null): void {
    this.link = link;
    this.standings = new Map();
    this.underWay = 0;
    this.refused.clear();
    if (this.retry !== null) clearTimeout(this.retry);
    this.retry = null;
    this.changed.clear();
    for (const topic of this.wanted.keys()) this.changed.add(topic);
    this.pump();
  }

  private pump(): void {
    const { link } = this;
    if (link === null) {
      this.changed.clear(); // the next link is told all
      return;
    }
    for (const topic of this.changed) {
      if (this.underWay >= underWayMax) return;
      this.changed.delete(topic);
      this.look(link, topic);
    }
  }

  private look(link: BrokerLink, topic: string): void {
    const isWanted = this.wanted.has(topic);
    const standing = this.standings.get(topic) ?? { isAsked: false, isBusy: false };
    if (standing.isBusy || standing.isAsked === isWanted) return;
    standing.isAsked = isWanted;
    standing.isBusy = true;
    this.standings.set(topic, standing);
    this.underWay += 1;
    ask(link, topic, isWanted).then(
      () => this.done(link, topic, standing),
      (error: unknown) => {
        if (this.link === link) this.failed(error);
        // It may be subscribed to or not: both can be asked for again.
        standing.isAsked = !isWanted;
        this.done(link, topic, standing, true);
      },
    );
  }

  private done(link: BrokerLink, topic: string, standing: Standing, isRefused = false): void {
    if (this.link !== link) return;
    this.underWay -= 1;
    standing.isBusy = false;
    if (isRefused) this.againLater(topic);
    else {
      if (!standing.isAsked && !this.wanted.has(topic)) this.standings.delete(topic);
      this.changed.add(topic);
    }
    this.pump();
  }

  private againLater(topic: string): void {
    this.refused.add(topic);
    this.retry ??= setTimeout(() => {
      this.retry = null;
      for (const one of this.refused) this.changed.add(one);
      this.refused.clear();
      this.pump();
    }, retryWait).unref();
  }
}

async function ask(link: BrokerLink, topic: string, isWanted: boolean): Promise<void> {
  await (isWanted ? link.subscribe(topic) : link.unsubscribe(topic));
}
