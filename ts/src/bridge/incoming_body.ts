import type { BodySource } from '../fetch/body.ts';
import { Gathered, unfilled } from '../fetch/chunks.ts';

/** A stream's chunk is put together of several up to so many bytes, which is what Node.js reads of a file at a time. */
const handedBytes = 64 * 1024;

/** Where the body of a request comes from: its exchange. */
export interface BodyOrigin {
  /** Whether the whole body came with the head. */
  readonly bodyIsInline: boolean;
  /** The part of it that came with the head, as a view of the request's record. */
  inlineBody(): Uint8Array;
  /** Lets the engine send `bytes` more. */
  grant(bytes: number): void;
}

/**
 * The body of a request as it arrives from the engine. What has arrived and was not consumed stays
 * below the credit: the engine is granted more only when a reader takes something.
 */
export class IncomingBody implements BodySource {
  private readonly origin: BodyOrigin;
  private readonly gathered = new Gathered();
  /** The first may be a view of the request's record; the others are private memory. */
  private readonly chunks = this.gathered.pieces;
  private length = 0;
  private ended: boolean;
  private failure: unknown = null;
  private resolve: ((bytes: Uint8Array) => void) | null = null;
  private reject: ((error: unknown) => void) | null = null;
  private controller: ReadableByteStreamController | null = null;
  /** The stream has asked for bytes that are not here yet. */
  private wanted = false;
  private dropped = false;

  constructor(origin: BodyOrigin) {
    this.origin = origin;
    this.ended = origin.bodyIsInline;
    const inline = origin.inlineBody();
    if (inline.length === 0) return;
    this.chunks.push(inline);
    this.length = inline.length;
  }

  /** Whether all of it has arrived. */
  get isEnded(): boolean {
    return this.ended;
  }

  whole(): Uint8Array | null {
    return this.ended && this.failure === null ? this.join() : null;
  }

  collect(): Promise<Uint8Array> {
    if (this.failure !== null) return Promise.reject(this.failure);
    if (this.ended) return Promise.resolve(ownCopy(this.join()));
    this.grant(this.length);
    return new Promise((resolve, reject) => {
      this.resolve = resolve;
      this.reject = reject;
    });
  }

  stream(): ReadableStream<Uint8Array> {
    return new ReadableStream({
      type: 'bytes',
      start: (controller) => {
        this.controller = controller;
        if (this.failure !== null) controller.error(this.failure);
      },
      pull: (controller) => {
        if (!this.hand(controller)) this.wanted = true;
      },
      cancel: () => this.drop(),
    });
  }

  /** A chunk from the ring, in memory that is this body's alone. */
  push(bytes: Uint8Array, end: boolean): void {
    if (this.failure !== null) return;
    this.ended = end;
    if (this.dropped) {
      this.grant(bytes.length);
      return;
    }
    if (bytes.length > 0) {
      this.gathered.add(bytes);
      this.length += bytes.length;
    }
    if (this.resolve !== null) {
      if (end) this.resolve(this.join());
      else this.grant(bytes.length);
    } else if (this.wanted && this.hand(this.controller as ReadableByteStreamController)) {
      this.wanted = false;
    }
  }

  /** No more will come: readers are told why. Nothing happens to a body that is complete. */
  fail(error: unknown): void {
    if (this.ended || this.failure !== null) return;
    this.failure = error;
    this.chunks.length = 0;
    this.reject?.(error);
    if (!this.dropped) this.controller?.error(error);
  }

  /** What has arrived of the next `handedBytes`, in memory of its own: a slow reader has fewer, larger chunks to deal with. */
  private takeSome(): Uint8Array {
    const { chunks } = this;
    let count = 1;
    let length = (chunks[0] as Uint8Array).length;
    for (; count < chunks.length; count += 1) {
      const next = (chunks[count] as Uint8Array).length;
      if (length + next > handedBytes) break;
      length += next;
    }
    const taken = chunks.splice(0, count);
    return count === 1 ? ownCopy(taken[0] as Uint8Array) : joined(taken, length);
  }

  /** Gives the stream one chunk, or the end. False when there is nothing to give yet. */
  private hand(controller: ReadableByteStreamController): boolean {
    if (this.chunks.length > 0) {
      const chunk = this.takeSome();
      const { length } = chunk;
      this.length -= length;
      // A byte stream takes the chunk's memory over: the chunk is empty from then on.
      controller.enqueue(chunk as Uint8Array<ArrayBuffer>);
      this.grant(length);
    } else if (!this.ended) {
      return false;
    }
    if (this.ended && this.chunks.length === 0) {
      controller.close();
      controller.byobRequest?.respond(0);
    }
    return true;
  }

  private drop(): void {
    this.dropped = true;
    const held = this.length;
    this.chunks.length = 0;
    this.length = 0;
    this.grant(held);
  }

  private grant(bytes: number): void {
    if (!this.ended) this.origin.grant(bytes);
  }

  private join(): Uint8Array {
    const { chunks, length } = this;
    if (chunks.length === 1) return chunks[0] as Uint8Array;
    const whole = joined(chunks, length);
    chunks.length = 0;
    return whole;
  }
}

/** Chunks of `length` bytes in all, in memory of their own. */
function joined(chunks: readonly Uint8Array[], length: number): Uint8Array {
  const whole = unfilled(length);
  let at = 0;
  for (const chunk of chunks) {
    whole.set(chunk, at);
    at += chunk.length;
  }
  return whole;
}

function ownCopy(bytes: Uint8Array): Uint8Array {
  return bytes.buffer.byteLength === bytes.length ? bytes : new Uint8Array(bytes);
}
