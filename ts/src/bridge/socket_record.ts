import * as abi from './abi.gen.ts';
import { type Lane, recordSize } from './lane.ts';
import { writeFields, writeHeader, writeLatin1, writeUtf8 } from './response_record.ts';

/** Which socket a record is about. */
export interface SocketName {
  readonly slot: number;
  readonly generation: number;
}

/** The answer to a request that asks for a WebSocket. */
export interface UpgradeParts {
  /** Fields, each name before its value. */
  readonly fields: readonly string[];
  /** '' without. */
  readonly protocol: string;
  readonly key: string;
  /** `FLAG_ORIGIN_…`, or 0: the engine decides; and `FLAG_PLAIN`. */
  readonly flags: number;
}

/** What is said beside messages. */
export type SocketNote =
  | typeof abi.KIND_SOCKET_SEND_PING
  | typeof abi.KIND_SOCKET_SEND_PONG
  | typeof abi.KIND_SOCKET_SUBSCRIBE
  | typeof abi.KIND_SOCKET_UNSUBSCRIBE;

/** A message that is written in parts, as there is room. */
export interface Parts {
  /** Flags that each part has. */
  readonly manner: number;
  bytes: Uint8Array;
  /** How many of them are written. */
  at: number;
}

/**
 * Writes what is left of a message, by `write` a part of it. False: the ring is full; what was
 * written is noted in `message`.
 */
export function writeParts(
  message: Parts,
  write: (flags: number, part: Uint8Array, total: number) => boolean,
): boolean {
  const { bytes } = message;
  const total = bytes.length;
  do {
    // Of a small one a view would give it memory outside of V8's heap, which takes longer than all else.
    const part =
      total <= abi.CHUNK_BYTES_MAX
        ? bytes
        : bytes.subarray(message.at, message.at + abi.CHUNK_BYTES_MAX);
    const end = message.at + part.length;
    const flags =
      (message.at === 0 ? abi.FLAG_BEGIN : 0) | (end === total ? abi.FLAG_END : 0) | message.manner;
    if (!write(flags, part, total)) return false;
    message.at = end;
  } while (message.at < total);
  return true;
}

/** All of these return false when the ring is full. */
export function writeUpgrade(lane: Lane, exchange: SocketName, parts: UpgradeParts): boolean {
  const { block, responses } = lane;
  const { fields, protocol, key } = parts;
  let fieldBytes = 0;
  for (const text of fields) fieldBytes += text.length;
  const count = fields.length / 2;
  const tableBytes = count * abi.RESPONSE_FIELD_BYTES;
  const fixed = abi.SOCKET_UPGRADE_BYTES + tableBytes;
  const size = recordSize(fixed + fieldBytes + protocol.length);
  const at = responses.reserve(size);
  if (at === -1) return false;
  const kind = abi.KIND_RESPONSE_UPGRADE | (parts.flags << 16);
  writeHeader(block.i32, at, size, kind, exchange.slot, exchange.generation);
  block.u16[(at + abi.SOCKET_UPGRADE_FIELD_COUNT) >> 1] = count;
  block.u16[(at + abi.SOCKET_UPGRADE_PROTOCOL_LEN) >> 1] = protocol.length;
  block.i32[(at + abi.SOCKET_UPGRADE_FIELD_BYTES) >> 2] = fieldBytes;
  block.u8.fill(0, at + abi.SOCKET_UPGRADE_KEY, at + abi.SOCKET_UPGRADE_BYTES);
  writeLatin1(block, key.slice(0, 24), at + abi.SOCKET_UPGRADE_KEY);
  writeFields(block, fields, -1, at + abi.SOCKET_UPGRADE_BYTES, at + fixed);
  writeLatin1(block, protocol, at + fixed + fieldBytes);
  responses.commit(size);
  return true;
}

/** A text whose UTF-8 form has `length` bytes, a chunk at most. `manner`: as `mannerOf`. */
export function writeText(
  lane: Lane,
  socket: SocketName,
  manner: number,
  text: string,
  length: number,
): boolean {
  const flags = abi.FLAG_BEGIN | abi.FLAG_END | manner;
  const at = beginSend(lane, socket, flags, length, length);
  if (at === -1) return false;
  writeUtf8(lane.block, text, at + abi.SOCKET_SEND_BYTES);
  lane.responses.commit(recordSize(abi.SOCKET_SEND_BYTES + length));
  return true;
}

/** The flags of a message. It is compressed unless `compress` is false, where the socket has that. */
export function mannerOf(isText: boolean, compress: boolean | undefined): number {
  return (isText ? abi.FLAG_TEXT : 0) | (compress === false ? abi.FLAG_PLAIN : 0);
}

