import { AsyncResource } from 'node:async_hooks';
import { inspect, types } from 'node:util';
import { GyrfalconError } from '../core/errors.ts';
import type { Log } from '../core/log.ts';
import { isThenable } from '../core/thenable.ts';
import { allocOutside } from '../core/young.ts';
import { viewBytes } from '../fetch/chunks.ts';
import * as abi from './abi.gen.ts';
import { tellSocketClose, tellSocketOpen } from './diagnostics.ts';
import type { Gathered, Gatherer, Gathering } from './gathered.ts';
import type { Block, Lane } from './lane.ts';
import type { TopicCounts } from './outside.ts';
import {
  mannerOf,
  type Parts,
  type SocketName,
  type SocketNote,
  writeClose,
  writeNote,
  writePart,
  writeParts,
  writeSocketCredit,
  writeTerminate,
  writeText,
} from './socket_record.ts';
import type {
  ServerWebSocket,
  SocketHandlers,
  WebSocketBinaryType,
  WebSocketData,
} from './websocket.ts';

// Of the module's own: compiled code has them as numbers. What is imported it loads each time, and checks.
const {
  CHUNK_BYTES,
  CHUNK_BYTES_MAX,
  CHUNK_LEN,
  FLAG_BEGIN,
  FLAG_END,
  FLAG_TEXT,
  RECORD_HEADER_FLAGS,
  SOCKET_MESSAGE_COST,
} = abi;
const { alloc } = Buffer;

const OPEN = 1;
const CLOSING = 2;
const CLOSED = 3;

/** Of a control frame's payload, and of a Close's reason, bytes (RFC 6455 §5.5). */
const controlMax = 125;
const reasonMax = 123;
/** As the engine has it: zig/bridge/sockets.zig. */
const messageMax = 2 ** 28;
/** Subscriptions of one socket that begin or end, and wait for room in the ring: all of them anew. */
const topicsWaitingMax = 2 * abi.SOCKET_TOPICS_MAX;

type SliceMethod = (from: number, to: number) => string;
const utf8Slice = (Buffer.prototype as unknown as { utf8Slice: SliceMethod }).utf8Slice;

const noBytes = new Uint8Array(0);
const nothing = (): void => {};

/** Something that waits for room in the ring. */
export interface Waiting {
  /** Writes it, or what is left of it. False: the ring is full. */
  write(): boolean;
  /** It is written. */
  done(): void;
}

/** What a socket needs of the port that it came over. */
export interface SocketHost {
  readonly lane: Lane;
  /** Those of the program that handles requests now. */
  readonly handlers: SocketHandlers;
  readonly log: Log;
  /** Something waits for room in the ring: what is said now is behind it. */
  readonly isBehind: boolean;
  /** What has come in part, of all sockets of the thread. */
  readonly gathering: Gathering;
  /** What sockets of the thread are subscribed to; null where nobody has to know. */
  readonly topics: TopicCounts | null;
  /** A record stands in the ring that was not published. */
  wrote(): void;
  /** It is written when there is room, behind what came before it. */
  enqueue(what: Waiting): void;
  /** As `ServerWebSocket.publish`; nobody is left out where `publisher` is null. */
  publish(
    publisher: SocketName | null,
    topic: string,
    data: WebSocketData,
    compress?: boolean,
  ): number;
  /** A stop of the server waits for this. It never rejects. */
  awaitAtStop(work: Promise<unknown>): void;
}

/** What a socket begins with. */
export interface SocketStart extends SocketName {
  readonly data: unknown;
  readonly protocol: string;
  readonly remoteAddress: string;
  /** Compression was agreed on. */
  readonly isCompressed: boolean;
  /** What may come before more is granted, bytes. */
  readonly credit: number;
  /** What may wait for the peer, bytes. */
  readonly unsentMax: number;
}

/**
 * A WebSocket. Its handlers run in its scope: it is an async resource of its own, made in the context
 * of the channel.
 *
 * What is sent is counted until the engine tells that it has left, which it does in steps: less than
 * one may have left unnoticed. So both ends know whether a message may be sent, and the answer is
 * there at once.
 */
