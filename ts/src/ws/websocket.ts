import { EventEmitter } from 'node:events';
import { asBytes, Delegate, messageOf } from '../bridge/delegate.ts';
import type { ServerWebSocket, WebSocketData } from '../bridge/websocket.ts';
import {
  addListener,
  attribute,
  removeListener,
  type SocketListener,
  setAttribute,
} from './events.ts';

/** The third argument of `send`. */
type Sent = (error?: Error) => void;

/** The second argument of `send`. */
export interface SendOptions {
  /** Bytes, or text. @default as `data` is */
  binary?: boolean;
  /** False: the message is not compressed. @default as `perMessageDeflate` of serve() says */
  compress?: boolean;
  /** False: a part of a message; it is sent when the last has come. @default true */
  fin?: boolean;
  /** Of servers' frames none is masked. */
  mask?: boolean;
}

interface SocketEvents {
  /** Never, as with ws: it is open when a program gets it. */
  open: [];
  /** Text comes as bytes, too. */
  message: [data: Buffer | ArrayBuffer | Buffer[], isBinary: boolean];
  close: [code: number, reason: Buffer];
  ping: [data: Buffer];
  pong: [data: Buffer];
  error: [error: Error];
}

/** What waits to be sent again, where the engine takes no more. */
interface Waiting {
  data: WebSocketData;
  bytes: number;
  compress: boolean | undefined;
  sent: Sent | undefined;
}

/** How a server makes them. */
export interface Settings {
  /** A message that is received, bytes. */
  maxPayload: number;
  /** What may wait to be sent, bytes. */
  maxBuffered: number;
}

const states = { CONNECTING: 0, OPEN: 1, CLOSING: 2, CLOSED: 3 } as const;

/**
 * A WebSocket in the shape of the package ws, over one of the engine's. Events: 'open' does not come, as it
 * is open when a program gets it; 'message' (bytes, isBinary), 'close' (code, reason), 'ping', 'pong'
 * (bytes), 'error'.
 *
 * What the client does not take waits here, as with ws: beyond `maxBufferedAmount` of the server the
 * connection ends.
 */
export class WebSocket extends EventEmitter<SocketEvents> {
  static readonly CONNECTING = states.CONNECTING;
  static readonly OPEN = states.OPEN;
  static readonly CLOSING = states.CLOSING;
  static readonly CLOSED = states.CLOSED;
  readonly CONNECTING = states.CONNECTING;
  readonly OPEN = states.OPEN;
  readonly CLOSING = states.CLOSING;
  readonly CLOSED = states.CLOSED;
  readonly url = '';
  /** The socket of the request, which tells of the client. */
  readonly _socket: unknown;
  private readonly settings: Settings;
  private ws: ServerWebSocket | null = null;
  private state: 0 | 1 | 2 | 3 = states.CONNECTING;
  private type: 'nodebuffer' | 'arraybuffer' | 'fragments' = 'nodebuffer';
  private parts: { bytes: Buffer[]; isText: boolean } | null = null;
  private waiting: Waiting[] = [];
  private waitingBytes = 0;
  /** Of those on their way: they are told when what waits has left. */
  private onDrain: Sent[] = [];
  private held: { tell: () => void; done: () => void }[] = [];
  private paused = false;

  /** @internal */
  constructor(socket: unknown, settings: Settings) {
    super();
    this._socket = socket;
    this.settings = settings;
  }

  get readyState(): 0 | 1 | 2 | 3 {
    // The engine may have given it up: a listener has thrown, or the server stops.
    const isGivenUp = this.state === states.OPEN && this.ws?.readyState !== states.OPEN;
    return isGivenUp ? states.CLOSING : this.state;
  }

  /** What waits to be sent; of what the engine has, that beyond the first 64 KiB. Bytes. */
  get bufferedAmount(): number {
    return this.waitingBytes + (this.ws?.getBufferedAmount() ?? 0);
  }

  get protocol(): string {
    return this.ws?.protocol ?? '';
  }

  get extensions(): string {
    return this.ws?.extensions ?? '';
  }

  get isPaused(): boolean {
    return this.paused;
  }

  /** 'fragments': a message is an array of one piece. */
  get binaryType(): 'nodebuffer' | 'arraybuffer' | 'fragments' {
    return this.type;
  }

  set binaryType(type: 'nodebuffer' | 'arraybuffer' | 'fragments') {
    if (type === 'nodebuffer' || type === 'arraybuffer' || type === 'fragments') this.type = type;
  }

  // What the program says.

  /**
   * Sends a message. `sent` is called when the engine has it and what waits has left; with an error when it
   * is not sent. Throws while the socket is connecting.
   */
  send(data: unknown, options?: SendOptions | Sent, sent?: Sent): void {
    const given = typeof options === 'function' ? {} : (options ?? {});
    const told = typeof options === 'function' ? options : sent;
    this.checkConnected();
    if (this.readyState !== states.OPEN) {
      this.notSent(told);
      return;
    }
    const message = this.whole(data, given);
    if (message === null) {
      if (told !== undefined) process.nextTick(told);
      return;
    }
    if (this.waiting.length > 0 || !this.sendNow(message, given.compress, told)) {
      this.wait(message, given.compress, told);
    }
  }

