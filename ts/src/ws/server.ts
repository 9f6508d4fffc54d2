import { createHash } from 'node:crypto';
import { EventEmitter } from 'node:events';
import { type IncomingMessage, STATUS_CODES } from 'node:http';
import type { Duplex } from 'node:stream';
import { inspect } from 'node:util';
import { upgradeTo } from '../bridge/delegate.ts';
import type { UpgradeOptions, WebSocketOrigins } from '../bridge/websocket.ts';
import { GyrfalconError } from '../core/errors.ts';
import { type UpgradeReply, upgradeOf } from '../node/upgrade.ts';
import { type Settings, WebSocket } from './websocket.ts';

/** What `verifyClient` is told. */
export interface ClientInfo {
  origin: string;
  secure: boolean;
  req: IncomingMessage;
}

/**
 * Whether a client may connect. One of two parameters calls back with that, and with what is answered where
 * it may not.
 */
export type VerifyClient = (
  info: ClientInfo,
  done: (
    verified: boolean,
    code?: number,
    message?: string,
    headers?: Record<string, string>,
  ) => void,
) => unknown;

/** The options of ws that have a meaning here, and two of our own. */
export interface WebSocketServerOptions {
  /** Upgrades come by `handleUpgrade`. */
  noServer?: boolean;
  /** The `http.Server` that `nodeHandler()` was given: its 'upgrade' requests are taken. */
  server?: EventEmitter | null;
  /** Requests of other paths are answered with 400. */
  path?: string | null;
  verifyClient?: VerifyClient | null;
  /** The subprotocol, of the client's; false: none. @default the client's first */
  handleProtocols?: ((protocols: Set<string>, request: IncomingMessage) => string | false) | null;
  /** `clients` has those that are connected. @default true */
  clientTracking?: boolean;
  /** A message that is received, bytes; below `maxPayloadLength` of serve(). @default 100 MiB */
  maxPayload?: number;
  /** False: nothing is compressed; else as `perMessageDeflate` of serve() says. */
  perMessageDeflate?: boolean | object;
  /** What may wait for a client here before its connection ends, bytes. @default 16 MiB */
  maxBufferedAmount?: number;
  /** Whose pages may connect. @default `websocket.origins` of serve(), which is 'same' */
  origins?: WebSocketOrigins;
  /** Not to be had: the engine listens. */
  port?: number;
}

interface ServerEvents {
  connection: [ws: WebSocket, request: IncomingMessage];
  headers: [lines: string[], request: IncomingMessage];
  wsClientError: [error: Error, socket: Duplex, request: IncomingMessage];
  close: [];
}

type Opened = (ws: WebSocket, request: IncomingMessage) => void;

/** RFC 9110 §5.6.2 */
const token = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/;
/** RFC 6455 §1.3 */
const uuid = '258EAFA5-E914-47DA-95CA-C5AB0DC85B11';
/** Fields of a 101 that are the engine's to write. */
const ofHandshake = ['upgrade', 'connection', 'sec-websocket-accept', 'sec-websocket-extensions'];

/**
 * `WebSocketServer` of the package ws, over the engine's sockets. Events: 'connection' (ws, request),
 * 'headers' (lines, request), 'wsClientError' (error, socket, request), 'close'.
 *
 * Throws GYR_OPTION_INVALID for `port`: the engine listens.
 *
 * @example
 * const http = createServer(app); // it listens nowhere
 * const wss = new WebSocketServer({ server: http, path: '/chat' });
 * wss.on('connection', (ws) => ws.on('message', (data) => ws.send(data)));
 * serve({ port: 3000, fetch: nodeHandler(http), websocket });
 */
export class WebSocketServer extends EventEmitter<ServerEvents> {
  readonly options: WebSocketServerOptions;
  readonly clients: Set<WebSocket> | undefined;
  private readonly settings: Settings;
  private readonly taken = new WeakSet<UpgradeReply>();
  private readonly server: EventEmitter | null;
  private isClosed = false;
  private open = 0;
  private readonly onUpgrade = (req: IncomingMessage, socket: Duplex, head: Buffer): void => {
    this.handleUpgrade(req, socket, head, (ws) => this.emit('connection', ws, req));
  };

  constructor(options: WebSocketServerOptions = {}) {
    super();
    if (options.port !== undefined && options.port !== null) {
      throw new GyrfalconError(
        'GYR_OPTION_INVALID',
        `Option port of WebSocketServer is ${inspect(options.port)}`,
        'serve() listens: give noServer, or server, the http.Server that nodeHandler() has',
      );
    }
    this.options = options;
    this.settings = {
      maxPayload: options.maxPayload ?? 100 * 2 ** 20,
      maxBuffered: options.maxBufferedAmount ?? 16 * 2 ** 20,
    };
    this.clients = options.clientTracking === false ? undefined : new Set();
    this.server = options.server ?? null;
    this.server?.on('upgrade', this.onUpgrade);
  }

  /** Whether a request is one for this server: by its path. */
  shouldHandle(req: IncomingMessage): boolean {
    const { path } = this.options;
    return path === undefined || path === null || (req.url ?? '').split('?')[0] === path;
  }