export class Socket extends AsyncResource implements ServerWebSocket, Gatherer {
  readonly slot: number;
  readonly generation: number;
  data: unknown;
  readonly protocol: string;
  readonly remoteAddress: string;
  readonly extensions: string;
  binaryType: WebSocketBinaryType = 'nodebuffer';
  private readonly host: SocketHost;
  private state: 1 | 2 | 3 = OPEN;
  private readonly unsentMax: number;
  /** In these steps it is told what has left, bytes. */
  private readonly step: number;
  /** Sent, and not known to have left, with what a message costs beside its bytes. */
  private unacknowledged = 0;
  private wantsDrain = false;
  /** How many things that it has said wait for room in the ring. */
  private waiting = 0;
  /** Messages among those. */
  private readonly messagesWaiting = new Set<Parts>();
  private topicsWaiting = 0;
  private isTerminated = false;
  private readonly credit: number;
  /** Of messages that have come and are not handled, with what each costs, bytes. */
  private pending = 0;
  /** Of messages that were handled, and not granted anew. */
  private owed = 0;
  private grantWaits = false;
  /** Of a message that has not come to its end. */
  private gathered: Gathered | null = null;
  /** What its parts hold of the credit until it is handled: half of that at most. */
  private partsCost = 0;
  private topics: Set<string> | null = null;

  constructor(host: SocketHost, start: SocketStart) {
    super('GYRFALCON_WEBSOCKET');
    this.host = host;
    this.slot = start.slot;
    this.generation = start.generation;
    this.data = start.data;
    this.protocol = start.protocol;
    this.remoteAddress = start.remoteAddress;
    this.extensions = start.isCompressed ? 'permessage-deflate' : '';
    this.credit = start.credit;
    this.unsentMax = start.unsentMax;
    this.step = Math.max(1, Math.min(abi.SOCKET_ACK_BYTES, Math.floor(start.unsentMax / 4)));
  }

  get readyState(): 1 | 2 | 3 {
    return this.state;
  }

  get subscriptions(): string[] {
    return this.topics === null ? [] : [...this.topics];
  }

  // What the program says.

  send(data: WebSocketData, compress?: boolean): number {
    if (typeof data === 'string') return this.sendText(data, compress);
    return this.sendBinary(data, compress);
  }

  sendText(data: string, compress?: boolean): number {
    if (typeof data !== 'string') throw new TypeError(`a text is ${inspect(data, { depth: 0 })}`);
    if (this.state !== OPEN) return 0;
    const length = Buffer.byteLength(data);
    if (!this.admits(length)) return this.overflow();
    const manner = mannerOf(true, compress);
    if (length > CHUNK_BYTES_MAX) return this.sendWhole(Buffer.from(data), manner, true);
    this.unacknowledged += length + SOCKET_MESSAGE_COST;
    const { host } = this;
    const isWritten = !host.isBehind && writeText(host.lane, this, manner, data, length);
    if (isWritten) host.wrote();
    else this.waitWith({ manner, bytes: Buffer.from(data), at: 0 });
    return this.status(length);
  }

  sendBinary(data: Exclude<WebSocketData, string>, compress?: boolean): number {
    const bytes = bytesOf(data);
    if (this.state !== OPEN) return 0;
    if (!this.admits(bytes.length)) return this.overflow();
    return this.sendWhole(bytes, mannerOf(false, compress), false);
  }

  /** `isOwn`: nobody else will change the bytes. */
  private sendWhole(bytes: Uint8Array, manner: number, isOwn: boolean): number {
    const { length } = bytes;
    if (length > messageMax) throw invalid(`A message of ${length} bytes`, `at most ${messageMax}`);
    this.unacknowledged += length + SOCKET_MESSAGE_COST;
    const message: Parts = { manner, bytes, at: 0 };
    if (this.host.isBehind || !this.writeMessage(message)) {
      if (!isOwn) message.bytes = Buffer.from(bytes);
      this.waitWith(message);
    }
    return this.status(length);
  }

