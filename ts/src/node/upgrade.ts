import { EventEmitter } from 'node:events';
import type { SocketAddress } from '../bridge/address.ts';
import type { Exchange, ExchangeWatcher } from '../bridge/exchange.ts';
import { GyrfalconError } from '../core/errors.ts';
import type { HeaderList } from '../fetch/headers.ts';
import type { Request } from '../fetch/request.ts';
import { type Response, responseOf } from '../fetch/response.ts';
import type { TlsInfo } from '../fetch/tls_info.ts';
import { connectionReset, incomingMessage, type NodeRequest } from './incoming.ts';
import { ClientSocket, type SocketOwner } from './socket.ts';

type AnyRequest = Request | globalThis.Request;
type Written = (error?: Error) => void;

/** What a program writes in the place of an upgrade is short, bytes. */
const answerMax = 64 * 1024;

/** Fields of an answer that are the engine's to write. */
const framing = ['content-length', 'transfer-encoding', 'keep-alive', 'upgrade', 'trailer', 'te'];

/**
 * The socket that an 'upgrade' listener gets. It tells of the client, as `req.socket` does. A response may
 * be written to it, head and body, as programs do that refuse an upgrade; it is sent when the socket is
 * ended or destroyed. Nothing can be read from it.
 */
class UpgradeSocket extends ClientSocket {
  bytesWritten = 0;
  private readonly reply: UpgradeReply;

  constructor(reply: UpgradeReply) {
    super(reply);
    this.reply = reply;
  }

  write(data: string | Uint8Array, encoding?: BufferEncoding | Written, sent?: Written): boolean {
    const bytes =
      typeof data === 'string'
        ? Buffer.from(data, typeof encoding === 'string' ? encoding : 'utf8')
        : Buffer.from(data);
    this.bytesWritten += bytes.length;
    this.reply.written(bytes);
    const told = typeof encoding === 'function' ? encoding : sent;
    if (told !== undefined) process.nextTick(told);
    return true;
  }

  end(
    data?: string | Uint8Array | Written,
    encoding?: BufferEncoding | Written,
    sent?: Written,
  ): this {
    const told = [data, encoding, sent].find((one) => typeof one === 'function');
    if (data !== undefined && typeof data !== 'function') {
      this.write(data, typeof encoding === 'function' ? undefined : encoding);
    }
    this.writable = false;
    this.reply.finish();
    process.nextTick(() => {
      this.emit('finish');
      (told as Written | undefined)?.();
    });
    return this;
  }
}

/** A request that asks for a WebSocket, on its way to the 'upgrade' listeners of an `http.Server`. */
export class UpgradeReply implements SocketOwner, ExchangeWatcher {
  readonly req: NodeRequest;
  readonly socket: UpgradeSocket;
  /** What the engine knows it by. */
  readonly request: AnyRequest;
  readonly unsent = 0;
  private readonly exchange: Exchange;
  private readonly parts: Buffer[] = [];
  private length = 0;
  private isSettled = false;
  private readonly answered: Promise<Response | undefined>;
  private resolve!: (response: Response | undefined) => void;
  private reject!: (error: unknown) => void;

  constructor(request: AnyRequest, exchange: Exchange) {
    this.request = request;
    this.exchange = exchange;
    this.answered = new Promise((resolve, reject) => {
      this.resolve = resolve;
      this.reject = reject;
    });
    this.socket = new UpgradeSocket(this);
    this.req = incomingMessage(request, exchange, this.socket);
    exchange.watch(this);
  }

  /** What the listeners make of it: nothing, where it has become a WebSocket. */
  answer(listeners: EventEmitter): Promise<Response | undefined> {
    this.req['upgrade' as 'complete'] = true;
    try {
      listeners.emit('upgrade', this.req, this.socket, Buffer.alloc(0));
    } catch (error) {
      this.fail(error);
    }
    return this.answered;
  }

  /** `open` makes a WebSocket of the request. False: it did not, or the request has been answered. */
  accept(open: (request: AnyRequest) => boolean): boolean {
    if (this.isSettled || !open(this.request)) return false;
    this.isSettled = true;
    this.socket.stopTimer();
    this.resolve(undefined);
    return true;
  }

