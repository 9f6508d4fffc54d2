/** A client on a bare socket: it sends the bytes it is given, in the pieces it is told, and reads what comes. */
import { type AddressInfo, connect as connectSocket, createServer, type Socket } from 'node:net';
import { connect as connectTls } from 'node:tls';
import { exchangeOverHttp2, overHttp2 } from './over_http2.ts';
import { overTls } from './over_tls.ts';
import { deadlineMs, within } from './wait.ts';

/** A response as it was on the wire. */
export interface RawResponse {
  status: number;
  /** The whole head, with the blank line, as latin1. */
  head: string;
  /** Fields by lower-case name; of several with one name, joined by ", ". */
  headers: Map<string, string>;
  body: Buffer;
  /** Trailer fields by lower-case name, as `headers`. */
  trailers: Map<string, string>;
}

/** Bytes as they are sent; a string stands for latin1. */
export type Bytes = string | Uint8Array;

/** Connects to a server on this machine, from `localAddress` if it is given; a `host` with a slash is a unix socket's path. */
export async function connect(
  port: number,
  host = '127.0.0.1',
  localAddress?: string,
): Promise<RawClient> {
  const socket = openSocket(port, host, { localAddress });
  const isOpen = overTls ? 'secureConnect' : 'connect';
  await within(
    new Promise<void>((resolve, reject) => {
      socket.once(isOpen, resolve);
      socket.once('error', reject);
    }),
    `a connection to ${host}:${port}`,
  );
  return new RawClient(socket);
}

/** A socket that is being connected, or its handshake made. */
export function openSocket(
  port: number,
  host = '127.0.0.1',
  options: { localAddress?: string | undefined; allowHalfOpen?: boolean } = {},
): Socket {
  if (host.includes('/')) return connectSocket({ path: host });
  const given = { port, host, noDelay: true, ...options };
  return overTls ? connectTls({ ...given, rejectUnauthorized: false }) : connectSocket(given);
}

/** A port that nobody has now: for what several processes are to listen on. */
export async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return port;
}

/** Connects, sends, reads one response and closes. */
export async function exchange(port: number, request: Bytes, method = 'GET'): Promise<RawResponse> {
  const answer = overHttp2 ? await exchangeOverHttp2(port, request) : null;
  if (answer !== null) return answer;
  const client = await connect(port);
  try {
    await client.send(request);
    return await client.response(method);
  } finally {
    client.destroy();
  }
}

/** One connection. What was received and not yet taken is in `received`. */
export class RawClient {
  readonly socket: Socket;
  /** Whether the server has closed its side, or reset the connection. */
  ended = false;
  /** The error that ended the connection, such as ECONNRESET. */
  error: NodeJS.ErrnoException | undefined;
  #changed: () => void = () => {};
  /** Pieces as they came: they are joined when somebody looks, since a large body has hundreds. */
  #pieces: Buffer[] = [];
  #available = 0;

  constructor(socket: Socket) {
    this.socket = socket;
    socket.on('data', (bytes: Buffer) => {
      this.#pieces.push(bytes);
      this.#available += bytes.length;
      this.#changed();
    });
    const ended = (): void => {
      this.ended = true;
      this.#changed();
    };
    socket.on('end', ended);
    socket.on('close', ended);
    socket.on('error', (error) => {
      this.error = error;
    });
  }

