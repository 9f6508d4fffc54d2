import { IncomingMessage } from 'node:http';
import type { Socket } from 'node:net';
import type { Exchange } from '../bridge/exchange.ts';
import { type Request, takeRequestBody } from '../fetch/request.ts';
import type { ClientSocket } from './socket.ts';

type AnyRequest = Request | globalThis.Request;

/** What is relied on of Node's own IncomingMessage beside its documented interface. */
interface Internals {
  _consuming: boolean;
  /** Name, value, …: the fields of the head, or those of the trailers once the message is complete. */
  _addHeaderLines(lines: string[], count: number): void;
  _dump(): void;
  _readableState: { readingMore: boolean; resumeScheduled: boolean };
}

export type NodeRequest = IncomingMessage & Internals & { [bodyOf]: IncomingContent };

const bodyOf = Symbol('gyrfalcon.body');

/** What Node.js says of a client that has left. */
export function connectionReset(cause?: unknown): NodeJS.ErrnoException {
  const error: NodeJS.ErrnoException = new Error('aborted', cause === undefined ? {} : { cause });
  error.code = 'ECONNRESET';
  return error;
}

/**
 * A real `IncomingMessage`, filled with a request. Methods that read are the object's own, since
 * Express gives it another prototype. `exchange` is null for a request that did not come straight
 * from the engine.
 */
export function incomingMessage(
  request: AnyRequest,
  exchange: Exchange | null,
  socket: ClientSocket,
): NodeRequest {
  const req = new IncomingMessage(socket as unknown as Socket) as NodeRequest;
  const body = new IncomingContent(req, request, exchange, socket);
  req[bodyOf] = body;
  req._read = read;
  req._destroy = destroy;
  req.method = request.method;
  req.httpVersion = exchange?.httpVersion ?? '1.1';
  const [major = '1', minor = '1'] = req.httpVersion.split('.');
  req.httpVersionMajor = Number(major);
  req.httpVersionMinor = Number(minor);
  req['upgrade' as 'complete'] = false;
  if (exchange === null) {
    const { pathname, search } = new URL(request.url);
    req.url = pathname + search;
    addLines(req, [...(request.headers as Headers)].flat());
    req.complete = request.body === null;
  } else {
    req.url = exchange.rawTarget;
    addLines(req, exchange.fieldLines());
    req.complete = !exchange.hasBody;
  }
  return req;
}

/** The response has been sent: what nobody has read of the request is dropped, as Node.js does. */
export function dropRest(req: NodeRequest): void {
  if (req._consuming || req._readableState.resumeScheduled) return;
  req[bodyOf].drop();
  req._dump();
}

/** The client has gone. Nothing happens to a request that was read to its end. */
export function abort(req: NodeRequest, error: Error): void {
  req[bodyOf].isGone = true;
  req.destroy(error);
}

function read(this: NodeRequest): void {
  if (!this._consuming) {
    this._readableState.readingMore = false;
    this._consuming = true;
  }
  this[bodyOf].pull();
}

function destroy(
  this: NodeRequest,
  error: Error | null,
  done: (error?: Error | null) => void,
): void {
  if (this.readableEnded && this.complete) {
    IncomingMessage.prototype._destroy.call(this, error, done);
    return;
  }
  this.aborted = true;
  this.emit('aborted');
  this[bodyOf].abandon(error);
  // A client that leaves is no error of a program that does not ask for it.
  process.nextTick(() => done(this.listenerCount('error') === 0 ? null : error));
}

/** The body of a request on its way into its `IncomingMessage`. */
class IncomingContent {
  /** The client has gone, or the program hears of the failure: the connection is not to be ended. */
  isGone = false;
  private readonly req: NodeRequest;
  private readonly request: AnyRequest;
  private readonly exchange: Exchange | null;
  private readonly socket: ClientSocket;
  private reader: ReadableStreamDefaultReader<Uint8Array> | null = null;
  private begun = false;
  private reading = false;

  constructor(
    req: NodeRequest,
    request: AnyRequest,
    exchange: Exchange | null,
    socket: ClientSocket,
  ) {
    this.req = req;
    this.request = request;
    this.exchange = exchange;
    this.socket = socket;
  }

  /** Gives the message more, once there is more. */
  pull(): void {
    if (this.reading) return;
    try {
      if (this.reader !== null) this.readMore(this.reader);
      else if (!this.begun) this.begin();
    } catch (error) {
      this.fail(error);
    }
  }

  /** Nobody wants the body: it ends here. */
  drop(): void {
    if (this.begun) return;
    this.begun = true;
    this.end();
  }

  /** The program has destroyed the message, or its client has. */
  abandon(error: Error | null): void {
    this.begun = true;
    this.reader?.cancel().catch(() => {}); // it has failed already
    if (!this.isGone) this.socket.destroy(error ?? undefined);
  }

  private begin(): void {
    this.begun = true;
    const body = this.req.complete ? null : takeRequestBody(this.request);
    if (body instanceof Uint8Array) {
      if (body.length > 0) this.req.push(asBuffer(body));
      this.endBody();
    } else if (body === null) {
      this.end();
    } else {
      this.reader = body.getReader();
      this.readMore(this.reader);
    }
  }

  private readMore(reader: ReadableStreamDefaultReader<Uint8Array>): void {
    this.reading = true;
    reader.read().then(
      ({ done, value }) => {
        this.reading = false;
        if (this.req.destroyed) return;
        this.socket.active();
        if (done) this.endBody();
        else this.req.push(asBuffer(value));
      },
      (error: unknown) => this.fail(error),
    );
  }

  /** Only chunks can have trailers behind them (RFC 9112 §7.1.2): where no length was known. */
  private endBody(): void {
    const { exchange } = this;
    const mayHaveTrailers = exchange?.trailers !== null || exchange.bodyLength === null;
    if (exchange !== null && mayHaveTrailers) this.takeTrailers(exchange);
    else this.end();
  }

  private takeTrailers(exchange: Exchange): void {
    this.reading = true;
    exchange.openTrailers().ofRequest.then(
      (trailers) => {
        this.req.complete = true;
        addLines(this.req, [...trailers].flat());
        this.end();
      },
      (error: unknown) => this.fail(error),
    );
  }

  private end(): void {
    this.reader = null;
    this.req.complete = true;
    this.req.push(null);
  }

  private fail(cause: unknown): void {
    this.reader = null;
    if (this.req.destroyed) return;
    const left = (cause as Error | undefined)?.name === 'AbortError';
    // An error that nobody hears ends the response: the program would wait for the body for ever.
    this.isGone = left || this.req.listenerCount('error') > 0;
    this.req.destroy(left ? connectionReset(cause) : (cause as Error));
  }
}

function addLines(req: NodeRequest, lines: string[]): void {
  req._addHeaderLines(lines, lines.length);
}

function asBuffer(bytes: Uint8Array): Buffer {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}
