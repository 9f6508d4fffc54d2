/** The engine's end of the lanes, in JavaScript, over an ordinary ArrayBuffer: for tests of the other end. */
import * as abi from '../../ts/src/bridge/abi.gen.ts';
import type { Doorbell } from '../../ts/src/bridge/doorbell.ts';
import { Block, RingReader, RingWriter, recordSize } from '../../ts/src/bridge/lane.ts';

/** What a test says of a request. */
export interface MirrorRequest {
  route?: number;
  method?: string;
  target?: string;
  fields?: [string, string][];
  /** Text of the pattern's parameters; each must occur in the target. */
  params?: string[];
  /** A whole body that goes along with the head. */
  body?: string | Uint8Array;
  /** A body that is to follow in chunks: its length, or null when it is not known. */
  bodyLength?: number | null;
  slot?: number;
  generation?: number;
  peer?: { family: 4 | 6; bytes: number[]; port: number };
  /** @default 1 */
  minor?: 0 | 1;
  /** Trailers follow the body that goes along with the head. */
  trailers?: true;
  /** It asks for a WebSocket. */
  upgrade?: true;
}

/** A record that JavaScript has written. */
export interface MirrorAnswer {
  kind: number;
  end: boolean;
  slot: number;
  generation: number;
  /** Of a head or an interim response. */
  status: number;
  contentType: string;
  fields: [string, string][];
  /** Announced; -1: not known. */
  length: number;
  /** Of a head, a chunk, or what is said to a socket. */
  body: Buffer;
  /** Of a credit. */
  grant: number;
  /** As the record has them. */
  flags: number;
  /** Of an upgrade, or what is published. */
  name: string;
}

/** A doorbell that the test rings. */
export class MirrorDoorbell implements Doorbell {
  ring: () => void = () => {};
  /** How often the worker was woken. */
  wakes = 0;
  closed = false;

  open(ring: () => void): void {
    this.ring = ring;
  }
  wake(): void {
    this.wakes += 1;
  }
  close(): void {
    this.closed = true;
  }
  ref(): void {}
  unref(): void {}
}

/** One JS thread, and one worker that says something; others can be listened to. */
export class EngineMirror {
  readonly block: Block;
  readonly requests: RingWriter;
  readonly responses: RingReader;
  readonly ringBytes: number;
  readonly #all: RingReader[] = [];
  #slot = 0;

  constructor(ringBytes = 64 * 1024, creditBytes = 64 * 1024, workerCount = 1) {
    const workers = abi.BLOCK_HEADER_BYTES;
    const threads = workers + workerCount * abi.WORKER_LINE_BYTES;
    const lanes = threads + abi.THREAD_LINE_BYTES;
    const stride = abi.LANE_CONTROL_BYTES + 2 * ringBytes;
    const memory = new Uint8Array(lanes + workerCount * stride);
    const words = new Int32Array(memory.buffer);
    const header: [number, number][] = [
      [abi.BLOCK_HEADER_MAGIC, abi.MAGIC],
      [abi.BLOCK_HEADER_VERSION, abi.VERSION],
      [abi.BLOCK_HEADER_WORKER_COUNT, workerCount],
      [abi.BLOCK_HEADER_THREAD_COUNT, 1],
      [abi.BLOCK_HEADER_RING_BYTES, ringBytes],
      [abi.BLOCK_HEADER_CREDIT_BYTES, creditBytes],
      [abi.BLOCK_HEADER_RESPONSE_FIELD_BYTES, abi.RESPONSE_FIELD_BYTES_MAX],
      [abi.BLOCK_HEADER_LANE_STRIDE, stride],
      [abi.BLOCK_HEADER_LANES_OFFSET, lanes],
      [abi.BLOCK_HEADER_WORKERS_OFFSET, workers],
      [abi.BLOCK_HEADER_THREADS_OFFSET, threads],
    ];
    for (const [offset, value] of header) words[offset >> 2] = value;
    this.ringBytes = ringBytes;
    this.block = new Block(memory);
    const at = lanes;
    const ring = at + abi.LANE_CONTROL_BYTES;
    this.requests = new RingWriter(
      this.block,
      ring,
      at + abi.LANE_CONTROL_REQUEST_TAIL,
      at + abi.LANE_CONTROL_REQUEST_HEAD,
      at + abi.LANE_CONTROL_REQUEST_WANTED,
    );
    for (let worker = 0; worker < workerCount; worker++) {
      const its = this.block.laneOffset(worker, 0);
      const responses = new RingReader(
        this.block,
        its + abi.LANE_CONTROL_BYTES + ringBytes,
        its + abi.LANE_CONTROL_RESPONSE_TAIL,
        its + abi.LANE_CONTROL_RESPONSE_HEAD,
      );
      this.#all.push(responses);
    }
    this.responses = this.#all[0] as RingReader;
  }

