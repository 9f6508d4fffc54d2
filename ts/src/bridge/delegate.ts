import { GyrfalconError } from '../core/errors.ts';
import { sourceOf } from '../fetch/request.ts';
import { Exchange } from './exchange.ts';
import type {
  ServerWebSocket,
  UpgradeOptions,
  WebSocketData,
  WebSocketHandler,
} from './websocket.ts';

const mark = Symbol('gyrfalcon.delegating');

/** What answers for one WebSocket, where a library has its own object for it. It is its `ws.data`. */
export abstract class Delegate {
  /** It is there: nothing else is told before. */
  abstract opened(ws: ServerWebSocket): void;
  /** As `websocket.message`: what it promises holds the message's bytes of the peer's credit. */
  abstract message(ws: ServerWebSocket, message: string | Buffer): unknown;
  /** The last that is told. */
  abstract closed(ws: ServerWebSocket, code: number, reason: string): void;
  drained(_ws: ServerWebSocket): void {}
  pinged(_ws: ServerWebSocket, _data: Buffer): void {}
  ponged(_ws: ServerWebSocket, _data: Buffer): void {}
}

/**
 * The option `websocket` of a server whose sockets have delegates: each is told what concerns it. Sockets
 * that `server.upgrade()` has made are `own`'s, as are all options.
 */
export function delegating<Data>(
  own: Partial<WebSocketHandler<Data>> = {},
): WebSocketHandler<Data> {
  type Ws = ServerWebSocket<Data>;
  const of = (ws: Ws): Delegate | null => (ws.data instanceof Delegate ? ws.data : null);
  const handlers: WebSocketHandler<Data> = {
    ...own,
    open: (ws) => (of(ws) ? of(ws)?.opened(ws) : own.open?.(ws)),
    message: (ws, message) => {
      const delegate = of(ws);
      return delegate === null ? own.message?.(ws, message) : delegate.message(ws, message);
    },
    drain: (ws) => (of(ws) ? of(ws)?.drained(ws) : own.drain?.(ws)),
    close: (ws, code, reason) =>
      of(ws) ? of(ws)?.closed(ws, code, reason) : own.close?.(ws, code, reason),
    ping: (ws, data) => (of(ws) ? of(ws)?.pinged(ws, data) : own.ping?.(ws, data)),
    pong: (ws, data) => (of(ws) ? of(ws)?.ponged(ws, data) : own.pong?.(ws, data)),
  };
  const { error: failed } = own;
  if (failed !== undefined) {
    handlers.error = (ws, error) => {
      if (of(ws) === null) return failed(ws, error);
      throw error; // a line in the log, and 1011
    };
  }
  return Object.assign(handlers, { [mark]: true });
}

type AnyRequest = Parameters<typeof sourceOf>[0];

/**
 * As `server.upgrade()`, for a request of whatever server it came to; `delegate` answers for the socket.
 * False, too, for a request that came to none. Throws GYR_UPGRADE_UNCONFIGURED where the server's sockets
 * have no delegates.
 */
export function upgradeTo(
  request: AnyRequest,
  delegate: Delegate,
  options: Omit<UpgradeOptions, 'data'>,
): boolean {
  const source = sourceOf(request);
  if (!(source instanceof Exchange)) return false;
  const { app, server } = source.channel;
  if (app.sockets === null || !(mark in app.sockets)) {
    const hint = "serve({ websocket }), where websocket is that of 'gyrfalcon/ws'";
    throw new GyrfalconError(
      'GYR_UPGRADE_UNCONFIGURED',
      'A library has a WebSocket to open, and serve() was not given what tells it of messages',
      hint,
    );
  }
  const to = server as unknown as {
    upgrade(request: AnyRequest, options: UpgradeOptions): boolean;
  };
  return to.upgrade(request, { ...options, data: delegate });
}

/** The bytes of what libraries send, where that is no text; of numbers and the like their text. */
export function messageOf(data: unknown): WebSocketData {
  if (typeof data === 'string' || ArrayBuffer.isView(data) || data instanceof ArrayBuffer)
    return data as WebSocketData;
  if (data instanceof SharedArrayBuffer) return data;
  if (Array.isArray(data)) return Buffer.concat(data.map((one) => asBytes(one)));
  return `${data}`;
}

/** What `messageOf` gives, as bytes. */
export function asBytes(data: unknown): Buffer {
  const message = messageOf(data);
  if (typeof message === 'string') return Buffer.from(message);
  if (ArrayBuffer.isView(message))
    return Buffer.from(message.buffer, message.byteOffset, message.byteLength);
  return Buffer.from(message as ArrayBuffer);
}
