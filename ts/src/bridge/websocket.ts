import type { HeadersInit } from '../fetch/headers.ts';

/** What a message is sent as: text, or bytes. */
export type WebSocketData = string | ArrayBufferView | ArrayBuffer | SharedArrayBuffer;

/** What binary messages, and the payloads of pings, come as. */
export type WebSocketBinaryType = 'nodebuffer' | 'arraybuffer' | 'uint8array';

/**
 * A WebSocket, as handlers have it. It may be kept; once it has ended, what is said to it is said to
 * nobody.
 */
export interface ServerWebSocket<Data = unknown> {
  /** What `server.upgrade()` was given as `data`. */
  data: Data;
  /** 1: open, 2: about to close, 3: closed. */
  readonly readyState: 1 | 2 | 3;
  /** Address of the client: '' where it is not known, 'unix' over a unix socket. */
  readonly remoteAddress: string;
  /** The subprotocol that was agreed on; '' without. */
  readonly protocol: string;
  /** 'permessage-deflate' where messages may be compressed; '' without. */
  readonly extensions: string;
  /** @default 'nodebuffer' */
  binaryType: WebSocketBinaryType;
  /** What is subscribed to. */
  readonly subscriptions: string[];
  /**
   * Sends a message: text of a string, binary of all else. The bytes are the caller's again when this
   * returns.
   *
   * Its length in bytes: it is on its way. -1: so it is, and more waits for the peer than is good:
   * `drain` is called when that has left. 0: it is not sent, as the socket has ended, or as
   * `backpressureLimit` would be exceeded; or it was empty. Where the engine has no memory left for one
   * that is on its way, the socket is closed with 1013.
   *
   * `compress`: false, and the message is never compressed, as one should not be that holds a secret
   * beside something that somebody else has a say in. Else `perMessageDeflate` decides.
   */
  send(data: WebSocketData, compress?: boolean): number;
  /** `send`, of a string. */
  sendText(data: string, compress?: boolean): number;
  /** `send`, of bytes. */
  sendBinary(data: Exclude<WebSocketData, string>, compress?: boolean): number;
  /** Calls back with this socket. All that is sent in one turn leaves in one write in any case. */
  cork<T>(callback: (ws: ServerWebSocket<Data>) => T): T;
  /**
   * Closes behind what was sent. Throws GYR_WEBSOCKET_INVALID for a code that no Close may have (RFC
   * 6455 §7.4); of the reason 123 bytes are sent at most.
   *
   * @default 1000 without a reason
   */
  close(code?: number, reason?: string): void;
  /** Ends the connection without a word. */
  terminate(): void;
  /** Asks whether the peer is there; the engine does so by itself. At most 125 bytes; as `send`. */
  ping(data?: WebSocketData): number;
  /** A pong that nobody has asked for. At most 125 bytes; as `send`. */
  pong(data?: WebSocketData): number;
  /**
   * It is sent what is published under this name from now on: 1 to 128 bytes, of 1024 such at most.
   * Throws GYR_WEBSOCKET_INVALID.
   */
  subscribe(topic: string): void;
  unsubscribe(topic: string): void;
  isSubscribed(topic: string): boolean;
  /**
   * Sends a message to all who have subscribed, in all threads, but to this one, unless `publishToSelf`
   * is set. As `server.publish()`. One that has ended may do so too.
   */
  publish(topic: string, data: WebSocketData, compress?: boolean): number;
  publishText(topic: string, data: string, compress?: boolean): number;
  publishBinary(topic: string, data: Exclude<WebSocketData, string>, compress?: boolean): number;
  /**
   * What waits for the peer beyond the first 64 KiB, or a quarter of `backpressureLimit` where that is
   * less: these are not counted exactly. Bytes.
   */
  getBufferedAmount(): number;
}

type Awaitable<T> = T | Promise<T>;

