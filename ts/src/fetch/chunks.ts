import { types } from 'node:util';

const encoder = new TextEncoder();
const noBytes = new Uint8Array(0);

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
