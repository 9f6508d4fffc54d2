import { AsyncResource } from 'node:async_hooks';
import { types } from 'node:util';
import { GyrfalconError } from '../core/errors.ts';
import { type Log, standardLog } from '../core/log.ts';
import { isThenable } from '../core/thenable.ts';
import { noBytes } from '../fetch/chunks.ts';
import { controlsSeen, type HeaderList } from '../fetch/headers.ts';
import { MultipartError } from '../fetch/multipart_error.ts';
import { fromSource, Request } from '../fetch/request.ts';
import type { Response } from '../fetch/response.ts';
import { type ResponseParts, responseParts } from '../fetch/response_parts.ts';
import * as abi from './abi.gen.ts';
import { type App, type HandlerResult, isToCome, noRoute } from './app.ts';
import { Background, ExecutionContext } from './background.ts';
import { isTraced, tellResponse, trace } from './diagnostics.ts';
import type { Doorbell } from './doorbell.ts';
import { Exchange, type ExchangeChannel, type PendingSocket, PHASE_OPEN } from './exchange.ts';
import { checkLength, checkStream, isStream } from './framing.ts';
import { type Block, Lane } from './lane.ts';
import { Outgoing } from './outgoing.ts';
import { tellProtocolError } from './protocol_error.ts';
import type { PushRecord } from './push.ts';
import { checkFields, discard, fitsInline, lengthOfNone } from './response_checks.ts';
import {
  HEAD_ALONE,
  HEAD_TOO_LARGE,
  type FieldSectionKind as Kind,
  RING_FULL,
  WRITTEN,
  writeAbort,
  writeChunk,
  writeFieldSection,
  writeHead,
} from './response_record.ts';
import { type Slab, Slabs, slabBytes } from './slab.ts';
import { SocketPort } from './socket_port.ts';
import { writeUpgrade } from './socket_record.ts';
import { type SocketsHost, ThreadSockets } from './thread_sockets.ts';
import { recordedTrailers, type Trailers } from './trailers.ts';

const { KIND_REQUEST_HEAD, RECORD_HEADER_KIND, REQUEST_HEAD_ROUTE } = abi;

/** Requests taken from one lane before the event loop gets its turn. */
const turnMax = 256;
/** Requests answered before their answers are published. */
const batchMax = 64;
/** Text up to this length surely fits a head record, whatever its characters are. */
const inlineTextMax = Math.floor(abi.RESPONSE_INLINE_BYTES_MAX / 3);

/** Who owns a channel, and hears of the engine. */
export interface ChannelHost extends SocketsHost {
  /** Once: the engine has stopped. */
  stopped(): void;
  /** One or more listeners have failed. */
  listenerLost(): void;
}

/**
 * Everything between the engine and the handlers of one JS thread: takes requests out of the
 * thread's lanes, calls handlers, and writes what they give. One publish and at most one wake per
 * worker and batch.
 *
 * A turn runs in the async context that the channel was made in. Whatever calls into the program (a
 * handler, a hook, a stream, a listener) does so in the scope of its exchange, or in one of its own:
 * what the program puts into its context there is no other call's.
 */
export class Channel implements ExchangeChannel {
  /** Host of requests that name none. */
  authority = 'localhost';
  private readonly block: Block;
  private readonly ports: SocketPort[] = [];
  private readonly doorbell: Doorbell;
  private readonly asleep: number;
  /** What handlers get as their second argument. */
  readonly server: unknown;
  /** What handlers have asked to wait for. */
  readonly background: Background;
  private readonly host: ChannelHost;
  readonly log: Log;
  /** What was last seen of the engine's state. */
  private state = 0;
  private currentApp: App;
  readonly sockets: ThreadSockets;
  private readonly slabs = new Slabs();
  /** Within `turn`: what is written is published at its end. */
  private inTurn = false;
  /** In this turn what was said to sockets goes before bodies. */
  private socketsFirst = false;
  private flushPlanned = false;
  private turnPlanned = false;
  private closed = false;
  /** The context of turns that others than the doorbell ask for. */
  private readonly home = new AsyncResource('GYRFALCON_CHANNEL');
  private readonly flushLater = () => {
    this.flushPlanned = false;
    this.flush();
  };
  private readonly turnLater = () => {
    this.turnPlanned = false;
    this.turn();
  };

