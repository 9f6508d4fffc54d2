// biome-ignore-all lint/complexity/noArguments: Web IDL tells an absent argument from undefined.
import { inspect } from 'node:util';
import {
  Body,
  type BodyInit,
  cloneBody,
  extractBody,
  isUsed,
  readBody,
  streamOf,
  takeArrayBuffer,
  takeBytes,
  takeJson,
  takePieces,
  takeText,
  textType,
} from './body.ts';
import { isDecoded, isNotCodedAnew, rememberDecoded } from './decoded.ts';
import { isMultipart, parseFormData, readMultipart } from './form_data.ts';
import {
  fillList,
  getFromList,
  type HeaderList,
  type Headers,
  type HeadersInit,
  headersFromList,
  listHas,
  removeFromList,
} from './headers.ts';
import { extractMimeType, serializeMimeType } from './mime_type.ts';
import { type FormOptions, formOptions, responseForms } from './multipart.ts';
import { PlatformResponse, standFor } from './originals.ts';

/** The second argument of `new Response`. */
export interface ResponseInit {
  /** 200 to 599. @default 200 */
  status?: number;
  /** Stays with the response and is not sent: the reason phrase is the status's own. @default '' */
  statusText?: string;
  headers?: HeadersInit;
}

/** What is behind a light response. */
export class ResponseState {
  // Set in the constructor and defined nowhere else, which would set them twice.
  declare status: number;
  declare statusText: string;
  declare list: HeaderList;
  declare headers: Headers | null;
  declare body: Body | null;
  declare type: 'default' | 'error';
  declare immutable: boolean;

  constructor(list: HeaderList) {
    this.status = 200;
    this.statusText = '';
    this.list = list;
    this.headers = null;
    this.body = null;
    this.type = 'default';
    this.immutable = false;
  }
}

/** The state of a light response; null for any other value. */
export let responseState: (response: unknown) => ResponseState | null;
let bodyOf: (response: Response) => Body | null;
let fromState: (state: ResponseState) => Response;

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

function applyStatus(state: ResponseState, given: unknown): void {
  const status = toUnsignedShort(given);
  if (status < 200 || status > 599) {
    throw new RangeError(`Response: status must be 200 to 599, not ${status}`);
  }
  state.status = status;
}

function applyStatusText(state: ResponseState, given: unknown): void {
  const text = String(given);
  if (!reasonPhrase.test(text)) throw new TypeError('Response: invalid statusText');
  state.statusText = text;
}

/** Fetch "initialize a response", without the body. */
function applyInit(state: ResponseState, init: ResponseInit, body: Body | null): void {
  if (typeof init !== 'object' && typeof init !== 'function') {
    throw new TypeError('Response: the second argument must be an object');
  }
  const { headers, status, statusText } = init;
  if (status !== undefined) applyStatus(state, status);
  if (statusText !== undefined && statusText !== '') applyStatusText(state, statusText);
  if (headers === undefined) return;
  fillList(state.list, headers);
  if (body !== null && init instanceof PlatformResponse) forgetCodings(state, init, body);
}

/** `new Response(body, fetched)`: what fetch has decoded is not to be described as it was. */
function forgetCodings({ list }: ResponseState, fetched: unknown, body: Body): void {
  rememberDecoded(fetched);
  const codings = getFromList(list, 'content-encoding');
  if (codings === null || !isDecoded(fetched as globalThis.Response)) return;
  if (!isNotCodedAnew(body.source ?? body.stream, codings)) return;
  removeFromList(list, 'content-encoding');
  removeFromList(list, 'content-length');
}

/** Most bodies are text. */
function extract(body: BodyInit | null | undefined): Body | null {
  if (typeof body === 'string') return new Body(body, null, textType);
  return body === undefined || body === null ? null : extractBody(body);
}

function applyBody(state: ResponseState, body: Body): void {
  if (isNullBodyStatus(state.status)) {
    throw new TypeError(`Response: a response with status ${state.status} cannot have a body`);
  }
  state.body = body;
  if (body.type === null) return;
  if (state.list.length === 0)
    state.list = ['content-type', body.type]; // what is pushed to grows by seventeen
  else if (!listHas(state.list, 'content-type')) state.list.push('content-type', body.type);
}

/**
 * Light WHATWG `Response` (Fetch §5.5). A body of text or bytes stays what it is until somebody
 * asks for a stream; headers stay a plain list until `headers` is touched.
 */
export class Response {
  #state: ResponseState;

  static {
    responseState = (response) =>
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
    const state = new ResponseState([]);
    this.#state = state;
    const extracted = extract(body);
    if (init !== undefined && init !== null) applyInit(state, init, extracted);
    if (extracted !== null) applyBody(state, extracted);
  }

  /** A response of status 0 that stands for a failed fetch; it cannot be sent. */
  static error(): Response {
    const state = new ResponseState([]);
    state.type = 'error';
    state.status = 0;
    state.immutable = true;
    return fromState(state);
  }

  /** A redirect to an absolute URL. `status`: 301, 302, 303, 307 or 308. @default 302 */
  static redirect(url: string | URL, status?: number): Response {
    if (arguments.length < 1) throw new TypeError('Response.redirect needs a URL');
    const target = parseUrl(url);
    const state = new ResponseState([]);
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
    if (init !== undefined && init !== null) applyInit(state, init, body);
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
    const copy = new ResponseState(state.list.slice());
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

  /**
   * The whole body as a form: multipart/form-data or application/x-www-form-urlencoded. As that of a
   * request, but for its limits: 10000 parts, and sizes as they are.
   */
  async formData(options: FormOptions = {}): Promise<FormData> {
    const type = this.headers.get('content-type');
    const limits = formOptions(responseForms, options);
    if (isMultipart(type)) {
      const pieces = await readBody(this, bodyOf, takePieces);
      return readMultipart(pieces, type, limits);
    }
    return parseFormData(await readBody(this, bodyOf, takeBytes), type, limits);
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
  const state = new ResponseState(list);
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
