import type { SocketAddress } from '../bridge/address.ts';
import type { Exchange, ExchangeWatcher } from '../bridge/exchange.ts';
import { hintFields } from '../bridge/trailers.ts';
import { GyrfalconError } from '../core/errors.ts';
import { type Log, standardLog } from '../core/log.ts';
import { type HeaderList, listHas } from '../fetch/headers.ts';
import type { Request } from '../fetch/request.ts';
import { type Response, responseOf } from '../fetch/response.ts';
import type { TlsInfo } from '../fetch/tls_info.ts';
import { abort, connectionReset, dropRest, incomingMessage, type NodeRequest } from './incoming.ts';
import {
  drained,
  emitClose,
  fieldsOfLines,
  type NodeResponse,
  type ResponseSink,
  type Sent,
  serverResponse,
} from './outgoing.ts';
import { ClientSocket, highWaterMark, type SocketOwner } from './socket.ts';

/** Called with what the program threw, and what it may answer by. */
export type ReplyErrorHandler = (error: unknown, req: NodeRequest, res: NodeResponse) => unknown;

/** A part of the body: bytes, or text to be sent as UTF-8. */
interface Piece {
  data: string | Uint8Array;
  sent: Sent;
}

/** Pieces are sent together up to so many bytes. */
const togetherMax = 64 * 1024;

/** Bodies up to so many bytes are given whole. Of larger ones is known when the engine has them. */
const wholeMax = 64 * 1024;

/** What a program gets to read a body, and to answer, when its client sends no more and may have gone. */
const leftGraceMs = 5000;

/** Makes a Response of what a node:http program does with its `req` and `res`. */
export class Reply implements ResponseSink, SocketOwner, ExchangeWatcher {
  readonly req: NodeRequest;
  readonly res: NodeResponse;
  private readonly exchange: Exchange | null;
  private readonly onError: ReplyErrorHandler | null;
  private readonly socket: ClientSocket;
  private status = 200;
  private fields: HeaderList = [];
  private pieces: Piece[] = [];
  private queued = 0;
  /** The stream has them. They may be changed when it asks for more: they have been copied by then. */
  private handed: Piece[] = [];
  private ended = false;
  /** The response has been given: whole, or as a stream. */
  private begun = false;
  private beginPlanned = false;
  /** Finished, or given up: nothing more is sent, and nobody is told anything more. */
  private closed = false;
  /** The client sends no more, and may be gone. */
  private hasLeft = false;
  private leftTimer: NodeJS.Timeout | null = null;
  private controller: ReadableStreamDefaultController<Uint8Array> | null = null;
  /** The stream was asked when there was nothing to give. */
  private wanted = false;
  private response: Response | null = null;
  private failure: { error: unknown } | null = null;
  private resolve: ((response: Response) => void) | null = null;
  private reject: ((error: unknown) => void) | null = null;

  constructor(
    request: Request | globalThis.Request,
    exchange: Exchange | null,
    onError: ReplyErrorHandler | null,
  ) {
    this.exchange = exchange;
    this.onError = onError;
    this.socket = new ClientSocket(this);
    this.req = incomingMessage(request, exchange, this.socket);
    this.res = serverResponse(this.req, this.socket, this);
    exchange?.watch(this);
  }

  /** The response: at once when the program has ended it already. */
  answer(): Response | Promise<Response> {
    if (this.response !== null) return this.response;
    if (this.failure !== null) throw this.failure.error;
    return new Promise((resolve, reject) => {
      this.resolve = resolve;
      this.reject = reject;
    });
  }

  /** The program threw, or rejected. */
  fail(error: unknown): void {
    if (this.onError === null) {
      this.failFinally(error);
      return;
    }
    try {
      const result = this.onError(error, this.req, this.res);
      if (isThenable(result)) result.then(undefined, (second) => this.failFinally(second));
    } catch (second) {
      this.failFinally(second);
    }
  }