  /** `doorbell` is opened here. */
  constructor(
    block: Block,
    thread: number,
    doorbell: Doorbell,
    app: App,
    server: unknown,
    host: ChannelHost,
    log: Log = standardLog,
  ) {
    this.block = block;
    this.doorbell = doorbell;
    this.currentApp = app;
    this.server = server;
    this.host = host;
    this.log = log;
    this.background = new Background(log);
    this.sockets = new ThreadSockets(block, this.ports, app, this.background, host, log);
    this.asleep = (block.threadOffset(thread) + abi.THREAD_LINE_ASLEEP) >> 2;
    for (let worker = 0; worker < block.workerCount; worker++) {
      const lane = new Lane(block, worker, thread);
      this.ports.push(new SocketPort(() => this.wrote(), lane, this.sockets));
    }
    doorbell.open(() => this.turn());
    this.turn();
  }

  get rawPaths(): boolean {
    return this.currentApp.rawPaths;
  }

  /** The program that handles requests. */
  get app(): App {
    return this.currentApp;
  }

  /** Requests from now on are handled by `app`. Returns the one before. */
  setApp(app: App): App {
    const before = this.currentApp;
    this.sockets.setApp(app);
    this.currentApp = app;
    return before;
  }

  /** As `setApp`, but knows the routes of the old table too, until requests for them are gone. */
  addApp(app: App): App {
    const { routes } = this.currentApp;
    return this.setApp({ ...app, routes: app.routes.map((route, n) => route ?? routes[n]) });
  }

  /**
   * Forgets the old table's routes. To be called when the engine has put the new table in place:
   * requests that the old one sent on their way are in the rings by then.
   */
  async dropOldRoutes(app: App): Promise<void> {
    do {
      await new Promise((resolve) => setImmediate(resolve));
      this.home.runInAsyncScope(this.turn, this);
    } while (!this.closed && this.ports.some((port) => port.hasWork));
    // Unless yet another table has come in the meantime.
    if (this.currentApp.routes.length === app.routes.length) this.setApp(app);
  }

  /**
   * Sends an interim response with these fields, 103 (Early Hints). False when it went nowhere: the
   * response has begun, or the client knows none, or the ring is full. Hints are dispensable.
   */
  hint(exchange: Exchange, fields: HeaderList): boolean {
    if (exchange.phase !== PHASE_OPEN || exchange.outgoing !== null || exchange.isHttp10) {
      return false;
    }
    return fields.length > 0 && this.tell(exchange, abi.KIND_RESPONSE_INTERIM, 103, fields);
  }

  /**
   * Has the engine answer a request that the client has not made yet. False when it went nowhere: the
   * response has been given whole, nothing may be pushed beside it, or the ring is full.
   */
  promise(exchange: Exchange, push: PushRecord): boolean {
    if (exchange.phase !== PHASE_OPEN || exchange.pushRoom === 0) return false;
    if (!this.tell(exchange, abi.KIND_RESPONSE_PUSH, push.method, push.entries)) return false;
    exchange.pushRoom -= 1;
    return true;
  }

  /** Writes a record that has fields and a number: a status, or a method. False when the ring is full. */
  private tell(exchange: Exchange, kind: Kind, number: number, fields: HeaderList): boolean {
    const { block, responses } = exchange.port.lane;
    const { slot, generation } = exchange;
    if (!writeFieldSection(block, responses, slot, generation, kind, number, fields)) return false;
    this.wrote();
    return true;
  }

  upgrade(exchange: Exchange, pending: PendingSocket): void {
    const isFirst = exchange.upgrade === null;
    exchange.upgrade = pending;
    if (isFirst) exchange.finish();
    exchange.port.keep(exchange); // until the engine tells what has become of it
    pending.isWritten = writeUpgrade(exchange.port.lane, exchange, pending.parts);
    if (pending.isWritten) this.wrote();
    else exchange.port.queue(exchange);
  }

  /** As `Server.publish`. */
  publish(...message: Parameters<ThreadSockets['publish']>): number {
    return this.sockets.publish(...message); // other processes hear of it at the end, too
  }

  /** Exchanges that wait for a handler, a body or room. */
  get pending(): number {
    let count = 0;
    for (const { live } of this.ports) for (const exchange of live) if (exchange !== null) count++;
    return count;
  }

