/** What a handler says of its response's length, held against the body. */

import type { Log } from '../core/log.ts';
import { isNullBodyStatus } from '../fetch/response.ts';
import type { ResponseParts } from '../fetch/response_parts.ts';
import type { Outgoing } from './outgoing.ts';

/** Content-Length beside a body that is at hand: the body's own length is what is sent. */
export function checkLength(parts: ResponseParts, isHead: boolean, log: Log): void {
  const { body, length, status } = parts;
  if (isStream(body)) return;
  const bytes =
    body === null ? 0 : typeof body === 'string' ? Buffer.byteLength(body) : body.length;
  if (bytes === length) return;
  if (bytes === 0 && (isHead || isNullBodyStatus(status))) parts.body = null;
  else tellLength(log, length, `has ${bytes} bytes`);
}

/** Content-Length beside a stream was sent before the stream ended: the engine closes. */
export function checkStream(outgoing: Outgoing, log: Log): void {
  const { length, received } = outgoing;
  if (length === null || outgoing.isMistold) return;
  const isShort = outgoing.isLast && received < length;
  if (!isShort && received <= length) return;
  outgoing.isMistold = true;
  tellLength(log, length, isShort ? `ended after ${received} bytes` : 'has more bytes');
}

function tellLength(log: Log, length: number | null, what: string): void {
  const hint = 'leave it out: the engine counts';
  log.framing(`Content-Length of a response is ${length}, and its body ${what}`, hint);
}

/** Whether the body is to be read bit by bit. */
export function isStream(body: ResponseParts['body']): body is ReadableStream<Uint8Array> {
  return typeof body === 'object' && body !== null && !(body instanceof Uint8Array);
}