  /** The message, when this is the last of its parts. */
  private whole(data: unknown, { binary, fin }: SendOptions): WebSocketData | null {
    const { parts } = this;
    if (parts === null && fin !== false) {
      const message = messageOf(data);
      if (binary === undefined || binary !== (typeof message === 'string')) return message;
      return binary ? asBytes(message) : asBytes(message).toString();
    }
    const gathered = parts ?? {
      bytes: [],
      isText: !(binary ?? typeof messageOf(data) !== 'string'),
    };
    gathered.bytes.push(Buffer.from(asBytes(data)));
    this.parts = fin === false ? gathered : null;
    if (fin === false) return null;
    const bytes = Buffer.concat(gathered.bytes);
    return gathered.isText ? bytes.toString() : bytes;
  }

  /** False: the engine has no room for it. */
  private sendNow(
    data: WebSocketData,
    compress: boolean | undefined,
    sent: Sent | undefined,
  ): boolean {
    const ws = this.ws as ServerWebSocket;
    const answer = ws.send(data, compress);
    if (answer === 0 && lengthOf(data) > 0) return false;
    if (sent === undefined) return true;
    if (answer === -1) this.onDrain.push(sent);
    else process.nextTick(sent);
    return true;
  }

  private wait(data: WebSocketData, compress: boolean | undefined, sent: Sent | undefined): void {
    const bytes = lengthOf(data);
    if (this.readyState !== states.OPEN) {
      this.notSent(sent); // the engine has given it up: closeOnBackpressureLimit
      return;
    }
    if (this.waitingBytes + bytes > this.settings.maxBuffered) {
      this.notSent(sent, 'The client does not take what it is sent');
      this.terminate();
      return;
    }
    const own = typeof data === 'string' ? data : Buffer.from(asBytes(data));
    this.waiting.push({ data: own, bytes, compress, sent });
    this.waitingBytes += bytes;
  }

  private notSent(sent: Sent | undefined, why?: string): void {
    if (sent === undefined) return;
    const state = this.readyState;
    const name = Object.keys(states)[state];
    const message = why ?? `WebSocket is not open: readyState ${state} (${name})`;
    process.nextTick(sent, new Error(message));
  }

  private checkConnected(): void {
    if (this.state !== states.CONNECTING) return;
    throw new Error('WebSocket is not open: readyState 0 (CONNECTING)');
  }

  /** As ws: `mask` is for clients. */
  ping(data?: unknown, mask?: boolean | Sent, sent?: Sent): void {
    this.control('ping', data, mask, sent);
  }

  pong(data?: unknown, mask?: boolean | Sent, sent?: Sent): void {
    this.control('pong', data, mask, sent);
  }

  private control(
    kind: 'ping' | 'pong',
    data: unknown,
    mask: boolean | Sent | undefined,
    sent: Sent | undefined,
  ): void {
    const told = [data, mask, sent].find((one) => typeof one === 'function') as Sent | undefined;
    this.checkConnected();
    if (this.state !== states.OPEN) {
      this.notSent(told);
      return;
    }
    const payload = data === undefined || typeof data === 'function' ? '' : messageOf(data);
    this.ws?.[kind](payload);
    if (told !== undefined) process.nextTick(told);
  }

  /** Closes behind what was sent, and what waits. Throws for a code that no Close may have. */
  close(code?: number, reason?: string | Buffer): void {
    if (this.state >= states.CLOSING) return;
    this.checkConnected();
    if (this.waiting.length === 0) this.ws?.close(code, reason === undefined ? '' : `${reason}`);
    else this.onLastSent = () => this.ws?.close(code, reason === undefined ? '' : `${reason}`);
    this.state = states.CLOSING;
  }

  private onLastSent: (() => void) | null = null;

  /** Ends the connection without a word. */
  terminate(): void {
    if (this.state === states.CLOSED) return;
    this.state = states.CLOSING;
    this.ws?.terminate();
  }

  /** Nothing is told any more until `resume`: the client waits once what it may have under way is used up. */
  pause(): void {
    if (this.state === states.OPEN) this.paused = true;
  }

  resume(): void {
    if (!this.paused) return;
    this.paused = false;
    while (!this.paused) {
      const next = this.held.shift();
      if (next === undefined) return;
      next.done();
      next.tell();
    }
  }

  // Listeners in the shape of the DOM.

  addEventListener(type: string, listener: SocketListener, options: { once?: boolean } = {}): void {
    addListener(this, type, listener, { once: options.once ?? false });
  }

  removeEventListener(type: string, listener: SocketListener): void {
    removeListener(this, type, listener);
  }