  /** Takes no more; the descriptor is closed. */
  close(): void {
    if (this.closed) return;
    this.closed = true;
    this.doorbell.close();
  }

  /** Something was written outside a turn: it is published when the microtasks have run. */
  wrote(): void {
    if (this.inTurn || this.flushPlanned) return;
    this.flushPlanned = true;
    process.nextTick(this.flushLater);
  }

  /** Serves every lane, then sleeps, or plans another turn when there is more to do. */
  turn(): void {
    if (this.closed) return;
    Atomics.store(this.block.i32, this.asleep, 0);
    let more = true; // what is thrown ends this turn, not all turns
    try {
      more = this.serveLanes();
    } finally {
      this.endTurn(more);
    }
  }

  private endTurn(hasMore: boolean): void {
    let more = hasMore;
    this.flush();
    if (!more) {
      Atomics.store(this.block.i32, this.asleep, 1);
      more = this.ports.some((port) => port.hasWork);
      if (more) Atomics.store(this.block.i32, this.asleep, 0);
    }
    if (more && !this.turnPlanned) {
      this.turnPlanned = true;
      setImmediate(this.turnLater);
    }
    const { state } = this.block;
    if (state !== this.state) this.changed(state);
  }

  private changed(state: number): void {
    const lost = (state & ~abi.STATE_STOPPED) !== (this.state & ~abi.STATE_STOPPED);
    this.state = state;
    if (lost) {
      const scope = new AsyncResource('GYRFALCON_LISTENER');
      scope.runInAsyncScope(this.host.listenerLost, this.host);
    }
    if ((state & abi.STATE_STOPPED) !== 0) this.stop();
  }

  /** True when there is more than one turn's work. */
  private serveLanes(): boolean {
    let more = false;
    this.inTurn = true;
    try {
      this.socketsFirst = !this.socketsFirst;
      for (const port of this.ports) {
        // What is first has the room that the engine has made: bodies and sockets by turns.
        if (this.socketsFirst) port.retrySockets();
        port.retry(this.again);
        if (!this.socketsFirst) port.retrySockets();
        if (this.drain(port)) more = true;
      }
    } finally {
      this.inTurn = false;
    }
    return more;
  }

  /** The engine has stopped: what is still open here will not be answered. */
  private stop(): void {
    this.sockets.noteStop();
    // How its sockets ended is in the rings yet.
    const failure = this.drainAll();
    try {
      this.close();
      for (const port of this.ports) {
        for (const exchange of port.live) exchange?.abort();
        port.endSockets();
      }
    } finally {
      this.close();
      this.host.stopped();
    }
    if (failure !== undefined) throw failure.error;
  }

  /** Takes all there is on every lane, whatever is thrown meanwhile; the first of that. */
  private drainAll(): { error: unknown } | undefined {
    let failure: { error: unknown } | undefined;
    for (const port of this.ports) {
      for (let more = true; more; ) {
        try {
          more = this.drain(port);
        } catch (error) {
          failure ??= { error };
        }
      }
    }
    return failure;
  }

  private flush(): void {
    if (this.closed) return; // the block and the workers' descriptors may be another engine's
    for (const { lane } of this.ports) if (lane.flush()) this.doorbell.wake(lane.wakeFd);
  }

  /** True when the turn's budget is spent and there is more. */
  private drain(port: SocketPort): boolean {
    const { requests, block } = port.lane;
    let taken = 0;
    let unpublished = 0;
    while (taken < turnMax) {
      const at = requests.peek();
      if (at === -1) return false;
      if (unpublished >= batchMax) {
        // There is more: the worker may as well send what is answered.
        this.flush();
        unpublished = 0;
      }
      const kind = block.u16[(at + RECORD_HEADER_KIND) >> 1] as number;
      if (kind === KIND_REQUEST_HEAD) {
        const count = this.takeHeads(port, at);
        taken += count;
        unpublished += count;
      } else {
        try {
          if (SocketPort.takes(kind)) port.take(kind, at);
          else this.takeOther(port, at, kind);
        } finally {
          // One that fails, for want of memory perhaps, is not taken again for ever.
          requests.advance(block.i32[at >> 2] as number);
        }
        unpublished++;
        taken++;
      }
    }
    return true;
  }

