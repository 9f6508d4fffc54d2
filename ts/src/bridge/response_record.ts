import type { ResponseParts } from '../fetch/response_parts.ts';
import * as abi from './abi.gen.ts';
import type { Block, RingWriter } from './lane.ts';
import { recordSize } from './lane.ts';

type WriteMethod = (text: string, at: number, max?: number) => number;
interface NativeWrites {
  latin1Write: WriteMethod;
  utf8Write: WriteMethod;
}
const { latin1Write, utf8Write } = Buffer.prototype as unknown as NativeWrites;

/** Below this many characters a loop is faster than a native call. */
const loopMax = 40;

const contentTypeNumbers = new Map<string, number>();
for (let i = 1; i < abi.CONTENT_TYPES.length; i++) {
  contentTypeNumbers.set(abi.CONTENT_TYPES[i] as string, i);
}

/** Writes Latin-1 text; returns the offset behind it. */
export function writeLatin1(u8: Buffer, text: string, at: number): number {
  const { length } = text;
  if (length > loopMax) {
    latin1Write.call(u8, text, at, length);
    return at + length;
  }
  for (let i = 0; i < length; i++) u8[at + i] = text.charCodeAt(i);
  return at + length;
}

/** Writes text as UTF-8; returns the offset behind it. */
export function writeUtf8(u8: Buffer, text: string, at: number): number {
  const { length } = text;
  if (length > loopMax) return at + utf8Write.call(u8, text, at, length * 3);
  for (let i = 0; i < length; i++) {
    const code = text.charCodeAt(i);
    if (code > 0x7f) return at + utf8Write.call(u8, text, at, length * 3);
    u8[at + i] = code;
  }
  return at + length;
}

/** ": " and CRLF of a field line, bytes. */
const lineExtra = 4;

/** What `writeHead` found. */
export const WRITTEN = 0;
export const RING_FULL = 1;
export const HEAD_TOO_LARGE = 2;
/** The head fits a record by itself alone: no part of the body may go along. */
export const HEAD_ALONE = 3;

/**
 * Writes the head of a response, with all of its body or the first part of it. `inline` is text
 * only when its UTF-8 form surely fits; `length` is null when the body's length is not known.
 */
export function writeHead(
  block: Block,
  ring: RingWriter,
  slot: number,
  generation: number,
  parts: ResponseParts,
  inline: string | Uint8Array | null,
  length: number | null,
  end: boolean,
): number {
  const { fields } = parts;
  let contentType = 0;
  let fieldCount = 0;
  let fieldBytes = 0;
  let typeBytes = 0;
  for (let i = 0; i < fields.length; i += 2) {
    const name = fields[i] as string;
    const value = fields[i + 1] as string;
    if (contentType === 0 && name === 'content-type') {
      contentType = contentTypeNumbers.get(value) ?? 0;
      if (contentType !== 0) {
        typeBytes = name.length + value.length + lineExtra;
        continue;
      }
    }
    fieldCount++;
    fieldBytes += name.length + value.length;
  }
  // The engine has room for the lines that it makes of them.
  const lineBytes = fieldBytes + fieldCount * lineExtra + typeBytes;
  const lineCount = fieldCount + (contentType === 0 ? 0 : 1);
  const inlineMax =
    inline === null ? 0 : typeof inline === 'string' ? inline.length * 3 : inline.length;
  if (lineBytes > abi.RESPONSE_FIELD_BYTES_MAX || lineCount > abi.RESPONSE_FIELD_COUNT_MAX) {
    if (lineBytes > block.responseFieldBytes || lineCount > abi.RESPONSE_FIELD_COUNT_MAX) {
      return HEAD_TOO_LARGE;
    }
    if (inlineMax > 0) return HEAD_ALONE;
  }
  const { u8, u16, i32 } = block;
  const tableBytes = fieldCount * abi.RESPONSE_FIELD_BYTES;
  const fixedBytes = abi.RESPONSE_HEAD_BYTES + tableBytes + fieldBytes;
  const at = ring.reserve(recordSize(fixedBytes + inlineMax));
  if (at === -1) return RING_FULL;
  let to = at + abi.RESPONSE_HEAD_BYTES + tableBytes;
  if (fieldCount > 0)
    to = writeFields(block, fields, contentType !== 0, at + abi.RESPONSE_HEAD_BYTES, to);
  const bodyAt = to;
  if (typeof inline === 'string') to = writeUtf8(u8, inline, to);
  else if (inline !== null) {
    u8.set(inline, to);
    to += inline.length;
  }
  const size = recordSize(to - at);
  const word = at >> 2;
  i32[word] = size;
  i32[word + 1] = abi.KIND_RESPONSE_HEAD | (end ? abi.FLAG_END << 16 : 0);
  i32[word + 2] = slot;
  i32[word + 3] = generation;
  u16[(at + abi.RESPONSE_HEAD_STATUS) >> 1] = parts.status;
  u16[(at + abi.RESPONSE_HEAD_FIELD_COUNT) >> 1] = fieldCount;
  i32[(at + abi.RESPONSE_HEAD_CONTENT_TYPE) >> 2] = contentType;
  i32[(at + abi.RESPONSE_HEAD_FIELD_BYTES) >> 2] = fieldBytes;
  i32[(at + abi.RESPONSE_HEAD_INLINE_BYTES) >> 2] = to - bodyAt;
  const lengthWord = (at + abi.RESPONSE_HEAD_BODY_LENGTH) >> 2;
  if (length === null) {
    i32[lengthWord] = -1;
    i32[lengthWord + 1] = -1;
  } else {
    i32[lengthWord] = length | 0;
    i32[lengthWord + 1] = length > 0x7fff_ffff ? Math.floor(length / 0x1_0000_0000) : 0;
  }
  ring.commit(size);
  return WRITTEN;
}

