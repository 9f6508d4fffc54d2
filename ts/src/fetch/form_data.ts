import { randomBytes } from 'node:crypto';
import { extractMimeType } from './mime_type.ts';
import { boundaryOf, type FormOptions, type Pieces, readForm, settingsOf } from './multipart.ts';
import { tooMuch } from './multipart_error.ts';
import { blobOfParts } from './stored_file.ts';

/** A form laid out as multipart/form-data (RFC 7578). */
export interface EncodedForm {
  /**
   * Text when every value is text, else a Blob that refers to the files. Files of another library
   * are read one after the other.
   */
  body: string | Blob | AsyncIterable<Uint8Array | string>;
  /** The content-type, boundary included. */
  type: string;
}

function escapeName(name: string): string {
  return name.replace(/\r\n|\r|\n/g, '%0D%0A').replace(/"/g, '%22');
}

function escapeFileName(name: string): string {
  return name.replace(/\n/g, '%0A').replace(/\r/g, '%0D').replace(/"/g, '%22');
}

/** Encodes a form (HTML "multipart/form-data encoding algorithm"). */
export function encodeFormData(form: FormData): EncodedForm {
  const boundary = `----gyrfalcon-${randomBytes(16).toString('hex')}`;
  const parts: (string | Blob)[] = [];
  let text = '';
  for (const [name, value] of form) {
    text += `--${boundary}\r\nContent-Disposition: form-data; name="${escapeName(name)}"`;
    if (typeof value === 'string') {
      text += `\r\n\r\n${value.replace(/\r\n|\r|\n/g, '\r\n')}\r\n`;
    } else {
      const type = value.type || 'application/octet-stream';
      text += `; filename="${escapeFileName(value.name)}"\r\nContent-Type: ${type}\r\n\r\n`;
      parts.push(text, value);
      text = '\r\n';
    }
  }
  text += `--${boundary}--\r\n`;
  const type = `multipart/form-data; boundary=${boundary}`;
  if (parts.length === 0) return { body: text, type };
  parts.push(text);
  const isOurs = parts.every((part) => typeof part === 'string' || part instanceof Blob);
  return { body: isOurs ? blobOfParts(parts) : readParts(parts), type };
}

async function* readParts(parts: (string | Blob)[]): AsyncGenerator<Uint8Array | string> {
  for (const part of parts) {
    if (typeof part === 'string') yield part;
    else yield* readBlob(part);
  }
}

/** Reads a Blob that may be another library's: some have no `stream()`. */
export async function* readBlob(blob: Blob): AsyncGenerator<Uint8Array> {
  if (typeof blob.stream === 'function') yield* blob.stream();
  else yield new Uint8Array(await blob.arrayBuffer());
}

/** Whether a content-type is that of a form in parts, which is read as it arrives. */
export function isMultipart(contentType: string | null): boolean {
  return extractMimeType(contentType)?.essence === 'multipart/form-data';
}

/**
 * Reads a form in parts, its large files on disk (Fetch "formData()"). Rejects with a MultipartError,
 * which is a TypeError, when it is malformed or above a limit.
 */
export async function readMultipart(
  pieces: Pieces,
  contentType: string | null,
  options: FormOptions,
): Promise<FormData> {
  try {
    return await readForm(pieces, boundaryOf(contentType) as string, options);
  } catch (error) {
    // Where nothing of it was read, the client would wait for somebody who does.
    if (pieces instanceof ReadableStream && !pieces.locked) pieces.cancel(error).catch(() => {});
    throw error;
  }
}

/**
 * Parses the bytes of a form that is not in parts (Fetch "formData()"). Throws a TypeError when the
 * type is no form's, and a MultipartError when the form is above a limit.
 */
export function parseFormData(
  bytes: Uint8Array,
  contentType: string | null,
  options: FormOptions,
): FormData {
  const type = extractMimeType(contentType);
  if (type?.essence === 'application/x-www-form-urlencoded') return parseUrlEncoded(bytes, options);
  throw new TypeError(
    'formData: the content-type must be multipart/form-data or application/x-www-form-urlencoded',
  );
}

function parseUrlEncoded(bytes: Uint8Array, options: FormOptions): FormData {
  const { maxParts, maxFieldBytes, maxFieldsBytes, maxBytes } = settingsOf(options);
  if (bytes.length > maxBytes) throw tooMuch(`The form has over ${maxBytes} bytes`, 'maxBytes');
  if (countPairs(bytes) > maxParts) {
    throw tooMuch(`The form has over ${maxParts} fields`, 'maxParts');
  }
  const form = new FormData();
  let total = 0;
  // URLSearchParams drops one leading '?', which would be part of the first name.
  const text = `?${new TextDecoder('utf-8', { ignoreBOM: true }).decode(bytes)}`;
  for (const [name, value] of new URLSearchParams(text)) {
    const length = Buffer.byteLength(value);
    if (length > maxFieldBytes) {
      throw tooMuch(`A field of the form has over ${maxFieldBytes} bytes`, 'maxFieldBytes');
    }
    total += length;
    if (total > maxFieldsBytes) {
      throw tooMuch(`The fields of the form have over ${maxFieldsBytes} bytes`, 'maxFieldsBytes');
    }
    form.append(name, value);
  }
  return form;
}

/** Counted before there is an object for each of them, which takes a hundred times its bytes. */
function countPairs(bytes: Uint8Array): number {
  let count = 0;
  let inPair = false;
  for (let at = 0; at < bytes.length; at++) {
    const isPair = bytes[at] !== 0x26;
    if (isPair && !inPair) count++;
    inPair = isPair;
  }
  return count;
}
