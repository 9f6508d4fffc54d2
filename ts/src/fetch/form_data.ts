import { randomBytes } from 'node:crypto';
import { extractMimeType } from './mime_type.ts';
import { PlatformResponse } from './originals.ts';

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
  return { body: isOurs ? new Blob(parts) : readParts(parts), type };
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

/**
 * Parses the bytes of a form by its content-type (Fetch "formData()"). Rejects with a TypeError
 * when the type is no form's or the bytes do not fit it.
 */
export async function parseFormData(
  bytes: Uint8Array<ArrayBuffer>,
  contentType: string | null,
): Promise<FormData> {
  const type = extractMimeType(contentType);
  if (type?.essence === 'multipart/form-data') {
    const headers = { 'content-type': contentType as string };
    return new PlatformResponse(bytes, { headers }).formData();
  }
  if (type?.essence === 'application/x-www-form-urlencoded') return parseUrlEncoded(bytes);
  throw new TypeError(
    'formData: the content-type must be multipart/form-data or application/x-www-form-urlencoded',
  );
}

function parseUrlEncoded(bytes: Uint8Array): FormData {
  const form = new FormData();
  // URLSearchParams drops one leading '?', which would be part of the first name.
  const text = `?${new TextDecoder('utf-8', { ignoreBOM: true }).decode(bytes)}`;
  for (const [name, value] of new URLSearchParams(text)) form.append(name, value);
  return form;
}