export function writeFields(
  block: Block,
  fields: readonly string[],
  typeIsNumber: boolean,
  table: number,
  start: number,
): number {
  const { u8, u16 } = block;
  let skip = typeIsNumber;
  let entry = table >> 1;
  let to = start;
  for (let i = 0; i < fields.length; i += 2) {
    const name = fields[i] as string;
    const value = fields[i + 1] as string;
    if (skip && name === 'content-type' && contentTypeNumbers.has(value)) {
      skip = false;
      continue;
    }
    u16[entry++] = name.length;
    u16[entry++] = value.length;
    to = writeLatin1(u8, name, to);
    to = writeLatin1(u8, value, to);
  }
  return to;
}

/** Kinds of records that are fields by themselves. */
export type FieldSectionKind =
  | typeof abi.KIND_RESPONSE_TRAILERS
  | typeof abi.KIND_RESPONSE_INTERIM
  | typeof abi.KIND_RESPONSE_PUSH;

/**
 * Writes the trailers that end a body, or an interim response. The caller has seen to it that the
 * fields fit. False when the ring is full.
 */
export function writeFieldSection(
  block: Block,
  ring: RingWriter,
  slot: number,
  generation: number,
  kind: FieldSectionKind,
  status: number,
  fields: readonly string[],
): boolean {
  let fieldBytes = 0;
  for (const text of fields) fieldBytes += text.length;
  const count = fields.length / 2;
  const tableBytes = count * abi.RESPONSE_FIELD_BYTES;
  const size = recordSize(abi.FIELD_SECTION_BYTES + tableBytes + fieldBytes);
  const at = ring.reserve(size);
  if (at === -1) return false;
  writeHeader(block.i32, at, size, kind, slot, generation);
  block.u16[(at + abi.FIELD_SECTION_STATUS) >> 1] = status;
  block.u16[(at + abi.FIELD_SECTION_FIELD_COUNT) >> 1] = count;
  block.i32[(at + abi.FIELD_SECTION_FIELD_BYTES) >> 2] = fieldBytes;
  const table = at + abi.FIELD_SECTION_BYTES;
  writeFields(block, fields, false, table, table + tableBytes);
  ring.commit(size);
  return true;
}

/** Writes a part of a body, one chunk at most. False when the ring is full. */
export function writeChunk(
  block: Block,
  ring: RingWriter,
  slot: number,
  generation: number,
  bytes: Uint8Array,
  end: boolean,
): boolean {
  const size = recordSize(abi.CHUNK_BYTES + bytes.length);
  const at = ring.reserve(size);
  if (at === -1) return false;
  const { u8, i32 } = block;
  writeHeader(
    i32,
    at,
    size,
    abi.KIND_RESPONSE_CHUNK | (end ? abi.FLAG_END << 16 : 0),
    slot,
    generation,
  );
  i32[(at + abi.CHUNK_LEN) >> 2] = bytes.length;
  u8.set(bytes, at + abi.CHUNK_BYTES);
  ring.commit(size);
  return true;
}

/** Writes a record of the header alone. False when the ring is full. */
export function writeAbort(
  block: Block,
  ring: RingWriter,
  slot: number,
  generation: number,
): boolean {
  const at = ring.reserve(abi.RECORD_HEADER_BYTES);
  if (at === -1) return false;
  writeHeader(block.i32, at, abi.RECORD_HEADER_BYTES, abi.KIND_RESPONSE_ABORT, slot, generation);
  ring.commit(abi.RECORD_HEADER_BYTES);
  return true;
}

/** Grants `bytes` more of a request body. False when the ring is full. */
export function writeCredit(
  block: Block,
  ring: RingWriter,
  slot: number,
  generation: number,
  bytes: number,
): boolean {
  const at = ring.reserve(abi.CREDIT_BYTES);
  if (at === -1) return false;
  writeHeader(block.i32, at, abi.CREDIT_BYTES, abi.KIND_REQUEST_CREDIT, slot, generation);
  block.i32[(at + abi.CREDIT_GRANT) >> 2] = bytes;
  ring.commit(abi.CREDIT_BYTES);
  return true;
}

export function writeHeader(
  i32: Int32Array,
  at: number,
  size: number,
  kindAndFlags: number,
  slot: number,
  generation: number,
): void {
  const word = at >> 2;
  i32[word] = size;
  i32[word + 1] = kindAndFlags;
  i32[word + 2] = slot;
  i32[word + 3] = generation;
}