  get onopen(): SocketListener | null {
    return attribute(this, 'open');
  }
  set onopen(listener: SocketListener | null) {
    setAttribute(this, 'open', listener);
  }
  get onmessage(): SocketListener | null {
    return attribute(this, 'message');
  }
  set onmessage(listener: SocketListener | null) {
    setAttribute(this, 'message', listener);
  }
  get onclose(): SocketListener | null {
    return attribute(this, 'close');
  }
  set onclose(listener: SocketListener | null) {
    setAttribute(this, 'close', listener);
  }
  get onerror(): SocketListener | null {
    return attribute(this, 'error');
  }
  set onerror(listener: SocketListener | null) {
    setAttribute(this, 'error', listener);
  }

  // What the engine tells.

  /** @internal */
  delegate(opened: (ws: WebSocket) => void): Delegate {
    return new Told({
      opened: (ws) => {
        this.ws = ws;
        this.state = states.OPEN;
        opened(this);
      },
      message: (message) => this.arrived(message),
      drained: () => this.drained(),
      control: (kind, data) => this.whenHeard(() => this.emit(kind, data)),
      closed: (code, reason) => this.ended(code, reason),
    });
  }

  private arrived(message: string | Buffer): unknown {
    if (this.state !== states.OPEN) return undefined;
    const isBinary = typeof message !== 'string';
    const bytes = isBinary ? message : Buffer.from(message);
    if (bytes.length > this.settings.maxPayload) {
      const error = new RangeError('Max payload size exceeded');
      this.ws?.close(1009);
      this.state = states.CLOSING;
      this.tellError(Object.assign(error, { code: 'WS_ERR_UNSUPPORTED_MESSAGE_LENGTH' }));
      return undefined;
    }
    const tell = (): void => {
      this.emit('message', isBinary ? this.asBinary(bytes) : bytes, isBinary);
    };
    if (!this.paused && this.held.length === 0) {
      tell();
      return undefined;
    }
    return new Promise<void>((done) => this.held.push({ tell, done }));
  }

  /** Behind the messages that came before. */
  private whenHeard(tell: () => void): void {
    if (this.held.length === 0) tell();
    else this.held.push({ tell, done: () => {} });
  }

  private asBinary(bytes: Buffer): Buffer | ArrayBuffer | Buffer[] {
    if (this.type === 'arraybuffer') return bytes.buffer as ArrayBuffer;
    return this.type === 'fragments' ? [bytes] : bytes;
  }

  private drained(): void {
    const told = this.onDrain;
    this.onDrain = [];
    for (const sent of told) sent();
    for (let next = this.waiting[0]; next !== undefined; next = this.waiting[0]) {
      if (!this.sendNow(next.data, next.compress, next.sent)) return; // another drain follows
      this.waiting.shift();
      this.waitingBytes -= next.bytes;
    }
    this.onLastSent?.();
    this.onLastSent = null;
  }

  private ended(code: number, reason: string): void {
    this.state = states.CLOSED;
    // Behind a Close that was answered all has arrived that was sent ahead of it.
    const isClean = code !== 1006;
    if (isClean) for (const sent of this.onDrain) process.nextTick(sent);
    const unknown = isClean ? [] : this.onDrain;
    const lost = [...unknown, ...this.waiting.map(({ sent }) => sent)];
    this.onDrain = [];
    this.waiting = [];
    this.waitingBytes = 0;
    this.onLastSent = null;
    for (const sent of lost) this.notSent(sent);
    this.paused = false;
    for (const { tell, done } of this.held.splice(0)) {
      done();
      tell();
    }
    this.emit('close', code, Buffer.from(reason));
  }

  private tellError(error: Error): void {
    if (this.listenerCount('error') > 0) this.emit('error', error);
  }
}

interface Hooks {
  opened(ws: ServerWebSocket): void;
  message(message: string | Buffer): unknown;
  drained(): void;
  control(kind: 'ping' | 'pong', data: Buffer): void;
  closed(code: number, reason: string): void;
}

/** The engine's side of a socket. */
class Told extends Delegate {
  private readonly hooks: Hooks;

  constructor(hooks: Hooks) {
    super();
    this.hooks = hooks;
  }

  opened(ws: ServerWebSocket): void {
    this.hooks.opened(ws);
  }
  message(_ws: ServerWebSocket, message: string | Buffer): unknown {
    return this.hooks.message(message);
  }
  closed(_ws: ServerWebSocket, code: number, reason: string): void {
    this.hooks.closed(code, reason);
  }
  override drained(): void {
    this.hooks.drained();
  }
  override pinged(_ws: ServerWebSocket, data: Buffer): void {
    this.hooks.control('ping', data);
  }
  override ponged(_ws: ServerWebSocket, data: Buffer): void {
    this.hooks.control('pong', data);
  }
}

function lengthOf(data: WebSocketData): number {
  return typeof data === 'string' ? Buffer.byteLength(data) : data.byteLength;
}