  ping(data: WebSocketData = noBytes): number {
    return this.sendControl(abi.KIND_SOCKET_SEND_PING, data);
  }

  pong(data: WebSocketData = noBytes): number {
    return this.sendControl(abi.KIND_SOCKET_SEND_PONG, data);
  }

  private sendControl(note: SocketNote, data: WebSocketData): number {
    const bytes = typeof data === 'string' ? Buffer.from(data) : bytesOf(data);
    if (bytes.length > controlMax) {
      throw invalid(`A ping of ${bytes.length} bytes`, `at most ${controlMax} (RFC 6455 §5.5)`);
    }
    if (this.state !== OPEN) return 0;
    if (!this.admits(bytes.length)) return this.overflow();
    this.unacknowledged += bytes.length + SOCKET_MESSAGE_COST;
    this.note(note, Buffer.from(bytes));
    return this.status(bytes.length);
  }

  cork<T>(callback: (ws: this) => T): T {
    return callback(this);
  }

  close(code = 1000, reason = ''): void {
    if (!mayClose(code)) {
      throw invalid(`A Close with code ${inspect(code)}`, '1000 to 1014, 3000 to 4999');
    }
    if (this.state !== OPEN) return;
    this.state = CLOSING;
    const bytes = cut(Buffer.from(`${reason}`), reasonMax);
    this.say(() => writeClose(this.host.lane, this, code, bytes));
  }

  terminate(): void {
    if (this.state === CLOSED || this.isTerminated) return;
    this.state = CLOSING;
    this.isTerminated = true; // what waits is left out
    this.dropWaiting();
    const write = () => this.state === CLOSED || writeTerminate(this.host.lane, this);
    if (write()) this.host.wrote();
    else this.host.enqueue({ write, done: nothing });
  }

  subscribe(topic: string): void {
    const name = topicBytes(topic);
    if (this.state !== OPEN || this.isSubscribed(topic)) return;
    this.topics ??= new Set();
    if (this.topics.size >= abi.SOCKET_TOPICS_MAX) {
      throw invalid('Another topic of a WebSocket', `it has ${abi.SOCKET_TOPICS_MAX}`);
    }
    this.topics.add(topic);
    this.host.topics?.began(topic);
    this.noteTopic(abi.KIND_SOCKET_SUBSCRIBE, name);
  }

  unsubscribe(topic: string): void {
    const name = topicBytes(topic);
    if (!this.topics?.delete(topic)) return;
    this.host.topics?.ended(topic);
    if (this.state === OPEN) this.noteTopic(abi.KIND_SOCKET_UNSUBSCRIBE, name);
  }

  isSubscribed(topic: string): boolean {
    return this.topics?.has(topic) ?? false;
  }

  publish(topic: string, data: WebSocketData, compress?: boolean): number {
    const self = this.state !== OPEN || this.host.handlers.publishToSelf ? null : this;
    return this.host.publish(self, topic, data, compress);
  }

  publishText(topic: string, data: string, compress?: boolean): number {
    if (typeof data !== 'string') throw new TypeError(`a text is ${inspect(data, { depth: 0 })}`);
    return this.publish(topic, data, compress);
  }

  publishBinary(topic: string, data: Exclude<WebSocketData, string>, compress?: boolean): number {
    return this.publish(topic, bytesOf(data), compress);
  }

  getBufferedAmount(): number {
    return Math.max(0, this.unacknowledged - this.step);
  }

  /** As the engine counts: zig/bridge/sockets.zig, `isWithin`. */
  private admits(length: number): boolean {
    const sent = this.unacknowledged;
    return sent <= this.step || sent + length + SOCKET_MESSAGE_COST <= this.unsentMax;
  }

  private overflow(): 0 {
    this.wantsDrain = true;
    if (this.host.handlers.closeOnBackpressureLimit) this.terminate();
    return 0;
  }

  private status(length: number): number {
    if (this.unacknowledged <= 2 * this.step && this.waiting === 0) return length;
    this.wantsDrain = true;
    return -1;
  }

  // What goes to the engine.

