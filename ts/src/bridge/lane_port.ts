import { type Exchange, type ExchangePort, PHASE_OPEN } from './exchange.ts';
import type { Lane } from './lane.ts';
import { writeCredit } from './response_record.ts';

/** One lane, and the exchanges on it that are not finished. */
export class LanePort implements ExchangePort {
  readonly lane: Lane;
  /** By slot. */
  readonly live: (Exchange | null)[] = [];
  /** Exchanges that found the response ring full, in order. */
  private queued: Exchange[] = [];
  /** To be called when a record stands in the ring that was not published. */
  readonly wrote: () => void;

  constructor(wrote: () => void, lane: Lane) {
    this.wrote = wrote;
    this.lane = lane;
  }

  grant(exchange: Exchange, bytes: number): void {
    exchange.owed += bytes;
    if (exchange.owed * 4 >= this.lane.block.creditBytes) this.sendGrant(exchange);
  }

  sendGrant(exchange: Exchange): void {
    const { block, responses } = this.lane;
    if (exchange.owed === 0 || exchange.phase !== PHASE_OPEN) return;
    if (writeCredit(block, responses, exchange.slot, exchange.generation, exchange.owed)) {
      exchange.owed = 0;
      this.wrote();
    } else {
      this.queue(exchange);
    }
  }

  queue(exchange: Exchange): void {
    if (exchange.queued) return;
    exchange.queued = true;
    this.queued.push(exchange);
  }

  /** Gives those that found the ring full another try by `again`, in order, until one finds it full again. */
  retry(again: (exchange: Exchange) => void): void {
    if (this.queued.length === 0) return;
    const waiting = this.queued;
    this.queued = [];
    for (let i = 0; i < waiting.length; i++) {
      const exchange = waiting[i] as Exchange;
      exchange.queued = false;
      again(exchange);
      if (exchange.queued) {
        this.queued = this.queued.concat(waiting.slice(i + 1));
        return;
      }
    }
  }

  keep(exchange: Exchange): void {
    const { live } = this;
    while (live.length <= exchange.slot) live.push(null);
    live[exchange.slot] = exchange;
  }

  forget(exchange: Exchange): void {
    if (this.live[exchange.slot] === exchange) this.live[exchange.slot] = null;
  }

  /** Whether it has not been forgotten: its place may be another's. */
  keeps(exchange: Exchange): boolean {
    return this.live[exchange.slot] === exchange;
  }

  find(slot: number, generation: number): Exchange | null {
    const exchange = this.live[slot];
    if (exchange === undefined || exchange === null) return null;
    return exchange.generation === generation ? exchange : null;
  }

  /** Whether there is something to take, or room for what found none. */
  get hasWork(): boolean {
    if (this.lane.requests.hasMore()) return true;
    return this.waits && this.lane.responses.hasRoomOrWishes();
  }

  /** Whether something waits for room in the response ring. */
  protected get waits(): boolean {
    return this.queued.length > 0;
  }
}
