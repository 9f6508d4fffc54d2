// biome-ignore-all lint/complexity/noArguments: Web IDL tells an absent argument from undefined.
import type { IncomingMessage, ServerResponse } from 'node:http';
import { inspect } from 'node:util';
import {
  adoptStream,
  Body,
  type BodySource,
  cloneBody,
  extractBody,
  isUnusable,
  isUsed,
  readBody,
  shareWithFetch,
  streamOf,
  takeArrayBuffer,
  takeBytes,
  takeForFetch,
  takeForSending,
  takeJson,
  takePieces,
  takeText,
  transferBody,
} from './body.ts';
import { isMultipart, parseFormData, readMultipart } from './form_data.ts';
import {
  fillList,
  type HeaderList,
  type HeaderSource,
  type Headers,
  headersFromList,
  headersFromSource,
  listHas,
  listOfHeaders,
} from './headers.ts';
import { extractMimeType, serializeMimeType } from './mime_type.ts';
import { type FormOptions, formDefaults, formOptions } from './multipart.ts';
import { PlatformRequest, standFor } from './originals.ts';
import {
  canonicalUrl,
  defaultSettings,
  normalizeMethod,
  parseRequestUrl,
  type ReferrerPolicy,
  type RequestCache,
  type RequestCredentials,
  type RequestInit,
  type RequestMode,
  type RequestRedirect,
  readSettings,
  type Settings,
} from './request_init.ts';
import type { TlsInfo } from './tls_info.ts';

/** What a light `Request` reads lazily from its exchange. All strings as received, Latin-1. */
export interface RequestSource extends HeaderSource {
  readonly method: string;
  /** Whether the message has a body (RFC 9112 §6.3). */
  readonly hasBody: boolean;
  /** The absolute URL: scheme, Host and target. A Host that is no host makes it none. */
  url(): string;
  /** The same on a host that is one. */
  fallbackUrl(): string;
  /** The body; asked for at most once, and only when `hasBody`. */
  body(): BodySource | null;
  /** Aborted when the client goes away; asked for at most once. */
  signal(): AbortSignal;
  /** What a server adds to Fetch's members; a source that is no server's has none of it. */
  readonly ip?: string | undefined;
  readonly httpVersion?: HttpVersion;
  readonly tls?: TlsInfo | undefined;
  readonly runtime?: RequestRuntime;
  readonly waitUntil?: (promise: PromiseLike<unknown>) => void;
  readonly forms?: FormOptions;
}

/** The version of HTTP that a request was made in, as node:http has it. */
export type HttpVersion = '1.0' | '1.1' | '2.0';

/** Where a request is handled, in the form in which srvx tells it, for frameworks that ask. */
export interface RequestRuntime {
  readonly name: 'gyrfalcon';
  /**
   * As much of Node.js's request and response as frameworks look at beside the Fetch objects: method,
   * url, headers and socket; writeEarlyHints and the events of the end. No more is there, whatever
   * their types have, and it takes no answer: `gyrfalcon/node` runs what is written for node:http.
   */
  readonly node: { readonly req: IncomingMessage; readonly res: ServerResponse };
}

/** Path parameters as the router found them: parts of the canonical path, percent-encoded. */
export interface ParamSource {
  /** In the order of the pattern; the wildcard's name is "*". */
  readonly names: readonly string[];
  /** The raw text of the parameter at that index. */
  raw(index: number): string;
}

/** Decoded path parameters: an object without a prototype. */
export type Params = Record<string, string>;

/** What a `Request` can be made from. */
export type RequestInfo = string | URL | Request | globalThis.Request;

/** `Request[fromSource](source, params)` makes the request of an exchange. */
export const fromSource: unique symbol = Symbol('gyrfalcon.fromSource');

class State {
  // Set in the constructor and defined nowhere else, which would set them twice.
  declare method: string;
  /** '' until it is asked of the source. */
  declare url: string;
  declare source: RequestSource | null;
  declare headerSource: HeaderSource | null;
  declare list: HeaderList | null;
  declare headers: Headers | null;
  declare body: Body | null;
  declare bodyAsked: boolean;
  /** What the signal follows: another signal, or the request that this one was made from. */
  declare follows: AbortSignal | State | null;
  declare signal: AbortSignal | null;
  declare settings: Settings;
  declare paramSource: ParamSource | null;
  declare params: Params | null;
  /** Of a copy: what the server was told of forms. */
  declare forms: FormOptions | undefined;

