/**
 * The same tests over HTTP/2: what GYRFALCON_OVER_HTTP2 asks for, in the place of HTTP/1. A request that is written as HTTP/1
 * has it, by prior knowledge, is sent as a stream, and its response is told as HTTP/1 would; fetch() speaks HTTP/2. What HTTP/2
 * cannot say (another version, a message that is broken) goes as it is written.
 */

import { STATUS_CODES } from 'node:http';
import { type ClientHttp2Session, type ClientHttp2Stream, connect, constants } from 'node:http2';
import type { RawResponse } from './socket.ts';
import { within } from './wait.ts';

export const overHttp2 = process.env.GYRFALCON_OVER_HTTP2 === '1';

if (overHttp2) {
  const { Agent, H2CClient, setGlobalDispatcher } = await import('undici');
  setGlobalDispatcher(new Agent({ factory: (origin, options) => new H2CClient(origin, options) }));
}

/** A request as HTTP/1 writes it, taken apart. */
interface Parsed {
  headers: [name: string, value: string][];
  body: Buffer;
  trailers: [name: string, value: string][];
}

const requestLine = /^([!#$%&'*+.^_`|~\w-]+) (\/\S*|\*) HTTP\/1\.1$/;
const fieldLine = /^([!#$%&'*+.^_`|~\w-]+):[ \t]*([\x20-\x7e\x80-\xff\t]*?)[ \t]*$/;
/** What is HTTP/1's own. */
const ofConnections = new Set([
  'connection',
  'keep-alive',
  'proxy-connection',
  'transfer-encoding',
  'upgrade',
  'te',
]);

/** Null: it is not one whole request that HTTP/2 can say too. */
function parse(text: string): Parsed | null {
  const end = text.indexOf('\r\n\r\n');
  if (end === -1) return null;
  const [first = '', ...lines] = text.slice(0, end).split('\r\n');
  const [, method, target] = requestLine.exec(first) ?? [];
  if (method === undefined || target === undefined) return null;
  const fields = fieldsOf(lines);
  if (fields === null) return null;
  const host = fields.filter(([name]) => name === 'host');
  if (host.length !== 1 || !/^[\w.:-]+$/.test(host[0]?.[1] ?? '')) return null;
  const framed = framing(fields, text.slice(end + 4));
  if (framed === null) return null;
  const own = fields.filter(([name]) => name !== 'host' && !ofConnections.has(name));
  const pseudo: [string, string][] = [
    [':method', method],
    [':scheme', 'http'],
    [':authority', host[0]?.[1] ?? ''],
    [':path', target],
  ];
  return { headers: [...pseudo, ...own], ...framed };
}

function fieldsOf(lines: readonly string[]): [string, string][] | null {
  const fields: [string, string][] = [];
  for (const line of lines) {
    const [, name, value] = fieldLine.exec(line) ?? [];
    if (name === undefined || value === undefined) return null;
    fields.push([name.toLowerCase(), value]);
  }
  return fields;
}

/** Content and trailers, when they are there to the last byte and nothing is behind them. */
function framing(
  fields: readonly [string, string][],
  rest: string,
): Pick<Parsed, 'body' | 'trailers'> | null {
  const valuesOf = (name: string): string[] =>
    fields.filter(([one]) => one === name).map(([, value]) => value);
  const [coding, length] = [valuesOf('transfer-encoding'), valuesOf('content-length')];
  if (coding.length === 0) {
    if (length.length > 1 || Number(length[0] ?? 0) !== rest.length) return null;
    return { body: Buffer.from(rest, 'latin1'), trailers: [] };
  }
  if (coding.join() !== 'chunked' || length.length > 0) return null;
  const parts: string[] = [];
  for (let at = 0; ; ) {
    const line = /^([\da-f]{1,7})\r\n/i.exec(rest.slice(at, at + 20));
    if (line === null) return null;
    const size = Number.parseInt(line[1] as string, 16);
    at += line[0].length;
    if (size === 0) {
      const lines = rest.slice(at);
      if (!lines.endsWith('\r\n') || (lines !== '\r\n' && !lines.endsWith('\r\n\r\n'))) return null;
      const trailers = lines === '\r\n' ? [] : fieldsOf(lines.slice(0, -4).split('\r\n'));
      return trailers === null ? null : { body: Buffer.from(parts.join(''), 'latin1'), trailers };
    }
    if (rest.slice(at + size, at + size + 2) !== '\r\n') return null;
    parts.push(rest.slice(at, at + size));
    at += size + 2;
  }
}

/** Sends the request on a connection of its own; null when HTTP/2 cannot say it. */
export async function exchangeOverHttp2(
  port: number,
  request: string | Uint8Array,
): Promise<RawResponse | null> {
  const text = typeof request === 'string' ? request : Buffer.from(request).toString('latin1');
  const parsed = parse(text);
  if (parsed === null) return null;
  const headers: Record<string, string | string[]> = Object.create(null);
  for (const [name, value] of parsed.headers) {
    const before = headers[name];
    headers[name] = before === undefined ? value : [before, value].flat();
  }
  const session = connect(`http://127.0.0.1:${port}`, { maxHeaderListPairs: 4096 });
  try {
    return await within(
      answer(
        session.request(headers, {
          endStream: parsed.body.length === 0 && parsed.trailers.length === 0,
          waitForTrailers: parsed.trailers.length > 0,
        } as object),
        session,
        parsed,
      ),
      `an answer to ${text.slice(0, 80)}`,
    );
  } finally {
    session.destroy();
  }
}

function answer(
  stream: ClientHttp2Stream,
  session: ClientHttp2Session,
  { body, trailers }: Parsed,
): Promise<RawResponse> {
  return new Promise((resolve, reject) => {
    let [head, after]: (readonly string[])[] = [[], []];
    const pieces: Buffer[] = [];
    session.once('error', reject);
    stream.once('error', reject);
    stream.on('wantTrailers', () => stream.sendTrailers(Object.fromEntries(trailers)));
    // The last argument has the fields as they came.
    stream.once('response', (...given: unknown[]) => {
      head = given[2] as string[];
    });
    stream.once('trailers', (...given: unknown[]) => {
      after = given[2] as string[];
    });
    stream.on('data', (piece: Buffer) => pieces.push(piece));
    stream.once('close', () => {
      if (head.length === 0 || stream.rstCode > constants.NGHTTP2_NO_ERROR) {
        reject(new Error(`reset with ${stream.rstCode}`));
      } else resolve(told(head, Buffer.concat(pieces), after));
    });
    if (!stream.writableEnded) stream.end(body);
  });
}

/** As HTTP/1 would tell it. */
function told(head: readonly string[], body: Buffer, trailers: readonly string[]): RawResponse {
  const [[, status = ''] = [], ...fields] = pairsOf(head);
  const lines = fields.map(([name, value]) => `${name}: ${value}\r\n`).join('');
  return {
    status: Number(status),
    head: `HTTP/1.1 ${status} ${STATUS_CODES[status]}\r\n${lines}\r\n`,
    headers: joined(fields),
    body,
    trailers: joined(pairsOf(trailers)),
  };
}

function pairsOf(list: readonly string[]): [name: string, value: string][] {
  return Array.from({ length: list.length / 2 }, (_, n) => [
    list[2 * n] as string,
    list[2 * n + 1] as string,
  ]);
}

/** Of several with one name, joined by ", ". */
function joined(fields: readonly [string, string][]): Map<string, string> {
  const map = new Map<string, string>();
  for (const [name, value] of fields) {
    const before = map.get(name);
    map.set(name, before === undefined ? value : `${before}, ${value}`);
  }
  return map;
}