  /** Says something now, or in its turn. */
  private say(write: () => boolean, done: () => void = nothing): void {
    if (!this.host.isBehind && write()) {
      this.host.wrote();
      done();
      return;
    }
    this.waiting += 1;
    this.host.enqueue({
      write: () => this.state === CLOSED || this.isTerminated || write(),
      done: () => {
        this.waiting -= 1;
        done();
        this.tellDrain();
      },
    });
  }

  private note(note: SocketNote, bytes: Uint8Array): void {
    this.say(() => writeNote(this.host.lane, note, this, bytes));
  }

  /** Unlike messages these are not counted as what is sent, but who waits with too many has an end. */
  private noteTopic(note: SocketNote, name: Uint8Array): void {
    if (this.topicsWaiting >= topicsWaitingMax) {
      this.close(1013);
      return;
    }
    this.topicsWaiting += 1;
    const done = () => {
      this.topicsWaiting -= 1;
    };
    this.say(() => writeNote(this.host.lane, note, this, name), done);
  }

  private waitWith(message: Parts): void {
    this.messagesWaiting.add(message);
    const done = () => {
      this.messagesWaiting.delete(message);
    };
    this.say(() => this.writeMessage(message), done);
  }

  /** Nothing of what waits is written: it keeps its place, and no memory. */
  private dropWaiting(): void {
    for (const message of this.messagesWaiting) message.bytes = noBytes;
    this.messagesWaiting.clear();
  }

  /** False: the ring is full; what was written of it is noted in it. */
  private writeMessage(message: Parts): boolean {
    const { host } = this;
    const { bytes, manner } = message;
    if (bytes.length <= CHUNK_BYTES_MAX) {
      const flags = FLAG_BEGIN | FLAG_END | manner;
      const isWritten = writePart(host.lane, this, flags, bytes, bytes.length);
      if (isWritten) host.wrote();
      return isWritten;
    }
    return writeParts(message, (flags, part, total) => {
      const isWritten = writePart(host.lane, this, flags, part, total);
      if (isWritten) host.wrote();
      return isWritten;
    });
  }

  private grant(bytes: number): void {
    this.pending -= bytes;
    this.owed += bytes;
    // Small grants are saved up, but not where the engine may be waiting for one.
    const left = this.credit - this.pending - this.owed;
    const isDue = this.owed * 4 >= this.credit || left * 4 < this.credit;
    if (isDue && !this.grantWaits && !this.writeGrant()) {
      this.grantWaits = true;
      const done = () => {
        this.grantWaits = false;
      };
      this.host.enqueue({ write: () => this.writeGrant(), done });
    }
  }

  private writeGrant(): boolean {
    if (this.state === CLOSED) return true;
    if (!writeSocketCredit(this.host.lane, this, this.owed)) return false;
    this.owed = 0;
    this.host.wrote();
    return true;
  }

  // What the engine tells.

  /** It is there. */
  opened(): void {
    const { handlers } = this.host;
    tellSocketOpen(this);
    if (handlers.open !== undefined) this.call(() => handlers.open?.(this));
  }

  /** The record of a message, or of a part of one, at `at`. */
  take(block: Block, at: number): void {
    const length = block.i32[(at + CHUNK_LEN) >> 2] as number;
    const flags = block.u16[(at + RECORD_HEADER_FLAGS) >> 1] as number;
    const start = at + CHUNK_BYTES;
    const cost = length + SOCKET_MESSAGE_COST;
    this.pending += cost;
    // Who is closing has said that it wants nothing more.
    if (this.state !== OPEN) {
      this.dropParts();
      this.grant(cost);
      return;
    }
    const isText = (flags & FLAG_TEXT) !== 0;
    const isWhole = (flags & FLAG_END) !== 0;
    if (!isWhole || this.gathered !== null) {
      this.gather(block, start, length, isWhole, isText);
      return;
    }
    const message = isText
      ? utf8Slice.call(block.u8, start, start + length)
      : this.binaryOf(block, start, length);
    this.runInAsyncScope(this.callMessage, this, message, cost);
  }

