// biome-ignore-all lint/complexity/noArguments: Web IDL tells an absent argument from undefined.
import { inspect } from 'node:util';
import * as zlib from 'node:zlib';
import { GyrfalconError } from '../core/errors.ts';
import { type Log, standardLog } from '../core/log.ts';
import {
  Body,
  type BodyInit,
  cloneBody,
  extractBody,
  isUnusable,
  isUsed,
  knownLength,
  readBody,
  streamOf,
  takeArrayBuffer,
  takeBytes,
  takeForSending,
  takeJson,
  takeText,
} from './body.ts';
import { parseFormData } from './form_data.ts';
import {
  fillList,
  type HeaderList,
  type Headers,
  type HeadersInit,
  headersFromList,
  listHas,
  normalizeName,
  normalizeValue,
} from './headers.ts';
import { extractMimeType, serializeMimeType } from './mime_type.ts';
import { PlatformResponse, standFor } from './originals.ts';

/** The second argument of `new Response`. */
export interface ResponseInit {
  /** 200 to 599. @default 200 */
  status?: number;
  /** Stays with the response and is not sent: the reason phrase is the status's own. @default '' */
  statusText?: string;
  headers?: HeadersInit;
}

/**
 * What the lane needs of a response. Text and bytes come as they are: no platform object is made
 * for them.
 */
export interface ResponseParts {
  status: number;
  /** '' when the handler gave none. */
  statusText: string;
  /**
   * Name, value, name, value, … in order, names in lower case. Without the fields that belong to
   * the connection (RFC 9110 §7.6.1) and without content-length. Not to be changed: it may be the
   * response's own list.
   */
  fields: readonly string[];
  body: string | Uint8Array | ReadableStream<Uint8Array> | null;
  /**
   * The length in bytes that the handler declared by content-length, or that a stream is known to
   * have; null when there is none. Beside a null body it is what a HEAD response announces.
   */
  length: number | null;
}

class State {
  status = 200;
  statusText = '';
  list: HeaderList;
  headers: Headers | null = null;
  body: Body | null = null;
  type: 'default' | 'error' = 'default';
  immutable = false;

  constructor(list: HeaderList) {
    this.list = list;
  }
}

let stateOf: (response: unknown) => State | null;
let bodyOf: (response: Response) => Body | null;
let fromState: (state: State) => Response;

const reasonPhrase = /^[\t\x20-\x7e\x80-\xff]*$/;

/** Whether a response of that status has no body. */
export function isNullBodyStatus(status: number): boolean {
  return status === 204 || status === 205 || status === 304;
}

/** Web IDL "unsigned short": wraps, as the platform's does. */
function toUnsignedShort(value: unknown): number {
  const number = Math.trunc(+(value as number));
  if (!Number.isFinite(number)) return 0;
  return ((number % 65536) + 65536) % 65536;
}

function applyStatus(state: State, given: unknown): void {
  const status = toUnsignedShort(given);
  if (status < 200 || status > 599) {
    throw new RangeError(`Response: status must be 200 to 599, not ${status}`);
  }
  state.status = status;
}

function applyStatusText(state: State, given: unknown): void {
  const text = String(given);
  if (!reasonPhrase.test(text)) throw new TypeError('Response: invalid statusText');
  state.statusText = text;
}

/** Fetch "initialize a response", without the body. */
function applyInit(state: State, init: ResponseInit): void {
  if (typeof init !== 'object' && typeof init !== 'function') {
    throw new TypeError('Response: the second argument must be an object');
  }
  const { headers, status, statusText } = init;
  if (status !== undefined) applyStatus(state, status);
  if (statusText !== undefined && statusText !== '') applyStatusText(state, statusText);
  if (headers !== undefined) fillList(state.list, headers);
}

function applyBody(state: State, body: Body): void {
  if (isNullBodyStatus(state.status)) {
    throw new TypeError(`Response: a response with status ${state.status} cannot have a body`);
  }
  state.body = body;
  if (body.type !== null && (state.list.length === 0 || !listHas(state.list, 'content-type'))) {
    state.list.push('content-type', body.type);
  }
}

/**
 * Light WHATWG `Response` (Fetch §5.5). A body of text or bytes stays what it is until somebody
 * asks for a stream; headers stay a plain list until `headers` is touched.
 */
export class Response {
  #state: State;

