import { Readable } from 'node:stream';
import { types } from 'node:util';
import { ChunkEncoder, Gathered, viewBytes } from './chunks.ts';
import { rememberCopy } from './decoded.ts';
import { encodeFormData, readBlob } from './form_data.ts';

/** What a body can be made from (Fetch "BodyInit", and async iterables of bytes or text). */
export type BodyInit =
  | string
  | ArrayBuffer
  | ArrayBufferView
  | Blob
  | FormData
  | URLSearchParams
  | ReadableStream<Uint8Array | string>
  | AsyncIterable<Uint8Array | string>;

/**
 * The body of a received request, read from the engine under credit. Exactly one of `whole()` with
 * a result, `stream()` and `collect()` is used, once.
 */
export interface BodySource {
  /**
   * The whole body when it is here already, else null. May be a view of memory that is reused after
   * the current call: what is kept is copied.
   */
  whole(): Uint8Array | null;
  /** The body as a stream of bytes; pulling grants credit, cancelling drops the rest. */
  stream(): ReadableStream<Uint8Array>;
  /** The whole body, as memory of the caller's own. Rejects when the client goes away. */
  collect(): Promise<Uint8Array>;
}

type Source = string | Uint8Array | Blob | BodySource;

/**
 * A body (Fetch §2.2.4) before anybody has touched it as a stream: `source` alone. Touched, it has
 * a `stream` too. A source that stays beside its stream is text, bytes or a Blob, and may still be
 * used in place of the stream as long as that is neither locked nor disturbed.
 */
export class Body {
  declare source: Source | null;
  declare stream: ReadableStream<Uint8Array> | null;
  /** The content-type that Fetch gives to this kind of source, or null. */
  declare type: string | null;
  declare used: boolean;

  constructor(
    source: Source | null,
    stream: ReadableStream<Uint8Array> | null,
    type: string | null,
  ) {
    this.source = source;
    this.stream = stream;
    this.type = type;
    this.used = false;
  }
}

export const textType = 'text/plain;charset=UTF-8';
const formType = 'application/x-www-form-urlencoded;charset=UTF-8';

/** Finds back the body of a stream that was handed out, so that passing it on costs no stream. */
const bodyOfStream = new WeakMap<ReadableStream, Body>();

/** Whether anybody has read from the stream or cancelled it. */
export function isDisturbed(stream: ReadableStream): boolean {
  return Readable.isDisturbed(stream as unknown as NodeJS.ReadableStream);
}

/** Makes a body of anything that a constructor takes (Fetch "extract a body"). */
export function extractBody(init: unknown): Body {
  if (typeof init === 'string') return new Body(init, null, textType);
  if (typeof init === 'object' && init !== null) {
    if (ArrayBuffer.isView(init)) return new Body(copyView(init), null, null);
    if (types.isAnyArrayBuffer(init)) return new Body(new Uint8Array(init).slice(), null, null);
    if (init instanceof ReadableStream) return bodyFromStream(init);
    if (init instanceof Blob) return new Body(init, null, init.type === '' ? null : init.type);
    if (init instanceof URLSearchParams) return new Body(init.toString(), null, formType);
    if (init instanceof FormData) return bodyFromForm(init);
    const foreign = bodyFromForeign(init);
    if (foreign !== null) return foreign;
    const iterable = init as Partial<AsyncIterable<unknown>>;
    if (typeof iterable[Symbol.asyncIterator] === 'function') {
      return new Body(null, streamOfIterable(iterable as AsyncIterable<unknown>), null);
    }
  }
  // Not String(init): that would take a symbol.
  return new Body(`${init}`, null, textType);
}

/** What another realm or a library has of the platform's classes; null for anything else. */
function bodyFromForeign(init: object): Body | null {
  switch (foreignKind(init)) {
    case 'FormData':
      return bodyFromForm(init as FormData);
    case 'URLSearchParams':
      return new Body(String(init), null, formType);
    case 'Blob':
    case 'File': {
      const { type } = init as Blob;
      return new Body(null, streamOfIterable(readBlob(init as Blob)), type === '' ? null : type);
    }
    default:
      return null;
  }
}

/** How it calls itself, when that is the name of something a body can be made from. */
function foreignKind(value: object): string | null {
  const kind = (value as { [Symbol.toStringTag]?: unknown })[Symbol.toStringTag];
  const isForeign =
    (kind === 'FormData' && typeof (value as Partial<FormData>).entries === 'function') ||
    (kind === 'URLSearchParams' && typeof (value as URLSearchParams).append === 'function') ||
    ((kind === 'Blob' || kind === 'File') &&
      typeof (value as Partial<Blob>).arrayBuffer === 'function');
  return isForeign ? kind : null;
}