  /** A part of a message. With the last it is handled. */
  private gather(
    block: Block,
    start: number,
    length: number,
    isLast: boolean,
    isText: boolean,
  ): void {
    this.partsCost += length + SOCKET_MESSAGE_COST;
    this.gathered ??= this.host.gathering.begin(this);
    this.gathered.add(block, start, length);
    const { gathered } = this;
    if (gathered === null) return; // it was too much
    // A message may be longer than the credit is.
    const held = Math.min(this.partsCost, this.credit >> 1);
    if (!isLast) {
      const more = this.partsCost - held;
      this.partsCost = held;
      if (more > 0) this.grant(more);
      return;
    }
    const whole = gathered.whole();
    const cost = this.partsCost;
    this.gathered = null;
    this.partsCost = 0;
    const message = isText ? utf8Slice.call(whole, 0, whole.length) : this.asBinary(whole);
    this.runInAsyncScope(this.callMessage, this, message, cost);
  }

  /** Messages in parts take too much memory, and this one has more than its share. */
  lostParts(): void {
    this.dropParts();
    this.close(1013);
  }

  private dropParts(): void {
    if (this.gathered === null) return;
    this.gathered.end();
    this.gathered = null;
    const cost = this.partsCost;
    this.partsCost = 0;
    this.grant(cost);
  }

  private callMessage(message: string | Buffer, cost: number): void {
    try {
      const result = this.host.handlers.message(this, message) as unknown;
      if (isThenable(result)) {
        Promise.resolve(result)
          .catch((error: unknown) => this.failed(error))
          .then(() => this.grant(cost));
        return;
      }
    } catch (error) {
      this.failed(error);
    }
    this.grant(cost);
  }

  /** A ping that was answered, or a pong. */
  takeControl(block: Block, at: number, isPing: boolean): void {
    const { handlers } = this.host;
    const hook = isPing ? handlers.ping : handlers.pong;
    const length = block.i32[(at + CHUNK_LEN) >> 2] as number;
    const cost = length + SOCKET_MESSAGE_COST;
    this.pending += cost;
    if (hook === undefined || this.state !== OPEN) {
      this.grant(cost);
      return;
    }
    const payload = this.binaryOf(block, at + CHUNK_BYTES, length);
    const work = this.call(() => hook.call(handlers, this, payload));
    if (work === null) this.grant(cost);
    else work.then(() => this.grant(cost));
  }

  /** So much has left for the peer. */
  left(bytes: number): void {
    this.unacknowledged -= bytes;
    this.tellDrain();
  }

  /** Tells that what waited has left, where the program waits for that. */
  tellDrain(): void {
    if (!this.wantsDrain || this.waiting > 0 || this.unacknowledged > this.step) return;
    this.wantsDrain = false;
    const { handlers } = this.host;
    if (handlers.drain !== undefined && this.state === OPEN) {
      this.call(() => handlers.drain?.(this));
    }
  }

  /** It has ended. */
  ended(code: number, reason: string): void {
    if (this.state === CLOSED) return;
    this.state = CLOSED;
    this.dropParts();
    this.dropWaiting();
    const { host } = this;
    if (this.topics !== null) for (const topic of this.topics) host.topics?.ended(topic);
    this.topics = null;
    const { handlers } = host;
    tellSocketClose(this, code, reason);
    if (handlers.close === undefined) return;
    const work = this.call(() => handlers.close?.(this, code, reason));
    if (work !== null) host.awaitAtStop(work);
  }

  /** Calls into the program. What that promises is given back, and never rejects. */
  private call(hook: () => unknown): Promise<unknown> | null {
    const run = () => {
      try {
        const result = hook();
        if (isThenable(result)) return Promise.resolve(result).catch((e) => this.failed(e));
      } catch (error) {
        this.failed(error);
      }
      return null;
    };
    return this.runInAsyncScope(run);
  }

