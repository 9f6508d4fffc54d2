import { Fifo } from '../core/fifo.ts';
import type { Log } from '../core/log.ts';
import * as abi from './abi.gen.ts';
import type { PendingSocket } from './exchange.ts';
import type { Gathering } from './gathered.ts';
import type { Lane } from './lane.ts';
import { LanePort } from './lane_port.ts';
import type { TopicCounts } from './outside.ts';
import { type Published, publishWaitingMax } from './published.ts';
import { Socket, type SocketHost, type Waiting } from './socket.ts';
import {
  type Parts,
  type SocketName,
  writeParts,
  writePublish,
  writeTerminate,
} from './socket_record.ts';
import type { SocketHandlers, WebSocketData } from './websocket.ts';

/** Who a message is published to but for nobody. */
const nobody: SocketName = { slot: -1, generation: 0 };

/** What all sockets of a thread share. */
export interface SocketOwner {
  /** What handles sockets now. */
  readonly handlers: SocketHandlers;
  readonly log: Log;
  readonly gathering: Gathering;
  readonly topics: TopicCounts | null;
  /** To all who have subscribed, but to who publishes, where that is given. */
  publish(
    topic: string,
    data: WebSocketData,
    compress?: boolean,
    from?: { port: SocketPort; publisher: SocketName | null },
  ): number;
  awaitAtStop(work: Promise<unknown>): void;
  /** Tells once that the engine has stopped, when it has: before handlers that may take their time. */
  noteStop(): void;
}

/** A lane with the WebSockets on it. */
export class SocketPort extends LanePort implements SocketHost {
  private readonly owner: SocketOwner;
  /** By slot. */
  private readonly sockets: (Socket | null)[] = [];
  /** What found the ring full, in the order of the calls. */
  private readonly waiting = new Fifo<Waiting>();
  /** Of messages that wait to be published, with what each costs. */
  private publishedBytes = 0;
  private isOver = false;

  constructor(wrote: () => void, lane: Lane, owner: SocketOwner) {
    super(wrote, lane);
    this.owner = owner;
  }

  get handlers(): SocketHandlers {
    return this.owner.handlers;
  }

  get log(): Log {
    return this.owner.log;
  }

  get gathering(): Gathering {
    return this.owner.gathering;
  }

  get topics(): TopicCounts | null {
    return this.owner.topics;
  }

  get isBehind(): boolean {
    return this.waiting.length > 0;
  }

  protected override get waits(): boolean {
    return super.waits || this.isBehind;
  }

  /** Whether this kind of record is one of sockets. */
  static takes(kind: number): boolean {
    return kind >= abi.KIND_SOCKET_OPEN && kind <= abi.KIND_SOCKET_PONG;
  }

  /** A record of the engine's, which is about a socket. */
  take(kind: number, at: number): void {
    const { block } = this.lane;
    const slot = block.i32[(at + abi.RECORD_HEADER_SLOT) >> 2] as number;
    const generation = block.i32[(at + abi.RECORD_HEADER_GENERATION) >> 2] as number;
    if (kind === abi.KIND_SOCKET_OPEN) {
      this.opened(slot, generation, at);
      return;
    }
    const socket = this.sockets[slot];
    if (socket === undefined || socket === null || socket.generation !== generation) return;
    if (kind === abi.KIND_SOCKET_MESSAGE) {
      socket.take(block, at);
    } else if (kind === abi.KIND_SOCKET_SENT) {
      socket.left(block.i32[(at + abi.CREDIT_GRANT) >> 2] as number);
    } else if (kind === abi.KIND_SOCKET_CLOSE) {
      const start = at + abi.SOCKET_CLOSE_BYTES;
      const length = block.u16[(at + abi.SOCKET_CLOSE_REASON_LEN) >> 1] as number;
      const code = block.u16[(at + abi.SOCKET_CLOSE_CODE) >> 1] as number;
      this.sockets[slot] = null;
      this.owner.noteStop();
      socket.ended(code, block.u8.toString('utf8', start, start + length));
    } else {
      socket.takeControl(block, at, kind === abi.KIND_SOCKET_PING);
    }
  }

  private opened(slot: number, generation: number, at: number): void {
    const { i32 } = this.lane.block;
    const exchange = this.find(
      i32[(at + abi.SOCKET_OPEN_EXCHANGE_SLOT) >> 2] as number,
      i32[(at + abi.SOCKET_OPEN_EXCHANGE_GENERATION) >> 2] as number,
    );
    const pending: PendingSocket | null = exchange?.upgrade ?? null;
    if (exchange === null || pending === null) {
      // Nobody knows of it.
      const write = () => writeTerminate(this.lane, { slot, generation });
      if (write()) this.wrote();
      else this.enqueue({ write, done: () => {} });
      return;
    }
    this.forget(exchange);
    const { data, remoteAddress } = pending;
    const { protocol } = pending.parts;
    const credit = i32[(at + abi.SOCKET_OPEN_CREDIT) >> 2] as number;
    const unsentMax = i32[(at + abi.SOCKET_OPEN_UNSENT_MAX) >> 2] as number;
    const flags = this.lane.block.u16[(at + abi.RECORD_HEADER_FLAGS) >> 1] as number;
    const isCompressed = (flags & abi.FLAG_COMPRESSED) !== 0;
    const client = { data, protocol, remoteAddress };
    const start = { slot, generation, ...client, credit, unsentMax, isCompressed };
    const socket = new Socket(this, start);
    while (this.sockets.length <= slot) this.sockets.push(null);
    this.sockets[slot] = socket;
    socket.opened();
  }

  enqueue(what: Waiting): void {
    this.waiting.push(what);
  }

  publish(
    publisher: SocketName | null,
    topic: string,
    data: WebSocketData,
    compress?: boolean,
  ): number {
    return this.owner.publish(topic, data, compress, { port: this, publisher });
  }

  awaitAtStop(work: Promise<unknown>): void {
    this.owner.awaitAtStop(work);
  }

  /** To the subscribers of this lane's worker, but to `publisher`. */
  publishHere(publisher: SocketName | null, message: Published): void {
    const cost = message.length + abi.SOCKET_MESSAGE_COST;
    const isTooMuch = message.isBounded && this.publishedBytes + cost > publishWaitingMax;
    if (this.isOver || isTooMuch) {
      message.dropped();
      return;
    }
    const parts: Parts = { manner: message.manner, bytes: message.bytes, at: 0 };
    const write = () => this.writePublication(publisher ?? nobody, message.topic, parts);
    if (!this.isBehind && write()) {
      message.written();
      return;
    }
    parts.bytes = message.kept();
    this.publishedBytes += cost;
    const done = () => {
      this.publishedBytes -= cost;
      message.written();
    };
    this.enqueue({ write, done });
  }

  private writePublication(publisher: SocketName, topic: Uint8Array, message: Parts): boolean {
    return writeParts(message, (flags, part, total) => {
      const isWritten = writePublish(this.lane, publisher, flags, topic, part, total);
      if (isWritten) this.wrote();
      return isWritten;
    });
  }

  /** There may be room in the ring again. */
  retrySockets(): void {
    for (let one = this.waiting.first; one !== undefined; one = this.waiting.first) {
      if (!one.write()) return;
      this.wrote();
      this.waiting.shift();
      one.done();
    }
  }

  /** The engine has stopped: sockets that it has told nothing more of have ended. */
  endSockets(): void {
    this.isOver = true;
    for (const socket of this.sockets) socket?.ended(1006, '');
    this.sockets.length = 0;
  }
}