  /** Handles the request heads that lie behind one another at `at`: one copy for all. */
  private takeHeads(port: SocketPort, at: number): number {
    const { requests, block } = port.lane;
    const limit = requests.contiguous();
    let count = 0;
    let bytes = 0;
    while (bytes < limit && count < batchMax) {
      if (block.u16[(at + bytes + RECORD_HEADER_KIND) >> 1] !== KIND_REQUEST_HEAD) break;
      const size = block.i32[(at + bytes) >> 2] as number;
      if (count > 0 && bytes + size > slabBytes) break;
      bytes += size;
      count++;
    }
    const slab = this.slabs.for(bytes);
    let base = slab.take(block.u8, at, bytes);
    requests.advance(bytes);
    for (let i = 0; i < count; i++) {
      const size = slab.i32[base >> 2] as number;
      this.takeHead(port, slab, base);
      base += size;
    }
    return count;
  }

  private takeHead(port: SocketPort, slab: Slab, base: number): void {
    const number = slab.i32[(base + REQUEST_HEAD_ROUTE) >> 2] as number;
    const route = this.currentApp.routes[number];
    if (route === undefined) {
      // No table of this thread has the number: only a defect could bring it.
      this.giveUp(new Exchange(this, port, noRoute, slab, base));
      return;
    }
    const exchange = new Exchange(this, port, route, slab, base);
    const request = Request[fromSource](exchange, route.names.length === 0 ? null : exchange);
    exchange.request = request;
    if (!exchange.bodyIsInline) port.keep(exchange);
    exchange.scope.runInAsyncScope(this.handle, this, exchange, request);
  }

  private handle(exchange: Exchange, request: Request): void {
    let result: HandlerResult;
    try {
      const context = new ExecutionContext(this.background);
      result = isTraced()
        ? trace(exchange, request, context)
        : exchange.route.handler(request, this.server, context);
      if (isToCome(result)) {
        this.await(exchange, result);
        return;
      }
    } catch (error) {
      this.failed(exchange, error);
      return;
    }
    this.answer(exchange, result);
  }

  private takeOther(port: SocketPort, at: number, kind: number): void {
    if (kind === abi.KIND_PROTOCOL_ERROR) {
      tellProtocolError(this.currentApp.protocolError, this.block, at, this.log);
      return;
    }
    const { i32, u16, u8 } = this.block;
    const slot = i32[(at + abi.RECORD_HEADER_SLOT) >> 2] as number;
    const generation = i32[(at + abi.RECORD_HEADER_GENERATION) >> 2] as number;
    const exchange = port.find(slot, generation);
    if (exchange === null) return; // answered in the meantime
    if (kind === abi.KIND_REQUEST_CHUNK) {
      const start = at + abi.CHUNK_BYTES;
      const bytes = u8.subarray(start, start + (i32[(at + abi.CHUNK_LEN) >> 2] as number));
      const flags = u16[(at + abi.RECORD_HEADER_FLAGS) >> 1] as number;
      const end = (flags & abi.FLAG_END) !== 0;
      exchange.body();
      exchange.incoming?.push(bytes, end);
      if (end) exchange.trailers?.arrive([]);
    } else if (kind === abi.KIND_REQUEST_TRAILERS) {
      exchange.openTrailers().arrive(recordedTrailers(this.block, at));
      exchange.body();
      exchange.incoming?.push(noBytes, true);
    } else if (kind === abi.KIND_RESPONSE_CREDIT) {
      exchange.credit += i32[(at + abi.CREDIT_GRANT) >> 2] as number;
      if (exchange.outgoing !== null) this.resume(exchange, exchange.outgoing);
    } else if (kind === abi.KIND_REQUEST_ABORT) {
      port.forget(exchange);
      exchange.abort();
    } else if (kind === abi.KIND_REQUEST_EOF) {
      exchange.signalLeaving();
    }
  }

  private await(exchange: Exchange, result: PromiseLike<unknown>): void {
    exchange.port.keep(exchange);
    // Of a foreign thenable, `resolve` makes one that settles once and never throws.
    Promise.resolve(result).then(
      (value) => this.answer(exchange, value),
      (error: unknown) => this.failed(exchange, error),
    );
  }

