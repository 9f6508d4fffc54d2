import { inspect } from 'node:util';
import { GyrfalconError } from '../core/errors.ts';
import {
  fillList,
  type HeaderList,
  type Headers,
  type HeadersInit,
  headersFromList,
} from '../fetch/headers.ts';
import { isEnginesField } from '../fetch/response_parts.ts';
import * as abi from './abi.gen.ts';
import type { Block } from './lane.ts';

/** Trailers of a response: fields, or what makes them once the body's last byte is on its way. */
export type TrailersInit = HeadersInit | (() => HeadersInit | Promise<HeadersInit>);

// biome-ignore lint/suspicious/noControlCharactersInRegex: it is these that are looked for
const controls = /[\x00-\x08\x0a-\x1f\x7f]/;
const forbiddenTrailers = new Set(abi.FORBIDDEN_TRAILERS);

/**
 * Fields for a trailer section. Throws a TypeError for what is no field, and a GyrfalconError for a
 * field that must not stand there (RFC 9110 §6.5.1) and for more than fits.
 */
export function trailerFields(given: HeadersInit): HeaderList {
  return sectionFields(given, 'a trailer section', (name) => forbiddenTrailers.has(name));
}

/** Fields for an interim response. Throws as `trailerFields` does. */
export function hintFields(given: HeadersInit): HeaderList {
  return sectionFields(given, 'early hints', isEnginesField);
}

/** Fields that are not a response's own. Throws as `trailerFields` does. */
function sectionFields(
  given: HeadersInit,
  where: string,
  isForbidden: (name: string) => boolean,
): HeaderList {
  const list = checkedFields(given, where, isForbidden);
  checkSize(list);
  return list;
}

/** The same, whatever their size is. */
export function checkedFields(
  given: HeadersInit,
  where: string,
  isForbidden: (name: string) => boolean,
): HeaderList {
  const list: HeaderList = [];
  fillList(list, given);
  for (let i = 0; i < list.length; i += 2) {
    const name = list[i] as string;
    const value = list[i + 1] as string;
    // The engine refuses them, which would cost the whole response (RFC 9110 §5.5).
    if (controls.test(value)) throw new TypeError(`Invalid value of ${name}: ${inspect(value)}`);
    if (!isForbidden(name)) continue;
    const hint = 'it belongs in the head, or is for the engine to say';
    throw new GyrfalconError('GYR_FIELD_FORBIDDEN', `${name} cannot stand in ${where}`, hint);
  }
  return list;
}

/** Throws GYR_RESPONSE_HEAD_TOO_LARGE where the fields do not fit a response. */
export function checkSize(list: HeaderList): void {
  let bytes = 0;
  for (const text of list) bytes += text.length + 2; // ": " and CRLF
  const { RESPONSE_FIELD_BYTES_MAX: bytesMax, RESPONSE_FIELD_COUNT_MAX: countMax } = abi;
  if (bytes <= bytesMax && list.length / 2 <= countMax) return;
  const hint = `at most ${countMax} fields and ${bytesMax} bytes`;
  throw new GyrfalconError('GYR_RESPONSE_HEAD_TOO_LARGE', 'The fields do not fit', hint);
}

/** The fields of the RequestTrailers record at `at`: lower-cased name, value, … */
export function recordedTrailers({ u8, u16 }: Block, at: number): HeaderList {
  const count = u16[(at + abi.REQUEST_TRAILERS_FIELD_COUNT) >> 1] as number;
  const lines = at + abi.REQUEST_TRAILERS_BYTES + count * abi.FIELD_SPAN_BYTES;
  const list: HeaderList = [];
  for (let span = at + abi.REQUEST_TRAILERS_BYTES; span < lines; span += abi.SPAN_BYTES) {
    const start = lines + (u16[(span + abi.SPAN_OFFSET) >> 1] as number);
    const text = u8.toString('latin1', start, start + (u16[(span + abi.SPAN_LEN) >> 1] as number));
    list.push(list.length % 2 === 0 ? text.toLowerCase() : text);
  }
  return list;
}

/** The trailers of an exchange, both ways. Few exchanges have them. */
export class Trailers {
  /** Those of the request, once its body has ended. */
  readonly ofRequest: Promise<Headers>;
  private readonly declared: (HeaderList | (() => HeadersInit | Promise<HeadersInit>))[] = [];
  private resolve!: (headers: Headers) => void;
  private reject!: (error: unknown) => void;

  constructor() {
    this.ofRequest = new Promise((resolve, reject) => {
      this.resolve = resolve;
      this.reject = reject;
    });
    // A client that leaves fails them. Where nobody waits for them, that ends no process.
    this.ofRequest.catch(() => {});
  }

  /** The request's body has ended, with these fields. */
  arrive(list: HeaderList): void {
    this.resolve(headersFromList(list, true));
  }

  /** The request's body will not come to its end. */
  fail(error: unknown): void {
    this.reject(error);
  }

  /** Adds to those of the response. Throws as `trailerFields` does. */
  declare(given: TrailersInit): void {
    this.declared.push(typeof given === 'function' ? given : trailerFields(given));
  }

  get areDeclared(): boolean {
    return this.declared.length > 0;
  }

  /** The names that are known beforehand, for the Trailer field (RFC 9110 §6.6.2). */
  get names(): string[] {
    const names = new Set<string>();
    for (const list of this.declared) {
      if (typeof list === 'function') continue;
      for (let i = 0; i < list.length; i += 2) names.add(list[i] as string);
    }
    return [...names];
  }

  /** Calls what makes them, one after the other. Rejects with what that throws. */
  async make(): Promise<HeaderList> {
    const list: HeaderList = [];
    for (const part of this.declared) {
      list.push(...(typeof part === 'function' ? trailerFields(await part()) : part));
    }
    checkSize(list);
    return list;
  }
}
