import { AsyncResource } from 'node:async_hooks';
import { types } from 'node:util';
import { type Log, standardLog } from '../core/log.ts';
import { isThenable } from '../core/thenable.ts';
import { collectYoung } from '../core/young.ts';
import { noBytes } from '../fetch/chunks.ts';
import { controlsSeen, type HeaderList } from '../fetch/headers.ts';
import { MultipartError } from '../fetch/multipart_error.ts';
import { fromSource, Request } from '../fetch/request.ts';
import type { Response } from '../fetch/response.ts';
import { type ResponseParts, responseParts } from '../fetch/response_parts.ts';
import * as abi from './abi.gen.ts';
import { type App, type HandlerResult, isToCome, noRoute } from './app.ts';
import { Background, ExecutionContext } from './background.ts';
import { isTraced, trace } from './diagnostics.ts';
import type { Doorbell } from './doorbell.ts';
import { Exchange, type ExchangeChannel, type PendingSocket, PHASE_OPEN } from './exchange.ts';
import { type Block, Lane } from './lane.ts';
import { tellProtocolError } from './protocol_error.ts';
import type { PushRecord } from './push.ts';
import { Responder } from './responder.ts';
import { checkFields } from './response_checks.ts';
import { type FieldSectionKind as Kind, writeFieldSection } from './response_record.ts';
import { type Slab, Slabs, slabBytes } from './slab.ts';
import { SocketPort } from './socket_port.ts';
import { writeUpgrade } from './socket_record.ts';
import { type SocketsHost, ThreadSockets } from './thread_sockets.ts';
import { recordedTrailers } from './trailers.ts';

const { KIND_REQUEST_HEAD, RECORD_HEADER_KIND, REQUEST_HEAD_ROUTE } = abi;

/** Requests taken from one lane before the event loop gets its turn. */
const turnMax = 256;
/** Requests answered before their answers are published. */
const batchMax = 64;
/** Who owns a channel, and hears of the engine. */
export interface ChannelHost extends SocketsHost {
  /** Once: the engine has stopped. */
  stopped(): void;
  /** One or more listeners have failed. */
  listenerLost(): void;
}

/**
 * Everything between the engine and the handlers of one JS thread: takes requests out of the
 * thread's lanes, calls handlers, and has what they give written by its responder. One publish and at most one wake per
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
  private readonly responder: Responder;
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
    this.responder = new Responder({
      log,
      wrote: () => this.wrote(),
      failed: (exchange, error) => this.answerError(exchange, error),
    });
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
    collectYoung();
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
      this.responder.giveUp(new Exchange(this, port, noRoute, slab, base));
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
      if (exchange.outgoing !== null) this.responder.resume(exchange, exchange.outgoing);
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
      this.responder.send(exchange, parts);
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
        this.responder.send(exchange, this.partsOf(value));
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
      this.responder.send(exchange, responseParts(error.getResponse() as Response, this.log));
      return;
    }
    if (!exchange.isOfLeaving(error)) this.log.error('gyrfalcon: a handler failed:', error);
    this.responder.giveUp(exchange);
  }

  /** It found the ring full before. */
  private readonly again = (exchange: Exchange): void => {
    const { upgrade, port } = exchange;
    port.sendGrant(exchange);
    if (upgrade?.isWritten === false && port.keeps(exchange)) this.upgrade(exchange, upgrade);
    this.responder.again(exchange);
  };
}
