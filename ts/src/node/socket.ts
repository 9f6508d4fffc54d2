import type { X509Certificate } from 'node:crypto';
import { EventEmitter } from 'node:events';
import { Socket } from 'node:net';
import type { SocketAddress } from '../bridge/address.ts';
import type { TlsInfo } from '../fetch/tls_info.ts';

/** What a `ClientSocket` asks of the reply that it stands in front of. */
export interface SocketOwner {
  peer(): SocketAddress | null;
  /** Of the connection, when it is one over TLS. */
  tls(): TlsInfo | undefined;
  /** Where the server listens. */
  local(): SocketAddress | null;
  /** Bytes of the response that were not sent. */
  readonly unsent: number;
  /** The program wants the connection to end. */
  destroy(error: Error | undefined): void;
  /** Nothing has happened for as long as `setTimeout` said. True when somebody was there to hear it. */
  timedOut(): boolean;
}

/** Bytes above which a program that writes is asked to wait for 'drain'. */
export const highWaterMark = 64 * 1024;

/** The most that a timer of Node.js takes, ms. */
const timerMax = 2 ** 31 - 1;

/** Never connected: it has Node's own checks of what `setTimeout` is given. */
const checker = new Socket();

/** Node's own ServerResponse writes here. Nobody reads it. */
const corkState = { corked: 0 };

/**
 * The connection as a node:http program sees it. There is one per request, it tells who the client is
 * and when it has gone, and bytes go past it: it can be neither read nor written.
 */
export class ClientSocket extends EventEmitter {
  readable = true;
  writable = true;
  destroyed = false;
  errored: Error | null = null;
  readonly connecting = false;
  readonly pending = false;
  timeout = 0;
  /** The response that is being sent; Node's own code looks at it. */
  _httpMessage: unknown = null;
  /** Node's own code emits no 'finish' when it is set. */
  _hadError = false;
  private readonly owner: SocketOwner;
  private timer: NodeJS.Timeout | null = null;
  private known: SocketAddress | null | undefined;

  constructor(owner: SocketOwner) {
    super();
    this.owner = owner;
  }

  get remoteAddress(): string | undefined {
    return addressOf(this.peer());
  }

  get remotePort(): number | undefined {
    return portOf(this.peer());
  }

  get remoteFamily(): string | undefined {
    return familyOf(this.peer());
  }

  get localAddress(): string | undefined {
    return addressOf(this.owner.local());
  }

  get localPort(): number | undefined {
    return portOf(this.owner.local());
  }

  get localFamily(): string | undefined {
    return familyOf(this.owner.local());
  }

  // What `tls.TLSSocket` has, of a connection over TLS.

  get encrypted(): boolean {
    return this.owner.tls() !== undefined;
  }

  get authorized(): boolean {
    return this.owner.tls()?.authorized ?? false;
  }

  get alpnProtocol(): string | false {
    return this.owner.tls()?.alpn ?? false;
  }

  get servername(): string | false {
    return this.owner.tls()?.sni ?? false;
  }

  getProtocol(): string | null {
    return this.owner.tls()?.version ?? null;
  }

  getCipher(): { name: string; standardName: string; version: string } | undefined {
    const tls = this.owner.tls();
    if (tls === undefined) return undefined;
    return { name: tls.cipher, standardName: tls.cipher, version: tls.version };
  }

  /** The client's certificate; an object without anything where it has shown none. */
  getPeerCertificate(): object {
    return this.owner.tls()?.clientCertificate?.toLegacyObject() ?? {};
  }

  getPeerX509Certificate(): X509Certificate | undefined {
    return this.owner.tls()?.clientCertificate ?? undefined;
  }

  isSessionReused(): boolean {
    return this.owner.tls()?.resumed ?? false;
  }

  address(): { address?: string; family?: string; port?: number } {
    const local = this.owner.local();
    if (local === null || local.family === 'unix') return {};
    const { address, family, port } = local;
    return { address, family, port };
  }

  get readyState(): string {
    return this.destroyed ? 'closed' : 'open';
  }

  get closed(): boolean {
    return this.destroyed;
  }

  get readableHighWaterMark(): number {
    return highWaterMark;
  }

  get writableHighWaterMark(): number {
    return highWaterMark;
  }

  get writableLength(): number {
    return this.owner.unsent;
  }

  /** Always corked: what is written in one turn goes together. So Node's code plans no uncorking. */
  get writableCorked(): number {
    return 1;
  }

  get _writableState(): { corked: number } {
    return corkState;
  }

  /** As `net.Socket` has it: 'timeout' after `ms` without a byte either way; 0: never. */
  setTimeout(ms: number, callback?: () => void): this {
    if (this.destroyed) return this;
    checker.setTimeout(ms).setTimeout(0);
    this.timeout = ms;
    this.stopTimer();
    if (callback !== undefined && ms === 0) this.removeListener('timeout', callback);
    else if (callback !== undefined) this.once('timeout', callback);
    if (ms > 0) {
      this.timer = setTimeout(() => this.onTimeout(), Math.min(ms, timerMax));
      this.timer.unref();
    }
    return this;
  }

  /** Bytes have come or gone. */
  active(): void {
    this.timer?.refresh();
  }

  stopTimer(): void {
    if (this.timer === null) return;
    clearTimeout(this.timer);
    this.timer = null;
  }

  destroy(error?: Error): this {
    if (!this.destroyed) this.owner.destroy(error);
    return this;
  }

  destroySoon(): void {
    this.destroy();
  }

  resetAndDestroy(): this {
    return this.destroy();
  }

  /** The connection is gone; 'close' is the caller's to emit. */
  gone(error: Error | null): void {
    this.stopTimer();
    this.readable = false;
    this.writable = false;
    this.destroyed = true;
    this.errored = error;
    this._hadError = true;
  }

  // The engine's affair.
  setNoDelay(): this {
    return this;
  }
  setKeepAlive(): this {
    return this;
  }
  ref(): this {
    return this;
  }
  unref(): this {
    return this;
  }
  pause(): this {
    return this;
  }
  resume(): this {
    return this;
  }
  isPaused(): boolean {
    return false;
  }
  cork(): void {}
  uncork(): void {}

  private peer(): SocketAddress | null {
    if (this.known === undefined) this.known = this.owner.peer();
    return this.known;
  }

  private onTimeout(): void {
    this.timer = null;
    const heard = this.owner.timedOut();
    this.emit('timeout');
    if (!heard) this.destroy();
  }
}

/** Clients of a unix socket have none. */
function addressOf(place: SocketAddress | null): string | undefined {
  return place === null || place.family === 'unix' ? undefined : place.address;
}

function portOf(place: SocketAddress | null): number | undefined {
  return place === null || place.family === 'unix' ? undefined : place.port;
}

function familyOf(place: SocketAddress | null): string | undefined {
  return place === null || place.family === 'unix' ? undefined : place.family;
}
