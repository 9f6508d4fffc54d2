/**
 * A gateway as it stands before servers of HTTP/2: clients speak WebSocket over HTTP/1.1 to it, and each of their connections
 * is a stream to the server (RFC 8441), all on one connection. So what is tested of HTTP/1's WebSockets is tested of HTTP/2's,
 * with the same clients.
 */
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import type { ClientHttp2Session, ClientHttp2Stream, IncomingHttpHeaders } from 'node:http2';
import { constants } from 'node:http2';
import { type AddressInfo, createServer, type Server, type Socket } from 'node:net';
import { session } from '../http2/client.ts';
import type { Place } from './client.ts';

const headEnd = '\r\n\r\n';
/** What HTTP/1 says of connections, and the key, which HTTP/2 has no use for (RFC 8441 §5). */
const ofHttp1 = new Set(['host', 'connection', 'upgrade', 'sec-websocket-key']);

/** What an extended CONNECT says beside the fields of the handshake. */
export function connectHead(
  { port, secure = false }: Place,
  path = '/socket',
  fields: Record<string, string> = {},
): Record<string, string> {
  return {
    ':method': 'CONNECT',
    ':protocol': 'websocket',
    ':scheme': secure ? 'https' : 'http',
    ':authority': `127.0.0.1:${port}`,
    ':path': path,
    'sec-websocket-version': '13',
    ...fields,
  };
}

export class Gateway {
  readonly #place: Place;
  readonly #session: ClientHttp2Session;
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();

  private constructor(place: Place, connected: ClientHttp2Session) {
    this.#place = place;
    this.#session = connected;
    this.#session.on('error', () => {}); // its streams tell
    this.#server = createServer({ allowHalfOpen: true, noDelay: true }, (socket) =>
      this.#serve(socket),
    );
  }

  /** Connected to the server, and waiting for clients. */
  static async open(place: Place): Promise<Gateway> {
    const url = `${place.secure ? 'https' : 'http'}://127.0.0.1:${place.port}`;
    const connected = await session(url, { maxSessionMemory: 1000 });
    if (!connected.remoteSettings.enableConnectProtocol) {
      throw new Error('the server has not offered extended CONNECT');
    }
    const gateway = new Gateway(place, connected);
    gateway.#server.listen(0, '127.0.0.1');
    await once(gateway.#server, 'listening');
    return gateway;
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  close(): void {
    this.#server.close();
    for (const socket of this.#sockets) socket.destroy();
    this.#session.destroy();
  }

  #serve(socket: Socket): void {
    this.#sockets.add(socket);
    socket.on('error', () => {}); // `close` tells
    socket.on('close', () => this.#sockets.delete(socket));
    let text = '';
    const take = (bytes: Buffer): void => {
      text += bytes.toString('latin1');
      const end = text.indexOf(headEnd);
      if (end === -1) return;
      socket.off('data', take);
      socket.pause();
      this.#connect(socket, text.slice(0, end), text.slice(end + headEnd.length));
    };
    socket.on('data', take);
  }

  #connect(socket: Socket, head: string, rest: string): void {
    const [line = '', ...lines] = head.split('\r\n');
    const fields: Record<string, string> = {};
    let host = '';
    let key = '';
    for (const one of lines) {
      const colon = one.indexOf(':');
      const name = one.slice(0, colon).toLowerCase();
      const value = one.slice(colon + 1).trim();
      if (name === 'host') host = value;
      if (name === 'sec-websocket-key') key = value;
      if (!ofHttp1.has(name)) fields[name] = value;
    }
    const target = line.split(' ')[1] as string;
    const asked = connectHead(this.#place, target, { ...fields, ':authority': host });
    const stream = this.#session.request(asked, { endStream: false });
    stream.on('error', () => {}); // `close` tells
    stream.on('close', () => {
      if (stream.rstCode !== constants.NGHTTP2_NO_ERROR) socket.destroy();
    });
    socket.on('close', () => {
      if (!stream.closed) stream.close(constants.NGHTTP2_CANCEL);
    });
    stream.once('response', (headers: IncomingHttpHeaders) => {
      if (headers[':status'] === '200' || Number(headers[':status']) === 200) {
        socket.write(switching(headers, key));
        if (rest.length > 0) stream.write(Buffer.from(rest, 'latin1'));
        socket.pipe(stream);
        stream.pipe(socket);
      } else refuse(socket, stream, headers);
    });
  }
}

/** The head of the 101 that stands for a 200. */
function switching(headers: IncomingHttpHeaders, key: string): string {
  const accept = createHash('sha1').update(`${key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`);
  const own = ['Upgrade: websocket', 'Connection: upgrade'];
  const lines = [...own, `Sec-WebSocket-Accept: ${accept.digest('base64')}`, ...linesOf(headers)];
  return `HTTP/1.1 101 Switching Protocols\r\n${lines.join('\r\n')}${headEnd}`;
}

function linesOf(headers: IncomingHttpHeaders): string[] {
  const told = Object.entries(headers).filter(([name]) => !name.startsWith(':'));
  return told.flatMap(([name, value]) => [value ?? ''].flat().map((one) => `${name}: ${one}`));
}

function refuse(socket: Socket, stream: ClientHttp2Stream, headers: IncomingHttpHeaders): void {
  const lines = linesOf(headers).join('\r\n');
  socket.write(`HTTP/1.1 ${headers[':status']} Refused\r\n${lines}${headEnd}`);
  stream.pipe(socket);
}
