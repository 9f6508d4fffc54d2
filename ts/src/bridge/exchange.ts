import { AsyncResource, executionAsyncId } from 'node:async_hooks';
import { GyrfalconError } from '../core/errors.ts';
import type { Log } from '../core/log.ts';
import type { BodySource } from '../fetch/body.ts';
import type { HeaderList } from '../fetch/headers.ts';
import type { FormOptions } from '../fetch/multipart.ts';
import type {
  HttpVersion,
  ParamSource,
  Request,
  RequestRuntime,
  RequestSource,
} from '../fetch/request.ts';
import { isNullBodyStatus } from '../fetch/response.ts';
import type { TlsInfo } from '../fetch/tls_info.ts';
import * as abi from './abi.gen.ts';
import { type SocketAddress, socketAddress } from './address.ts';
import type { App, CompiledRoute } from './app.ts';
import type { Background } from './background.ts';
import { tellAbort, tellFinish } from './diagnostics.ts';
import { type BodyOrigin, IncomingBody } from './incoming_body.ts';
import type { Lane } from './lane.ts';
import { NodeRuntime, type RuntimeExchange } from './node_runtime.ts';
import type { Outgoing } from './outgoing.ts';
import type { PushRecord } from './push.ts';
import { RecordedTls } from './recorded_tls.ts';
import { Slab } from './slab.ts';
import type { UpgradeParts } from './socket_record.ts';
import { Trailers } from './trailers.ts';

// Of the module's own: compiled code has them as numbers. What is imported it loads each time, and checks.
const {
  CREDIT_BYTES_MIN,
  FIELD_SPAN_BYTES,
  FLAG_END,
  METHODS,
  RECORD_HEADER_FLAGS,
  RECORD_HEADER_GENERATION,
  RECORD_HEADER_SLOT,
  REQUEST_HEAD_AUTHORITY,
  REQUEST_HEAD_BODY_LENGTH,
  REQUEST_HEAD_BYTES,
  REQUEST_HEAD_FIELD_COUNT,
  REQUEST_HEAD_HEAD_BYTES,
  REQUEST_HEAD_INLINE_BYTES,
  REQUEST_HEAD_METHOD,
  REQUEST_HEAD_METHOD_TEXT,
  REQUEST_HEAD_PARAM_COUNT,
  REQUEST_HEAD_PATH,
  REQUEST_HEAD_PEER_ADDRESS,
  REQUEST_HEAD_PEER_FAMILY,
  REQUEST_HEAD_PEER_PORT,
  REQUEST_HEAD_PUSH_ROOM,
  REQUEST_HEAD_QUERY,
  REQUEST_HEAD_RAW_TARGET_LEN,
  REQUEST_HEAD_TARGET,
  REQUEST_HEAD_TLS_LEN,
  REQUEST_HEAD_UPGRADE,
  REQUEST_HEAD_VERSION,
  SPAN_BYTES,
  SPAN_LEN,
  SPAN_OFFSET,
} = abi;

const httpVersions: readonly HttpVersion[] = ['1.0', '1.1', '2.0'];
const HTTP2 = 2;

type SliceMethod = (from: number, to: number) => string;
const latin1Slice = (Buffer.prototype as unknown as { latin1Slice: SliceMethod }).latin1Slice;

/** What readers of a request body see whose client has left. */
function clientGone(): DOMException {
  return new DOMException('The client has gone away', 'AbortError');
}

/** What readers of a request body see whose response has been sent. */
export function bodyUnread(): GyrfalconError {
  const message = 'The response was sent before the request body had been read to its end';
  return new GyrfalconError('GYR_BODY_UNREAD', message);
}

/** The exchange is unanswered: neither sent nor given up. */
export const PHASE_OPEN = 0;
/** The whole response has been handed to the engine. */
export const PHASE_DONE = 1;
/** The client is gone, or the engine has given the exchange up. */
export const PHASE_ABORTED = 2;

/** Who hears that the client of an exchange leaves. Called in the scope of the exchange; must not throw. */
export interface ExchangeWatcher {
  /** The client sends no more and may be gone. What is answered is sent nevertheless. */
  leaving(): void;
  /** The exchange has ended early: nothing that is answered will be sent. */
  aborted(): void;
  /** The engine has all of a response. */
  done(): void;
}

/** A WebSocket that an exchange is to become. */
export interface PendingSocket {
  readonly parts: UpgradeParts;
  readonly data: unknown;
  readonly remoteAddress: string;
  /** The engine is told. */
  isWritten: boolean;
}

