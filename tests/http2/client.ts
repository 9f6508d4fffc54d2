/** A client of HTTP/2: node:http2, and bare frames. */
import { type ClientHttp2Session, connect, type OutgoingHttpHeaders } from 'node:http2';
import { connect as connectSocket, type Socket } from 'node:net';
import { until, within } from '../support/wait.ts';

export interface Answer {
  status: number;
  headers: Record<string, string>;
  body: Buffer;
  trailers: Record<string, string> | null;
  /** Of RST_STREAM; 0: the stream has ended. */
  code: number;
}

export async function session(url: string, options: object = {}): Promise<ClientHttp2Session> {
  const client = connect(url, { rejectUnauthorized: false, ...options });
  await within(
    new Promise<void>((resolve, reject) => {
      client.once('remoteSettings', () => resolve());
      client.once('error', reject);
    }),
    'settings',
  );
  return client;
}

/** One request, to its end or its reset. */
export function ask(
  client: ClientHttp2Session,
  path: string,
  headers: OutgoingHttpHeaders = {},
  body?: Buffer,
): Promise<Answer> {
  const answered = new Promise<Answer>((resolve) => {
    const stream = client.request({ ':path': path, ...headers }, { endStream: body === undefined });
    const answer: Answer = {
      status: 0,
      headers: {},
      body: Buffer.alloc(0),
      trailers: null,
      code: 0,
    };
    const pieces: Buffer[] = [];
    stream.on('response', ({ ':status': status, ...rest }) => {
      answer.status = Number(status);
      answer.headers = rest as Record<string, string>;
    });
    stream.on('trailers', (trailers) => {
      answer.trailers = { ...(trailers as Record<string, string>) };
    });
    stream.on('data', (piece: Buffer) => pieces.push(piece));
    stream.on('error', () => {}); // the code tells
    stream.on('close', () => {
      resolve({ ...answer, body: Buffer.concat(pieces), code: stream.rstCode ?? 0 });
    });
    if (body !== undefined) stream.end(body);
  });
  return within(answered, `an answer to ${path}`);
}

/** A frame as it was on the wire. */
export interface Frame {
  type: number;
  flags: number;
  stream: number;
  payload: Buffer;
}

export const preface = Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n');

export function frame(
  type: number,
  flags: number,
  stream: number,
  payload: Buffer = Buffer.alloc(0),
): Buffer {
  const bytes = Buffer.allocUnsafe(9 + payload.length);
  bytes.writeUIntBE(payload.length, 0, 3);
  bytes[3] = type;
  bytes[4] = flags;
  bytes.writeUInt32BE(stream, 5);
  bytes.set(payload, 9);
  return bytes;
}

/** Number and value of a setting (RFC 9113 §6.5.2). */
export type Setting = readonly [number: number, value: number];

export function settingsFrame(settings: readonly Setting[]): Buffer {
  const payload = Buffer.alloc(6 * settings.length);
  for (const [at, [number, value]] of settings.entries()) {
    payload.writeUInt16BE(number, 6 * at);
    payload.writeUInt32BE(value, 6 * at + 2);
  }
  return frame(4, 0, 0, payload);
}

/** WINDOW_UPDATE of a stream, or of the connection (0). */
export function windowUpdate(stream: number, by: number): Buffer {
  const payload = Buffer.alloc(4);
  payload.writeUInt32BE(by);
  return frame(8, 0, stream, payload);
}

/** GET / at localhost by HPACK's static table, ending its stream. */
export const get = (stream: number): Buffer =>
  frame(1, 5, stream, Buffer.from([0x82, 0x84, 0x86, 0x01, 1, 0x61]));

/** A connection on which frames are sent and read by hand. */
export class FrameClient {
  readonly socket: Socket;
  readonly frames: Frame[] = [];
  ended = false;
  private rest = Buffer.alloc(0);

  private constructor(socket: Socket) {
    this.socket = socket;
    socket.on('data', (bytes: Buffer) => this.take(bytes));
    socket.on('close', () => {
      this.ended = true;
    });
    socket.on('error', () => {}); // `ended` tells
  }

  /** Connected; nothing was sent. */
  static async connect(port: number): Promise<FrameClient> {
    const socket = connectSocket({ port, host: '127.0.0.1', noDelay: true });
    await within(new Promise((resolve) => socket.once('connect', resolve)), 'a connection');
    return new FrameClient(socket);
  }

  /** Both sides have said their settings; `settings` are this side's. */
  static async open(port: number, settings: Setting[] = []): Promise<FrameClient> {
    const client = await FrameClient.connect(port);
    client.send(preface, settingsFrame(settings));
    await client.wait(4);
    return client;
  }

  send(...frames: Buffer[]): void {
    this.socket.write(Buffer.concat(frames));
  }

  /**
   * Sends one after the other, up to `count`, until the server ends the connection or says that it will: as fast as it
   * takes them. Resolves to how many were sent; rejects when it takes none for long.
   */
  async flood(count: number, one: (n: number) => Buffer): Promise<number> {
    let sent = 0;
    while (sent < count && !this.isOver) {
      const many: Buffer[] = [];
      for (let bytes = 0; bytes < 65_536 && sent < count; sent += 1) {
        const next = one(sent);
        bytes += next.length;
        many.push(next);
      }
      const { socket } = this;
      if (!socket.write(Buffer.concat(many)))
        await until(() => this.isOver || !socket.writableNeedDrain, 'room');
      // What has come is read between writes.
      await new Promise((resolve) => setImmediate(resolve));
    }
    return sent;
  }

  /** The server has ended the connection, or said that it will. */
  get isOver(): boolean {
    return this.ended || this.frames.some(({ type }) => type === 7);
  }

  /** The next frame of a type, which is taken; those before it are dropped. */
  async wait(type: number): Promise<Frame> {
    await until(() => this.frames.some((one) => one.type === type) || this.ended, `type ${type}`);
    while (this.frames.length > 0) {
      const first = this.frames.shift() as Frame;
      if (first.type === type) return first;
    }
    throw new Error(`the connection ended before a frame of type ${type}`);
  }

  /** The error code of the GOAWAY that ends the connection. */
  async goaway(): Promise<number> {
    const { payload } = await this.wait(7);
    return payload.readUInt32BE(4);
  }

  private take(bytes: Buffer): void {
    this.rest = Buffer.concat([this.rest, bytes]);
    while (this.rest.length >= 9) {
      const length = this.rest.readUIntBE(0, 3);
      if (this.rest.length < 9 + length) return;
      this.frames.push({
        type: this.rest[3] as number,
        flags: this.rest[4] as number,
        stream: this.rest.readUInt32BE(5),
        payload: this.rest.subarray(9, 9 + length),
      });
      this.rest = this.rest.subarray(9 + length);
    }
  }
}
