import {
  IncomingMessage,
  ServerResponse,
  validateHeaderName,
  validateHeaderValue,
} from 'node:http';
import type { Socket } from 'node:net';
import type { HeaderList } from '../fetch/headers.ts';
import type { ClientSocket } from './socket.ts';

export type Sent = ((error?: Error | null) => void) | null | undefined;

/** Who carries what a `ServerResponse` writes. */
export interface ResponseSink {
  /** An interim response with these fields: 103 (Early Hints). */
  hint(fields: HeaderList): void;
  /** The final head. What a body brings along comes behind it. */
  head(status: number, fields: HeaderList): void;
  /**
   * A part of the body, perhaps an empty one; `sent` is to be called when it has gone. Returns whether
   * there is room for more.
   */
  write(
    data: string | Uint8Array,
    encoding: BufferEncoding | null | undefined,
    sent: Sent,
  ): boolean;
  /** Nothing will follow. */
  end(): void;
}

/**
 * What is relied on of Node's own ServerResponse beside its documented interface: where the head, the
 * parts of the body and the end leave for a socket. Tests hold it on every Node.js that is supported.
 */
interface Internals {
  _header: string | null;
  _headerSent: boolean;
  _hasBody: boolean;
  _contentLength: number | null;
  _trailer: string;
  _closed: boolean;
  _storeHeader(line: string, fields: unknown): void;
  _send(data: string | Uint8Array, encoding?: BufferEncoding | null, sent?: Sent): boolean;
  _writeRaw(text: string, encoding?: unknown, sent?: Sent): boolean;
  _finish(): void;
}

export type NodeResponse = ServerResponse &
  Internals & { [sinkOf]: ResponseSink; [needDrain]?: boolean };

const sinkOf = Symbol('gyrfalcon.sink');
const needDrain: unique symbol = ownSymbol('kNeedDrain') as never;

/** A symbol that Node's ServerResponse has its state under, by its name. */
function ownSymbol(name: string): symbol {
  const response = new ServerResponse(new IncomingMessage(null as unknown as Socket));
  const found = Object.getOwnPropertySymbols(response).find((key) => key.description === name);
  return found ?? Symbol(name);
}

/**
 * A real `ServerResponse`: fields, checks, states and events are those of the Node.js that runs. What
 * leaves it for a socket goes to `sink` instead, and is never made into bytes of HTTP. The methods that
 * see to that are the object's own, since Express gives it another prototype.
 */
export function serverResponse(
  req: IncomingMessage,
  socket: ClientSocket,
  sink: ResponseSink,
): NodeResponse {
  const res = new ServerResponse(req) as NodeResponse;
  res[sinkOf] = sink;
  res._storeHeader = storeHeader;
  res._send = send;
  res._writeRaw = writeRaw;
  res._finish = finish;
  (res as { socket: unknown }).socket = socket;
  socket._httpMessage = res;
  return res;
}

function storeHeader(this: NodeResponse, line: string, given: unknown): void {
  const fields = storedFields(this);
  if (fields.length === 0) givenFields(fields, given);
  for (let i = 0; i < fields.length; i += 2) {
    if (fields[i] === 'content-length') this._contentLength = Number(fields[i + 1]);
  }
  // The engine frames the message: Node's code is to hand over the body as it is.
  this.chunkedEncoding = false;
  this._header = line;
  this._headerSent = true;
  this[sinkOf].head(this.statusCode, fields);
}

function send(
  this: NodeResponse,
  data: string | Uint8Array,
  encoding?: BufferEncoding | null,
  sent?: Sent,
): boolean {
  return this[sinkOf].write(data, encoding, sent);
}

/** Interim responses come here, as text that Node's code has made. The engine sends 100 itself. */
function writeRaw(this: NodeResponse, text: string, _encoding?: unknown, sent?: Sent): boolean {
  if (text.startsWith('HTTP/1.1 103')) this[sinkOf].hint(fieldsOfLines(text));
  if (typeof sent === 'function') process.nextTick(sent);
  return true;
}

function finish(this: NodeResponse): void {
  (ServerResponse.prototype as NodeResponse)._finish.call(this);
  this[sinkOf].end();
}

/** There is room again: emits 'drain' where somebody was told that there is none. */
export function drained(res: NodeResponse): void {
  if (!res[needDrain] || res.finished || res.destroyed) return;
  res[needDrain] = false;
  res.emit('drain');
}

/** 'close', once. */
export function emitClose(res: NodeResponse): void {
  if (res._closed) return;
  res._closed = true;
  res.emit('close');
}

/** What was set by `setHeader` and the like. */
function storedFields(res: ServerResponse): HeaderList {
  const list: HeaderList = [];
  const headers = res.getHeaders();
  for (const name in headers) addField(list, name, headers[name]);
  return list;
}

/** What was given to `writeHead` alone: an object, a flat list, or a list of pairs. */
function givenFields(list: HeaderList, given: unknown): void {
  if (typeof given !== 'object' || given === null) return;
  if (!Array.isArray(given)) {
    for (const [name, value] of Object.entries(given)) addChecked(list, name, value);
  } else if (Array.isArray(given[0])) {
    for (const [name, value] of given) addChecked(list, name, value);
  } else {
    for (let i = 0; i < given.length; i += 2) addChecked(list, given[i], given[i + 1]);
  }
}

function addChecked(list: HeaderList, name: string, value: unknown): void {
  validateHeaderName(name);
  for (const one of Array.isArray(value) ? value : [value]) validateHeaderValue(name, one);
  addField(list, name.toLowerCase(), value);
}

/** Several values are several lines, but for Cookie (RFC 9110 §5.3, RFC 6265 §5.4). */
function addField(list: HeaderList, name: string, value: unknown): void {
  if (!Array.isArray(value)) list.push(name, String(value));
  else if (name === 'cookie') list.push(name, value.join('; '));
  else for (const one of value) list.push(name, String(one));
}

/** The fields in lines of "Name: value" that Node's code has written and checked. */
export function fieldsOfLines(text: string): HeaderList {
  const list: HeaderList = [];
  for (const line of text.split('\r\n')) {
    const colon = line.indexOf(': ');
    if (colon > 0) list.push(line.slice(0, colon).toLowerCase(), line.slice(colon + 2));
  }
  return list;
}