  static {
    stateOf = (response) =>
      typeof response === 'object' && response !== null && #state in response
        ? (response as Response).#state
        : null;
    bodyOf = (response) => response.#state.body;
    fromState = (state) => {
      const response = new Response();
      response.#state = state;
      return response;
    };
  }

  /**
   * Bytes are copied, so their memory may be used anew. Throws a RangeError for a status outside
   * 200 to 599, and a TypeError for defects in the rest, for a body beside status 204, 205 or 304,
   * and for a stream that is locked or has been read.
   */
  constructor(body?: BodyInit | null, init?: ResponseInit) {
    const state = new State([]);
    this.#state = state;
    const extracted = body === undefined || body === null ? null : extractBody(body);
    if (init !== undefined && init !== null) applyInit(state, init);
    if (extracted !== null) applyBody(state, extracted);
  }

  /** A response of status 0 that stands for a failed fetch; it cannot be sent. */
  static error(): Response {
    const state = new State([]);
    state.type = 'error';
    state.status = 0;
    state.immutable = true;
    return fromState(state);
  }

  /** A redirect to an absolute URL. `status`: 301, 302, 303, 307 or 308. @default 302 */
  static redirect(url: string | URL, status?: number): Response {
    if (arguments.length < 1) throw new TypeError('Response.redirect needs a URL');
    const target = parseUrl(url);
    const state = new State([]);
    const code = status === undefined ? 302 : toUnsignedShort(status);
    if (code !== 301 && code !== 302 && code !== 303 && code !== 307 && code !== 308) {
      throw new RangeError(`Response.redirect: ${code} is not a redirect status`);
    }
    state.status = code;
    state.list.push('location', target);
    state.immutable = true;
    return fromState(state);
  }

  /** A response whose body is `data` as JSON, with content-type application/json. */
  static json(data: unknown, init?: ResponseInit): Response {
    if (arguments.length < 1) throw new TypeError('Response.json needs a value');
    const text = JSON.stringify(data) as string | undefined;
    if (text === undefined) throw new TypeError('Response.json: the value has no JSON form');
    const body = extractBody(text);
    body.type = 'application/json';
    const response = new Response();
    const state = response.#state;
    if (init !== undefined && init !== null) applyInit(state, init);
    applyBody(state, body);
    return response;
  }

  get type(): 'default' | 'error' {
    return this.#state.type;
  }

  /** Always '': this response did not come from a fetch. */
  get url(): string {
    void this.#state;
    return '';
  }

  get redirected(): boolean {
    void this.#state;
    return false;
  }

  get status(): number {
    return this.#state.status;
  }

  get ok(): boolean {
    const { status } = this.#state;
    return status >= 200 && status <= 299;
  }

  get statusText(): string {
    return this.#state.statusText;
  }

  get headers(): Headers {
    const state = this.#state;
    state.headers ??= headersFromList(state.list, state.immutable);
    return state.headers;
  }