  /** The connection of what it has become has ended. */
  over(): void {
    if (this.socket.destroyed) return;
    this.socket.gone(null);
    this.socket.emit('close', false);
  }

  written(bytes: Buffer): void {
    if (this.isSettled || this.length > answerMax) return;
    this.length += bytes.length;
    this.parts.push(bytes);
    // It would wait for what the client says next.
    if (this.parts[0]?.toString('latin1', 9, 12) === '101') this.finish();
  }

  /** Sends what was written. */
  finish(): void {
    if (this.isSettled) return;
    const response = this.length === 0 ? null : readResponse(Buffer.concat(this.parts));
    if (this.length === 0) this.settle(responseOf(400, ['connection', 'close'], null));
    else if (response !== null && this.length <= answerMax) this.settle(response);
    else {
      const message =
        'What was written to the socket of an upgrade is no response, or a WebSocket of another library';
      this.fail(
        new GyrfalconError('GYR_NODE_UPGRADE', message, "'gyrfalcon/ws' has WebSocketServer"),
      );
    }
  }

  private settle(response: Response): void {
    this.isSettled = true;
    this.resolve(response);
    process.nextTick(() => this.over());
  }

  /** Nothing else is told of it: a library that took the socket for one of Node.js would look into it. */
  private fail(error: unknown): void {
    if (this.isSettled) return;
    this.isSettled = true;
    this.reject(error);
  }

  // What the socket asks.

  peer(): SocketAddress | null {
    return this.exchange.peer();
  }
  tls(): TlsInfo | undefined {
    return this.exchange.tls;
  }
  local(): SocketAddress | null {
    const server = this.exchange.channel.server as { addresses?: SocketAddress[] } | undefined;
    return server?.addresses?.[0] ?? null;
  }
  timedOut(): boolean {
    return this.socket.listenerCount('timeout') > 0;
  }
  /** The program ends the connection: what it has written is sent before. */
  destroy(): void {
    this.finish();
  }

  // What the exchange tells.

  leaving(): void {}
  done(): void {}
  aborted(): void {
    this.isSettled = true;
    this.resolve(undefined); // to nobody
    this.socket.gone(connectionReset());
    process.nextTick(() => this.socket.emit('close', true));
  }
}

/** The upgrade that a socket is of; null: of none. */
export function upgradeOf(socket: unknown): UpgradeReply | null {
  return socket instanceof UpgradeSocket
    ? (socket as unknown as { reply: UpgradeReply }).reply
    : null;
}

/** The listeners of 'upgrade' that a program has; null: none now. */
export function upgradeListeners(app: unknown): EventEmitter | null {
  const given = (typeof app === 'function' ? {} : (app ?? {})) as {
    getHttpServer?(): unknown;
    server?: unknown;
  };
  // Nest's application has one, Fastify's instance another; an http.Server is one.
  const server =
    typeof given.getHttpServer === 'function' ? given.getHttpServer() : (given.server ?? app);
  if (!(server instanceof EventEmitter)) return null;
  return server.listenerCount('upgrade') > 0 ? server : null;
}

/** A response as it is written on a wire; null: it is none, or one that leaves HTTP. */
function readResponse(bytes: Buffer): Response | null {
  const end = bytes.indexOf('\r\n\r\n');
  const [line = '', ...lines] = bytes
    .toString('latin1', 0, end === -1 ? bytes.length : end)
    .split('\r\n');
  const status = Number(/^HTTP\/1\.[01] (\d{3})(?: |$)/.exec(line)?.[1] ?? 0);
  if (status < 200 || status > 599) return null;
  const fields: HeaderList = [];
  for (const one of lines) {
    if (one === '') continue;
    const colon = one.indexOf(':');
    const name = one.slice(0, colon).trim().toLowerCase();
    if (colon < 1 || framing.includes(name)) continue;
    const value = one.slice(colon + 1).trim();
    if (name !== 'connection' || value.toLowerCase() === 'close') fields.push(name, value);
  }
  if (!fields.includes('connection')) fields.push('connection', 'close');
  const body = end === -1 ? null : bytes.subarray(end + 4);
  return responseOf(status, fields, body === null || body.length === 0 ? null : body);
}