/** What an exchange, and whoever holds one, needs of the channel that took it in. */
export interface ExchangeChannel {
  /** Host of requests that name none. */
  readonly authority: string;
  /** Requests show the target as it was received. */
  readonly rawPaths: boolean;
  /** What the handler got as its second argument. */
  readonly server: unknown;
  /** Work that goes on behind responses. */
  readonly background: Background;
  /** The program that handles requests now. */
  readonly app: App;
  readonly log: Log;
  /** Sends an interim response; false when it went nowhere. */
  hint(exchange: Exchange, fields: HeaderList): boolean;
  /** Pushes a request beside the one of `exchange`; false when it went nowhere. */
  promise(exchange: Exchange, push: PushRecord): boolean;
  /** Has the engine make a WebSocket of the connection, which answers the exchange. */
  upgrade(exchange: Exchange, pending: PendingSocket): void;
}

/** What an exchange, and whoever answers it, needs of the lane that it came over. */
export interface ExchangePort {
  readonly lane: Lane;
  /** Lets the engine send `bytes` more of the request's body. Small grants are saved up. */
  grant(exchange: Exchange, bytes: number): void;
  /** The exchange found the ring full: it gets another try when there is room. */
  queue(exchange: Exchange): void;
  /** Records of the engine's find the exchange from now on, until `forget`. */
  keep(exchange: Exchange): void;
  forget(exchange: Exchange): void;
  /** Whether it has not been forgotten: its place may be another's. */
  keeps(exchange: Exchange): boolean;
  /** Grants what was saved up. */
  sendGrant(exchange: Exchange): void;
}

/**
 * One request on its way through a JS thread: reads the request's record when it is asked, and
 * holds what is left to send and to receive. The handler runs in the scope of an async resource of
 * its own, made in the context of the channel. It has one and is none: an AsyncLocalStorage leaves its
 * mark on the resource in Node.js 20 and 22, and exchanges are all laid out alike.
 */
export class Exchange implements RequestSource, ParamSource, BodyOrigin, RuntimeExchange {
  // All are set in the constructor and defined nowhere else, which would set them twice.
  declare readonly channel: ExchangeChannel;
  declare readonly port: ExchangePort;
  declare readonly route: CompiledRoute;
  declare readonly slot: number;
  declare readonly generation: number;
  declare phase: number;
  /** Response body bytes that the engine takes before it grants more. */
  declare credit: number;
  /** Request body bytes that were consumed and have not been granted anew. */
  declare owed: number;
  /** Waits for room in the response ring. */
  declare queued: boolean;
  declare request: Request | null;
  /** Responses that may yet be pushed beside this one's. */
  declare pushRoom: number;
  declare incoming: IncomingBody | null;
  declare outgoing: Outgoing | null;
  /** Null until somebody asks for trailers, or the client sends some. */
  declare trailers: Trailers | null;
  /** It is answered with a WebSocket. */
  declare upgrade: PendingSocket | null;
  declare private watcher: ExchangeWatcher | null;
  declare private controller: AbortController | null;
  /** Listeners are called in the context in which the signal was asked for. */
  declare private signalScope: AsyncResource | null;
  /** The client sends no more, and may be gone. */
  declare private leaving: boolean;
  declare private node: NodeRuntime | null;
  declare private recordedTls: RecordedTls | null;
  declare private slab: Slab;
  declare private base: number;
  /** Whatever calls into the program for this request does it in here. */
  declare readonly scope: AsyncResource;

  constructor(
    channel: ExchangeChannel,
    port: ExchangePort,
    route: CompiledRoute,
    slab: Slab,
    base: number,
  ) {
    this.channel = channel;
    this.port = port;
    this.route = route;
    this.slab = slab;
    this.base = base;
    this.slot = slab.i32[(base + RECORD_HEADER_SLOT) >> 2] as number;
    this.generation = slab.i32[(base + RECORD_HEADER_GENERATION) >> 2] as number;
    this.pushRoom = slab.u16[(base + REQUEST_HEAD_PUSH_ROOM) >> 1] as number;
    const full = port.lane.block.creditBytes;
    const isHttp2 = slab.u8[base + REQUEST_HEAD_VERSION] === HTTP2;
    // Streams of one connection are many: each begins with little, as the engine expects.
    this.credit = isHttp2 ? Math.min(full, CREDIT_BYTES_MIN) : full;
    this.phase = PHASE_OPEN;
    this.owed = 0;
    this.queued = false;
    this.leaving = false;
    this.request = null;
    this.incoming = null;
    this.outgoing = null;
    this.trailers = null;
    this.upgrade = null;
    this.watcher = null;
    this.controller = null;
    this.signalScope = null;
    this.node = null;
    this.recordedTls = null;
    // By its number: an object, and the empty one that Node.js takes for none, is looked into twice.
    this.scope = new AsyncResource('GYRFALCON_REQUEST', executionAsyncId());
  }

