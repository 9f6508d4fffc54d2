/** llhttp as node:http uses it, without sockets. */
import { createServer, type IncomingMessage, type Server } from 'node:http';
import { Duplex } from 'node:stream';
import { setImmediate as turn } from 'node:timers/promises';
import * as zlib from 'node:zlib';
import type { End, Framed, Verdict } from './verdict.ts';

/** zlib.crc32 came with Node.js 20.15. */
const crc32 = (zlib as unknown as { crc32?: (data: Buffer, value?: number) => number }).crc32;

/** Why this Node.js cannot take part. */
export const lacking = crc32 === undefined ? 'node:zlib has no crc32 here' : undefined;

/** A client's end of a connection: everything was sent, nothing is read. */
class Connection extends Duplex {
  requests: Recorded[] = [];
  code = '';
  connect = false;

  override _read(): void {}

  override _write(_chunk: unknown, _encoding: string, done: () => void): void {
    done();
  }
}

type Recorded = { -readonly [key in keyof Framed]: Framed[key] };

function fieldsCrc(raw: readonly string[]): number {
  let text = '';
  for (let i = 0; i < raw.length; i += 2) text += `${raw[i]}:${raw[i + 1]}\n`;
  return crc32?.(Buffer.from(text, 'latin1')) ?? 0;
}

function record(req: IncomingMessage): Recorded {
  const recorded: Recorded = {
    method: req.method ?? '',
    target: req.url ?? '',
    complete: false,
    length: 0,
    body: 0,
    fields: fieldsCrc(req.rawHeaders),
    trailers: 0,
  };
  (req.socket as unknown as Connection).requests.push(recorded);
  return recorded;
}

export class NodeSide {
  readonly #server: Server;

  constructor() {
    this.#server = createServer({
      insecureHTTPParser: false,
      // Checked by node:http itself, after the parser; the engine's parser checks it.
      requireHostHeader: false,
      maxHeaderSize: 64 * 1024,
    });
    this.#server.maxHeadersCount = 0;
    const onRequest = (req: IncomingMessage): void => {
      const recorded = record(req);
      req.on('data', (chunk: Buffer) => {
        recorded.length += chunk.length;
        recorded.body = crc32?.(chunk, recorded.body) ?? 0;
      });
      req.on('end', () => {
        recorded.complete = true;
        recorded.trailers = fieldsCrc(req.rawTrailers);
      });
      req.on('error', () => {});
    };
    // Without answers: that a connection ends after one is not the parser's matter.
    this.#server.on('request', onRequest);
    this.#server.on('checkContinue', onRequest);
    this.#server.on('checkExpectation', onRequest);
    this.#server.on('connect', (req: IncomingMessage, socket: Duplex) => {
      record(req).complete = true;
      (socket as Connection).connect = true;
    });
    this.#server.on('clientError', (error: NodeJS.ErrnoException, socket: Duplex) => {
      (socket as Connection).code = error.code ?? String(error);
    });
  }

  /** The verdict on a connection on which the client sends `bytes`, cut into reads at `cuts`. */
  async frame(bytes: Buffer, cuts: readonly number[]): Promise<Verdict> {
    const connection = new Connection();
    connection.on('error', () => {});
    this.#server.emit('connection', connection);
    let start = 0;
    for (const cut of [...cuts, bytes.length]) {
      if (cut > start) connection.push(bytes.subarray(start, cut));
      start = cut;
    }
    await turn();
    await turn();
    const { requests, code, connect, destroyed } = connection;
    connection.destroy();
    const over: End = connect ? 'connect' : destroyed ? 'closed' : 'open';
    const end = code === '' ? over : 'err';
    return { requests, end, code };
  }

  close(): void {
    this.#server.close();
  }
}