  private failFinally(error: unknown): void {
    // What was given whole, or to HEAD, goes its way: nothing but the log can tell.
    const isGiven = this.begun && (this.ended || this.controller === null);
    if (this.closed || isGiven) this.log.error('gyrfalcon: a handler failed:', error);
    if (!this.closed && !this.ended) this.breakOff(error);
  }

  hint(fields: HeaderList): void {
    if (this.exchange === null) return;
    const pairs: [string, string][] = [];
    for (let i = 0; i < fields.length; i += 2) {
      pairs.push([fields[i] as string, fields[i + 1] as string]);
    }
    this.exchange.channel.hint(this.exchange, hintFields(pairs));
  }

  head(status: number, fields: HeaderList): void {
    this.status = status;
    this.fields = fields;
  }

  write(
    data: string | Uint8Array,
    encoding: BufferEncoding | null | undefined,
    sent: Sent,
  ): boolean {
    if (this.closed) {
      if (typeof sent === 'function') process.nextTick(sent, connectionReset());
      return false;
    }
    const kept = typeof data !== 'string' || isUtf8(encoding) ? data : Buffer.from(data, encoding);
    this.pieces.push({ data: kept, sent });
    this.queued += kept.length;
    this.socket.active();
    if (this.wanted) {
      this.leftTimer?.refresh();
      this.feed();
    } else if (!this.begun && !this.beginPlanned) {
      // What is written in this turn goes together; when it is all, its length is known.
      this.beginPlanned = true;
      process.nextTick(() => this.begin());
    }
    return this.queued < highWaterMark;
  }

  end(): void {
    if (this.ended || this.closed) return;
    this.ended = true;
    if (!this.begun) this.begin();
    else if (this.controller === null) this.sendCallbacks(this.takePieces(), true);
    else if (this.wanted) this.feed();
  }

  get unsent(): number {
    return this.handed.reduce((sum, { data }) => sum + data.length, this.queued);
  }

  private get log(): Log {
    return this.exchange?.channel.log ?? standardLog;
  }

  peer(): SocketAddress | null {
    return this.exchange?.peer() ?? null;
  }

  tls(): TlsInfo | undefined {
    return this.exchange?.tls;
  }

  local(): SocketAddress | null {
    const server = this.exchange?.channel.server as { addresses?: SocketAddress[] } | undefined;
    return server?.addresses?.[0] ?? null;
  }

  timedOut(): boolean {
    const { req, res, socket } = this;
    const isHeard = !req.complete && req.emit('timeout', socket);
    return res.emit('timeout', socket) || isHeard;
  }

  /** The program ends the connection. */
  destroy(error: Error | undefined): void {
    if (this.closed || (this.begun && this.ended && this.controller === null)) return;
    if (this.begun) this.breakOff(error ?? connectionReset());
    else if (this.res._closed) this.giveUp();
    else {
      const message = 'A node:http program destroyed its response before it was sent';
      const options = error === undefined ? {} : { cause: error };
      this.breakOff(new GyrfalconError('GYR_RESPONSE_DESTROYED', message, '', options), error);
    }
  }

  aborted(): void {
    this.wanted = false; // the stream takes no more
    process.nextTick(() => this.gone(connectionReset()));
  }

  /**
   * Node.js would drop the connection. Here the program is told, so that what waits for a client is
   * cleaned up, and what it answers soon all the same is sent. A body that has come is read first. Of a
   * client that is gone, the engine tells once it gets bytes of a response; so who has begun one is told
   * when it sends none.
   */
  leaving(): void {
    process.nextTick(() => {
      const { req } = this;
      const isUnread = !req.complete || (req._consuming && !req.readableEnded);
      if (this.closed) return;
      this.hasLeft = true;
      if (this.begun) {
        this.waitForBytes();
      } else if (isUnread && !req.destroyed) {
        req.once('end', () => this.tellLeft());
        this.waitForProgram(() => this.tellLeft());
      } else {
        this.tellLeft();
      }
    });
  }