  get method(): string {
    const code = this.slab.u8[this.base + REQUEST_HEAD_METHOD] as number;
    return METHODS[code] ?? this.span(this.base + REQUEST_HEAD_METHOD_TEXT);
  }

  get isHead(): boolean {
    return this.slab.u8[this.base + REQUEST_HEAD_METHOD] === 1;
  }

  get isHttp10(): boolean {
    return this.slab.u8[this.base + REQUEST_HEAD_VERSION] === 0;
  }

  get httpVersion(): HttpVersion {
    const version = this.slab.u8[this.base + REQUEST_HEAD_VERSION] as number;
    return httpVersions[version] ?? '1.1';
  }

  /** Whether the client asks for a WebSocket, and may get one here. */
  get asksUpgrade(): boolean {
    return this.slab.u16[(this.base + REQUEST_HEAD_UPGRADE) >> 1] !== 0;
  }

  get hasBody(): boolean {
    const at = (this.base + REQUEST_HEAD_BODY_LENGTH) >> 2;
    return this.slab.i32[at] !== 0 || this.slab.i32[at + 1] !== 0;
  }

  /** Length of the request body, bytes, or null when it is chunked. */
  get bodyLength(): number | null {
    const at = (this.base + REQUEST_HEAD_BODY_LENGTH) >> 2;
    const low = this.slab.i32[at] as number;
    const high = this.slab.i32[at + 1] as number;
    return low === -1 && high === -1 ? null : (low >>> 0) + high * 0x1_0000_0000;
  }

  /** Whether the whole request body came with the head. */
  get bodyIsInline(): boolean {
    const flags = this.slab.u16[(this.base + RECORD_HEADER_FLAGS) >> 1] as number;
    return (flags & FLAG_END) !== 0;
  }

  get isDone(): boolean {
    return this.phase === PHASE_DONE;
  }

  get isAborted(): boolean {
    return this.phase === PHASE_ABORTED;
  }

  /** Whether `error` is what becomes of work for a client that has left: it is no defect. */
  isOfLeaving(error: unknown): boolean {
    if (!this.leaving) return false;
    try {
      return error instanceof Error && error.name === 'AbortError';
    } catch {
      return false; // a program may throw what throws when it is looked at
    }
  }

  get isAnswered(): boolean {
    return this.phase !== PHASE_OPEN || this.outgoing !== null;
  }

  get names(): readonly string[] {
    return this.route.names;
  }

  raw(index: number): string {
    return this.span(this.base + REQUEST_HEAD_BYTES + index * SPAN_BYTES);
  }

  /** The request target (RFC 9112 §3.2), with the canonical path where nothing else was asked for. */
  get target(): string {
    return this.channel.rawPaths ? this.rawTarget : this.span(this.base + REQUEST_HEAD_TARGET);
  }

  /** The request target as it was received. */
  get rawTarget(): string {
    const length = this.rawTargetLength();
    if (length === 0) return this.span(this.base + REQUEST_HEAD_TARGET);
    return this.text(this.headOffset() + this.headLength(), length);
  }

  hint(fields: HeaderList): boolean {
    return this.channel.hint(this, fields);
  }

  /** Scheme, Host and target; a target in absolute form is taken as it is (RFC 9112 §3.2.2). */
  url(): string {
    const { target } = this;
    if (target.charCodeAt(0) !== 0x2f) return this.unusualUrl(target);
    return this.origin() + target;
  }

  /** The same on this server's own host, whatever Host says: this one is surely a URL. */
  fallbackUrl(): string {
    const { target } = this;
    const origin = `${this.scheme}//${this.channel.authority}`;
    if (target.startsWith('/')) return `${origin}${target}`;
    const path = this.span(this.base + REQUEST_HEAD_PATH);
    const query = this.span(this.base + REQUEST_HEAD_QUERY);
    const slash = path.startsWith('/') ? '' : '/';
    return `${origin}${slash}${path}${query === '' ? '' : '?'}${query}`;
  }