  private failed(error: unknown): void {
    const { handlers, log } = this.host;
    if (handlers.error === undefined) {
      log.error('gyrfalcon: a WebSocket handler failed:', error);
      this.close(1011);
      return;
    }
    const failedToo = (second: unknown): void => {
      log.error('gyrfalcon: the error handler of WebSockets failed:', second);
      this.close(1011);
    };
    try {
      const result = handlers.error(this, asError(error));
      if (isThenable(result)) Promise.resolve(result).catch(failedToo);
    } catch (second) {
      failedToo(second);
    }
  }

  /** A copy, as the program wants its messages, with memory of its own: another client's bytes are in none of it. */
  private binaryOf(block: Block, start: number, length: number): Buffer {
    const { u8 } = block;
    if (length <= onHeapBytes) {
      const bytes = alloc(length);
      copyFew(u8, start, bytes);
      return this.asBinary(bytes);
    }
    const bytes = allocOutside(length);
    u8.copy(bytes, 0, start, start + length);
    return this.asBinary(bytes);
  }

  /** `bytes` has memory of its own, and all of it. */
  private asBinary(bytes: Buffer): Buffer {
    if (this.binaryType === 'nodebuffer') return bytes;
    const { buffer } = bytes;
    const other = this.binaryType === 'arraybuffer' ? buffer : new Uint8Array(buffer);
    return other as Buffer; // who has asked for it knows
  }
}

/**
 * Up to so many bytes V8 keeps in the array itself, until somebody asks for its buffer: that costs no memory outside of the
 * heap. A loop copies them faster than the view of a part that Buffer.copy() makes.
 */
const onHeapBytes = 64;

/** Fills `to`, eight bytes at a time: each step of a loop costs as much as its byte. */
function copyFew(from: Uint8Array, start: number, to: Uint8Array): void {
  const { length } = to;
  let i = 0;
  for (; i + 8 <= length; i += 8) {
    const at = start + i;
    to[i] = from[at] as number;
    to[i + 1] = from[at + 1] as number;
    to[i + 2] = from[at + 2] as number;
    to[i + 3] = from[at + 3] as number;
    to[i + 4] = from[at + 4] as number;
    to[i + 5] = from[at + 5] as number;
    to[i + 6] = from[at + 6] as number;
    to[i + 7] = from[at + 7] as number;
  }
  for (; i < length; i += 1) to[i] = from[start + i] as number;
}

/** The bytes of a message that is none of text. Throws a TypeError. */
export function bytesOf(data: Exclude<WebSocketData, string>): Uint8Array {
  const bytes = viewBytes(data);
  if (bytes !== null) return bytes;
  throw new TypeError(`a message is ${inspect(data, { depth: 0 })}, not text or bytes`);
}

/** RFC 6455 §7.4: what an endpoint may say. */
function mayClose(code: unknown): boolean {
  if (typeof code !== 'number' || !Number.isInteger(code)) return false;
  if (code >= 3000) return code <= 4999;
  return code >= 1000 && code <= 1014 && code !== 1004 && code !== 1005 && code !== 1006;
}

/** `bytes` of UTF-8, cut between two characters where it is longer than `most`. */
function cut(bytes: Buffer, most: number): Buffer {
  if (bytes.length <= most) return bytes;
  let end = most;
  while (((bytes[end] as number) & 0xc0) === 0x80) end -= 1;
  return bytes.subarray(0, end);
}

/** The name of a topic. Throws GYR_WEBSOCKET_INVALID. */
export function topicBytes(topic: string): Uint8Array {
  const bytes = typeof topic === 'string' ? Buffer.from(topic) : noBytes;
  if (bytes.length > 0 && bytes.length <= abi.TOPIC_BYTES_MAX) return bytes;
  throw invalid(`The topic ${inspect(topic)}`, `a name of 1 to ${abi.TOPIC_BYTES_MAX} bytes`);
}

export function invalid(what: string, hint: string): GyrfalconError {
  return new GyrfalconError('GYR_WEBSOCKET_INVALID', `${what} cannot be`, hint);
}

function asError(thrown: unknown): Error {
  if (types.isNativeError(thrown)) return thrown;
  return new Error(inspect(thrown, { depth: 0 }), { cause: thrown });
}