  /** The word at a control offset of the lane. */
  control(offset: number): number {
    return Atomics.load(this.block.i32, (this.block.laneOffset(0, 0) + offset) >> 2);
  }

  /** Whether the JS thread says that it sleeps. */
  get threadAsleep(): boolean {
    return Atomics.load(this.block.i32, this.block.threadOffset(0) >> 2) === 1;
  }

  set workerAsleep(asleep: boolean) {
    Atomics.store(this.block.i32, this.block.workerOffset(0) >> 2, asleep ? 1 : 0);
  }

  stop(): void {
    Atomics.or(this.block.i32, abi.BLOCK_HEADER_STATE >> 2, abi.STATE_STOPPED);
  }

  loseListener(): void {
    Atomics.add(this.block.i32, abi.BLOCK_HEADER_STATE >> 2, 2 * abi.STATE_STOPPED);
  }

  /** Writes and publishes a request; false when the ring is full. */
  request(given: MirrorRequest = {}): { slot: number; generation: number } | null {
    const slot = given.slot ?? this.#slot++;
    const generation = given.generation ?? 1;
    const method = given.method ?? 'GET';
    const target = given.target ?? '/';
    const fields = given.fields ?? [['Host', 'example.test']];
    let head = `${method} ${target} HTTP/1.1\r\n`;
    const spans: number[] = [];
    for (const [name, value] of fields) {
      const at = head.length;
      spans.push(at, name.length, at + name.length + 2, value.length);
      head += `${name}: ${value}\r\n`;
    }
    head += '\r\n';
    const inline = given.bodyLength === undefined ? Buffer.from(given.body ?? '') : Buffer.alloc(0);
    const params = given.params ?? [];
    const tables = params.length * abi.SPAN_BYTES + fields.length * abi.FIELD_SPAN_BYTES;
    const size = recordSize(abi.REQUEST_HEAD_BYTES + tables + head.length + inline.length);
    const at = this.requests.reserve(size);
    if (at === -1) return null;
    const { u8, u16, i32 } = this.block;
    u8.fill(0, at, at + size);
    const whole = given.bodyLength === undefined;
    const flags = whole && !given.trailers ? abi.FLAG_END : 0;
    this.#header(at, size, abi.KIND_REQUEST_HEAD, flags, slot, generation);
    const length = whole ? inline.length : (given.bodyLength ?? -1);
    i32[(at + abi.REQUEST_HEAD_BODY_LENGTH) >> 2] = length;
    i32[((at + abi.REQUEST_HEAD_BODY_LENGTH) >> 2) + 1] = length === -1 ? -1 : 0;
    i32[(at + abi.REQUEST_HEAD_ROUTE) >> 2] = given.route ?? 0;
    const code = abi.METHODS.indexOf(method);
    u8[at + abi.REQUEST_HEAD_METHOD] = code === -1 ? 255 : code;
    u8[at + abi.REQUEST_HEAD_VERSION] = given.minor ?? 1;
    u16[(at + abi.REQUEST_HEAD_FIELD_COUNT) >> 1] = fields.length;
    u8[at + abi.REQUEST_HEAD_PARAM_COUNT] = params.length;
    i32[(at + abi.REQUEST_HEAD_HEAD_BYTES) >> 2] = head.length;
    u16[(at + abi.REQUEST_HEAD_RAW_TARGET_LEN) >> 1] = 0;
    u16[(at + abi.REQUEST_HEAD_UPGRADE) >> 1] = given.upgrade ? 1 : 0;
    i32[(at + abi.REQUEST_HEAD_INLINE_BYTES) >> 2] = inline.length;
    this.#peer(at, given.peer);
    const host = fields.findIndex(([name]) => name.toLowerCase() === 'host');
    const targetAt = method.length + 1;
    this.#span(at + abi.REQUEST_HEAD_METHOD_TEXT, 0, method.length);
    this.#span(at + abi.REQUEST_HEAD_TARGET, targetAt, target.length);
    const pathLength = /^[^?]*/.exec(target)?.[0].length as number;
    this.#span(at + abi.REQUEST_HEAD_PATH, targetAt, pathLength);
    const queryLength = Math.max(0, target.length - pathLength - 1);
    this.#span(at + abi.REQUEST_HEAD_QUERY, targetAt + pathLength + 1, queryLength);
    if (host !== -1) {
      const [offset, hostLength] = spans.slice(host * 4 + 2) as [number, number];
      this.#span(at + abi.REQUEST_HEAD_AUTHORITY, offset, hostLength);
    }
    let to = at + abi.REQUEST_HEAD_BYTES;
    for (const param of params) {
      this.#span(to, targetAt + target.indexOf(param), param.length);
      to += abi.SPAN_BYTES;
    }
    for (const value of spans) {
      u16[to >> 1] = value;
      to += 2;
    }
    u8.write(head, to, 'latin1');
    u8.set(inline, to + head.length);
    this.requests.commit(size);
    this.requests.publish();
    return { slot, generation };
  }