  constructor(method: string, source: RequestSource | null) {
    this.method = method;
    this.source = source;
    this.headerSource = source;
    this.bodyAsked = source === null;
    this.url = '';
    this.list = null;
    this.headers = null;
    this.body = null;
    this.follows = null;
    this.signal = null;
    this.settings = defaultSettings;
    this.paramSource = null;
    this.params = null;
    this.forms = undefined;
  }
}

let stateOf: (request: unknown) => State | null;
/** Throws a TypeError for what is no light request. */
let stateIn: (request: Request<object>) => State;
let bodyOf: (request: Request<object>) => Body | null;

/** A key that only this module has: the constructor then takes a ready state. */
const ready = Symbol('ready') as unknown as string;

function withState(state: State): Request {
  return new Request(ready, state as unknown as RequestInit);
}

function openBody(state: State): Body | null {
  if (!state.bodyAsked) {
    state.bodyAsked = true;
    const source = state.source as RequestSource;
    const incoming = source.hasBody ? source.body() : null;
    if (incoming !== null) state.body = new Body(incoming, null, null);
  }
  return state.body;
}

function urlOf(state: State): string {
  if (state.url === '') {
    const source = state.source as RequestSource;
    // A Host that HTTP allows and URLs do not ("xn--a"): a request's URL can always be parsed.
    state.url = canonicalUrl(source.url()) ?? new URL(source.fallbackUrl()).href;
  }
  return state.url;
}

function headersOf(state: State): Headers {
  if (state.headers === null) {
    state.list ??= state.headerSource === null ? [] : null;
    state.headers =
      state.list === null
        ? headersFromSource(state.headerSource as HeaderSource)
        : headersFromList(state.list, false);
  }
  return state.headers;
}

function signalOf(state: State): AbortSignal {
  if (state.signal === null) {
    const { follows, source } = state;
    if (source !== null) state.signal = source.signal();
    else if (follows === null) state.signal = new AbortController().signal;
    else state.signal = AbortSignal.any([follows instanceof State ? signalOf(follows) : follows]);
  }
  return state.signal;
}

function paramsOf(state: State): Params {
  if (state.params === null) {
    const params: Params = Object.create(null);
    const raw = state.paramSource;
    if (raw !== null) {
      for (let i = 0; i < raw.names.length; i++) {
        params[raw.names[i] as string] = decodeParam(raw.raw(i));
      }
    }
    state.params = params;
  }
  return state.params;
}

/** Percent-decodes; text that is not validly encoded stays as it is. */
function decodeParam(raw: string): string {
  if (!raw.includes('%')) return raw;
  try {
    return decodeURIComponent(raw);
  } catch {
    return raw;
  }
}

/** Gives `copy` the headers of `state`: a copy where they were touched, else the same source. */
function copyHeaders(state: State, copy: State): void {
  const touched = state.headers === null ? null : listOfHeaders(state.headers);
  const list = touched ?? state.list;
  if (list !== null) copy.list = list.slice();
  else copy.headerSource = state.headerSource;
}

/** A platform request as a base for a light one. */
function stateOfPlatform(request: globalThis.Request): State {
  const state = new State(request.method, null);
  state.url = request.url;
  state.list = [];
  fillList(state.list, request.headers);
  state.follows = request.signal;
  const { redirect, mode, credentials, cache, referrer, referrerPolicy } = request;
  const { integrity, keepalive } = request;
  state.settings = {
    redirect,
    mode,
    credentials,
    cache,
    referrer,
    referrerPolicy,
    integrity,
    keepalive,
    dispatcher: undefined,
  } as Settings;
  if (request.bodyUsed) {
    state.body = new Body(null, null, null);
    state.body.used = true;
  } else if (request.body !== null) {
    state.body = new Body(null, request.body as ReadableStream<Uint8Array>, null);
  }
  return state;
}

