import { PassThrough } from 'node:stream';
import { inspect } from 'node:util';
import { GyrfalconError } from '../core/errors.ts';
import { type Log, standardLog } from '../core/log.ts';
import { extractBody, isDisturbed, isUnusable, knownLength, takeForSending } from './body.ts';
import { isDecoded, isNotCoded } from './decoded.ts';
import { getFromList, type HeaderList, normalizeName, normalizeValue } from './headers.ts';
import { PlatformResponse } from './originals.ts';
import { type Response, responseState } from './response.ts';

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
  /**
   * The body is a stream, made of something that is most likely at hand: the platform's own responses
   * do not tell.
   */
  mayBeWhole: boolean;
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

/** Whether the fields are to be looked at: most have none that is the engine's. */
function needsSorting(list: readonly string[]): boolean {
  for (let i = 0; i < list.length; i += 2) {
    const name = list[i] as string;
    if (isEnginesField(name) || name === 'content-encoding') return true;
  }
  return false;
}

/**
 * Drops the codings that fetch has taken away from the body, and the length before that. `body` is
 * text, bytes or a stream.
 */
function dropCodings(fields: readonly string[], body: unknown): readonly string[] {
  const codings = getFromList(fields as HeaderList, 'content-encoding');
  if (codings === null || !isNotCoded(body, codings)) return fields;
  return fields.filter((_, i) => !isOfCoding(fields[i & ~1] as string));
}

function isOfCoding(name: string): boolean {
  return name === 'content-encoding' || name === 'content-length';
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
  const state = responseState(response);
  if (state === null) return foreignParts(response as globalThis.Response, log);
  if (state.status === 0) throw refuseError();
  const { body } = state;
  const parts: ResponseParts = {
    status: state.status,
    statusText: state.statusText,
    fields: state.list,
    body: null,
    length: null,
    mayBeWhole: false,
  };
  const isSorted = !needsSorting(state.list);
  if (body !== null) {
    if (isUnusable(body)) throw refuseUsed();
    if (!isSorted) parts.fields = dropCodings(state.list, body.source ?? body.stream);
    if (typeof body.source !== 'string') parts.length = knownLength(body);
    parts.body = takeForSending(body);
  }
  if (!isSorted) sortOutFields(parts, true, log);
  return parts;
}

function isResponse(value: unknown): value is globalThis.Response {
  if (typeof value !== 'object' || value === null) return false;
  return (
    value instanceof PlatformResponse ||
    Object.prototype.toString.call(value) === '[object Response]'
  );
}

/** What srvx's FastResponse (that of h3 and Nitro) gives its server: text and bytes as they are. */
interface FastResponse {
  _toNodeResponse(): { status: unknown; statusText: unknown; headers: unknown[]; body: unknown };
}

function isFast(response: object): response is FastResponse {
  return typeof (response as Partial<FastResponse>)._toNodeResponse === 'function';
}

/** On a FastResponse that has been sent: it is empty then, and a 200. */
const sent = Symbol('gyrfalcon.sent');

function fastParts(response: FastResponse, log: Log): ResponseParts {
  if (sent in response) throw refuseUsed();
  Reflect.set(response, sent, true);
  const { status, statusText, headers, body } = response._toNodeResponse();
  const fields: string[] = [];
  const parts = foreignHead(status, statusText, fields);
  let toSort = false;
  for (let i = 0; i < headers.length; i += 2) {
    const name = normalizeName(headers[i] as string);
    const value = normalizeValue(headers[i + 1] as string);
    fields.push(name, value);
    toSort ||= isEnginesField(name) || name === 'content-encoding';
  }
  if (toSort) {
    parts.fields = dropCodings(fields, body);
    sortOutFields(parts, true, log);
  }
  parts.body = foreignBody(parts, body);
  return parts;
}

function foreignHead(status: unknown, statusText: unknown, fields: string[]): ResponseParts {
  if (status === 0) throw refuseError();
  if (!Number.isInteger(status))
    throw refused(`The status of a response is ${inspect(status)}`, 'it must be an integer');
  const text = typeof statusText === 'string' ? statusText : '';
  return {
    status: status as number,
    statusText: text,
    fields,
    body: null,
    length: null,
    mayBeWhole: false,
  };
}

/** Takes the body of another library's response: of node-fetch, say, it is a stream of Node's. */
function foreignBody(parts: ResponseParts, given: unknown): ResponseParts['body'] {
  if (given === null || given === undefined) return null;
  if (typeof given === 'string') return given;
  const source = isPipe(given) ? piped(given) : given;
  if (!isBodyLike(source)) {
    const hint = 'it must be a ReadableStream or null';
    throw refused(`The body of a response is ${inspect(given, { depth: 0 })}`, hint);
  }
  if (isSpent(source)) throw refuseUsed();
  // A stream that is not of this platform's class: all that is needed is its reader.
  if ('getReader' in source && !(source instanceof ReadableStream)) return source;
  const body = extractBody(source); // the stream may be that of a light body, whose bytes are known
  parts.length ??= knownLength(body);
  return takeForSending(body);
}

type BodyLike = ReadableStream<Uint8Array> | AsyncIterable<Uint8Array> | Uint8Array;

function isBodyLike(value: unknown): value is BodyLike {
  if (value instanceof Uint8Array) return true;
  if (typeof value !== 'object' || value === null) return false;
  const { getReader } = value as Partial<ReadableStream>;
  const iterate = (value as Partial<AsyncIterable<unknown>>)[Symbol.asyncIterator];
  return typeof getReader === 'function' || typeof iterate === 'function';
}

/** What can be piped and nothing else: what React's `renderToPipeableStream` gives. */
interface Pipe {
  pipe(to: PassThrough): unknown;
  abort?(): void;
}

function isPipe(value: unknown): value is Pipe {
  return !isBodyLike(value) && typeof (value as Partial<Pipe>).pipe === 'function';
}

function piped(source: Pipe): PassThrough {
  const through = new PassThrough();
  through.once('close', () => source.abort?.());
  source.pipe(through);
  return through;
}

function isSpent(body: BodyLike): boolean {
  return (body as ReadableStream).locked === true || isDisturbed(body as ReadableStream);
}

function foreignParts(response: unknown, log: Log): ResponseParts {
  if (!isResponse(response)) {
    const given = inspect(response, { depth: 0 });
    throw refused(`A handler must return a Response, not ${given}`, 'new Response(…)');
  }
  if (isFast(response)) return fastParts(response, log);
  const fields: string[] = [];
  const parts = foreignHead(response.status, response.statusText, fields);
  if (response.bodyUsed) throw refuseUsed();
  const decoded = isDecoded(response);
  for (const [name, value] of response.headers) {
    if (!decoded || !isOfCoding(name)) fields.push(normalizeName(name), normalizeValue(value)); // of a library, they may be anything
  }
  if (needsSorting(fields)) {
    parts.fields = dropCodings(fields, response.body);
    sortOutFields(parts, false, log);
  }
  parts.body = foreignBody(parts, response.body);
  parts.mayBeWhole = response instanceof PlatformResponse && response.url === ''; // '': not of fetch
  return parts;
}
