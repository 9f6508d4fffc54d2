import type { ResponseParts } from '../fetch/response_parts.ts';
import * as abi from './abi.gen.ts';
import type { Block, RingWriter } from './lane.ts';
import { recordSize } from './lane.ts';

// Of the module's own: compiled code has them as numbers. What is imported it loads each time, and checks.
const {
  CHUNK_BYTES,
  CHUNK_LEN,
  CONTENT_TYPES,
  CREDIT_BYTES,
  CREDIT_GRANT,
  FIELD_SECTION_BYTES,
  FIELD_SECTION_FIELD_BYTES,
  FIELD_SECTION_FIELD_COUNT,
  FIELD_SECTION_STATUS,
  FLAG_END,
  KIND_REQUEST_CREDIT,
  KIND_RESPONSE_ABORT,
  KIND_RESPONSE_CHUNK,
  KIND_RESPONSE_HEAD,
  RECORD_HEADER_BYTES,
  RESPONSE_FIELD_BYTES,
  RESPONSE_FIELD_BYTES_MAX,
  RESPONSE_FIELD_COUNT_MAX,
  RESPONSE_HEAD_BODY_LENGTH,
  RESPONSE_HEAD_BYTES,
  RESPONSE_HEAD_CONTENT_TYPE,
  RESPONSE_HEAD_FIELD_BYTES,
  RESPONSE_HEAD_FIELD_COUNT,
  RESPONSE_HEAD_INLINE_BYTES,
  RESPONSE_HEAD_STATUS,
} = abi;

type WriteMethod = (text: string, at: number, max?: number) => number;
interface NativeWrites {
  latin1Write: WriteMethod;
  utf8Write: WriteMethod;
}
const { latin1Write, utf8Write } = Buffer.prototype as unknown as NativeWrites;

/** Up to this many characters a loop is faster than a native call. */
const loopMax = 32;

const contentTypeNumbers = new Map<string, number>();
for (let i = 1; i < CONTENT_TYPES.length; i++) {
  contentTypeNumbers.set(CONTENT_TYPES[i] as string, i);
}
/** What was last found: one response is most often as the one before. Of the engine's own, or ''. */
let lastType = '';
let lastTypeNumber = 0;

/** The engine's number of a content type; 0: it has none. */
function contentTypeNumber(value: string): number {
  if (value === lastType) return lastTypeNumber;
  const number = contentTypeNumbers.get(value) ?? 0;
  if (number !== 0) {
    lastType = CONTENT_TYPES[number] as string;
    lastTypeNumber = number;
  }
  return number;
}

/** Bits that a character has which is not one byte of Latin-1, or of UTF-8. */
const beyondLatin1 = 0xff00;
const beyondAscii = 0xff80;

/** Writes characters of a byte each, four at a time; false at one that has bits of `beyond`. */
function writeShort(block: Block, text: string, at: number, beyond: number): boolean {
  const { length } = text;
  const { view, u8 } = block;
  const whole = length & ~3;
  let i = 0;
  for (; i < whole; i += 4) {
    const a = text.charCodeAt(i);
    const b = text.charCodeAt(i + 1);
    const c = text.charCodeAt(i + 2);
    const d = text.charCodeAt(i + 3);
    if (((a | b | c | d) & beyond) !== 0) return false;
    view.setInt32(at + i, a | (b << 8) | (c << 16) | (d << 24), true);
  }
  for (; i < length; i++) {
    const code = text.charCodeAt(i);
    if ((code & beyond) !== 0) return false;
    u8[at + i] = code;
  }
  return true;
}

/** Writes Latin-1 text; returns the offset behind it. */
export function writeLatin1(block: Block, text: string, at: number): number {
  const { length } = text;
  if (length > loopMax || !writeShort(block, text, at, beyondLatin1)) {
    latin1Write.call(block.u8, text, at, length);
  }
  return at + length;
}

/** Writes text as UTF-8; returns the offset behind it. */
export function writeUtf8(block: Block, text: string, at: number): number {
  const { length } = text;
  if (length <= loopMax && writeShort(block, text, at, beyondAscii)) return at + length;
  return at + utf8Write.call(block.u8, text, at, length * 3);
}

/**
 * A text that responses had, of the module's own, and its bytes: most short texts are the program's own, and come again.
 * Not what was given, which may be part of a larger text that would be kept with it.
 */
let knownText = '';
const knownWords = new Int32Array(loopMax >> 2);
/** Other texts since then. Every so many of them one takes its place. */
let otherTexts = 0;
const otherTextsMax = 64;

/**
 * As `writeUtf8`, where three bytes a character are reserved: words are copied of a text that is known, the last one
 * with up to three bytes that the next record overwrites.
 */
function writeText(block: Block, text: string, at: number): number {
  const { length } = text;
  if (length < 2 || length > loopMax) return writeUtf8(block, text, at);
  if (text === knownText) {
    const { view } = block;
    for (let i = 0; i < length; i += 4) view.setInt32(at + i, knownWords[i >> 2] as number, true);
    return at + length;
  }
  const end = writeUtf8(block, text, at);
  if (++otherTexts >= otherTextsMax && end === at + length) learn(block, at, length);
  return end;
}