/** Whether it is of a class that this platform's fetch does not know, and a body nevertheless. */
export function isForeignBody(value: unknown): boolean {
  if (typeof value !== 'object' || value === null || foreignKind(value) === null) return false;
  return !(value instanceof FormData || value instanceof Blob || value instanceof URLSearchParams);
}

function bodyFromForm(form: FormData): Body {
  const { body, type } = encodeFormData(form);
  return typeof body === 'string' || body instanceof Blob
    ? new Body(body, null, type)
    : new Body(null, streamOfIterable(body), type);
}

/** Small copies come out of Node's pool; nobody but the bridge sees their buffer. */
function copyView(view: ArrayBufferView): Uint8Array {
  const bytes = viewBytes(view) as Uint8Array;
  if (bytes.byteLength > 2048) return new Uint8Array(bytes);
  const copy = Buffer.allocUnsafe(bytes.byteLength);
  copy.set(bytes);
  return copy;
}

function bodyFromStream(stream: ReadableStream<Uint8Array>): Body {
  if (stream.locked || isDisturbed(stream)) {
    throw new TypeError('Body: the stream is locked or has been read from');
  }
  const known = bodyOfStream.get(stream);
  return new Body(known === undefined ? null : known.source, stream, null);
}

function streamOfIterable(iterable: AsyncIterable<unknown>): ReadableStream<Uint8Array> {
  const chunks = new ChunkEncoder();
  let iterator: AsyncIterator<unknown>;
  return new ReadableStream<Uint8Array>(
    {
      start() {
        iterator = iterable[Symbol.asyncIterator]();
      },
      async pull(controller) {
        const { value, done } = await iterator.next();
        const bytes = done ? chunks.end() : chunks.encode(value);
        if (!done || bytes.byteLength > 0) controller.enqueue(bytes);
        if (done) controller.close();
      },
      async cancel(reason) {
        // The `return()` of a Node.js stream that has nothing to give waits until it has.
        const { pipe, destroy } = iterable as Partial<Readable>;
        if (typeof pipe === 'function' && typeof destroy === 'function') destroy.call(iterable);
        await iterator.return?.(reason);
      },
    },
    { highWaterMark: 0 },
  );
}

/** Whether the body has been read from (`bodyUsed`). */
export function isUsed(body: Body | null): boolean {
  return body !== null && (body.used || (body.stream !== null && isDisturbed(body.stream)));
}

/** Whether the body can no longer be read (Fetch "unusable"). */
export function isUnusable(body: Body | null): boolean {
  return body !== null && (isUsed(body) || (body.stream?.locked ?? false));
}

function refuseUnusable(body: Body): void {
  if (!isUnusable(body)) return;
  throw new TypeError('Body is unusable: it has already been read, or is locked');
}

/** The `body` of a message, typed as the platform's is. */
export function streamOf(body: Body | null): ReadableStream<Uint8Array<ArrayBuffer>> | null {
  return body === null ? null : (openStream(body) as ReadableStream<Uint8Array<ArrayBuffer>>);
}

/** The body as a stream, made when first asked for. */
function openStream(body: Body): ReadableStream<Uint8Array> {
  if (body.stream !== null) return body.stream;
  if (body.used || body.source === null) {
    body.stream = spentStream();
    return body.stream;
  }
  if (isIncoming(body.source)) settleIncoming(body);
  const source = body.source as Source;
  if (isIncoming(source)) {
    body.source = null;
    body.stream = source.stream();
  } else {
    body.stream = source instanceof Blob ? source.stream() : streamOfStatic(source);
    bodyOfStream.set(body.stream, body);
  }
  return body.stream;
}

function isIncoming(source: Source | null): source is BodySource {
  return (
    typeof source === 'object' &&
    source !== null &&
    !(source instanceof Uint8Array) &&
    !(source instanceof Blob)
  );
}

/** A received body that is here already becomes plain bytes. */
function settleIncoming(body: Body): void {
  const whole = (body.source as BodySource).whole();
  if (whole !== null) body.source = new Uint8Array(whole);
}

function streamOfStatic(source: string | Uint8Array): ReadableStream<Uint8Array> {
  return new ReadableStream({
    type: 'bytes',
    pull(controller) {
      // A byte stream takes the chunk's memory, so it gets one of its own.
      const chunk = typeof source === 'string' ? encoder.encode(source) : new Uint8Array(source);
      if (chunk.byteLength > 0) controller.enqueue(chunk);
      controller.close();
      controller.byobRequest?.respond(0);
    },
  });
}