  /**
   * A program may go on behind that: what it writes to HEAD, or in a response that its caller has
   * dropped, reaches nobody, and it would not hear of a client that leaves. It is told after a while.
   */
  done(): void {
    if (this.closed || (this.ended && this.controller === null)) return;
    this.waitForProgram(() => {
      if (this.wanted)
        this.done(); // somebody reads it nevertheless
      else this.breakOff(connectionReset());
    });
  }

  private tellLeft(): void {
    if (this.closed || this.begun || this.res._closed) return;
    abort(this.req, connectionReset());
    emitClose(this.res);
    this.waitForProgram(() => this.giveUp());
  }

  private waitForBytes(): void {
    if (this.controller === null) return;
    this.waitForProgram(() => {
      if (this.closed || this.ended) return;
      if (this.unsent > 0) {
        this.waitForBytes(); // the client is slow
        return;
      }
      this.breakOff(new DOMException('The client has left', 'AbortError'));
    });
  }

  private waitForProgram(then: () => void): void {
    this.stopWaiting();
    this.leftTimer = setTimeout(then, leftGraceMs);
    this.leftTimer.unref();
  }

  private stopWaiting(): void {
    if (this.leftTimer !== null) clearTimeout(this.leftTimer);
    this.leftTimer = null;
  }

  /** Who was told that the client has left does not answer, as is right: the connection is not kept. */
  private giveUp(): void {
    if (this.closed || this.begun) return;
    this.begun = true;
    this.fields = ['connection', 'close'];
    this.status = 503;
    this.give(null);
    this.gone(connectionReset());
  }

  /** Gives the response: whole when it has ended, else with a stream. */
  private begin(): void {
    if (this.begun || this.closed) return;
    this.begun = true;
    this.stopWaiting();
    const { fields, res } = this;
    const isStream = res._hasBody && !this.ended;
    if (!res.shouldKeepAlive && !this.exchange?.isHttp10) closeConnection(fields);
    this.declareTrailers(isStream);
    if (isStream) {
      this.give(this.openStream());
      if (this.hasLeft) this.waitForBytes();
      return;
    }
    if (res._hasBody && this.queued > wholeMax && !listHas(fields, 'content-length')) {
      fields.push('content-length', `${this.encodePieces()}`);
      this.give(this.openStream());
      return;
    }
    const pieces = this.takePieces();
    this.give(res._hasBody ? bodyOf(pieces) : null);
    if (this.ended) this.sendCallbacks(pieces, true);
  }

  /** Makes bytes of text that waits; returns how many all are. */
  private encodePieces(): number {
    this.pieces = this.pieces.map((piece) => ({ data: pieceBytes(piece), sent: piece.sent }));
    this.queued = this.pieces.reduce((sum, { data }) => sum + data.length, 0);
    return this.queued;
  }

  private give(body: string | Uint8Array | ReadableStream<Uint8Array> | null): void {
    this.response = responseOf(this.status, this.fields, body);
    this.resolve?.(this.response);
  }

  /** As Node.js: trailers go behind chunks, and so where no length is known or Trailer names them. */
  private declareTrailers(isStream: boolean): void {
    const { exchange, fields, res } = this;
    if (exchange === null || listHas(fields, 'content-length')) return;
    if (!isStream && !listHas(fields, 'trailer')) return;
    const make = (): [string, string][] => {
      const list = fieldsOfLines(res._trailer);
      return list.flatMap((name, i) => (i % 2 === 0 ? [[name, list[i + 1] as string]] : []));
    };
    exchange.openTrailers().declare(make);
  }

  private openStream(): ReadableStream<Uint8Array> {
    return new ReadableStream<Uint8Array>(
      {
        start: (controller) => {
          this.controller = controller;
        },
        pull: () => {
          const { handed } = this;
          this.handed = [];
          this.wanted = true;
          this.sendCallbacks(handed, false);
          this.feed();
        },
        cancel: () => this.aborted(),
      },
      { highWaterMark: 0 },
    );
  }