  /** The body as a stream, made when first asked for; null when there is none. */
  get body(): ReadableStream<Uint8Array<ArrayBuffer>> | null {
    return streamOf(this.#state.body);
  }

  /** Whether the body has been read, in part at least. */
  get bodyUsed(): boolean {
    return isUsed(this.#state.body);
  }

  /** A second response with the same head, and a body that can be read apart from this one's. */
  clone(): Response {
    const state = this.#state;
    const copy = new State(state.list.slice());
    copy.body = state.body === null ? null : cloneBody(state.body);
    copy.status = state.status;
    copy.statusText = state.statusText;
    copy.type = state.type;
    copy.immutable = state.immutable;
    return fromState(copy);
  }

  /** The whole body as text (UTF-8). Rejects with a TypeError when it was read before. */
  text(): Promise<string> {
    return readBody(this, bodyOf, takeText);
  }

  /** The whole body parsed as JSON. Rejects with a SyntaxError when it is none. */
  json<T = unknown>(): Promise<T> {
    return readBody(this, bodyOf, takeJson) as Promise<T>;
  }

  /** The whole body in a buffer of its own. */
  arrayBuffer(): Promise<ArrayBuffer> {
    return readBody(this, bodyOf, takeArrayBuffer);
  }

  /** The whole body as bytes that are the caller's own. */
  bytes(): Promise<Uint8Array<ArrayBuffer>> {
    return readBody(this, bodyOf, takeBytes);
  }

  /** The whole body as a Blob, typed by content-type. */
  async blob(): Promise<Blob> {
    const bytes = await readBody(this, bodyOf, takeBytes);
    const type = extractMimeType(this.headers.get('content-type'));
    return new Blob([bytes], { type: type === null ? '' : serializeMimeType(type) });
  }

  /** The whole body as a form: multipart/form-data or application/x-www-form-urlencoded. */
  async formData(): Promise<FormData> {
    const bytes = await readBody(this, bodyOf, takeBytes);
    return parseFormData(bytes, this.headers.get('content-type'));
  }

  /** How `console.log` shows it. */
  [inspect.custom](depth: number, options: Parameters<typeof inspect>[1]): string {
    if (depth < 0) return '[Response]';
    const { status, statusText, headers, ok, bodyUsed, type, url, redirected } = this;
    const shown = { status, statusText, headers, ok, bodyUsed, type, url, redirected };
    return `Response ${inspect(shown, options)}`;
  }
}

standFor(Response, PlatformResponse);

/**
 * A response of parts that are known to be right: names in lower case, and a body that is given away
 * with it. A status that Fetch does not allow is the engine's to refuse. For adapters.
 */
export function responseOf(
  status: number,
  list: HeaderList,
  body: string | Uint8Array | ReadableStream<Uint8Array> | null,
): Response {
  const state = new State(list);
  state.status = status;
  if (typeof body === 'string' || body instanceof Uint8Array)
    state.body = new Body(body, null, null);
  else if (body !== null) state.body = new Body(null, body, null);
  return fromState(state);
}

function parseUrl(url: string | URL): string {
  try {
    return new URL(url).href;
  } catch (cause) {
    throw new TypeError(`Failed to parse URL from ${String(url)}`, { cause });
  }
}

/** Whether a field belongs to the connection or to the framing, both the engine's. */
export function isEnginesField(name: string): boolean {
  switch (name.length) {
    case 2:
      return name === 'te';
    case 7:
      return name === 'upgrade' || name === 'trailer';
    case 10:
      return name === 'connection' || name === 'keep-alive';
    case 14:
      return name === 'content-length';
    case 16:
      return name === 'proxy-connection';
    case 17:
      return name === 'transfer-encoding';
    default:
      return false;
  }
}

function hasEnginesField(list: readonly string[]): boolean {
  for (let i = 0; i < list.length; i += 2) if (isEnginesField(list[i] as string)) return true;
  return false;
}

/**
 * Moves the declared length from the fields to `length` and drops what is the engine's. What stays
 * of it, when it is the handler's own (`mayClose`) and no upstream's, is the wish to close the
 * connection, and Upgrade and Trailer, for the engine to send where they can be.
 */
function sortOutFields(parts: ResponseParts, mayClose: boolean, log: Log): void {
  const kept: string[] = [];
  const list = parts.fields;
  for (let i = 0; i < list.length; i += 2) {
    const name = list[i] as string;
    const value = list[i + 1] as string;
    if (!isEnginesField(name)) kept.push(name, value);
    else if (mayClose && (name === 'upgrade' || name === 'trailer')) kept.push(name, value);
    else if (name === 'content-length') takeLength(parts, value, log);
    else if (mayClose && name === 'connection' && value.toLowerCase() === 'close')
      kept.push(name, 'close');
    else if (mayClose) checkDropped(name, value, log);
  }
  parts.fields = kept;
}

/** Of two lengths that differ, the first stands: it may be what is known of the body. */
function takeLength(parts: ResponseParts, value: string, log: Log): void {
  const length = /^\d{1,15}$/.test(value) ? Number(value) : null;
  if (length !== null && parts.length === null) parts.length = length;
  else if (length !== parts.length || length === null) {
    const hint = 'leave it out: the engine counts';
    log.framing(`Content-Length of a response is ${inspect(value)}`, hint);
  }
}

/** What is dropped without a word, as it changes nothing that the engine does. */
const harmless = new Map([
  ['transfer-encoding', /^chunked$/i],
  ['connection', /^(?:(?:keep-alive|close|upgrade)(?:, *)?)+$/i],
]);

function checkDropped(name: string, value: string, log: Log): void {
  if (harmless.get(name)?.test(value) ?? true) return;
  log.framing(`${name} of a response is ${inspect(value)}`, 'it is the engine that says it');
}

function refused(message: string, hint: string): GyrfalconError {
  return new GyrfalconError('GYR_RESPONSE_INVALID', message, hint);
}

function refuseError(): GyrfalconError {
  return refused('Response.error() cannot be sent', 'it has no status');
}

function refuseUsed(): GyrfalconError {
  const hint = 'make a response for each request, or send a clone()';
  return refused('The body of the response has already been read, or is locked', hint);
}

/**
 * Takes a response apart for sending; its body is used from then on. Takes light responses, the
 * platform's own (of fetch, say), and others that keep the interface. Throws a GyrfalconError with
 * GYR_RESPONSE_INVALID when the body is used already, or when `response` is none or is
 * `Response.error()`. `log` is told of fields that say of the framing what is not so.
 */
export function responseParts(
  response: Response | globalThis.Response,
  log: Log = standardLog,
): ResponseParts {
  const state = stateOf(response);
  if (state === null) return foreignParts(response as globalThis.Response, log);
  if (state.status === 0) throw refuseError();
  const { body } = state;
  const parts: ResponseParts = {
    status: state.status,
    statusText: state.statusText,
    fields: state.list,
    body: null,
    length: null,
  };
  if (body !== null) {
    if (isUnusable(body)) throw refuseUsed();
    if (typeof body.source !== 'string') parts.length = knownLength(body);
    parts.body = takeForSending(body);
  }
  if (hasEnginesField(state.list)) sortOutFields(parts, true, log);
  return parts;
}

function isResponse(value: unknown): value is globalThis.Response {
  if (typeof value !== 'object' || value === null) return false;
  return (
    value instanceof PlatformResponse ||
    Object.prototype.toString.call(value) === '[object Response]'
  );
}

/** undici's fetch decodes zstd since 7.11, where zlib does. */
function fetchDecodesZstd(): boolean {
  const [major = 0, minor = 0] = (process.versions.undici ?? '').split('.').map(Number);
  return 'createZstdDecompress' in zlib && (major > 7 || (major === 7 && minor >= 11));
}

const decodable = new Set(['gzip', 'x-gzip', 'deflate', 'br', fetchDecodesZstd() ? 'zstd' : 'br']);

/** Whether fetch has decoded the body: its bytes are then no longer the ones that are described. */
function isDecoded(response: globalThis.Response): boolean {
  const codings = response.headers.get('content-encoding');
  if (codings === null || response.url === '' || response.body === null) return false;
  return codings.split(',').every((coding) => decodable.has(coding.trim().toLowerCase()));
}

/** The body of another library's response: of node-fetch, say, it is a stream of Node's. */
function foreignStream(body: unknown): ReadableStream<Uint8Array> | null {
  if (body === null || body === undefined) return null;
  if (typeof (body as ReadableStream).getReader === 'function') return body as ReadableStream;
  if (typeof (body as AsyncIterable<Uint8Array>)[Symbol.asyncIterator] === 'function') {
    return new Response(body as AsyncIterable<Uint8Array>).body;
  }
  const given = inspect(body, { depth: 0 });
  throw refused(`The body of a response is ${given}`, 'it must be a ReadableStream or null');
}

function foreignParts(response: unknown, log: Log): ResponseParts {
  if (!isResponse(response)) {
    const given = inspect(response, { depth: 0 });
    throw refused(`A handler must return a Response, not ${given}`, 'new Response(…)');
  }
  const { status, body } = response;
  if (status === 0) throw refuseError();
  if (!Number.isInteger(status))
    throw refused(`The status of a response is ${inspect(status)}`, 'it must be an integer');
  if (response.bodyUsed || body?.locked) {
    throw refuseUsed();
  }
  const decoded = isDecoded(response);
  const fields: string[] = [];
  for (const [name, value] of response.headers) {
    if (!decoded || (name !== 'content-encoding' && name !== 'content-length'))
      fields.push(normalizeName(name), normalizeValue(value)); // of a library, they may be anything
  }
  const parts: ResponseParts = {
    status,
    statusText: response.statusText,
    fields,
    body: foreignStream(body),
    length: null,
  };
  if (hasEnginesField(fields)) sortOutFields(parts, false, log);
  return parts;
}