  /** Of a target in absolute form, "*" of OPTIONS, or the authority form of CONNECT. */
  private unusualUrl(target: string): string {
    if (/^https?:\/\//i.test(target)) return target;
    if (this.method === 'CONNECT') return `http://${target}/`;
    return `${this.origin()}/${target}`;
  }

  /** Host and port that the request was sent to. */
  get authority(): string {
    return this.span(this.base + REQUEST_HEAD_AUTHORITY);
  }

  private origin(): string {
    const { authority } = this;
    return `${this.scheme}//${authority === '' ? this.channel.authority : authority}`;
  }

  header(lowerName: string): string | null {
    const { u16 } = this.slab;
    const count = u16[(this.base + REQUEST_HEAD_FIELD_COUNT) >> 1] as number;
    const head = this.headOffset();
    let at = this.fieldsOffset() >> 1;
    let found: string | null = null;
    for (let i = 0; i < count; i++, at += FIELD_SPAN_BYTES >> 1) {
      if (u16[at + 1] !== lowerName.length) continue;
      if (!this.nameIs(head + (u16[at] as number), lowerName)) continue;
      const value = this.text(head + (u16[at + 2] as number), u16[at + 3] as number);
      if (found === null) found = value;
      else found += (lowerName === 'cookie' ? '; ' : ', ') + value;
    }
    return found;
  }

  headerPairs(): [string, string][] {
    const lines = this.fieldLines();
    const pairs: [string, string][] = [];
    for (let i = 0; i < lines.length; i += 2) {
      pairs.push([(lines[i] as string).toLowerCase(), lines[i + 1] as string]);
    }
    return pairs;
  }

  /** Every field line as it was received: name, value, name, value, … */
  fieldLines(): string[] {
    const { u16 } = this.slab;
    const count = u16[(this.base + REQUEST_HEAD_FIELD_COUNT) >> 1] as number;
    const head = this.headOffset();
    const lines: string[] = [];
    let at = this.fieldsOffset() >> 1;
    for (let i = 0; i < count; i++, at += FIELD_SPAN_BYTES >> 1) {
      lines.push(this.text(head + (u16[at] as number), u16[at + 1] as number));
      lines.push(this.text(head + (u16[at + 2] as number), u16[at + 3] as number));
    }
    return lines;
  }

  body(): BodySource | null {
    if (!this.hasBody) return null;
    this.incoming ??= new IncomingBody(this);
    return this.incoming;
  }

  /** The body that came with the head, as a view of the record. */
  inlineBody(): Uint8Array {
    const bytes = this.slab.i32[(this.base + REQUEST_HEAD_INLINE_BYTES) >> 2] as number;
    const start = this.tlsOffset() + this.tlsLength();
    return this.slab.u8.subarray(start, start + bytes);
  }

  grant(bytes: number): void {
    this.port.grant(this, bytes);
  }

  signal(): AbortSignal {
    if (this.controller === null) {
      this.controller = new AbortController();
      this.signalScope = new AsyncResource('GYRFALCON_SIGNAL');
      if (this.leaving) this.controller.abort();
    }
    return this.controller.signal;
  }

  /** `watcher` hears that the client leaves, at once where it has left. */
  watch(watcher: ExchangeWatcher): void {
    this.watcher = watcher;
    if (this.isAborted) watcher.aborted();
    else if (this.leaving) watcher.leaving();
  }

  /** The client sends no more and may be gone: a response is sent nevertheless. */
  signalLeaving(): void {
    if (this.leaving) return;
    this.leaving = true;
    const { controller, signalScope, watcher } = this;
    if (controller !== null) signalScope?.runInAsyncScope(controller.abort, controller);
    if (watcher !== null) this.scope.runInAsyncScope(watcher.leaving, watcher);
  }

  /** The client is gone: tells everybody who waits for it. */
  abort(): void {
    if (this.phase !== PHASE_OPEN) return;
    this.phase = PHASE_ABORTED;
    tellAbort(this);
    this.failBody(clientGone());
    this.outgoing?.cancel();
    this.outgoing = null;
    if (this.watcher !== null) this.scope.runInAsyncScope(this.watcher.aborted, this.watcher);
    this.signalLeaving();
    this.node?.close();
  }

  /** The whole response has been handed to the engine. */
  finish(): void {
    this.phase = PHASE_DONE;
    if (this.upgrade === null) tellFinish(this, this.outgoing?.isCut !== true);
    this.outgoing = null;
    const { incoming } = this;
    if (incoming !== null ? !incoming.isEnded : this.trailers !== null) {
      this.failBody(bodyUnread());
    }
    if (this.watcher !== null) this.scope.runInAsyncScope(this.watcher.done, this.watcher);
    this.node?.close();
  }

  /** The rest of the request body will not come. */
  failBody(error: unknown): void {
    this.incoming?.fail(error);
    this.trailers?.fail(error);
  }

  openTrailers(): Trailers {
    if (this.trailers !== null) return this.trailers;
    this.trailers = new Trailers();
    if (this.bodyIsInline || this.incoming?.isEnded) this.trailers.arrive([]);
    else if (this.phase === PHASE_ABORTED) this.trailers.fail(clientGone());
    else if (this.phase === PHASE_DONE) this.trailers.fail(bodyUnread());
    return this.trailers;
  }

  /** Whether a response of that status can have trailers: only a chunked body carries them. */
  takesTrailers(status: number): boolean {
    return !this.isHead && !this.isHttp10 && !isNullBodyStatus(status);
  }

  get ip(): string | undefined {
    const peer = this.peer();
    return peer === null || peer.family === 'unix' ? undefined : peer.address;
  }

  get forms(): FormOptions {
    return this.channel.app.forms;
  }

  get waitUntil(): (promise: PromiseLike<unknown>) => void {
    const { background } = this.channel;
    return (promise) => background.add(promise);
  }

  get runtime(): RequestRuntime {
    this.node ??= new NodeRuntime(this);
    return this.node;
  }

  /** Of the connection, when it is one over TLS. */
  get tls(): TlsInfo | undefined {
    if (this.recordedTls === null && this.isSecure) {
      const start = this.tlsOffset();
      const bytes = this.slab.u8.subarray(start, start + this.tlsLength());
      this.recordedTls = new RecordedTls(bytes);
    }
    return this.recordedTls ?? undefined;
  }

  /** Whether the connection is one over TLS. */
  get isSecure(): boolean {
    return this.tlsLength() !== 0;
  }

  /** Address of the client, or null when it is not known. */
  peer(): SocketAddress | null {
    const { u8, u16 } = this.slab;
    const family = u8[this.base + REQUEST_HEAD_PEER_FAMILY] as number;
    const port = u16[(this.base + REQUEST_HEAD_PEER_PORT) >> 1] as number;
    return socketAddress(u8, family, this.base + REQUEST_HEAD_PEER_ADDRESS, port);
  }

  /**
   * Moves the record to memory of its own, so that an exchange that stays open for long does not
   * keep a whole slab alive.
   */
  compact(): void {
    const bytes = this.slab.i32[this.base >> 2] as number;
    if (this.base === 0 && this.slab.u8.length === bytes) return;
    const own = new Slab(bytes);
    this.base = own.take(this.slab.u8, this.base, bytes);
    this.slab = own;
  }

  private fieldsOffset(): number {
    const params = this.slab.u8[this.base + REQUEST_HEAD_PARAM_COUNT] as number;
    return this.base + REQUEST_HEAD_BYTES + params * SPAN_BYTES;
  }

  private headOffset(): number {
    const fields = this.slab.u16[(this.base + REQUEST_HEAD_FIELD_COUNT) >> 1] as number;
    return this.fieldsOffset() + fields * FIELD_SPAN_BYTES;
  }

  private headLength(): number {
    return this.slab.i32[(this.base + REQUEST_HEAD_HEAD_BYTES) >> 2] as number;
  }

  /** 0 where the target came canonical. */
  private rawTargetLength(): number {
    return this.slab.u16[(this.base + REQUEST_HEAD_RAW_TARGET_LEN) >> 1] as number;
  }

  private get scheme(): string {
    return this.isSecure ? 'https:' : 'http:';
  }

  private tlsOffset(): number {
    return this.headOffset() + this.headLength() + this.rawTargetLength();
  }

  private tlsLength(): number {
    return this.slab.u16[(this.base + REQUEST_HEAD_TLS_LEN) >> 1] as number;
  }

  private nameIs(at: number, lowerName: string): boolean {
    const { u8 } = this.slab;
    for (let i = 0; i < lowerName.length; i++) {
      let code = u8[at + i] as number;
      if (code >= 0x41 && code <= 0x5a) code |= 0x20;
      if (code !== lowerName.charCodeAt(i)) return false;
    }
    return true;
  }

  /** The part of the head that the Span at `at` tells. */
  private span(at: number): string {
    const { u16 } = this.slab;
    const offset = u16[(at + SPAN_OFFSET) >> 1] as number;
    return this.text(this.headOffset() + offset, u16[(at + SPAN_LEN) >> 1] as number);
  }

  private text(at: number, length: number): string {
    const { u8 } = this.slab;
    if (length > 12) return latin1Slice.call(u8, at, at + length);
    let text = '';
    for (let i = at; i < at + length; i++) text += String.fromCharCode(u8[i] as number);
    return text;
  }
}