function baseOf(input: unknown): State | null {
  const light = stateOf(input);
  if (light !== null) return light;
  return input instanceof PlatformRequest ? stateOfPlatform(input) : null;
}

/** The steps of `new Request(input, init)` (Fetch §5.4). */
function construct(input: unknown, init: RequestInit): State {
  if (typeof init !== 'object' && typeof init !== 'function') {
    throw new TypeError('Request: the second argument must be an object');
  }
  const base = baseOf(input);
  const url = base === null ? parseRequestUrl(input) : urlOf(base);
  const method = init.method === undefined ? (base?.method ?? 'GET') : normalizeMethod(init.method);
  const state = new State(method, null);
  state.url = url;
  state.follows = chooseSignal(init, base);
  state.settings = chooseSettings(init, base);
  if (base !== null) copyExtras(base, state);
  if (state.settings.mode === 'no-cors' && !/^(?:GET|HEAD|POST)$/.test(method)) {
    throw new TypeError(`Request: method ${method} is not allowed with mode 'no-cors'`);
  }
  if (init.headers !== undefined) {
    state.list = [];
    fillList(state.list, init.headers);
  } else if (base !== null) {
    copyHeaders(base, state);
  }
  state.body = chooseBody(init, base, state);
  return state;
}

function chooseSignal(init: RequestInit, base: State | null): AbortSignal | State | null {
  const { signal } = init;
  if (signal === undefined) return base;
  if (signal === null) return null;
  if (signal instanceof AbortSignal) return signal;
  throw new TypeError('Request: signal must be an AbortSignal');
}

function chooseSettings(init: RequestInit, base: State | null): Settings {
  const settings = base?.settings ?? defaultSettings;
  if (stateOf(init) === null && Object.keys(init).length === 0) return settings;
  return readSettings(init, settings);
}

/** What a server has told of a request holds for its copies. */
function copyExtras(state: State, copy: State): void {
  copy.paramSource = state.paramSource;
  copy.params = state.params;
  copy.forms = formsOf(state);
}

function formsOf(state: State): FormOptions | undefined {
  return state.source === null ? state.forms : state.source.forms;
}

function chooseBody(init: RequestInit, base: State | null, state: State): Body | null {
  const given = init.body ?? null;
  const inherited = given === null && base !== null ? openBody(base) : null;
  if (given === null && inherited === null) return null;
  // A client may send content with GET: a copy of such a request has it too.
  if (isBodiless(state.method) && (inherited === null || base?.method !== state.method)) {
    throw new TypeError(`Request: a ${state.method} request cannot have a body`);
  }
  if (inherited !== null) return transferBody(inherited);
  return giveBody(init, given, state);
}

function isBodiless(method: string): boolean {
  return method === 'GET' || method === 'HEAD';
}

/** Whether a body is given as a stream: forms and Blobs of libraries are read as one, and are none. */
function isStreamInit(given: unknown): boolean {
  if (typeof given !== 'object' || given === null) return false;
  return given instanceof ReadableStream || Symbol.asyncIterator in given;
}

function giveBody(init: RequestInit, given: unknown, state: State): Body {
  const body = extractBody(given);
  if (isStreamInit(given)) {
    if (init.duplex === undefined) {
      throw new TypeError("Request: duplex: 'half' is required when the body is a stream");
    }
    if (state.settings.keepalive) {
      throw new TypeError('Request: a stream cannot be sent with keepalive');
    }
    if (state.settings.mode !== 'cors' && state.settings.mode !== 'same-origin') {
      throw new TypeError("Request: a stream needs mode 'cors' or 'same-origin'");
    }
  }
  if (body.type !== null) {
    const list = listToExtend(state);
    if (!listHas(list, 'content-type')) list.push('content-type', body.type);
  }
  return body;
}

function listToExtend(state: State): HeaderList {
  if (state.headerSource !== null) {
    state.list = (listOfHeaders(headersOf(state)) as HeaderList).slice();
    state.headerSource = null;
    state.headers = null;
  }
  state.list ??= [];
  return state.list;
}