  /** Sends what a handler gave. */
  private answer(exchange: Exchange, result: HandlerResult): void {
    if (exchange.upgrade !== null && (result === undefined || result === null)) return;
    let parts: ResponseParts;
    try {
      parts = this.partsOf(result);
    } catch (error) {
      this.failed(exchange, error);
      return;
    }
    try {
      this.send(exchange, parts);
    } catch (error) {
      this.answerError(exchange, error); // it costs its own request at most
    }
  }

  private partsOf(result: HandlerResult): ResponseParts {
    const parts = responseParts(result as Response, this.log);
    if (controlsSeen) checkFields(parts.fields);
    return parts;
  }

  /** What a handler threw goes to the program's own error handler, once. */
  private failed(exchange: Exchange, error: unknown): void {
    if (exchange.upgrade !== null) {
      this.log.error('gyrfalcon: a handler failed behind server.upgrade():', error);
    }
    if (exchange.phase !== PHASE_OPEN) return; // nobody waits for an answer
    const handle = this.currentApp.error;
    if (handle === null) {
      this.answerError(exchange, error);
      return;
    }
    const settle = (value: HandlerResult) => {
      try {
        this.send(exchange, this.partsOf(value));
      } catch (second) {
        this.answerError(exchange, second);
      }
    };
    try {
      const result = handle(error, exchange.request as Request);
      if (!isThenable(result)) {
        settle(result);
        return;
      }
      exchange.port.keep(exchange);
      Promise.resolve(result).then(settle, (second: unknown) => this.answerError(exchange, second));
    } catch (second) {
      this.answerError(exchange, second);
    }
  }

  private answerError(exchange: Exchange, error: unknown): void {
    if (exchange.phase !== PHASE_OPEN) return;
    // What was thrown may be anything, a Proxy that throws when it is looked at too.
    if (types.isNativeError(error) && error instanceof MultipartError) {
      // It is the client's fault: it is told, the log is not.
      this.send(exchange, responseParts(error.getResponse() as Response, this.log));
      return;
    }
    if (!exchange.isOfLeaving(error)) this.log.error('gyrfalcon: a handler failed:', error);
    this.giveUp(exchange);
  }

  /** Leaves the answer to the engine, which has a page for that. */
  private giveUp(exchange: Exchange): void {
    exchange.outgoing = Outgoing.none();
    exchange.port.keep(exchange);
    this.pushBroken(exchange);
  }

  /** Sends a response; what does not go at once is kept in the exchange. */
  private send(exchange: Exchange, parts: ResponseParts): void {
    if (exchange.phase !== PHASE_OPEN) {
      discard(parts.body);
      return;
    }
    if (parts.length !== null) checkLength(parts, exchange.isHead, this.log);
    const { body } = parts;
    if (exchange.trailers?.areDeclared && exchange.takesTrailers(parts.status)) {
      this.sendTrailing(exchange, parts, exchange.trailers);
      return;
    }
    if (isStream(body)) {
      this.sendStream(exchange, parts, body);
      return;
    }
    const fits = typeof body === 'string' ? body.length <= inlineTextMax : fitsInline(body);
    const written = fits ? this.writeWhole(exchange, parts, body) : RING_FULL;
    if (written === WRITTEN) {
      tellResponse(exchange, parts.status);
      this.finish(exchange);
    } else if (written === HEAD_TOO_LARGE) {
      this.headTooLarge(exchange);
    } else {
      const bytes = typeof body === 'string' ? Buffer.from(body) : body;
      const length = bytes === null ? lengthOfNone(exchange, parts) : bytes.length;
      this.start(exchange, new Outgoing(parts, bytes, null, length));
    }
  }

  private writeWhole(
    exchange: Exchange,
    parts: ResponseParts,
    body: string | Uint8Array | null,
  ): number {
    const { block, responses } = exchange.port.lane;
    const { slot, generation } = exchange;
    // The engine counts the bytes of a body that comes whole.
    const length = body === null ? lengthOfNone(exchange, parts) : 0;
    return writeHead(block, responses, slot, generation, parts, body, length, true);
  }

