import * as abi from '../bridge/abi.gen.ts';
import type { Outside } from '../bridge/outside.ts';
import type { Published } from '../bridge/published.ts';
import { headBytes, seal } from './envelope.ts';

/** What a thread may have posted that the main thread has not taken, bytes. */
const postedMax = 4 * abi.PUBLISH_BYTES_MAX;

/** What a worker thread is told of the broker. */
export interface ThreadSideData {
  readonly origin: string;
  /** As `Int32Array`: bytes that are posted and not taken, and how many messages were dropped. */
  readonly counters: SharedArrayBuffer;
}

/** From a worker thread to the main thread. */
export type OutsideReport =
  /** A message for other processes. */
  | { kind: 'outside'; topic: string; sealed: Uint8Array<ArrayBuffer> }
  /** Topics that the thread wants from now on, or no more; answered by 'topics-taken'. */
  | { kind: 'topics'; topics: [topic: string, isWanted: boolean][] };

/** What a worker thread has of the broker, which is on the main thread. */
export class ThreadSide implements Outside {
  private readonly origin: string;
  private readonly counters: Int32Array;
  private readonly post: (report: OutsideReport, transfer: ArrayBuffer[]) => void;
  private readonly wanted = new Set<string>();
  /** What the main thread knows to be wanted. */
  private readonly told = new Set<string>();
  private readonly changed = new Set<string>();
  private isTelling = false;
  private isPlanned = false;

  constructor(
    { origin, counters }: ThreadSideData,
    post: (report: OutsideReport, transfer: ArrayBuffer[]) => void,
  ) {
    this.origin = origin;
    this.counters = new Int32Array(counters);
    this.post = post;
  }

  publish(topic: string, message: Published): void {
    const cost = costOf(headBytes + message.bytes.length);
    if (Atomics.load(this.counters, 0) + cost > postedMax) {
      Atomics.add(this.counters, 1, 1);
      return;
    }
    Atomics.add(this.counters, 0, cost);
    const sealed = seal(this.origin, message);
    this.post({ kind: 'outside', topic, sealed }, [sealed.buffer]);
  }

  wants(topic: string, isWanted: boolean): void {
    if (isWanted) this.wanted.add(topic);
    else this.wanted.delete(topic);
    this.changed.add(topic);
    if (this.isTelling || this.isPlanned) return;
    this.isPlanned = true;
    setImmediate(() => this.tell());
  }

  /** The main thread has taken what it was told of topics. */
  taken(): void {
    this.isTelling = false;
    if (this.changed.size > 0) this.tell();
  }

  /** One report at a time: so what waits is as much as there are topics, however often they change. */
  private tell(): void {
    this.isPlanned = false;
    const topics: [string, boolean][] = [];
    for (const topic of this.changed) {
      const isWanted = this.wanted.has(topic);
      if (isWanted === this.told.has(topic)) continue;
      topics.push([topic, isWanted]);
      if (isWanted) this.told.add(topic);
      else this.told.delete(topic);
    }
    this.changed.clear();
    if (topics.length === 0) return;
    this.isTelling = true;
    this.post({ kind: 'topics', topics }, []);
  }
}

/** What the main thread needs of the hub. */
export interface ThreadSideHub {
  readonly origin: string;
  forward(topic: string, sealed: Uint8Array): void;
  wants(topic: string, isWanted: boolean): void;
  droppedElsewhere(count: number): void;
}

/** The main thread's end of a `ThreadSide`: one for each life of a thread. */
export class ThreadSideEnd {
  readonly data: ThreadSideData;
  private readonly hub: ThreadSideHub;
  private readonly counters: Int32Array;
  private readonly topics = new Set<string>();

  constructor(hub: ThreadSideHub) {
    this.hub = hub;
    const counters = new SharedArrayBuffer(2 * Int32Array.BYTES_PER_ELEMENT);
    this.counters = new Int32Array(counters);
    this.data = { origin: hub.origin, counters };
  }

  take(report: OutsideReport): void {
    if (report.kind === 'outside') {
      Atomics.sub(this.counters, 0, costOf(report.sealed.length));
      this.hub.forward(report.topic, report.sealed);
      this.countDropped();
      return;
    }
    for (const [topic, isWanted] of report.topics) {
      if (isWanted) this.topics.add(topic);
      else this.topics.delete(topic);
      this.hub.wants(topic, isWanted);
    }
  }

  /** What the thread has dropped since is told to the hub. */
  countDropped(): void {
    const count = Atomics.exchange(this.counters, 1, 0);
    if (count > 0) this.hub.droppedElsewhere(count);
  }

  /** The thread is no more: nobody of it is subscribed. */
  ended(): void {
    this.countDropped();
    for (const topic of this.topics) this.hub.wants(topic, false);
    this.topics.clear();
  }
}

/** What a message counts while it is posted, bytes. */
function costOf(length: number): number {
  return length + abi.SOCKET_MESSAGE_COST;
}
