import { AsyncResource } from 'node:async_hooks';
import { noteOutside } from '../core/young.ts';
import { ChunkEncoder } from '../fetch/chunks.ts';
import type { HeaderList } from '../fetch/headers.ts';
import type { ResponseParts } from '../fetch/response_parts.ts';
import type { Trailers } from './trailers.ts';

/** What is read of a body ahead of its head: not on, above so many bytes, or behind so many chunks. */
const aheadBytesMax = 64 * 1024;
const aheadChunksMax = 16;

/**
 * A response that did not fit one record: what is left of it to send. What its stream and its
 * trailers run later runs in its scope, that of who gave the response.
 */
export class Outgoing extends AsyncResource {
  /** The head, until it has been written. */
  parts: ResponseParts | null;
  /** Length to announce, bytes; null: not known. */
  length: number | null;
  /** The head waits for what `readAhead` finds. */
  isHeld = false;
  bytes: Uint8Array | null;
  /** How much of `bytes` has been sent. */
  at = 0;
  /** Where more bytes come from; null: `bytes` is the last. */
  private readonly stream: ReadableStream<Uint8Array> | null;
  private reader: ReadableStreamDefaultReader<unknown> | null = null;
  private readonly chunks = new ChunkEncoder();
  private ended: boolean;
  private cancelled = false;
  /** The stream has been asked and has not answered. */
  reading = false;
  /** Bytes that the stream has given. */
  received = 0;
  /** It was told that they are not as many as `length` says. */
  isMistold = false;
  /** The body cannot be finished. */
  broken = false;
  /** The engine has its head. */
  hasBegun = false;
  /** What stands behind the body; null: nothing. */
  private readonly trailers: Trailers | null;
  /** The trailers, once they have been made. */
  trailerFields: HeaderList | null = null;

  constructor(
    parts: ResponseParts | null,
    bytes: Uint8Array | null,
    stream: ReadableStream<Uint8Array> | null,
    length: number | null,
    trailers: Trailers | null = null,
  ) {
    super('GYRFALCON_RESPONSE');
    this.parts = parts;
    this.length = length;
    this.bytes = bytes;
    this.stream = stream;
    this.ended = stream === null;
    this.trailers = trailers;
  }

  /** No response at all. */
  static none(): Outgoing {
    const none = new Outgoing(null, null, null, null);
    none.broken = true;
    return none;
  }

  /** Whether it is given up with a part of it on its way. */
  get isCut(): boolean {
    return this.broken && this.hasBegun;
  }

  /** Whether nothing of the body will follow `bytes`. */
  get isLast(): boolean {
    return this.ended;
  }

  /** Whether the first `count` bytes of what is at hand are all there is to send. */
  endsAt(count: number): boolean {
    return this.ended && !this.hasTrailers && (this.bytes === null || count === this.bytes.length);
  }

  /** Whether the end has a record of its own. */
  get hasTrailers(): boolean {
    return this.trailers !== null;
  }

  /** Asks the stream for more; `then` is called when `bytes` or `isLast` has changed. */
  read(then: () => void, failed: (error: unknown) => void): void {
    const settle = ({ done, value }: { done: boolean; value?: unknown }) => {
      if (this.cancelled) return;
      this.reading = false;
      try {
        this.take(done ? this.chunks.end() : this.chunks.encode(value));
      } catch (error) {
        failed(error);
        return;
      }
      this.ended = done;
      then();
    };
    this.reading = true;
    try {
      this.reader ??= (this.stream as ReadableStream<Uint8Array>).getReader();
      this.reader.read().then(settle, (error: unknown) => {
        if (!this.cancelled) failed(error);
      });
    } catch (error) {
      failed(error);
    }
  }

  /** Bytes come behind those that have not been sent yet: `readAhead` leaves some. */
  private take(more: Uint8Array): void {
    const rest = this.bytes?.subarray(this.at) ?? more;
    this.bytes = rest === more || rest.length === 0 ? more : Buffer.concat([rest, more]);
    this.at = 0;
    this.received += more.length;
    // The program has made it, unless it is a part of something large, and drops it now.
    if (more.buffer.byteLength <= 2 * more.length) noteOutside(more.length);
  }

  /**
   * Holds the head back and reads a body that may be at hand. `then` is called when the body has ended,
   * and so has a length, or enough of it is there, or the event loop has gone round once: by then,
   * what is at hand has come.
   */
  readAhead(then: () => void, failed: (error: unknown) => void): void {
    this.isHeld = true;
    const release = () => {
      if (this.isHeld && this.ended) this.length = this.received;
      this.isHeld = false;
      then();
    };
    let chunks = 0;
    const isEnough = () => this.received > aheadBytesMax || ++chunks === aheadChunksMax;
    const readOn = () => {
      this.read(
        () => {
          if (this.ended || !this.isHeld || isEnough()) release();
          else readOn();
        },
        (error) => {
          this.isHeld = false;
          failed(error);
        },
      );
    };
    setImmediate(() => {
      if (this.isHeld) release();
    });
    readOn();
  }

  /** Has the trailers made; `then` is called when `trailerFields` is there. */
  makeTrailers(then: () => void, failed: (error: unknown) => void): void {
    this.reading = true;
    (this.trailers as Trailers).make().then(
      (fields) => {
        if (this.cancelled) return;
        this.reading = false;
        this.trailerFields = fields;
        then();
      },
      (error: unknown) => {
        if (!this.cancelled) failed(error);
      },
    );
  }

  /** Nobody wants the rest. */
  cancel(reason?: unknown): void {
    if (this.cancelled) return;
    this.cancelled = true;
    if (this.ended) return;
    const source = this.reader ?? this.stream;
    if (source !== null) this.runInAsyncScope(cancelQuietly, null, source, reason);
  }
}

/**
 * The source's own trouble with being cancelled concerns nobody. Another library's stream may throw
 * at once, or have no such method: that must not end the turn that other requests share.
 */
export function cancelQuietly(
  source: Pick<ReadableStream<Uint8Array>, 'cancel'>,
  reason?: unknown,
): void {
  try {
    Promise.resolve(source.cancel(reason)).catch(() => {});
  } catch {
    // as above
  }
}