  private sendStream(
    exchange: Exchange,
    parts: ResponseParts,
    stream: ReadableStream<Uint8Array>,
  ): void {
    if (exchange.isHead) {
      discard(stream);
      this.start(exchange, new Outgoing(parts, null, null, parts.length));
      return;
    }
    exchange.compact();
    const outgoing = new Outgoing(parts, null, stream, parts.length);
    if (!parts.mayBeWhole || parts.length !== null) {
      this.start(exchange, outgoing);
      return;
    }
    exchange.outgoing = outgoing;
    exchange.port.keep(exchange);
    outgoing.readAhead(
      () => this.push(exchange, outgoing),
      (cause) => this.streamFailed(exchange, outgoing, cause),
    );
  }

  /** A response with trailers goes in chunks, whatever its body is (RFC 9112 §7.1.2). */
  private sendTrailing(exchange: Exchange, parts: ResponseParts, trailers: Trailers): void {
    const { body } = parts;
    const { names } = trailers;
    if (names.length > 0) parts.fields = [...parts.fields, 'trailer', names.join(', ')];
    exchange.compact();
    const stream = isStream(body) ? body : null;
    const bytes = typeof body === 'string' ? Buffer.from(body) : isStream(body) ? null : body;
    this.start(exchange, new Outgoing(parts, bytes, stream, null, trailers));
  }

  private start(exchange: Exchange, outgoing: Outgoing): void {
    exchange.outgoing = outgoing;
    exchange.port.keep(exchange);
    this.push(exchange, outgoing);
  }

  /** Goes on with a response when there is room again: its stream may be asked for more. */
  private resume(exchange: Exchange, outgoing: Outgoing): void {
    outgoing.runInAsyncScope(this.push, this, exchange, outgoing);
  }

  /** Sends as much as ring and credit allow, and sees to it that the rest will follow. */
  private push(exchange: Exchange, outgoing: Outgoing): void {
    if (exchange.queued || outgoing.isHeld || exchange.phase !== PHASE_OPEN) return;
    if (outgoing.parts !== null && !this.pushHead(exchange, outgoing, outgoing.parts)) return;
    while (exchange.phase === PHASE_OPEN) {
      const { bytes } = outgoing;
      if (bytes === null || outgoing.at === bytes.length) {
        if (outgoing.isLast) this.pushEnd(exchange, outgoing);
        else if (!outgoing.reading) this.readMore(exchange, outgoing);
        return;
      }
      const left = bytes.length - outgoing.at;
      const count = Math.min(left, abi.CHUNK_BYTES_MAX, exchange.credit);
      if (count === 0) return; // goes on when the engine grants more
      const part = bytes.subarray(outgoing.at, outgoing.at + count);
      const end = outgoing.isLast && count === left && !outgoing.hasTrailers;
      if (!this.pushPart(exchange, part, end)) return;
      outgoing.at += count;
    }
  }

  /** Ends a body whose last byte has been sent. */
  private pushEnd(exchange: Exchange, outgoing: Outgoing): void {
    const fields = outgoing.trailerFields;
    if (outgoing.hasTrailers && fields === null) {
      if (!outgoing.reading) this.makeTrailers(exchange, outgoing);
    } else if (fields === null || fields.length === 0) {
      this.pushPart(exchange, noBytes, true);
    } else {
      const { block, responses } = exchange.port.lane;
      const { slot, generation } = exchange;
      const kind = abi.KIND_RESPONSE_TRAILERS;
      if (writeFieldSection(block, responses, slot, generation, kind, 0, fields)) {
        this.finish(exchange);
      } else {
        exchange.port.queue(exchange);
      }
    }
  }

  private makeTrailers(exchange: Exchange, outgoing: Outgoing): void {
    outgoing.makeTrailers(
      () => this.push(exchange, outgoing),
      (cause) => {
        const message = 'The trailers of a response could not be made';
        const error = new GyrfalconError('GYR_RESPONSE_TRAILERS', message, '', { cause });
        this.breakOff(exchange, outgoing, error);
      },
    );
  }

  private pushHead(exchange: Exchange, outgoing: Outgoing, parts: ResponseParts): boolean {
    const { bytes } = outgoing;
    const most = bytes === null ? 0 : Math.min(bytes.length, abi.RESPONSE_INLINE_BYTES_MAX);
    const written = this.writeHeadWith(exchange, outgoing, parts, most);
    return written === HEAD_ALONE
      ? this.pushedHead(exchange, outgoing, this.writeHeadWith(exchange, outgoing, parts, 0), 0)
      : this.pushedHead(exchange, outgoing, written, most);
  }

