/**
 * fetch decodes the body of a response and leaves its fields as they were. A response that is made of
 * such a body, and of those fields, must not claim a coding that its bytes no longer have.
 */
import * as zlib from 'node:zlib';
import { PlatformResponse } from './originals.ts';

/** undici's fetch decodes zstd since 7.11, where zlib does. */
function fetchDecodesZstd(): boolean {
  const [major = 0, minor = 0] = (process.versions.undici ?? '').split('.').map(Number);
  return 'createZstdDecompress' in zlib && (major > 7 || (major === 7 && minor >= 11));
}

const decodable = new Set(['gzip', 'x-gzip', 'deflate', 'br', fetchDecodesZstd() ? 'zstd' : 'br']);

/** Whether these are codings that fetch takes away. */
function areDecodable(codings: string): boolean {
  return codings.split(',').every((coding) => decodable.has(coding.trim().toLowerCase()));
}

/** Whether fetch has decoded the body: its bytes are then no longer the ones that are described. */
export function isDecoded(response: globalThis.Response): boolean {
  const codings = response.headers.get('content-encoding');
  if (codings === null || response.url === '' || response.body === null) return false;
  return areDecodable(codings);
}

/** Bodies of such responses. */
const decodedStreams = new WeakSet<object>();

/** To be called with every response of fetch. */
export function rememberDecoded(response: unknown): void {
  if (response instanceof PlatformResponse && isDecoded(response)) {
    decodedStreams.add(response.body as ReadableStream);
  }
}

/** `copy` gives the same bytes as `stream`. */
export function rememberCopy(stream: object, copy: object): void {
  if (decodedStreams.has(stream)) decodedStreams.add(copy);
}

/** How what these codings make begins (RFC 1952 §2.3.1, RFC 8878 §3.1.1). */
const beginnings = new Map([
  ['gzip', [0x1f, 0x8b]],
  ['x-gzip', [0x1f, 0x8b]],
  ['zstd', [0x28, 0xb5, 0x2f, 0xfd]],
]);

/**
 * Whether the body of a response cannot have the codings that its fields claim. Text has none, as
 * nothing that is coded is UTF-8; of bytes it is known where the outermost coding has a beginning of
 * its own; a stream has none where fetch has decoded it.
 */
export function isNotCoded(body: unknown, codings: string): boolean {
  if (typeof body === 'string') return body !== '' && areDecodable(codings);
  if (body instanceof Uint8Array) return lacksBeginning(body, codings);
  return typeof body === 'object' && body !== null && decodedStreams.has(body);
}

/** As `isNotCoded`, for a body that is made beside the fields of a response that fetch has decoded. */
export function isNotCodedAnew(body: unknown, codings: string): boolean {
  // Of other codings nothing is known; the bytes are most likely those of that response.
  if (body instanceof Uint8Array && !beginnings.has(outermost(codings))) return true;
  return isNotCoded(body, codings);
}

function lacksBeginning(bytes: Uint8Array, codings: string): boolean {
  const beginning = beginnings.get(outermost(codings));
  if (bytes.length === 0 || beginning === undefined) return false;
  return beginning.some((byte, index) => bytes[index] !== byte);
}

function outermost(codings: string): string {
  return codings
    .slice(codings.lastIndexOf(',') + 1)
    .trim()
    .toLowerCase();
}