/** Keeps the ASCII text that lies at `at`. */
function learn({ u8, view }: Block, at: number, length: number): void {
  otherTexts = 0;
  knownText = u8.toString('latin1', at, at + length);
  for (let i = 0; i < length; i += 4) knownWords[i >> 2] = view.getInt32(at + i, true);
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
  /** Where the field is that goes as a number. */
  let typeAt = -1;
  let fieldCount = 0;
  let fieldBytes = 0;
  let typeBytes = 0;
  for (let i = 0; i < fields.length; i += 2) {
    const name = fields[i] as string;
    const value = fields[i + 1] as string;
    if (contentType === 0 && name === 'content-type') {
      contentType = contentTypeNumber(value);
      if (contentType !== 0) {
        typeAt = i;
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
  if (lineBytes > RESPONSE_FIELD_BYTES_MAX || lineCount > RESPONSE_FIELD_COUNT_MAX) {
    if (lineBytes > block.responseFieldBytes || lineCount > RESPONSE_FIELD_COUNT_MAX) {
      return HEAD_TOO_LARGE;
    }
    if (inlineMax > 0) return HEAD_ALONE;
  }
  const { u8, u16, i32 } = block;
  const tableBytes = fieldCount * RESPONSE_FIELD_BYTES;
  const fixedBytes = RESPONSE_HEAD_BYTES + tableBytes + fieldBytes;
  const at = ring.reserve(recordSize(fixedBytes + inlineMax));
  if (at === -1) return RING_FULL;
  let to = at + RESPONSE_HEAD_BYTES + tableBytes;
  if (fieldCount > 0) to = writeFields(block, fields, typeAt, at + RESPONSE_HEAD_BYTES, to);
  const bodyAt = to;
  if (typeof inline === 'string') to = writeText(block, inline, to);
  else if (inline !== null) {
    u8.set(inline, to);
    to += inline.length;
  }
  const size = recordSize(to - at);
  const word = at >> 2;
  i32[word] = size;
  i32[word + 1] = KIND_RESPONSE_HEAD | (end ? FLAG_END << 16 : 0);
  i32[word + 2] = slot;
  i32[word + 3] = generation;
  u16[(at + RESPONSE_HEAD_STATUS) >> 1] = parts.status;
  u16[(at + RESPONSE_HEAD_FIELD_COUNT) >> 1] = fieldCount;
  i32[(at + RESPONSE_HEAD_CONTENT_TYPE) >> 2] = contentType;
  i32[(at + RESPONSE_HEAD_FIELD_BYTES) >> 2] = fieldBytes;
  i32[(at + RESPONSE_HEAD_INLINE_BYTES) >> 2] = to - bodyAt;
  const lengthWord = (at + RESPONSE_HEAD_BODY_LENGTH) >> 2;
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

/** Writes fields, but for the one at `skipped` (-1: all), and their table; returns the offset behind them. */
export function writeFields(
  block: Block,
  fields: readonly string[],
  skipped: number,
  table: number,
  start: number,
): number {
  const { u16 } = block;
  let entry = table >> 1;
  let to = start;
  for (let i = 0; i < fields.length; i += 2) {
    if (i === skipped) continue;
    const name = fields[i] as string;
    const value = fields[i + 1] as string;
    u16[entry++] = name.length;
    u16[entry++] = value.length;
    to = writeLatin1(block, name, to);
    to = writeLatin1(block, value, to);
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
  const tableBytes = count * RESPONSE_FIELD_BYTES;
  const size = recordSize(FIELD_SECTION_BYTES + tableBytes + fieldBytes);
  const at = ring.reserve(size);
  if (at === -1) return false;
  writeHeader(block.i32, at, size, kind, slot, generation);
  block.u16[(at + FIELD_SECTION_STATUS) >> 1] = status;
  block.u16[(at + FIELD_SECTION_FIELD_COUNT) >> 1] = count;
  block.i32[(at + FIELD_SECTION_FIELD_BYTES) >> 2] = fieldBytes;
  const table = at + FIELD_SECTION_BYTES;
  writeFields(block, fields, -1, table, table + tableBytes);
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
  const size = recordSize(CHUNK_BYTES + bytes.length);
  const at = ring.reserve(size);
  if (at === -1) return false;
  const { u8, i32 } = block;
  writeHeader(i32, at, size, KIND_RESPONSE_CHUNK | (end ? FLAG_END << 16 : 0), slot, generation);
  i32[(at + CHUNK_LEN) >> 2] = bytes.length;
  u8.set(bytes, at + CHUNK_BYTES);
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
  const at = ring.reserve(RECORD_HEADER_BYTES);
  if (at === -1) return false;
  writeHeader(block.i32, at, RECORD_HEADER_BYTES, KIND_RESPONSE_ABORT, slot, generation);
  ring.commit(RECORD_HEADER_BYTES);
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
  const at = ring.reserve(CREDIT_BYTES);
  if (at === -1) return false;
  writeHeader(block.i32, at, CREDIT_BYTES, KIND_REQUEST_CREDIT, slot, generation);
  block.i32[(at + CREDIT_GRANT) >> 2] = bytes;
  ring.commit(CREDIT_BYTES);
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