  /** Gives the stream, which has asked, what there is. */
  private feed(): void {
    const controller = this.controller as ReadableStreamDefaultController<Uint8Array>;
    const pieces = this.takePieces(togetherMax);
    const bytes = bytesOf(pieces);
    if (bytes.length > 0) {
      this.wanted = false;
      this.handed = pieces;
      controller.enqueue(bytes);
      return;
    }
    if (this.ended) {
      controller.close();
      this.controller = null;
      this.wanted = false;
    }
    this.sendCallbacks(pieces, this.ended);
  }

  private takePieces(most = Number.POSITIVE_INFINITY): Piece[] {
    let count = 0;
    let length = 0;
    while (count < this.pieces.length && (count === 0 || length < most)) {
      length += (this.pieces[count] as Piece).data.length;
      count++;
    }
    this.queued -= length;
    if (count < this.pieces.length) return this.pieces.splice(0, count);
    const { pieces } = this;
    this.pieces = [];
    return pieces;
  }

  /** Tells the program that `pieces` have gone; behind the last, that all is done. */
  private sendCallbacks(pieces: Piece[], isLast: boolean): void {
    if (pieces.length === 0 && !isLast) return;
    process.nextTick(() => {
      if (isLast && this.closed) return;
      try {
        for (const { sent } of pieces) if (typeof sent === 'function') sent();
      } finally {
        if (isLast) this.finished();
        else if (this.queued < highWaterMark) drained(this.res);
      }
    });
  }

  /** 'finish' has been emitted. */
  private finished(): void {
    if (this.closed) return;
    this.closed = true;
    const { req, res, socket } = this;
    this.stopWaiting();
    socket.stopTimer();
    dropRest(req);
    if (socket._httpMessage === res) res.detachSocket(socket as never);
    process.nextTick(() => {
      res.destroyed = true;
      emitClose(res);
    });
  }

  /** What was not sent will not be. `told` is what the program's own objects hear. */
  private breakOff(error: unknown, told: Error = connectionReset(error)): void {
    if (this.controller !== null) this.controller.error(error);
    else if (this.reject !== null) this.reject(error);
    else this.failure = { error };
    this.gone(told);
  }

  /** The connection is gone: everybody who waits for it is told. */
  private gone(error: Error): void {
    if (this.closed) return;
    this.closed = true;
    const { req, res, socket } = this;
    const pieces = [...this.handed, ...this.takePieces()];
    this.handed = [];
    this.stopWaiting();
    socket.gone(error);
    abort(req, error);
    for (const { sent } of pieces) if (typeof sent === 'function') process.nextTick(sent, error);
    res.destroyed = true;
    process.nextTick(() => {
      emitClose(res);
      socket.emit('close', true);
    });
  }
}

export function isThenable(value: unknown): value is PromiseLike<unknown> {
  return typeof (value as PromiseLike<unknown> | null | undefined)?.then === 'function';
}

function closeConnection(fields: HeaderList): void {
  if (!listHas(fields, 'connection')) fields.push('connection', 'close');
}

/** The whole body; text stays text. */
function bodyOf(pieces: Piece[]): string | Uint8Array | null {
  const parts = pieces.filter(({ data }) => data.length > 0);
  if (parts.length === 0) return null;
  return parts.length === 1 ? (parts[0] as Piece).data : bytesOf(parts);
}

function bytesOf(pieces: Piece[]): Uint8Array {
  if (pieces.length === 1) return pieceBytes(pieces[0] as Piece);
  return Buffer.concat(pieces.map(pieceBytes));
}

function pieceBytes({ data }: Piece): Uint8Array {
  return typeof data === 'string' ? Buffer.from(data) : data;
}

function isUtf8(
  encoding: BufferEncoding | null | undefined,
): encoding is 'utf8' | null | undefined {
  return encoding === undefined || encoding === null || encoding === 'utf8' || encoding === 'utf-8';
}