  /** Writes and publishes a part of a request body. */
  chunk(slot: number, text: string | Uint8Array, end: boolean, generation = 1): boolean {
    const bytes = Buffer.from(text as string);
    const size = recordSize(abi.CHUNK_BYTES + bytes.length);
    const at = this.requests.reserve(size);
    if (at === -1) return false;
    this.#header(at, size, abi.KIND_REQUEST_CHUNK, end ? abi.FLAG_END : 0, slot, generation);
    this.block.i32[(at + abi.CHUNK_LEN) >> 2] = bytes.length;
    this.block.u8.set(bytes, at + abi.CHUNK_BYTES);
    this.requests.commit(size);
    this.requests.publish();
    return true;
  }

  /** Writes and publishes the trailers that end a request body. */
  trailers(slot: number, fields: [string, string][], generation = 1): boolean {
    let lines = '';
    const spans: number[] = [];
    for (const [name, value] of fields) {
      const { length } = lines;
      spans.push(length, name.length, length + name.length + 2, value.length);
      lines += `${name}: ${value}\r\n`;
    }
    const tableBytes = spans.length * 2;
    const size = recordSize(abi.REQUEST_TRAILERS_BYTES + tableBytes + lines.length);
    const at = this.requests.reserve(size);
    if (at === -1) return false;
    this.#header(at, size, abi.KIND_REQUEST_TRAILERS, abi.FLAG_END, slot, generation);
    this.block.u16[(at + abi.REQUEST_TRAILERS_FIELD_COUNT) >> 1] = fields.length;
    this.block.i32[(at + abi.REQUEST_TRAILERS_LINE_BYTES) >> 2] = lines.length;
    const table = at + abi.REQUEST_TRAILERS_BYTES;
    for (const [i, value] of spans.entries()) this.block.u16[(table >> 1) + i] = value;
    this.block.u8.write(lines, table + tableBytes, 'latin1');
    this.requests.commit(size);
    this.requests.publish();
    return true;
  }

