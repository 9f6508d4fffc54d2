import { inspect } from 'node:util';
import { GyrfalconError } from '../core/errors.ts';
import { hasControls } from '../fetch/headers.ts';
import type { ResponseParts } from '../fetch/response_parts.ts';
import * as abi from './abi.gen.ts';
import type { Exchange } from './exchange.ts';
import { isStream } from './framing.ts';
import { cancelQuietly } from './outgoing.ts';

// Of the module's own: compiled code has them as numbers. What is imported it loads each time, and checks.
const { RESPONSE_INLINE_BYTES_MAX } = abi;

/** The engine refuses them too, and cannot tell the program. */
export function checkFields(fields: readonly string[]): void {
  for (let i = 0; i < fields.length; i += 2) {
    const value = fields[i + 1] as string;
    if (!hasControls(value)) continue;
    const message = `Field ${fields[i]} of a response has a control character: ${inspect(value)}`;
    const hint = 'Fetch allows it and HTTP does not (RFC 9110 §5.5)';
    throw new GyrfalconError('GYR_RESPONSE_FIELD', message, hint);
  }
}

/** What is announced beside no body: to HEAD, nothing, unless the handler has told. */
export function lengthOfNone(exchange: Exchange, parts: ResponseParts): number | null {
  return parts.length ?? (exchange.isHead ? null : 0);
}

export function fitsInline(body: Uint8Array | null): boolean {
  return body === null || body.length <= RESPONSE_INLINE_BYTES_MAX;
}

export function discard(body: ResponseParts['body']): void {
  if (isStream(body)) cancelQuietly(body);
}