  /**
   * Makes a WebSocket of a request; `opened` is called when it is there, before anything is told of it. A
   * request that is none for one is answered with what is wrong, by the engine or as `verifyClient` says.
   */
  handleUpgrade(req: IncomingMessage, socket: Duplex, _head: Buffer, opened: Opened): void {
    const reply = upgradeOf(socket);
    if (reply === null) {
      throw new GyrfalconError(
        'GYR_REQUEST_FOREIGN',
        'handleUpgrade() was given a socket that is not of an upgrade of this server',
        'serve({ fetch: nodeHandler(httpServer) }) tells its upgrade listeners',
      );
    }
    if (this.taken.has(reply)) throw new Error('handleUpgrade() was called before for this socket');
    this.taken.add(reply);
    if (this.isClosed) refuse(socket, 503);
    else if (!this.shouldHandle(req)) this.refuseOrTell(req, socket, 400, 'Another path');
    else this.verify(req, socket, () => this.complete(reply, req, socket, opened));
  }

  private verify(req: IncomingMessage, socket: Duplex, then: () => void): void {
    const { verifyClient } = this.options;
    if (verifyClient === undefined || verifyClient === null) {
      then();
      return;
    }
    const { encrypted } = req.socket as { encrypted?: boolean };
    const info = { origin: req.headers.origin as string, secure: encrypted === true, req };
    if (verifyClient.length < 2) {
      if (verifyClient(info, () => {})) then();
      else refuse(socket, 401);
      return;
    }
    verifyClient(info, (verified, code, message, headers) => {
      if (verified) then();
      else refuse(socket, code ?? 401, message, headers);
    });
  }

  private complete(
    reply: UpgradeReply,
    req: IncomingMessage,
    socket: Duplex,
    opened: Opened,
  ): void {
    if (this.isClosed) {
      refuse(socket, 503);
      return;
    }
    const options = this.optionsFor(req);
    if (options === null) {
      this.refuseOrTell(req, socket, 400, 'Invalid Sec-WebSocket-Protocol header');
      return;
    }
    const ws = new WebSocket(socket, this.settings);
    ws.once('close', () => {
      reply.over();
      this.ended(ws);
    });
    const delegate = ws.delegate(() => {
      this.open += 1;
      this.clients?.add(ws);
      opened(ws, req);
    });
    if (!reply.accept((request) => upgradeTo(request, delegate, options))) socket.destroy();
  }

  /** How it is answered; null: the subprotocols are none. */
  private optionsFor(req: IncomingMessage): Omit<UpgradeOptions, 'data'> | null {
    const { handleProtocols, perMessageDeflate, origins } = this.options;
    const key = `${req.headers['sec-websocket-key'] ?? ''}${uuid}`;
    const lines = [
      'HTTP/1.1 101 Switching Protocols',
      'Upgrade: websocket',
      'Connection: Upgrade',
      `Sec-WebSocket-Accept: ${createHash('sha1').update(key).digest('base64')}`,
    ];
    const offered = req.headers['sec-websocket-protocol'];
    const names = offered === undefined ? [] : offered.split(',').map((name) => name.trim());
    if (!names.every((name) => token.test(name))) return null;
    const protocols = new Set(names);
    let protocol: string | false | undefined;
    if (protocols.size > 0) {
      protocol = typeof handleProtocols === 'function' ? handleProtocols(protocols, req) : names[0];
    }
    if (protocol) lines.push(`Sec-WebSocket-Protocol: ${protocol}`);
    this.emit('headers', lines, req);
    const headers: [string, string][] = [];
    for (const line of lines.slice(1)) {
      const colon = line.indexOf(':');
      const name = line.slice(0, colon).trim();
      if (colon > 0 && !ofHandshake.includes(name.toLowerCase())) {
        headers.push([name, line.slice(colon + 1).trim()]);
      }
    }
    return {
      headers,
      perMessageDeflate: perMessageDeflate !== false,
      ...(origins === undefined ? {} : { origins }),
    };
  }

  private refuseOrTell(req: IncomingMessage, socket: Duplex, code: number, why: string): void {
    if (this.listenerCount('wsClientError') > 0) {
      this.emit('wsClientError', new Error(why), socket, req);
    } else refuse(socket, code, why);
  }

  private ended(ws: WebSocket): void {
    this.open -= 1;
    this.clients?.delete(ws);
    if (this.isClosed && this.open === 0) process.nextTick(() => this.emit('close'));
  }

  /** Takes no more upgrades; sockets stay. 'close' comes when the last of them has ended. */
  close(closed?: (error?: Error) => void): void {
    if (this.isClosed) {
      if (closed !== undefined) process.nextTick(closed, new Error('The server is not running'));
      return;
    }
    if (closed !== undefined) this.once('close', closed);
    this.isClosed = true;
    this.server?.removeListener('upgrade', this.onUpgrade);
    if (this.open === 0) process.nextTick(() => this.emit('close'));
  }

  /** Where the engine listens, `serve()` tells. */
  address(): null {
    return null;
  }
}

/** Answers a request that becomes no WebSocket. */
function refuse(
  socket: Duplex,
  code: number,
  message = STATUS_CODES[code] ?? '',
  headers: Record<string, string> = {},
): void {
  const fields = { 'Content-Type': 'text/plain; charset=utf-8', ...headers };
  const lines = Object.entries(fields).map(([name, value]) => `${name}: ${value}`);
  const head = [`HTTP/1.1 ${code} ${STATUS_CODES[code] ?? ''}`, ...lines].join('\r\n');
  socket.end(`${head}\r\n\r\n${message}\n`);
}
