import { isUtf8 } from 'node:buffer';
import { randomBytes } from 'node:crypto';
import * as abi from '../bridge/abi.gen.ts';

/** What every message begins with: whose it is, and the version. */
const magic = 'GYR1';
/** Bytes of the name of who has published it. */
const originBytes = 16;
const originPattern = /^[\w-]{16}$/;
/** Bytes ahead of what was published: the magic, a letter for the kind, the origin. */
export const headBytes: number = magic.length + 1 + originBytes;

/** Text or bytes; a capital where it is never compressed. */
const kinds = 'tbTB';

type SliceMethod = (from: number, to: number) => string;
const latin1Slice = (Buffer.prototype as unknown as { latin1Slice: SliceMethod }).latin1Slice;

/** What is published, as it goes into an envelope. */
export interface Sealable {
  /** `FLAG_TEXT`, `FLAG_PLAIN`. */
  readonly manner: number;
  readonly bytes: Uint8Array;
}

/** What was in one. */
export interface Unsealed {
  readonly origin: string;
  /** Its bytes are those of the envelope. */
  readonly data: string | Uint8Array;
  /** As `Server.publish` takes it. */
  readonly compress: boolean | undefined;
}

/** A name for who publishes, that nobody else has: 16 letters. */
export function newOrigin(): string {
  return randomBytes(12).toString('base64url');
}

/** A message with who has published it, in memory of its own. */
export function seal(origin: string, { manner, bytes }: Sealable): Uint8Array<ArrayBuffer> {
  const sealed = new Uint8Array(headBytes + bytes.length);
  const isText = (manner & abi.FLAG_TEXT) !== 0;
  const isPlain = (manner & abi.FLAG_PLAIN) !== 0;
  const kind = kinds.charAt((isText ? 0 : 1) + (isPlain ? 2 : 0));
  const head = magic + kind + origin;
  for (let i = 0; i < headBytes; i += 1) sealed[i] = head.charCodeAt(i);
  sealed.set(bytes, headBytes);
  return sealed;
}

/** Whether `bytes` have this origin, where they are an envelope. */
export function isFrom(origin: string, bytes: Uint8Array): boolean {
  if (bytes.length < headBytes) return false;
  return latin1Slice.call(bytes, headBytes - originBytes, headBytes) === origin;
}

/** What is in an envelope; null for what is none, which anybody may have sent. */
export function unseal(bytes: Uint8Array): Unsealed | null {
  if (bytes.length < headBytes || bytes.length > headBytes + abi.PUBLISH_BYTES_MAX) return null;
  const head = latin1Slice.call(bytes, 0, headBytes);
  const kind = kinds.indexOf(head.charAt(magic.length));
  const origin = head.slice(-originBytes);
  if (!head.startsWith(magic) || kind === -1 || !originPattern.test(origin)) return null;
  const payload = bytes.subarray(headBytes);
  const compress = kind >= 2 ? false : undefined;
  if (kind % 2 === 1) return { origin, data: payload, compress };
  // A client would end its connection, as text is UTF-8 (RFC 6455 §8.1).
  if (!isUtf8(payload)) return null;
  const text = Buffer.from(payload.buffer, payload.byteOffset, payload.length).toString();
  return { origin, data: text, compress };
}