/**
 * Light WHATWG `Request` (Fetch §5.4). That of an exchange reads method, URL, headers, body and
 * signal from the engine when they are asked for.
 */
export class Request<P extends object = Params> {
  /** Null until somebody asks for something: most handlers read little of a request, if anything. */
  #state: State | null;
  #source: RequestSource | null = null;
  #paramSource: ParamSource | null = null;
  /** What middleware keeps with the request; srvx's name for it. */
  declare context?: Record<string, unknown>;

  static {
    stateOf = (request) =>
      typeof request === 'object' && request !== null && #state in request
        ? stateIn(request as Request<object>)
        : null;
    stateIn = (request) => {
      if (request.#state !== null) return request.#state;
      const source = request.#source as RequestSource;
      const state = new State(source.method, source);
      state.paramSource = request.#paramSource;
      request.#state = state;
      return state;
    };
    bodyOf = (request) => openBody(stateIn(request));
  }

  /** Throws a TypeError for a URL that is not absolute and for defects in `init`. */
  constructor(input: RequestInfo, init?: RequestInit) {
    if ((input as unknown) === ready) {
      this.#state = init as unknown as State | null;
      return;
    }
    if (arguments.length < 1) throw new TypeError('Request needs a URL or a Request');
    this.#state = construct(input, init ?? {});
  }

  /** Makes the request of an exchange. For the bridge. */
  static [fromSource](source: RequestSource, params: ParamSource | null): Request {
    const request = new Request(ready, null as unknown as RequestInit);
    request.#source = source;
    request.#paramSource = params;
    return request;
  }

  get method(): string {
    return stateIn(this).method;
  }

  /** Absolute. That of an exchange has the canonical path that the router saw. */
  get url(): string {
    return urlOf(stateIn(this));
  }

  get headers(): Headers {
    return headersOf(stateIn(this));
  }

  /** The parameters of the route's pattern, percent-decoded; empty for other requests. */
  get params(): P {
    return paramsOf(stateIn(this)) as P;
  }

  /** Routers that run inside of a handler put what they have found here. */
  set params(params: Params) {
    stateIn(this).params = params;
  }

  /**
   * Aborted when the client goes away before the response has been sent, or ends its own side: it may
   * have gone, or still read what it gets.
   */
  get signal(): AbortSignal {
    return signalOf(stateIn(this));
  }

  /**
   * Address of the client: of the connection, whatever Forwarded fields say. Undefined when it is not
   * known, as of a unix socket, and of a request that came to no server. `server.requestIP` has more.
   */
  get ip(): string | undefined {
    return stateIn(this).source?.ip;
  }

  set ip(value: string | undefined) {
    own(this, 'ip', value);
  }

  /**
   * The version of HTTP that the request was made in, over TLS or in the clear. Undefined of a request
   * that came to no server.
   */
  get httpVersion(): HttpVersion | undefined {
    return stateIn(this).source?.httpVersion;
  }

  set httpVersion(value: HttpVersion | undefined) {
    own(this, 'httpVersion', value);
  }

  /** Of the connection that the request came over; undefined where that is none over TLS. */
  get tls(): TlsInfo | undefined {
    return stateIn(this).source?.tls;
  }

  set tls(value: TlsInfo | undefined) {
    own(this, 'tls', value);
  }

  /** What it is handled by; undefined of a request that came to no server. */
  get runtime(): RequestRuntime | undefined {
    return stateIn(this).source?.runtime;
  }

  set runtime(value: RequestRuntime | undefined) {
    own(this, 'runtime', value);
  }

  /**
   * `request.waitUntil?.(promise)`: work that goes on behind the response, which a stop of the server
   * waits for, within its deadline. A rejection is a line in the log. Undefined of a request that
   * came to no server.
   */
  get waitUntil(): ((promise: PromiseLike<unknown>) => void) | undefined {
    return stateIn(this).source?.waitUntil;
  }

  set waitUntil(value: ((promise: PromiseLike<unknown>) => void) | undefined) {
    own(this, 'waitUntil', value);
  }

  /** The body as a byte stream, made when first asked for; pulling is what lets more come. */
  get body(): ReadableStream<Uint8Array<ArrayBuffer>> | null {
    return streamOf(openBody(stateIn(this)));
  }

  /** Whether the body has been read, in part at least. */
  get bodyUsed(): boolean {
    return isUsed(stateIn(this).body);
  }

  get duplex(): 'half' {
    void this.#source;
    return 'half';
  }

  get destination(): '' {
    void this.#source;
    return '';
  }

  get redirect(): RequestRedirect {
    return stateIn(this).settings.redirect;
  }

  get mode(): RequestMode {
    return stateIn(this).settings.mode;
  }

  get credentials(): RequestCredentials {
    return stateIn(this).settings.credentials;
  }

  get cache(): RequestCache {
    return stateIn(this).settings.cache;
  }

  get referrer(): string {
    return stateIn(this).settings.referrer;
  }

  get referrerPolicy(): ReferrerPolicy {
    return stateIn(this).settings.referrerPolicy;
  }

  get integrity(): string {
    return stateIn(this).settings.integrity;
  }

  get keepalive(): boolean {
    return stateIn(this).settings.keepalive;
  }

  get isReloadNavigation(): boolean {
    void this.#source;
    return false;
  }

  get isHistoryNavigation(): boolean {
    void this.#source;
    return false;
  }

  /** A second request with the same head, and a body that can be read apart from this one's. */
  clone(): Request {
    const state = stateIn(this);
    const body = openBody(state);
    const copy = new State(state.method, null);
    copy.body = body === null ? null : cloneBody(body);
    copy.url = urlOf(state);
    copyHeaders(state, copy);
    copy.follows = state;
    copy.settings = state.settings;
    copyExtras(state, copy);
    return withState(copy);
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
  blob(): Promise<Blob> {
    return quietly(async () => {
      const bytes = await readBody(this, bodyOf, takeBytes);
      const type = extractMimeType(this.headers.get('content-type'));
      return new Blob([bytes], { type: type === null ? '' : serializeMimeType(type) });
    });
  }

  /** What the server has been told of forms. */
  get [formDefaults](): FormOptions | undefined {
    return formsOf(stateIn(this));
  }

  /**
   * The whole body as a form: multipart/form-data or application/x-www-form-urlencoded. Large files
   * are on disk, for as long as something of them is in use. Rejects with a MultipartError when the
   * form is malformed (400) or above a limit (413).
   */
  formData(options: FormOptions = {}): Promise<FormData> {
    return quietly(async () => {
      const type = this.headers.get('content-type');
      const limits = formOptions(this[formDefaults], options);
      if (isMultipart(type)) {
        const pieces = await readBody(this, bodyOf, takePieces);
        return readMultipart(pieces, type, limits);
      }
      return parseFormData(await readBody(this, bodyOf, takeBytes), type, limits);
    });
  }

  /** How `console.log` shows it. */
  [inspect.custom](depth: number, options: Parameters<typeof inspect>[1]): string {
    if (depth < 0) return '[Request]';
    const { method, url, headers, bodyUsed, params } = this;
    return `Request ${inspect({ method, url, headers, bodyUsed, params: { ...params } }, options)}`;
  }
}

standFor(Request, PlatformRequest);

/** What is assigned to a member that is a getter becomes the request's own. */
function own(request: object, name: string, value: unknown): void {
  Object.defineProperty(request, name, {
    configurable: true,
    enumerable: true,
    writable: true,
    value,
  });
}

/** As `readBody`: where nobody waits for what failed, that ends no process. */
function quietly<T>(read: () => Promise<T>): Promise<T> {
  const result = read();
  result.catch(() => {});
  return result;
}

/** The exchange that a request came by; null for one that a program made, and for copies. */
export function sourceOf(request: unknown): RequestSource | null {
  return stateOf(request)?.source ?? null;
}

/**
 * Reads what is left of a request's body and drops it, unless somebody is reading it. For the
 * bridge.
 */
export function dropBody(request: Request): void {
  const stream = streamOf(openBody(stateOf(request) as State));
  if (stream === null || stream.locked) return;
  stream.cancel().catch(() => {}); // it had failed: who reads it is told
}

/**
 * Takes the body for who reads it by himself: bytes where all of it is here, else a stream; null when
 * there is none. It is used from then on. Throws a TypeError when it was read before. For adapters.
 */
export function takeRequestBody(
  request: Request | globalThis.Request,
): Uint8Array | ReadableStream<Uint8Array> | null {
  const state = baseOf(request);
  const body = state === null ? null : openBody(state);
  if (body === null) return null;
  if (isUnusable(body))
    throw new TypeError('Request: its body has already been read, or is locked');
  const taken = takeForSending(body);
  return typeof taken === 'string' ? Buffer.from(taken) : taken;
}

/** Whether it is a light request. */
export function isLightRequest(value: unknown): value is Request {
  return stateOf(value) !== null;
}

/** The fields that fetch manages itself (RFC 9110 §7.6.1), and refuses partly. */
const perConnection = new Set([
  'connection',
  'expect',
  'keep-alive',
  'proxy-connection',
  'te',
  'trailer',
  'transfer-encoding',
  'upgrade',
]);

/**
 * The header fields as fetch takes them. What it knows the length of, it tells itself; of a stream the
 * length may be known by whoever sent it.
 */
function platformFields(state: State, isStreamed: boolean): [string, string][] {
  const list = listOfHeaders(headersOf(state)) as HeaderList;
  const fields: [string, string][] = [];
  for (let i = 0; i < list.length; i += 2) {
    const name = list[i] as string;
    if (perConnection.has(name) || (name === 'content-length' && !isStreamed)) continue;
    fields.push([name, list[i + 1] as string]);
  }
  return fields;
}

function toPlatform(state: State, body: Blob | ReadableStream | null): globalThis.Request {
  const { redirect, mode, credentials, cache, referrer, referrerPolicy } = state.settings;
  const { integrity, keepalive, dispatcher } = state.settings;
  const init = {
    ...{ redirect, mode, credentials, cache, referrer, referrerPolicy, integrity, keepalive },
    ...(dispatcher === undefined ? {} : { dispatcher }),
    method: state.method,
    headers: platformFields(state, body instanceof ReadableStream),
    body,
    duplex: 'half',
    signal: signalOf(state),
  };
  return new PlatformRequest(
    urlOf(state),
    init as ConstructorParameters<typeof PlatformRequest>[1],
  );
}

/** The body for the platform, which allows none of GET and HEAD. A client may have sent one. */
function bodyForPlatform(state: State): Body | null {
  return isBodiless(state.method) ? null : openBody(state);
}

/**
 * The request as the platform's own, for fetch. With `withBody` the body moves over; else it stays.
 */
export function platformRequest(request: Request, withBody: boolean): globalThis.Request {
  const state = stateOf(request) as State;
  const body = withBody ? bodyForPlatform(state) : null;
  if (isUnusable(body))
    throw new TypeError('Request: its body has already been read, or is locked');
  return toPlatform(state, body === null ? null : takeForFetch(body));
}

interface Twin {
  request: globalThis.Request;
  isStreamed: boolean;
}

const twins = new WeakMap<State, Twin>();

/**
 * A platform request that is this one for the platform's functions: it shares the body, so that who
 * reads one has read the other, and has the header fields of this moment.
 */
export function platformTwin(request: Request): globalThis.Request {
  const state = stateOf(request) as State;
  const body = bodyForPlatform(state);
  const known = twins.get(state);
  // Not when a clone() of this request has given the body another stream.
  if (known !== undefined && known.request.body === (body?.stream ?? null)) {
    const { headers } = known.request;
    for (const name of [...headers.keys()]) headers.delete(name);
    for (const field of platformFields(state, known.isStreamed)) headers.append(...field);
    return known.request;
  }
  const shared = body === null ? null : shareWithFetch(body);
  const twin = toPlatform(state, shared);
  if (isUnusable(body)) void twin.body?.cancel();
  else if (body !== null) adoptStream(body, twin.body as ReadableStream);
  twins.set(state, { request: twin, isStreamed: shared instanceof ReadableStream });
  return twin;
}