  /** Received and not yet taken by a read. */
  get received(): Buffer {
    if (this.#pieces.length !== 1) this.#pieces = [Buffer.concat(this.#pieces)];
    return this.#pieces[0] as Buffer;
  }

  /**
   * Sends bytes and waits until they are with the kernel.
   *
   * @param pieces - lengths of the pieces to send one by one: a number for equal ones, a list for the first ones (the
   *   rest goes as one piece)
   */
  async send(bytes: Bytes, pieces?: number | readonly number[]): Promise<void> {
    const buffer = typeof bytes === 'string' ? Buffer.from(bytes, 'latin1') : Buffer.from(bytes);
    for (const piece of cut(buffer, pieces)) {
      await new Promise<void>((resolve, reject) => {
        this.socket.write(piece, (error) => (error ? reject(error) : resolve()));
      });
      // Another turn of the event loop, so that the pieces are segments of their own.
      if (pieces !== undefined) await new Promise((resolve) => setImmediate(resolve));
    }
  }

  /** Waits until `enough` holds for what was received, or the connection ends, and takes all of it. */
  async readUntil(enough: (received: Buffer) => boolean, ms = deadlineMs): Promise<Buffer> {
    await this.#wait(() => this.ended || enough(this.received), 'bytes from the server', ms);
    return this.#take(this.received.length);
  }

  /** Waits until something has been received that was not taken, or the connection has ended. */
  async readAhead(ms = deadlineMs): Promise<void> {
    await this.#wait(() => this.ended || this.#available > 0, 'bytes from the server', ms);
  }

  /** Takes exactly `length` bytes. */
  async read(length: number, ms = deadlineMs): Promise<Buffer> {
    await this.#waitFor(() => this.#available >= length, `${length} bytes`, ms);
    return this.#take(length);
  }

  /** Takes everything up to the end of the connection. */
  async readToEnd(ms = deadlineMs): Promise<Buffer> {
    await this.#wait(() => this.ended, 'the end of the connection', ms);
    return this.#take(this.#available);
  }

  /** Takes one response; that to a HEAD request has no body. An interim response (1xx) counts as one. */
  async response(method = 'GET', ms = deadlineMs): Promise<RawResponse> {
    await this.#waitFor(() => this.received.includes('\r\n\r\n'), 'a response head', ms);
    const head = this.#take(this.received.indexOf('\r\n\r\n') + 4).toString('latin1');
    const status = Number(/^HTTP\/1\.[01] (\d{3}) /.exec(head)?.[1]);
    if (Number.isNaN(status)) throw new Error(`no status line: ${JSON.stringify(head)}`);
    const headers = fieldsOf(head);
    const none = method === 'HEAD' || status < 200 || status === 204 || status === 304;
    const [body, trailers] = none ? [Buffer.alloc(0), ''] : await this.#body(headers, ms);
    return { status, head, headers, body, trailers: fieldsOf(trailers) };
  }

  /** Waits until the server has closed the connection. */
  async closed(ms = deadlineMs): Promise<void> {
    await this.#wait(() => this.ended, 'the end of the connection', ms);
  }

  /** Closes the sending side. */
  end(): void {
    this.socket.end();
  }

  /** Closes the connection. */
  destroy(): void {
    this.socket.destroy();
  }

  /** Closes the connection with a reset. */
  reset(): void {
    const reset = (): void => {
      this.socket.resetAndDestroy();
    };
    // A reset while the shutdown of end() is under way leaves Node.js 20 spinning in its own exit.
    if (this.socket.writableEnded && !this.socket.writableFinished)
      this.socket.once('finish', reset);
    else reset();
  }

  /** The body, and the lines of its trailer section behind an empty one. */
  async #body(headers: Map<string, string>, ms: number): Promise<[Buffer, string]> {
    if (/\bchunked$/i.test(headers.get('transfer-encoding') ?? '')) return this.#chunks(ms);
    const length = headers.get('content-length');
    return [await (length === undefined ? this.readToEnd(ms) : this.read(Number(length), ms)), ''];
  }

  async #chunks(ms: number): Promise<[Buffer, string]> {
    const parts: Buffer[] = [];
    for (;;) {
      const size = Number.parseInt(await this.#line(ms), 16);
      if (Number.isNaN(size)) throw new Error('no chunk size');
      if (size === 0) break;
      parts.push(await this.read(size, ms));
      if ((await this.#line(ms)) !== '') throw new Error('a chunk longer than its size');
    }
    let trailers = '';
    for (;;) {
      const line = await this.#line(ms);
      if (line === '') break;
      trailers += `\r\n${line}`;
    }
    return [Buffer.concat(parts), trailers];
  }

  async #line(ms: number): Promise<string> {
    await this.#waitFor(() => this.received.includes('\r\n'), 'a line', ms);
    const line = this.#take(this.received.indexOf('\r\n')).toString('latin1');
    this.#take(2);
    return line;
  }

  #take(length: number): Buffer {
    const all = this.received;
    this.#pieces = [all.subarray(length)];
    this.#available -= length;
    return all.subarray(0, length);
  }

  async #waitFor(condition: () => boolean, what: string, ms: number): Promise<void> {
    await this.#wait(() => this.ended || condition(), what, ms);
    if (condition()) return;
    const got = JSON.stringify(this.received.subarray(0, 200).toString('latin1'));
    throw new Error(`the connection ended before ${what} came; received ${got}`, {
      cause: this.error,
    });
  }

  async #wait(condition: () => boolean, what: string, ms: number): Promise<void> {
    if (condition()) return;
    const met = new Promise<void>((resolve) => {
      this.#changed = () => {
        if (condition()) resolve();
      };
    });
    await within(met, what, ms);
  }
}

function* cut(buffer: Buffer, pieces: number | readonly number[] | undefined): Generator<Buffer> {
  let from = 0;
  for (let index = 0; from < buffer.length; index += 1) {
    const length = typeof pieces === 'number' ? pieces : (pieces?.[index] ?? buffer.length);
    yield buffer.subarray(from, from + length);
    from += length;
  }
}

function fieldsOf(head: string): Map<string, string> {
  const fields = new Map<string, string>();
  for (const line of head.split('\r\n').slice(1)) {
    const colon = line.indexOf(':');
    if (colon === -1) continue;
    const name = line.slice(0, colon).toLowerCase();
    const value = line.slice(colon + 1).trim();
    const before = fields.get(name);
    fields.set(name, before === undefined ? value : `${before}, ${value}`);
  }
  return fields;
}