/** The option `websocket`. Names are Bun's where Bun has them. Sizes are bytes. */
export interface WebSocketHandler<Data = unknown> {
  /** For its type alone: that of `ws.data`, as in `data: {} as { name: string }`. */
  data?: Data;
  /** It is there. */
  open?(ws: ServerWebSocket<Data>): Awaitable<unknown>;
  /** A message has come. What it promises holds its bytes of the peer's credit until it is done. */
  message(ws: ServerWebSocket<Data>, message: string | Buffer): Awaitable<unknown>;
  /** What waited for the peer has left, after `send` has said -1 or 0. */
  drain?(ws: ServerWebSocket<Data>): Awaitable<unknown>;
  /** It has ended: the last that is told. 1006 where no Close has come. */
  close?(ws: ServerWebSocket<Data>, code: number, reason: string): Awaitable<unknown>;
  /** A ping has come, and was answered. */
  ping?(ws: ServerWebSocket<Data>, data: Buffer): Awaitable<unknown>;
  pong?(ws: ServerWebSocket<Data>, data: Buffer): Awaitable<unknown>;
  /**
   * One of these has thrown, or what it promised was rejected.
   *
   * @default a line in the log, and the socket is closed with 1011
   */
  error?(ws: ServerWebSocket<Data>, error: Error): unknown;
  /** A message that is received: a longer one ends the connection (1009). @default 16 MiB */
  maxPayloadLength?: number;
  /**
   * What messages that have come in part may take of a thread's memory, those of all its sockets
   * together; `maxPayloadLength` at least. Above it a socket that has more than its share is closed with
   * 1013: of those the one whose message has not grown for longest.
   *
   * @default 64 MiB, or twice `maxPayloadLength`
   */
  partialMessagesLimit?: number;
  /**
   * Seconds of silence after which a peer is given up, or for which a peer is not read because none of
   * its messages is done; 0: never.
   *
   * @default 120
   */
  idleTimeout?: number;
  /** Ask a silent peer whether it is there, after half of that and 30 s at most. @default true */
  sendPings?: boolean;
  /** What may wait for a peer when a message comes on top of it. @default 1 MiB */
  backpressureLimit?: number;
  /** Close a socket above that; else the message is not sent. @default false */
  closeOnBackpressureLimit?: boolean;
  /** `ws.publish()` reaches the socket itself too. @default false */
  publishToSelf?: boolean;
  /** Subscriptions of an engine thread's sockets; 1024 of one in any case. @default 65536 */
  maxSubscriptions?: number;
  /**
   * Whose pages may connect: those of the host that is asked, of any, or of a list of origins. Who
   * sends no Origin is no page, and may.
   *
   * @default 'same'
   */
  origins?: WebSocketOrigins;
  /** Subprotocols that are spoken: the first of the client's that is one of them is agreed on. */
  protocols?: readonly string[];
  /**
   * Messages are compressed on the sockets of clients that offer it (RFC 7692), as browsers do; `true`:
   * with all options at their defaults. GYR_DEFLATE_MISSING where the engine was built without zlib-ng.
   *
   * @default false
   */
  perMessageDeflate?: boolean | PerMessageDeflateOptions;
}

/**
 * What Bun calls a compressor: 'disable': none. 'shared': messages stand by themselves, and sockets share
 * what does it. 'dedicated': messages refer to those before them, which makes small ones much smaller, and
 * each socket has its own. A size: so too, with a window that fits it.
 */
export type WebSocketCompressor =
  | 'disable'
  | 'shared'
  | 'dedicated'
  | '3KB'
  | '4KB'
  | '8KB'
  | '16KB'
  | '32KB'
  | '64KB'
  | '128KB'
  | '256KB';

/** How messages are compressed. `compress` and `decompress` are Bun's. */
export interface PerMessageDeflateOptions {
  /** What is sent. `true` is 'shared'; `false` is 'disable': nothing is compressed. @default true */
  compress?: boolean | WebSocketCompressor;
  /**
   * What is received. `true` is 'shared'. `false` only where `compress` is false too, and then nothing is
   * agreed on: clients may compress wherever servers may. @default true
   */
  decompress?: boolean | WebSocketCompressor;
  /** Messages below are sent as they are, bytes. @default 256 */
  threshold?: number;
  /** How hard the compressor looks, 1 to 9. @default 1 */
  level?: number;
  /** Messages that are sent refer to those before them. @default as `compress` says */
  serverContextTakeover?: boolean;
  /** Messages that are received may do so. @default as `decompress` says */
  clientContextTakeover?: boolean;
  /** How far messages that are sent refer back, at most: 2⁸ to 2¹⁵ bytes. @default as `compress` says */
  serverWindowBits?: number;
  /** The same of those that are received, of clients that take it. @default as `decompress` says */
  clientWindowBits?: number;
  /**
   * What compressors and decompressors of an engine thread may take, bytes, from 1 MiB. Who connects when
   * it is used up shares those of others, and is told that messages stand by themselves. @default 32 MiB
   */
  memoryBytes?: number;
  /**
   * How many times as long as what has come a message may be that is received, beyond 256 KiB: others end
   * the connection (1009). @default 200
   */
  maxInflationRatio?: number;
}

/** `['https://example.com']`: with a port where it is not the scheme's. */
export type WebSocketOrigins = 'same' | 'any' | readonly string[];

/** What `server.upgrade()` takes beside the request. */
export interface UpgradeOptions<Data = unknown> {
  /** What `ws.data` is. */
  data?: Data;
  /** Fields of the answer. Sec-WebSocket-Protocol is `protocol`; those of the handshake are dropped. */
  headers?: HeadersInit;
  /** The subprotocol, when the client has offered it. @default the first of `websocket.protocols` */
  protocol?: string;
  /** In the place of `websocket.origins`. */
  origins?: WebSocketOrigins;
  /**
   * False: nothing is compressed on this socket. True is the default, and brings no compression where
   * `websocket.perMessageDeflate` has none.
   */
  perMessageDeflate?: boolean;
}

/** The handlers and what else of `websocket` a thread needs. */
export type SocketHandlers = WebSocketHandler;
