/** A WebSocket client on a bare socket: it sends the frames it is told to, and reads what comes, frame by frame. */
import { createHash, randomBytes } from 'node:crypto';
import { connect as connectSocket } from 'node:net';
import { connect as connectTls } from 'node:tls';
import * as assert from 'uvu/assert';
import { type Bytes, RawClient, type RawResponse } from '../support/socket.ts';
import { deadlineMs, within } from '../support/wait.ts';

export const opcodes = { continuation: 0, text: 1, binary: 2, close: 8, ping: 9, pong: 10 };
export type Opcode = keyof typeof opcodes;

/** How a frame is written, where that is not as RFC 6455 wants it of a client. */
export interface FrameOptions {
  fin?: boolean;
  masked?: boolean;
  /** RSV1 to RSV3, as the three bits of a number. */
  reserved?: number;
  /** Bytes that the length takes: 1, 3 or 9. */
  lengthBytes?: number;
  /** The length that is told. */
  length?: number | bigint;
  opcode?: number;
}

/** A frame, masked unless told otherwise. */
export function frame(kind: Opcode, payload: Bytes = '', options: FrameOptions = {}): Buffer {
  const { fin = true, masked = true, reserved = 0, opcode = opcodes[kind] } = options;
  const bytes = Buffer.from(payload as Uint8Array);
  const length = BigInt(options.length ?? bytes.length);
  const least = length <= 125n ? 1 : length <= 0xffffn ? 3 : 9;
  const lengthBytes = options.lengthBytes ?? least;
  const head = Buffer.alloc(1 + lengthBytes);
  head[0] = (fin ? 0x80 : 0) | (reserved << 4) | opcode;
  if (lengthBytes === 1) head[1] = Number(length);
  if (lengthBytes === 3) {
    head[1] = 126;
    head.writeUInt16BE(Number(length), 2);
  }
  if (lengthBytes === 9) {
    head[1] = 127;
    head.writeBigUInt64BE(length, 2);
  }
  if (!masked) return Buffer.concat([head, bytes]);
  head[1] = (head[1] as number) | 0x80;
  const key = randomBytes(4);
  // A loop, as messages have megabytes: a function for each byte takes ten times as long.
  for (let at = 0; at < bytes.length; at += 1)
    bytes[at] = (bytes[at] as number) ^ (key[at & 3] as number);
  return Buffer.concat([head, key, bytes]);
}

/** The payload of a Close. */
export function closing(code: number, reason: Bytes = ''): Buffer {
  const bytes = Buffer.alloc(2);
  bytes.writeUInt16BE(code);
  return Buffer.concat([bytes, Buffer.from(reason as Uint8Array)]);
}

/** A frame that came. */
export interface Received {
  fin: boolean;
  /** RSV1 is set. */
  compressed: boolean;
  opcode: number;
  payload: Buffer;
}

/** Where a server is. */
export interface Place {
  port: number;
  /** It speaks TLS. */
  secure?: boolean;
}

export const key = 'dGhlIHNhbXBsZSBub25jZQ==';

/** Fields of a handshake as clients send it. */
export const usual: Record<string, string> = {
  Host: 'a.test',
  Connection: 'Upgrade',
  Upgrade: 'websocket',
  'Sec-WebSocket-Version': '13',
  'Sec-WebSocket-Key': key,
};

/** A request with these fields, in the place of the usual ones; null leaves one out. */
export function handshake(
  fields: Record<string, string | null> = {},
  line = 'GET /socket HTTP/1.1',
): string {
  const all = Object.entries({ ...usual, ...fields }).filter(([, value]) => value !== null);
  return `${line}\r\n${all.map(([name, value]) => `${name}: ${value}\r\n`).join('')}\r\n`;
}

export class WebSocketClient extends RawClient {
  /** RSV1 has a meaning: compression was agreed on. */
  compresses = false;

  /** Connects, without a word. */
  static async connect({ port, secure = false }: Place): Promise<WebSocketClient> {
    const given = { port, host: '127.0.0.1' };
    const socket = secure
      ? connectTls({ ...given, rejectUnauthorized: false, ALPNProtocols: ['http/1.1'] })
      : connectSocket({ ...given, noDelay: true });
    await within(
      new Promise<void>((resolve, reject) => {
        socket.once(secure ? 'secureConnect' : 'connect', resolve);
        socket.once('error', reject);
      }),
      'a connection',
    );
    return new WebSocketClient(socket);
  }

  /** Connects and makes a WebSocket of it; `bytes` go with the request. */
  static async open(
    place: Place,
    { bytes = '', ...fields }: Record<string, string | Buffer> = {},
  ): Promise<WebSocketClient> {
    const client = await WebSocketClient.connect(place);
    const request = Buffer.from(handshake(fields as Record<string, string>));
    await client.send(Buffer.concat([request, Buffer.from(bytes as Uint8Array)]));
    client.expectUpgrade(await client.response());
    return client;
  }

  expectUpgrade({ status, headers }: RawResponse): void {
    assert.is(status, 101);
    assert.is(headers.get('upgrade'), 'websocket');
    assert.is(headers.get('connection'), 'upgrade');
    const text = `${key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`;
    assert.is(
      headers.get('sec-websocket-accept'),
      createHash('sha1').update(text).digest('base64'),
    );
  }

  /** Sends a frame. */
  say(kind: Opcode, payload: Bytes = '', options: FrameOptions = {}): Promise<void> {
    return this.send(frame(kind, payload, options));
  }

  /** The next frame; servers mask none. */
  async frame(ms = deadlineMs): Promise<Received> {
    const [first, second] = (await this.read(2, ms)) as unknown as [number, number];
    assert.is(first & (this.compresses ? 0x30 : 0x70), 0, 'no bit is set that has no meaning');
    assert.is(second & 0x80, 0, 'a server masks no frame');
    let length = second;
    if (second === 126) length = (await this.read(2, ms)).readUInt16BE();
    if (second === 127) length = Number((await this.read(8, ms)).readBigUInt64BE());
    return {
      fin: (first & 0x80) !== 0,
      compressed: (first & 0x40) !== 0,
      opcode: first & 0x0f,
      payload: await this.read(length, ms),
    };
  }

  /** The next message, of one frame or more. */
  async message(): Promise<Received> {
    const first = await this.frame();
    const parts = [first.payload];
    for (let { fin } = first; !fin; ) {
      const next = await this.frame();
      assert.equal([next.opcode, next.compressed], [opcodes.continuation, false]);
      parts.push(next.payload);
      ({ fin } = next);
    }
    return { ...first, fin: true, payload: Buffer.concat(parts) };
  }

  async expectText(text: string): Promise<void> {
    const { opcode, payload } = await this.message();
    assert.equal([opcode, payload.toString()], [opcodes.text, text]);
  }

  /** Waits for a Close with this code, null: with none, and for the end of the connection behind it. */
  async expectClose(code: number | null): Promise<void> {
    const { opcode, payload } = await this.frame();
    assert.is(opcode, opcodes.close);
    assert.is(payload.length === 0 ? null : payload.readUInt16BE(), code);
    assert.is((await this.readToEnd()).length, 0, 'nothing follows a Close');
  }
}