/** What `body` is after a method like `text()` has read it: closed, disturbed, locked. */
function spentStream(): ReadableStream<Uint8Array> {
  const stream = new ReadableStream<Uint8Array>({
    start(controller) {
      controller.close();
    },
  });
  void stream.getReader().cancel();
  return stream;
}

/** Marks a body whose source is used in place of its stream. */
function spend(body: Body): void {
  body.used = true;
  body.source = null;
  if (body.stream !== null) void body.stream.getReader().cancel();
}

const encoder = new TextEncoder();
const decoder = new TextDecoder();
const utf8Slice = (Buffer.prototype as unknown as { utf8Slice(from: number, to: number): string })
  .utf8Slice;
const nativeSliceMax = 4096;

/** UTF-8 decode (Encoding §6): a byte order mark is dropped, defects become U+FFFD. */
export function decodeUtf8(bytes: Uint8Array): string {
  if (bytes.byteLength > nativeSliceMax) return decoder.decode(bytes);
  const text = utf8Slice.call(bytes, 0, bytes.byteLength);
  return text.charCodeAt(0) === 0xfeff ? text.slice(1) : text;
}

/** What decoding the UTF-8 bytes of `text` gives. */
function roundTrip(text: string): string {
  const whole = (text as string & { toWellFormed(): string }).toWellFormed();
  return whole.charCodeAt(0) === 0xfeff ? whole.slice(1) : whole;
}

/** Reads the body as text. Not asynchronous where the body is here. */
export function takeText(body: Body | null): string | Promise<string> {
  if (body === null) return '';
  refuseUnusable(body);
  const source = body.source;
  if (source === null) return readAll(body).then(decodeUtf8);
  if (typeof source === 'string') {
    spend(body);
    return roundTrip(source);
  }
  if (source instanceof Uint8Array) {
    spend(body);
    return decodeUtf8(source);
  }
  if (source instanceof Blob) {
    spend(body);
    return source.text();
  }
  const whole = source.whole();
  body.used = true;
  body.source = null;
  return whole === null ? source.collect().then(decodeUtf8) : decodeUtf8(whole);
}

/** Reads the body as bytes, in memory of the caller's own that fills its buffer exactly. */
export function takeBytes(
  body: Body | null,
): Uint8Array<ArrayBuffer> | Promise<Uint8Array<ArrayBuffer>> {
  if (body === null) return new Uint8Array(0);
  refuseUnusable(body);
  const source = body.source;
  if (source === null) return readAll(body);
  if (typeof source === 'string') {
    spend(body);
    return exact(encoder.encode(source));
  }
  if (source instanceof Uint8Array) {
    spend(body);
    return new Uint8Array(source);
  }
  if (source instanceof Blob) {
    spend(body);
    return source.arrayBuffer().then((buffer) => new Uint8Array(buffer));
  }
  const whole = source.whole();
  body.used = true;
  body.source = null;
  return whole === null ? source.collect().then(exact) : new Uint8Array(whole);
}

function exact(bytes: Uint8Array): Uint8Array<ArrayBuffer> {
  const { buffer } = bytes;
  if (buffer instanceof ArrayBuffer && buffer.byteLength === bytes.byteLength) {
    return bytes as Uint8Array<ArrayBuffer>;
  }
  return new Uint8Array(bytes);
}

/** Reads a stream to its end. Rejects when a chunk is not bytes, as Fetch has it. */
async function readAll(body: Body): Promise<Uint8Array<ArrayBuffer>> {
  const reader = openStream(body).getReader();
  body.used = true;
  const gathered = new Gathered();
  let length = 0;
  for (;;) {
    const { done, value } = await reader.read();
    if (done) break;
    if (!(value instanceof Uint8Array)) {
      const error = new TypeError('Body: the stream gave a chunk that is not a Uint8Array');
      reader.cancel(error).catch(() => {});
      throw error;
    }
    gathered.add(value);
    length += value.byteLength;
  }
  const whole = new Uint8Array(length);
  let at = 0;
  for (const chunk of gathered.pieces) {
    whole.set(chunk, at);
    at += chunk.byteLength;
  }
  return whole;
}

/** Takes the body to send it; from then on it is used. It must not be unusable before. */
export function takeForSending(body: Body): string | Uint8Array | ReadableStream<Uint8Array> {
  if (isIncoming(body.source)) settleIncoming(body);
  const source = body.source;
  if (typeof source === 'string' || source instanceof Uint8Array) {
    spend(body);
    return source;
  }
  const stream = openStream(body);
  body.used = true;
  body.source = null;
  return stream;
}

