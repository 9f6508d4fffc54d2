import type { BodySource } from '../fetch/body.ts';
import { viewBytes } from '../fetch/chunks.ts';
import { Backlog } from './backlog.ts';

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
  /** What has come and was not taken. */
  private readonly backlog = new Backlog();
  private ended: boolean;
  private failure: unknown = null;
  private resolve: ((bytes: Uint8Array) => void) | null = null;
  private reject: ((error: unknown) => void) | null = null;
  private controller: ReadableByteStreamController | null = null;
  /** The stream has asked for bytes that are not here yet. */
  private wanted = false;
  /** It has asked for them again: who asked first may have let go of it. */
  private isAskedAgain = false;
  /** Some are here by now, and are given when this turn is over. */
  private isHandDue = false;
  private dropped = false;

  constructor(origin: BodyOrigin) {
    this.origin = origin;
    this.ended = origin.bodyIsInline;
    this.backlog.borrow(origin.inlineBody());
  }

  /** Whether all of it has arrived. */
  get isEnded(): boolean {
    return this.ended;
  }

  whole(): Uint8Array | null {
    return this.ended && this.failure === null ? this.backlog.join() : null;
  }

  collect(): Promise<Uint8Array> {
    if (this.failure !== null) return Promise.reject(this.failure);
    if (this.ended) return Promise.resolve(this.backlog.takeAll());
    this.grant(this.backlog.length);
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
      pull: () => {
        this.isAskedAgain = this.wanted;
        if (!this.hand()) this.wanted = true;
      },
      cancel: () => this.drop(),
    });
  }

  /** A chunk from the ring, whose memory is good during this call. */
  push(bytes: Uint8Array, end: boolean): void {
    if (this.failure !== null) return;
    this.ended = end;
    if (this.dropped) {
      this.grant(bytes.length);
      return;
    }
    if (bytes.length > 0) this.backlog.add(bytes);
    if (this.wanted) {
      this.handLater();
    } else if (this.resolve !== null) {
      if (end) this.resolve(this.backlog.takeAll());
      else this.grant(bytes.length);
    }
  }

  /** Once all is there that has come by now: a turn brings several chunks, and each piece that is given has its price. */
  private handLater(): void {
    if (this.isHandDue) return;
    this.isHandDue = true;
    queueMicrotask(this.handDue);
  }

  private readonly handDue = (): void => {
    this.isHandDue = false;
    if (!this.wanted) return;
    this.wanted = false; // before it is given something: then it may ask for more at once
    if (!this.hand()) this.wanted = true;
  };

  /** No more will come: readers are told why. Nothing happens to a body that is complete. */
  fail(error: unknown): void {
    if (this.ended || this.failure !== null) return;
    if (this.isHandDue) this.handDue();
    this.failure = error;
    this.backlog.drop();
    this.reject?.(error);
    if (!this.dropped) this.controller?.error(error);
  }

  /** Gives the stream one chunk of what waits, or the end. False when there is nothing to give yet. */
  private hand(): boolean {
    if (this.backlog.length > 0) {
      this.give();
    } else if (!this.ended) return false;
    this.closeIfOver();
    return true;
  }

  /** To memory that the reader has brought, or in a chunk. */
  private give(): void {
    const { controller } = this;
    // The memory of a reader that has let go is still the first to be filled, and no read is answered by that. What is
    // enqueued answers whoever reads.
    const request = this.isAskedAgain ? null : controller?.byobRequest;
    const room = viewBytes(request?.view);
    if (request && room !== null) {
      const count = this.backlog.takeInto(room);
      request.respond(count);
      this.grant(count);
      return;
    }
    const chunk = this.backlog.take();
    const { length } = chunk;
    // A byte stream takes the chunk's memory over: the chunk is empty from then on.
    controller?.enqueue(chunk);
    this.grant(length);
  }

  private closeIfOver(): void {
    const { controller } = this;
    if (!this.ended || this.backlog.length > 0 || controller === null) return;
    this.controller = null;
    this.backlog.drop();
    try {
      controller.close();
      controller.byobRequest?.respond(0);
    } catch {
      // The end came within an element of a reader's view: the stream has failed by that, and tells its reader.
    }
  }

  private drop(): void {
    this.dropped = true;
    this.wanted = false;
    const held = this.backlog.length;
    this.backlog.drop();
    this.grant(held);
  }

  private grant(bytes: number): void {
    if (!this.ended) this.origin.grant(bytes);
  }
}
