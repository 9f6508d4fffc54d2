import { types } from 'node:util';
import { allocOutside } from '../core/young.ts';

const encoder = new TextEncoder();
export const noBytes = new Uint8Array(0);

/** The bytes of a view or a buffer, shared with it; null for what is neither. */
export function viewBytes(value: unknown): Uint8Array | null {
  if (value instanceof Uint8Array) return value;
  if (ArrayBuffer.isView(value)) {
    return new Uint8Array(value.buffer, value.byteOffset, value.byteLength);
  }
  return types.isAnyArrayBuffer(value) ? new Uint8Array(value) : null;
}

/**
 * Makes bytes of what a stream or an iterable gives: bytes as they are, text as UTF-8. A pair of
 * surrogates that two chunks share is put together, as TextEncoderStream does.
 */
export class ChunkEncoder {
  /** The first half of a pair that the last chunk ended with, or ''. */
  private half = '';

  /** Shares the chunk's memory where it is bytes. Throws a TypeError when it is no bytes, no text. */
  encode(chunk: unknown): Uint8Array {
    if (typeof chunk === 'string') return this.encodeText(chunk);
    const bytes = viewBytes(chunk);
    if (bytes === null) throw new TypeError('Body: a stream must give bytes or text');
    if (this.half === '') return bytes;
    return Buffer.concat([this.end(), bytes]);
  }

  /** What is left when the source has ended. */
  end(): Uint8Array {
    if (this.half === '') return noBytes;
    const rest = encoder.encode(this.half);
    this.half = '';
    return rest;
  }

  private encodeText(chunk: string): Uint8Array {
    const text = this.half === '' ? chunk : this.half + chunk;
    const last = text.charCodeAt(text.length - 1);
    if (last >= 0xd800 && last <= 0xdbff) {
      this.half = text.slice(-1);
      return encoder.encode(text.slice(0, -1));
    }
    this.half = '';
    return encoder.encode(text);
  }
}

/** From so many bytes on it costs more to fill memory with zeros than to have it from a Buffer. */
const unfilledBytes = 2048;

/** Memory of its own that is about to be written whole: what is in it is not defined. */
export function unfilled(length: number): Uint8Array<ArrayBuffer> {
  if (length < unfilledBytes) return new Uint8Array(length);
  return new Uint8Array(allocOutside(length).buffer);
}

/** Pieces of fewer bytes are put together: each takes some hundred bytes besides its own. */
const smallBytes = 512;
/** To a piece of so many bytes nothing is added any more. */
const gatheredBytes = 16 * 1024;

/** Bytes as they come, in order. The memory it takes has to do with their number, not with that of the pieces. */
export class Gathered {
  readonly pieces: Uint8Array[] = [];
  /** Memory of the last piece and of what may be added to it, where it is of this list's making. */
  private room: Uint8Array = noBytes;

  /** Keeps `bytes`, or a copy of them. */
  add(bytes: Uint8Array): void {
    const { pieces } = this;
    const last = pieces.at(-1);
    if (last === undefined || bytes.length >= smallBytes || last.length >= gatheredBytes) {
      pieces.push(bytes);
      return;
    }
    const length = last.length + bytes.length;
    if (last.buffer !== this.room.buffer || length > this.room.length) {
      this.room = new Uint8Array(2 * length);
      this.room.set(last);
    }
    this.room.set(bytes, last.length);
    pieces[pieces.length - 1] = this.room.subarray(0, length);
  }
}