  /** Writes the head, with the first `count` bytes of what is at hand. */
  private writeHeadWith(
    exchange: Exchange,
    outgoing: Outgoing,
    parts: ResponseParts,
    count: number,
  ): number {
    const { lane } = exchange.port;
    const { bytes } = outgoing;
    return writeHead(
      lane.block,
      lane.responses,
      exchange.slot,
      exchange.generation,
      parts,
      bytes === null ? null : bytes.subarray(0, count),
      outgoing.length,
      outgoing.endsAt(count),
    );
  }

  private pushedHead(
    exchange: Exchange,
    outgoing: Outgoing,
    written: number,
    count: number,
  ): boolean {
    if (written === RING_FULL) {
      exchange.port.queue(exchange);
      return false;
    }
    if (written === HEAD_TOO_LARGE) {
      outgoing.cancel();
      exchange.outgoing = null;
      this.headTooLarge(exchange);
      return false;
    }
    const end = outgoing.endsAt(count);
    if (outgoing.parts !== null) tellResponse(exchange, outgoing.parts.status);
    outgoing.parts = null;
    outgoing.hasBegun = true;
    outgoing.at = count;
    exchange.credit -= count;
    if (end) this.finish(exchange);
    else this.wrote();
    return !end;
  }

  private pushPart(exchange: Exchange, part: Uint8Array, end: boolean): boolean {
    const { lane } = exchange.port;
    const { slot, generation } = exchange;
    if (!writeChunk(lane.block, lane.responses, slot, generation, part, end)) {
      exchange.port.queue(exchange);
      return false;
    }
    exchange.credit -= part.length;
    if (end) this.finish(exchange);
    else this.wrote();
    return true;
  }

  private readMore(exchange: Exchange, outgoing: Outgoing): void {
    outgoing.bytes = null;
    outgoing.read(
      () => {
        checkStream(outgoing, this.log);
        this.push(exchange, outgoing);
      },
      (cause) => this.streamFailed(exchange, outgoing, cause),
    );
  }

  private streamFailed(exchange: Exchange, outgoing: Outgoing, cause: unknown): void {
    const message = 'The body stream of a response failed';
    const error = new GyrfalconError('GYR_RESPONSE_BODY', message, '', { cause });
    this.breakOff(exchange, outgoing, error);
  }

  /** The response cannot be finished: the client must not take what it has for the whole. */
  private breakOff(exchange: Exchange, outgoing: Outgoing, error: GyrfalconError): void {
    if (exchange.phase !== PHASE_OPEN) return;
    if (!exchange.isOfLeaving(error.cause)) this.log.error('gyrfalcon:', error);
    outgoing.cancel(error.cause);
    outgoing.broken = true;
    this.pushBroken(exchange);
  }

  private pushBroken(exchange: Exchange): void {
    const { lane } = exchange.port;
    if (writeAbort(lane.block, lane.responses, exchange.slot, exchange.generation)) {
      if (exchange.outgoing?.hasBegun !== true) tellResponse(exchange, 500); // the engine's page
      this.finish(exchange);
    } else {
      exchange.port.queue(exchange);
    }
  }

  private headTooLarge(exchange: Exchange): void {
    const message = 'The header fields of a response do not fit';
    const { responseFieldBytes } = exchange.port.lane.block;
    const hint = `at most ${abi.RESPONSE_FIELD_COUNT_MAX} fields and ${responseFieldBytes} bytes: maxResponseHeaderBytes`;
    this.answerError(exchange, new GyrfalconError('GYR_RESPONSE_HEAD_TOO_LARGE', message, hint));
  }

  /** The response has been written to its end. */
  private finish(exchange: Exchange): void {
    exchange.finish();
    exchange.port.forget(exchange);
    this.wrote();
  }

  /** It found the ring full before. */
  private readonly again = (exchange: Exchange): void => {
    const { outgoing, upgrade, port } = exchange;
    port.sendGrant(exchange);
    if (upgrade?.isWritten === false && port.keeps(exchange)) this.upgrade(exchange, upgrade);
    if (outgoing?.broken) this.pushBroken(exchange);
    else if (outgoing !== null && exchange.phase === PHASE_OPEN) this.resume(exchange, outgoing);
  };
}