/** A part of a message of `total` bytes, a chunk at most. */
export function writePart(
  lane: Lane,
  socket: SocketName,
  flags: number,
  bytes: Uint8Array,
  total: number,
): boolean {
  const at = beginSend(lane, socket, flags, bytes.length, total);
  if (at === -1) return false;
  lane.block.u8.set(bytes, at + abi.SOCKET_SEND_BYTES);
  lane.responses.commit(recordSize(abi.SOCKET_SEND_BYTES + bytes.length));
  return true;
}

function beginSend(
  lane: Lane,
  { slot, generation }: SocketName,
  flags: number,
  length: number,
  total: number,
): number {
  const size = recordSize(abi.SOCKET_SEND_BYTES + length);
  const at = lane.responses.reserve(size);
  if (at === -1) return -1;
  const { i32 } = lane.block;
  writeHeader(i32, at, size, abi.KIND_SOCKET_SEND | (flags << 16), slot, generation);
  i32[(at + abi.SOCKET_SEND_LEN) >> 2] = length;
  i32[(at + abi.SOCKET_SEND_TOTAL) >> 2] = total;
  return at;
}

/** A ping, a pong, or a topic: few bytes. */
export function writeNote(
  lane: Lane,
  kind: SocketNote,
  { slot, generation }: SocketName,
  bytes: Uint8Array,
): boolean {
  const size = recordSize(abi.CHUNK_BYTES + bytes.length);
  const at = lane.responses.reserve(size);
  if (at === -1) return false;
  const { i32, u8 } = lane.block;
  writeHeader(i32, at, size, kind, slot, generation);
  i32[(at + abi.CHUNK_LEN) >> 2] = bytes.length; // a SocketTopic has its length there too
  u8.set(bytes, at + abi.CHUNK_BYTES);
  lane.responses.commit(size);
  return true;
}

export function writeClose(
  lane: Lane,
  { slot, generation }: SocketName,
  code: number,
  reason: Uint8Array,
): boolean {
  const size = recordSize(abi.SOCKET_CLOSE_BYTES + reason.length);
  const at = lane.responses.reserve(size);
  if (at === -1) return false;
  const { i32, u16, u8 } = lane.block;
  writeHeader(i32, at, size, abi.KIND_SOCKET_SEND_CLOSE, slot, generation);
  u16[(at + abi.SOCKET_CLOSE_CODE) >> 1] = code;
  u16[(at + abi.SOCKET_CLOSE_REASON_LEN) >> 1] = reason.length;
  u8.set(reason, at + abi.SOCKET_CLOSE_BYTES);
  lane.responses.commit(size);
  return true;
}

export function writeTerminate(lane: Lane, { slot, generation }: SocketName): boolean {
  const size = abi.RECORD_HEADER_BYTES;
  const at = lane.responses.reserve(size);
  if (at === -1) return false;
  writeHeader(lane.block.i32, at, size, abi.KIND_SOCKET_TERMINATE, slot, generation);
  lane.responses.commit(size);
  return true;
}

/** Lets the engine tell `bytes` more of messages. */
export function writeSocketCredit(
  lane: Lane,
  { slot, generation }: SocketName,
  bytes: number,
): boolean {
  const size = abi.CREDIT_BYTES;
  const at = lane.responses.reserve(size);
  if (at === -1) return false;
  writeHeader(lane.block.i32, at, size, abi.KIND_SOCKET_CREDIT, slot, generation);
  lane.block.i32[(at + abi.CREDIT_GRANT) >> 2] = bytes;
  lane.responses.commit(size);
  return true;
}

/** A part of a message that is published: `publisher` is left out. */
export function writePublish(
  lane: Lane,
  publisher: SocketName,
  flags: number,
  topic: Uint8Array,
  bytes: Uint8Array,
  total: number,
): boolean {
  const fixed = abi.SOCKET_PUBLISH_BYTES + topic.length;
  const size = recordSize(fixed + bytes.length);
  const at = lane.responses.reserve(size);
  if (at === -1) return false;
  const { i32, u8 } = lane.block;
  const kind = abi.KIND_SOCKET_PUBLISH | (flags << 16);
  writeHeader(i32, at, size, kind, publisher.slot, publisher.generation);
  i32[(at + abi.SOCKET_PUBLISH_LEN) >> 2] = bytes.length;
  i32[(at + abi.SOCKET_PUBLISH_TOTAL) >> 2] = total;
  i32[(at + abi.SOCKET_PUBLISH_TOPIC_LEN) >> 2] = topic.length;
  u8.set(topic, at + abi.SOCKET_PUBLISH_BYTES);
  u8.set(bytes, at + fixed);
  lane.responses.commit(size);
  return true;
}
