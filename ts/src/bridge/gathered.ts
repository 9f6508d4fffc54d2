import type { Block } from './lane.ts';

/** What a message begins to be gathered in, bytes. */
const firstBytes = 4096;
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
  private readonly messages = new Set<Gathered>();
  private bytes = 0;

  begin(gatherer: Gatherer): Gathered {
    const one = new Gathered(this, gatherer);
    this.messages.add(one);
    return one;
  }

  /** One takes so much more. Above the limit the largest goes. */
  take(bytes: number, limits: GatheringLimits): void {
    this.bytes += bytes;
    while (this.bytes > limitOf(limits)) {
      let largest: Gathered | null = null;
      for (const one of this.messages) {
        if (largest === null || one.capacity > largest.capacity) largest = one;
      }
      if (largest === null) return; // nobody is left
      largest.end();
      largest.gatherer.lostParts();
    }
  }

  end(one: Gathered): void {
    if (this.messages.delete(one)) this.bytes -= one.capacity;
  }
}

function limitOf({ partialMessagesLimit, maxPayloadLength }: GatheringLimits): number {
  return (
    partialMessagesLimit ?? Math.max(limitDefault, 2 * (maxPayloadLength ?? messageMaxDefault))
  );
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

  /** It may be the largest of those that take too much: then it is lost with that. */
  add(block: Block, start: number, length: number, limits: GatheringLimits): void {
    const end = this.length + length;
    const before = this.bytes.length;
    if (end > before) {
      const larger = Buffer.allocUnsafeSlow(Math.max(end, 2 * before, firstBytes));
      this.bytes.copy(larger, 0, 0, this.length);
      this.bytes = larger;
    }
    block.u8.copy(this.bytes, this.length, start, start + length);
    this.length = end;
    if (this.bytes.length > before) this.gathering.take(this.bytes.length - before, limits);
  }

  /** It takes nothing any more. */
  end(): void {
    this.gathering.end(this);
  }

  /** With memory of its own, and all of it. Ends it. */
  whole(): Buffer {
    const whole = Buffer.allocUnsafeSlow(this.length);
    this.bytes.copy(whole, 0, 0, this.length);
    this.end();
    return whole;
  }
}