  /** Writes and publishes that a message was refused. */
  protocolError(given: {
    code: number;
    status: number;
    dropped?: number;
    peer?: NonNullable<MirrorRequest['peer']>;
  }): void {
    const at = this.requests.reserve(abi.PROTOCOL_ERROR_BYTES);
    const { u8, u16, i32 } = this.block;
    u8.fill(0, at, at + abi.PROTOCOL_ERROR_BYTES);
    this.#header(at, abi.PROTOCOL_ERROR_BYTES, abi.KIND_PROTOCOL_ERROR, 0, 0, 0);
    u16[(at + abi.PROTOCOL_ERROR_CODE) >> 1] = given.code;
    u16[(at + abi.PROTOCOL_ERROR_STATUS) >> 1] = given.status;
    i32[(at + abi.PROTOCOL_ERROR_DROPPED) >> 2] = given.dropped ?? 0;
    if (given.peer !== undefined) {
      u8[at + abi.PROTOCOL_ERROR_PEER_FAMILY] = given.peer.family;
      u16[(at + abi.PROTOCOL_ERROR_PEER_PORT) >> 1] = given.peer.port;
      u8.set(given.peer.bytes, at + abi.PROTOCOL_ERROR_PEER_ADDRESS);
    }
    this.requests.commit(abi.PROTOCOL_ERROR_BYTES);
    this.requests.publish();
  }

  /** Writes and publishes a record of the header alone. */
  note(kind: number, slot: number, generation = 1): void {
    const at = this.requests.reserve(abi.RECORD_HEADER_BYTES);
    this.#header(at, abi.RECORD_HEADER_BYTES, kind, 0, slot, generation);
    this.requests.commit(abi.RECORD_HEADER_BYTES);
    this.requests.publish();
  }

  /** Grants more bytes of a response body. */
  credit(slot: number, grant: number, generation = 1): void {
    const at = this.requests.reserve(abi.CREDIT_BYTES);
    this.#header(at, abi.CREDIT_BYTES, abi.KIND_RESPONSE_CREDIT, 0, slot, generation);
    this.block.i32[(at + abi.CREDIT_GRANT) >> 2] = grant;
    this.requests.commit(abi.CREDIT_BYTES);
    this.requests.publish();
  }

  /** Takes everything that JavaScript has published for a worker, or `most` records of it. */
  answers(worker = 0, most = Number.POSITIVE_INFINITY): MirrorAnswer[] {
    const responses = this.#all[worker] as RingReader;
    const taken: MirrorAnswer[] = [];
    while (taken.length < most) {
      const at = responses.peek();
      if (at === -1) break;
      taken.push(this.#answer(at));
      responses.advance(this.block.i32[at >> 2] as number);
    }
    responses.release();
    return taken;
  }

  #answer(at: number): MirrorAnswer {
    const { u16, i32 } = this.block;
    const kind = u16[(at + abi.RECORD_HEADER_KIND) >> 1] as number;
    const answer: MirrorAnswer = {
      kind,
      end: u16[(at + abi.RECORD_HEADER_FLAGS) >> 1] === abi.FLAG_END,
      flags: u16[(at + abi.RECORD_HEADER_FLAGS) >> 1] as number,
      name: '',
      slot: i32[(at + abi.RECORD_HEADER_SLOT) >> 2] as number,
      generation: i32[(at + abi.RECORD_HEADER_GENERATION) >> 2] as number,
      status: 0,
      contentType: '',
      fields: [],
      length: 0,
      body: Buffer.alloc(0),
      grant: 0,
    };
    if (kind === abi.KIND_RESPONSE_HEAD) this.#head(at, answer);
    if (kind === abi.KIND_RESPONSE_TRAILERS || kind === abi.KIND_RESPONSE_INTERIM) {
      this.#section(at, answer);
    }
    if (kind === abi.KIND_RESPONSE_CHUNK) {
      answer.body = this.#copy(at + abi.CHUNK_BYTES, i32[(at + abi.CHUNK_LEN) >> 2] as number);
    }
    if (kind >= abi.KIND_RESPONSE_UPGRADE) this.#ofSocket(at, kind, answer);
    if (kind === abi.KIND_REQUEST_CREDIT || kind === abi.KIND_SOCKET_CREDIT) {
      answer.grant = i32[(at + abi.CREDIT_GRANT) >> 2] as number;
    }
    return answer;
  }

