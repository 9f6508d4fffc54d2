import type { Log } from '../core/log.ts';
import * as abi from './abi.gen.ts';
import type { PendingSocket } from './exchange.ts';
import type { Lane } from './lane.ts';
import { LanePort } from './lane_port.ts';
import { bytesOf, invalid, Socket, type SocketHost, topicBytes } from './socket.ts';
import { mannerOf, type SocketName, writePublish, writeTerminate } from './socket_record.ts';
import type { SocketHandlers, WebSocketData } from './websocket.ts';

/** Bytes of messages that wait for room in the ring to be published; above that they are dropped. */
const publishQueueMax = 4 * abi.PUBLISH_BYTES_MAX;

/** Who a message is published to but for nobody. */
const nobody: SocketName = { slot: -1, generation: 0 };

/** What is published, as bytes. Throws GYR_WEBSOCKET_INVALID, and a TypeError for what is neither text nor bytes. */
export function publishedBytes(data: WebSocketData): Uint8Array {
  const bytes = typeof data === 'string' ? Buffer.from(data) : bytesOf(data);
  if (bytes.length <= abi.PUBLISH_BYTES_MAX) return bytes;
  throw invalid(`Publishing ${bytes.length} bytes`, `at most ${abi.PUBLISH_BYTES_MAX}`);
}

interface Publication {
  readonly publisher: SocketName;
  readonly topic: Uint8Array;
  readonly manner: number;
  bytes: Uint8Array;
  at: number;
}

/** What all sockets of a thread share. */
export interface SocketOwner {
  /** What handles sockets now. */
  readonly socketHandlers: SocketHandlers;
  readonly log: Log;
}

/** A lane with the WebSockets on it. */
export class SocketPort extends LanePort implements SocketHost {
  private readonly owner: SocketOwner;
  /** By slot. */
  private readonly sockets: (Socket | null)[] = [];
  /** What found the ring full, in the order of the calls: sockets, and what is published. */
  private waiting: (Socket | Publication)[] = [];
  private publishedBytes = 0;
  private isOver = false;

  constructor(wrote: () => void, lane: Lane, owner: SocketOwner) {
    super(wrote, lane);
    this.owner = owner;
  }

  get handlers(): SocketHandlers {
    return this.owner.socketHandlers;
  }

  get log(): Log {
    return this.owner.log;
  }

  get isBehind(): boolean {
    return this.waiting.length > 0;
  }

  protected override get waits(): boolean {
    return super.waits || this.waiting.length > 0;
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
      writeTerminate(this.lane, { slot, generation }); // nobody knows of it
      this.wrote();
      return;
    }
    this.forget(exchange);
    const unsentMax = i32[(at + abi.SOCKET_OPEN_UNSENT_MAX) >> 2] as number;
    const { data, remoteAddress } = pending;
    const { protocol } = pending.parts;
    const flags = this.lane.block.u16[(at + abi.RECORD_HEADER_FLAGS) >> 1] as number;
    const isCompressed = (flags & abi.FLAG_COMPRESSED) !== 0;
    const start = {
      slot,
      generation,
      data,
      protocol,
      remoteAddress,
      unsentMax,
      isCompressed,
    };
    const socket = new Socket(this, start);
    while (this.sockets.length <= slot) this.sockets.push(null);
    this.sockets[slot] = socket;
    socket.opened();
  }

  queueSocket(socket: Socket): void {
    if (socket.queued) return;
    socket.queued = true;
    this.waiting.push(socket);
  }

  publish(
    publisher: SocketName | null,
    topic: string,
    data: WebSocketData,
    compress?: boolean,
  ): number {
    const name = topicBytes(topic);
    const isText = typeof data === 'string';
    const manner = mannerOf(isText, compress);
    const bytes = publishedBytes(data);
    if (this.isOver || this.publishedBytes + bytes.length > publishQueueMax) return 0;
    const one: Publication = { publisher: publisher ?? nobody, topic: name, manner, bytes, at: 0 };
    if (this.waiting.length === 0 && this.writePublication(one)) return bytes.length;
    if (!isText) one.bytes = Buffer.from(bytes);
    this.waiting.push(one);
    this.publishedBytes += bytes.length + abi.SOCKET_MESSAGE_COST;
    return -1;
  }

  /** False: the ring is full; what was written of it is noted in it. */
  private writePublication(one: Publication): boolean {
    const total = one.bytes.length;
    do {
      const part = one.bytes.subarray(one.at, one.at + abi.CHUNK_BYTES_MAX);
      const end = one.at + part.length;
      const flags =
        (one.at === 0 ? abi.FLAG_BEGIN : 0) | (end === total ? abi.FLAG_END : 0) | one.manner;
      if (!writePublish(this.lane, one.publisher, flags, one.topic, part, total)) return false;
      this.wrote();
      one.at = end;
    } while (one.at < total);
    return true;
  }

  /** There may be room in the ring again. */
  retrySockets(): void {
    for (let one = this.waiting[0]; one !== undefined; one = this.waiting[0]) {
      if (one instanceof Socket) {
        if (!one.resume()) return;
        this.waiting.shift();
        one.queued = false;
        one.tellDrain();
      } else {
        if (!this.writePublication(one)) return;
        this.waiting.shift();
        this.publishedBytes -= one.bytes.length + abi.SOCKET_MESSAGE_COST;
      }
    }
  }

  /** The engine has stopped: sockets that it has told nothing more of have ended. */
  endSockets(): void {
    this.isOver = true;
    for (const socket of this.sockets) socket?.ended(1006, '');
    this.sockets.length = 0;
  }
}
