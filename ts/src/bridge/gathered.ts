import { allocOutside } from '../core/young.ts';
import type { Block } from './lane.ts';

/** What a message begins to be gathered in, bytes. */
const firstBytes = 256;
/** What all of a thread may take by default, bytes: or twice the longest message. */
const limitDefault = 64 * 1024 * 1024;
/** The option `maxPayloadLength` by default, bytes. */
const messageMaxDefault = 16 * 1024 * 1024;

/** Whose message is gathered. */
export interface Gatherer {
  /** What has come of it is dropped. */
  lostParts(): void;
}

/** The options that bound what is gathered. */
export interface GatheringLimits {
  maxPayloadLength?: number;
  partialMessagesLimit?: number;
}

/**
 * The memory of messages that have come in part, of all sockets of a thread. Their credit does not
 * bound them, as it is granted while they come: a peer could not end a message that is longer.
 */
export class Gathering {
  /** What has grown last stands last. */
  private readonly messages = new Set<Gathered>();
  private bytes = 0;
  /** A message has no more, bytes. */
  readonly messageMax: number;
  private readonly limit: number;

  /** The options are those of the start, as the engine's are: what is open outlives a reload. */
  constructor({ maxPayloadLength, partialMessagesLimit }: GatheringLimits) {
    this.messageMax = maxPayloadLength ?? messageMaxDefault;
    this.limit = partialMessagesLimit ?? Math.max(limitDefault, 2 * this.messageMax);
  }

  begin(gatherer: Gatherer): Gathered {
    const one = new Gathered(this, gatherer);
    this.messages.add(one);
    return one;
  }

  /**
   * `one` takes so much more. Above the limit somebody goes: of those that have their share of it or
   * more, who has not grown for longest. Who holds what it has for ever goes before who goes on.
   */
  take(one: Gathered, bytes: number): void {
    this.messages.delete(one);
    this.messages.add(one);
    this.bytes += bytes;
    while (this.bytes > this.limit) {
      const share = this.limit / this.messages.size;
      for (const each of this.messages) {
        if (each.capacity < share) continue;
        each.end();
        each.gatherer.lostParts();
        break; // there is one: together they have more than all shares
      }
    }
  }

  end(one: Gathered): void {
    if (this.messages.delete(one)) this.bytes -= one.capacity;
  }
}

/** A message that comes in parts: one piece of memory, however many they are. */
export class Gathered {
  readonly gatherer: Gatherer;
  private readonly gathering: Gathering;
  private bytes: Buffer = Buffer.alloc(0);
  private length = 0;

  constructor(gathering: Gathering, gatherer: Gatherer) {
    this.gathering = gathering;
    this.gatherer = gatherer;
  }

  /** Memory that it takes, bytes. */
  get capacity(): number {
    return this.bytes.length;
  }

  /** It may be the one that goes where all take too much: then it is lost with that. */
  add(block: Block, start: number, length: number): void {
    const end = this.length + length;
    const before = this.bytes.length;
    if (end > before) {
      const most = Math.max(end, this.gathering.messageMax);
      const larger = allocOutside(Math.min(Math.max(end, 2 * before, firstBytes), most));
      this.bytes.copy(larger, 0, 0, this.length);
      this.bytes = larger;
    }
    block.u8.copy(this.bytes, this.length, start, start + length);
    this.length = end;
    if (this.bytes.length > before) this.gathering.take(this, this.bytes.length - before);
  }

  /** It takes nothing any more. */
  end(): void {
    this.gathering.end(this);
  }

  /** With memory of its own, and all of it. Ends it. */
  whole(): Buffer {
    const whole = allocOutside(this.length);
    this.bytes.copy(whole, 0, 0, this.length);
    this.end();
    return whole;
  }
}