  #ofSocket(at: number, kind: number, answer: MirrorAnswer): void {
    const { u16, i32 } = this.block;
    const length = i32[(at + abi.CHUNK_LEN) >> 2] as number; // most have it there
    if (kind === abi.KIND_RESPONSE_UPGRADE) {
      const count = u16[(at + abi.SOCKET_UPGRADE_FIELD_COUNT) >> 1] as number;
      const from = this.#fields(at + abi.SOCKET_UPGRADE_BYTES, count, answer);
      const nameLength = u16[(at + abi.SOCKET_UPGRADE_PROTOCOL_LEN) >> 1] as number;
      answer.name = this.#copy(from, nameLength).toString();
      answer.body = this.#copy(at + abi.SOCKET_UPGRADE_KEY, 24);
    } else if (kind === abi.KIND_SOCKET_SEND_CLOSE) {
      answer.status = u16[(at + abi.SOCKET_CLOSE_CODE) >> 1] as number;
      const reasonLength = u16[(at + abi.SOCKET_CLOSE_REASON_LEN) >> 1] as number;
      answer.body = this.#copy(at + abi.SOCKET_CLOSE_BYTES, reasonLength);
    } else if (kind === abi.KIND_SOCKET_PUBLISH) {
      const nameLength = i32[(at + abi.SOCKET_PUBLISH_TOPIC_LEN) >> 2] as number;
      answer.name = this.#copy(at + abi.SOCKET_PUBLISH_BYTES, nameLength).toString();
      answer.body = this.#copy(at + abi.SOCKET_PUBLISH_BYTES + nameLength, length);
    } else if (kind !== abi.KIND_SOCKET_TERMINATE && kind !== abi.KIND_SOCKET_CREDIT) {
      const isSend = kind === abi.KIND_SOCKET_SEND;
      answer.body = this.#copy(at + (isSend ? abi.SOCKET_SEND_BYTES : abi.CHUNK_BYTES), length);
    }
  }

  /** Writes and publishes that an exchange has become a socket. */
  socketOpen(
    slot: number,
    exchange: { slot: number; generation: number },
    unsentMax: number,
  ): void {
    const at = this.requests.reserve(abi.SOCKET_OPEN_BYTES);
    const { i32 } = this.block;
    this.#header(at, abi.SOCKET_OPEN_BYTES, abi.KIND_SOCKET_OPEN, 0, slot, 1);
    i32[(at + abi.SOCKET_OPEN_EXCHANGE_SLOT) >> 2] = exchange.slot;
    i32[(at + abi.SOCKET_OPEN_EXCHANGE_GENERATION) >> 2] = exchange.generation;
    i32[(at + abi.SOCKET_OPEN_CREDIT) >> 2] = this.block.creditBytes;
    i32[(at + abi.SOCKET_OPEN_UNSENT_MAX) >> 2] = unsentMax;
    this.requests.commit(abi.SOCKET_OPEN_BYTES);
    this.requests.publish();
  }

  /** Writes and publishes a part of a message, a ping or a pong. */
  socketBytes(kind: number, slot: number, flags: number, text: string | Uint8Array): void {
    const bytes = Buffer.from(text as string);
    const size = recordSize(abi.CHUNK_BYTES + bytes.length);
    const at = this.requests.reserve(size);
    this.#header(at, size, kind, flags, slot, 1);
    this.block.i32[(at + abi.CHUNK_LEN) >> 2] = bytes.length;
    this.block.u8.set(bytes, at + abi.CHUNK_BYTES);
    this.requests.commit(size);
    this.requests.publish();
  }

  /** Writes and publishes that so much has left. */
  socketSent(slot: number, bytes: number): void {
    const at = this.requests.reserve(abi.CREDIT_BYTES);
    this.#header(at, abi.CREDIT_BYTES, abi.KIND_SOCKET_SENT, 0, slot, 1);
    this.block.i32[(at + abi.CREDIT_GRANT) >> 2] = bytes;
    this.requests.commit(abi.CREDIT_BYTES);
    this.requests.publish();
  }

  /** Writes and publishes the end of a socket. */
  socketClose(slot: number, code: number, reason = ''): void {
    const bytes = Buffer.from(reason);
    const size = recordSize(abi.SOCKET_CLOSE_BYTES + bytes.length);
    const at = this.requests.reserve(size);
    this.#header(at, size, abi.KIND_SOCKET_CLOSE, 0, slot, 1);
    this.block.u16[(at + abi.SOCKET_CLOSE_CODE) >> 1] = code;
    this.block.u16[(at + abi.SOCKET_CLOSE_REASON_LEN) >> 1] = bytes.length;
    this.block.u8.set(bytes, at + abi.SOCKET_CLOSE_BYTES);
    this.requests.commit(size);
    this.requests.publish();
  }

  #head(at: number, answer: MirrorAnswer): void {
    const { u8, u16, i32 } = this.block;
    answer.status = u16[(at + abi.RESPONSE_HEAD_STATUS) >> 1] as number;
    const type = u8[at + abi.RESPONSE_HEAD_CONTENT_TYPE] as number;
    answer.contentType = type === 0 ? '' : (abi.CONTENT_TYPES[type] as string);
    answer.length = i32[(at + abi.RESPONSE_HEAD_BODY_LENGTH) >> 2] as number;
    const count = u16[(at + abi.RESPONSE_HEAD_FIELD_COUNT) >> 1] as number;
    const from = this.#fields(at + abi.RESPONSE_HEAD_BYTES, count, answer);
    answer.body = this.#copy(from, i32[(at + abi.RESPONSE_HEAD_INLINE_BYTES) >> 2] as number);
  }

  #section(at: number, answer: MirrorAnswer): void {
    answer.status = this.block.u16[(at + abi.FIELD_SECTION_STATUS) >> 1] as number;
    const count = this.block.u16[(at + abi.FIELD_SECTION_FIELD_COUNT) >> 1] as number;
    this.#fields(at + abi.FIELD_SECTION_BYTES, count, answer);
  }

  /** Reads the fields whose table is at `at`; returns the offset behind them. */
  #fields(at: number, count: number, answer: MirrorAnswer): number {
    let table = at >> 1;
    let from = at + count * abi.RESPONSE_FIELD_BYTES;
    for (let i = 0; i < count; i++) {
      const name = this.#copy(from, this.block.u16[table++] as number);
      const value = this.#copy(from + name.length, this.block.u16[table++] as number);
      answer.fields.push([name.toString('latin1'), value.toString('latin1')]);
      from += name.length + value.length;
    }
    return from;
  }

  #copy(at: number, length: number): Buffer {
    return Buffer.from(this.block.u8.subarray(at, at + length));
  }

  #header(
    at: number,
    size: number,
    kind: number,
    flags: number,
    slot: number,
    generation: number,
  ): void {
    const { i32 } = this.block;
    i32[at >> 2] = size;
    i32[(at >> 2) + 1] = kind | (flags << 16);
    i32[(at >> 2) + 2] = slot;
    i32[(at >> 2) + 3] = generation;
  }

  #span(at: number, offset: number, length: number): void {
    this.block.u16[at >> 1] = offset;
    this.block.u16[(at >> 1) + 1] = length;
  }

  #peer(at: number, peer: MirrorRequest['peer']): void {
    if (peer === undefined) return;
    this.block.u8[at + abi.REQUEST_HEAD_PEER_FAMILY] = peer.family;
    this.block.u16[(at + abi.REQUEST_HEAD_PEER_PORT) >> 1] = peer.port;
    this.block.u8.set(peer.bytes, at + abi.REQUEST_HEAD_PEER_ADDRESS);
  }
}
