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
 * The record of a push. `url` is that of the request beside it. Throws a GyrfalconError with GYR_PUSH_INVALID for a target that is not on the
 * same host, or another method; what fields may be wrong with, as for early hints.
 */
export function pushRecord(
  parent: PushParent,
  url: string,
  target: string | URL,
  init: PushInit,
): PushRecord {
  const method = methods.indexOf(init.method ?? 'GET');
  if (method < 0) {
    const hint = 'GET or HEAD: what is safe, can be cached, and has no content';
    throw new GyrfalconError('GYR_PUSH_INVALID', `${inspect(init.method)} was to be pushed`, hint);
  }
  const fields = checkedFields(init.headers ?? [], 'a pushed request', (name) =>
    forbidden.has(name),
  );
  for (const name of abi.INHERITED_PUSH_FIELDS) {
    const value = parent.header(name);
    if (value !== null && !listHas(fields, name)) fields.push(name, value);
  }
  const entries = [parent.authority, targetOn(url, `${target}`), ...fields];
  checkSize(entries);
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

function checkSize(entries: HeaderList): void {
  // What the four fields of HTTP/2 come to beside their values.
  let bytes = 128;
  for (const text of entries) bytes += text.length + 2;
  const { PUSH_BYTES_MAX: bytesMax, PUSH_FIELD_COUNT_MAX: countMax } = abi;
  if (bytes <= bytesMax && entries.length / 2 - 1 <= countMax) return;
  const hint = `at most ${countMax} fields and ${bytesMax} bytes`;
  throw new GyrfalconError(
    'GYR_PUSH_INVALID',
    'The request that was to be pushed is too large',
    hint,
  );
}