/**
 * Takes the body for the platform's fetch; from then on it is used. It must not be unusable before.
 * What is no stream becomes a Blob without a type: fetch knows its length, and can send it anew behind
 * a redirect, which fails with bytes in Node.js 20 and 22 (their buffer is detached by the first send).
 */
export function takeForFetch(body: Body): Blob | ReadableStream<Uint8Array> {
  const { source } = body;
  if (source instanceof Blob) {
    spend(body);
    return source.slice();
  }
  const taken = takeForSending(body);
  return taken instanceof ReadableStream ? taken : blobOf(taken);
}

/**
 * The body for a platform object that shares it. What is no stream becomes a Blob, and `adoptStream`
 * then takes the stream that the platform makes of it. For a body that is unusable: something.
 */
export function shareWithFetch(body: Body): Blob | ReadableStream<Uint8Array> {
  if (isUnusable(body)) return new Blob([]);
  if (body.stream === null && isIncoming(body.source)) settleIncoming(body);
  const { source, stream } = body;
  if (stream !== null || source === null || isIncoming(source)) return openStream(body);
  return source instanceof Blob ? source.slice() : blobOf(source);
}

/** Makes the platform's stream of a shared body its own, unless it has one. */
export function adoptStream(body: Body, stream: ReadableStream<Uint8Array>): void {
  if (body.stream !== null) return;
  body.stream = stream;
  bodyOfStream.set(stream, body);
}

function blobOf(source: string | Uint8Array): Blob {
  return new Blob([source as Uint8Array<ArrayBuffer>]);
}

/** Takes the body to read it piece by piece: whole when it is here, else as a stream. */
export function takePieces(body: Body | null): Uint8Array | ReadableStream<Uint8Array> {
  if (body === null) return new Uint8Array(0);
  refuseUnusable(body);
  if (isIncoming(body.source)) settleIncoming(body);
  const taken = takeForSending(body);
  return typeof taken === 'string' ? encoder.encode(taken) : taken;
}

/** The size in bytes when it is known without encoding or reading: that of a Blob. */
export function knownLength(body: Body): number | null {
  return body.source instanceof Blob ? body.source.size : null;
}

/** Fetch "clone a body": both can be read, each once. Throws a TypeError when it was read. */
export function cloneBody(body: Body): Body {
  if (isUnusable(body)) throw new TypeError('clone: the body has already been read, or is locked');
  if (isIncoming(body.source)) settleIncoming(body);
  if (body.source !== null && !isIncoming(body.source)) {
    return new Body(body.source, null, body.type);
  }
  const stream = openStream(body);
  const [kept, given] = stream.tee();
  rememberCopy(stream, kept);
  rememberCopy(stream, given);
  body.source = null;
  body.stream = kept;
  return new Body(null, given, body.type);
}

/** Moves a body to another owner (`new Request(request)`): the old one is used from then on. */
export function transferBody(body: Body): Body {
  if (isUnusable(body)) {
    throw new TypeError('Request: the body of the given request has already been read');
  }
  if (body.source === null && body.stream !== null) {
    const moved = body.stream.pipeThrough(new TransformStream<Uint8Array, Uint8Array>());
    rememberCopy(body.stream, moved);
    body.used = true;
    return new Body(null, moved, null);
  }
  const moved = new Body(body.source, null, null);
  spend(body);
  return moved;
}

/** Reads the body as JSON; a defect throws or rejects with a SyntaxError. */
export function takeJson(body: Body | null): unknown {
  const text = takeText(body);
  return typeof text === 'string'
    ? JSON.parse(text)
    : text.then((whole): unknown => JSON.parse(whole));
}

/** Reads the body as an ArrayBuffer of its own. */
export function takeArrayBuffer(body: Body | null): ArrayBuffer | Promise<ArrayBuffer> {
  const bytes = takeBytes(body);
  return bytes instanceof Promise ? bytes.then((b) => b.buffer) : bytes.buffer;
}

/**
 * Calls `take` with the owner's body and makes a promise of what it gives or throws: a method that
 * reads a body never throws, not even for a wrong `this`.
 */
export function readBody<O, R>(
  owner: O,
  bodyOf: (owner: O) => Body | null,
  take: (body: Body | null) => R | Promise<R>,
): Promise<R> {
  try {
    const taken = take(bodyOf(owner));
    if (!(taken instanceof Promise)) return Promise.resolve(taken);
    // A client that leaves fails the read. Where nobody waits for it any more, that ends no process.
    taken.catch(() => {});
    return taken;
  } catch (error) {
    return Promise.reject(error);
  }
}
