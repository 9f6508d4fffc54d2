import { inspect } from 'node:util';
import { GyrfalconError } from '../core/errors.ts';
import { type HeaderList, type HeadersInit, listHas } from '../fetch/headers.ts';
import * as abi from './abi.gen.ts';
import { checkedFields } from './trailers.ts';

/** What `server.push()` is told beside the target. */
export interface PushInit {
  /** @default 'GET' */
  method?: 'GET' | 'HEAD';
  /**
   * Fields of the request. Accept-Encoding, Accept-Language and User-Agent are those of the request
   * beside it unless they are given.
   */
  headers?: HeadersInit;
}

/** A request to be pushed, as its record has it. */
export interface PushRecord {
  /** As the record tells it: 0 for GET, 1 for HEAD. */
  readonly method: number;
  /** The authority and the target, then the fields, each behind its name. */
  readonly entries: HeaderList;
}

/** What a push needs of the request beside it. */
export interface PushParent {
  /** Its host and port, as they were received. */
  readonly authority: string;
  header(lowerName: string): string | null;
}

const methods = ['GET', 'HEAD'];
const forbidden = new Set(abi.FORBIDDEN_PUSH_FIELDS);

/**
 * The record of a push; null where the request beside it, whose URL is `url`, has an authority that lets nothing be pushed.
 * Throws a GyrfalconError with GYR_PUSH_INVALID for a target that is not on the same host, another method, or too much; what
 * fields may be wrong with, as for early hints.
 */
export function pushRecord(
  parent: PushParent,
  url: string,
  target: string | URL,
  init: PushInit,
): PushRecord | null {
  if (!URL.canParse(url)) return null;
  const method = methods.indexOf(init.method ?? 'GET');
  if (method < 0) {
    const hint = 'GET or HEAD: what is safe, can be cached, and has no content';
    throw new GyrfalconError('GYR_PUSH_INVALID', `${inspect(init.method)} was to be pushed`, hint);
  }
  const fields = checkedFields(init.headers ?? [], 'a pushed request', (name) =>
    forbidden.has(name),
  );
  const entries = ['', targetOn(url, `${target}`), ...fields];
  if (!fits(entries)) {
    const hint = `at most ${abi.PUSH_FIELD_COUNT_MAX} fields and ${abi.PUSH_BYTES_MAX} bytes`;
    throw new GyrfalconError(
      'GYR_PUSH_INVALID',
      'The request that was to be pushed is too large',
      hint,
    );
  }
  // What follows is the client's: where it is too much the push goes without it.
  entries[0] = parent.authority;
  if (!fits(entries)) return null;
  for (const name of abi.INHERITED_PUSH_FIELDS) {
    const value = parent.header(name);
    if (value === null || listHas(fields, name)) continue;
    entries.push(name, value);
    if (!fits(entries)) entries.length -= 2;
  }
  return { method, entries };
}

/** Path and query of `target`, which is of the same origin as `url`. */
function targetOn(url: string, target: string): string {
  const beside = new URL(url);
  const pushed = URL.canParse(target, url) ? new URL(target, url) : null;
  if (pushed === null || pushed.origin !== beside.origin) {
    const hint = 'a path, or a URL with the origin of the request';
    throw new GyrfalconError('GYR_PUSH_INVALID', `${inspect(target)} cannot be pushed`, hint);
  }
  // Some characters that URL leaves as they are cannot stand in a request.
  return (pushed.pathname + pushed.search).replace(/["<>\\^`{|}]/g, encodeURIComponent);
}

function fits(entries: HeaderList): boolean {
  // What the four fields of HTTP/2 come to beside their values.
  let bytes = 128;
  for (const text of entries) bytes += text.length + 2;
  return bytes <= abi.PUSH_BYTES_MAX && entries.length / 2 - 1 <= abi.PUSH_FIELD_COUNT_MAX;
}
