/** Where a server listens: what `serve()` is told, and what comes of it. */
import { isIP } from 'node:net';
import { resolve } from 'node:path';
import { domainToASCII } from 'node:url';
import { inspect } from 'node:util';
import type { SocketAddress } from '../bridge/address.ts';
import type { EngineListener } from '../bridge/engine.ts';
import { GyrfalconError } from '../core/errors.ts';
import { invalid } from './invalid.ts';
import type { TlsOption, TlsSets } from './tls.ts';

/** A port, at all addresses that a name leads to. */
export interface TcpPlace {
  /** Name or address. @default every interface, IPv6 and IPv4 */
  hostname?: string;
  /** 0: the system picks a free one. @default 3000 */
  port?: number;
}

/** A unix socket. */
export interface UnixPlace {
  /** Its path, 107 bytes at most, or an abstract name, which begins with `@` or NUL. */
  unix: string;
  /** Rights of the file: who may write may connect. @default what the umask leaves */
  mode?: number;
}

/** A listening socket, TCP or unix, that the process was started with. */
export interface InheritedPlace {
  /** Its descriptor. The server owns it once it has started, and closes it when it stops. */
  fd: number;
}

/** How a place is secured, whatever it is. */
export interface PlaceSecurity {
  /** Certificates of its own; `false`: no TLS. @default the server's option `tls` */
  tls?: TlsOption | false;
  /**
   * Send every request to https, by 308 (Permanent Redirect): to this port, or with `true` to that of
   * the first place with TLS. Challenges of ACME (`/.well-known/acme-challenge/`) are handled.
   */
  redirect?: boolean | number;
}

export type ListenPlace = (TcpPlace | UnixPlace | InheritedPlace) & PlaceSecurity;

/** The options of `serve()` that say where. */
export interface ListenOptions extends TcpPlace {
  unix?: string;
  unixMode?: number;
  listen?: ListenPlace | readonly ListenPlace[];
  tls?: TlsOption;
}

/** Where a server is, as other threads are told it. */
export interface Whereabouts {
  readonly url: string;
  readonly hostname: string;
  readonly port: number;
  readonly addresses: readonly SocketAddress[];
}

/** A place as the engine takes it. */
type EnginePlace =
  | { tcp: { hostname?: string; port?: number } }
  | { unix: { path: string; mode?: number } }
  | { fd: number };

/** Where to listen, and how, as the engine takes it (zig/server/config.zig). */
export interface EngineListen {
  place: EnginePlace;
  tls?: number;
  redirect_port?: number;
}

/** How much of a place is shown that cannot be. */
const placeDepth = 1;
const portMax = 65_535;
const fdMax = 2 ** 31 - 1;
const modeMax = 0o777;

/**
 * The engine's list of places; undefined where `hostname` and `port` say it all. Throws
 * GYR_OPTION_INVALID for what cannot be, and GYR_ADDRESS_INVALID for a name that is not ASCII.
 */
export function enginePlaces(
  given: Readonly<Record<string, unknown>>,
  sets: TlsSets,
): EngineListen[] | undefined {
  const common = given.tls === undefined ? {} : { tls: sets.indexOf('tls', given.tls) };
  if (given.hostname !== undefined) checkHostname('hostname', given.hostname);
  if (given.listen !== undefined) {
    for (const name of ['hostname', 'port', 'unix', 'unixMode']) {
      if (given[name] !== undefined) throw besides(name, 'listen');
    }
    return listenPlaces(given.listen, common, sets);
  }
  if (given.unix !== undefined) {
    for (const name of ['hostname', 'port']) {
      if (given[name] !== undefined) throw besides(name, 'unix');
    }
    return [{ place: unixPlace('unix', given.unix, 'unixMode', given.unixMode), ...common }];
  }
  if (given.unixMode !== undefined) {
    const message = 'Option unixMode needs option unix';
    throw new GyrfalconError('GYR_OPTION_INVALID', message, 'they go together');
  }
  return undefined;
}

type CommonTls = { tls?: number };

function listenPlaces(listen: unknown, common: CommonTls, sets: TlsSets): EngineListen[] {
  const all = Array.isArray(listen) ? listen : [listen];
  if (all.length === 0) throw invalid('listen', listen, 'one place at least', placeDepth);
  const places = all.map((place, i) =>
    listenOf(Array.isArray(listen) ? `listen[${i}]` : 'listen', place, common, sets),
  );
  const secures = places.some(({ tls }) => tls !== undefined);
  const stray = places.findIndex((place) => place.redirect_port === 0);
  if (stray === -1 || secures) return places;
  const hint = 'a port, where no place has TLS';
  throw new GyrfalconError('GYR_OPTION_INVALID', 'Option redirect leads nowhere', hint);
}

function listenOf(name: string, given: unknown, common: CommonTls, sets: TlsSets): EngineListen {
  if (typeof given !== 'object' || given === null) return { place: placeOf(name, given) };
  const { tls, redirect = false, ...rest } = given as Record<string, unknown>;
  const place = placeOf(name, rest);
  if (redirect === false) return { place, ...tlsOf(`${name}.tls`, tls, common, sets) };
  if (tls !== undefined && tls !== false) {
    const message = `Option ${name} has both tls and redirect`;
    throw new GyrfalconError('GYR_OPTION_INVALID', message, 'what is redirected comes without TLS');
  }
  if (redirect === true) return { place, redirect_port: 0 };
  const port = integer(`${name}.redirect`, redirect, portMax, 'true, or a port from 1 to 65535');
  if (port === 0)
    throw invalid(`${name}.redirect`, redirect, 'true, or a port from 1 to 65535', placeDepth);
  return { place, redirect_port: port };
}

function tlsOf(name: string, tls: unknown, common: CommonTls, sets: TlsSets): CommonTls {
  if (tls === undefined) return common;
  return tls === false ? {} : { tls: sets.indexOf(name, tls) };
}

function placeOf(name: string, place: unknown): EnginePlace {
  const rule = 'an object with hostname and port, with unix, or with fd';
  if (typeof place !== 'object' || place === null) throw invalid(name, place, rule, placeDepth);
  const { hostname, port, unix, mode, fd, ...rest } = place as Record<string, unknown>;
  const isUnix = unix !== undefined;
  const isFd = fd !== undefined;
  const isTcp = hostname !== undefined || port !== undefined;
  const [stray] = Object.keys(rest);
  if (stray !== undefined) {
    // Its value is not told: it may be a key, which belongs to `tls`.
    const message = `Option ${name} has no option ${stray}`;
    throw new GyrfalconError('GYR_OPTION_INVALID', message, `it must be ${rule}`);
  }
  const kinds = Number(isUnix) + Number(isFd) + Number(isTcp);
  if (kinds !== 1 || (mode !== undefined && !isUnix)) throw invalid(name, place, rule, placeDepth);
  if (isUnix) return unixPlace(`${name}.unix`, unix, `${name}.mode`, mode);
  if (isFd) return { fd: integer(`${name}.fd`, fd, fdMax) };
  if (hostname !== undefined) checkHostname(`${name}.hostname`, hostname);
  return {
    tcp: {
      ...(hostname === undefined ? {} : { hostname: hostname as string }),
      ...(port === undefined ? {} : { port: integer(`${name}.port`, port, portMax) }),
    },
  };
}

function unixPlace(name: string, path: unknown, modeName: string, mode: unknown): EnginePlace {
  if (typeof path !== 'string' || /\p{Surrogate}/u.test(path)) {
    throw invalid(name, path, 'a path, or an abstract name behind @', placeDepth);
  }
  if (mode === undefined) return { unix: { path } };
  return { unix: { path, mode: integer(modeName, mode, modeMax, 'rights from 0 to 0o777') } };
}

/** Names are looked up as they are written, and resolvers know ASCII alone. */
function checkHostname(name: string, hostname: unknown): void {
  if (typeof hostname !== 'string') throw invalid(name, hostname, 'a string', placeDepth);
  if (!/[^\0-\x7f]/.test(hostname)) return;
  const ascii = domainToASCII(hostname);
  const hint = ascii === '' ? 'write it in its ASCII form (xn--…)' : `write it as ${ascii}`;
  throw new GyrfalconError('GYR_ADDRESS_INVALID', `${inspect(hostname)} is no host name`, hint);
}

function integer(name: string, value: unknown, max: number, rule?: string): number {
  if (typeof value === 'number' && Number.isInteger(value) && value >= 0 && value <= max) {
    return value;
  }
  throw invalid(name, value, rule ?? `an integer from 0 to ${max}`, placeDepth);
}

function besides(name: string, other: string): GyrfalconError {
  const message = `Option ${name} stands beside option ${other}`;
  return new GyrfalconError('GYR_OPTION_INVALID', message, 'each says where to listen: take one');
}

/** What a server listens on, from its start on. */
export class Listening {
  /** Absolute paths: the working directory may change. */
  private readonly listeners: readonly EngineListener[];
  private readonly names: readonly string[];
  private readonly secure: readonly boolean[];
  /** Indices of the listeners whose failure has been told. */
  private readonly lost = new Set<number>();

  constructor(options: ListenOptions, listeners: readonly EngineListener[]) {
    this.listeners = listeners.map((listener) => ({
      ...listener,
      address: isPath(listener) ? resolve(listener.address) : listener.address,
    }));
    this.names = namesOf(options);
    this.secure = securesOf(options);
  }

  /** Of the first place. */
  get url(): URL {
    return new URL(this.urlOf(this.first, ''));
  }

  /** A name as it was given, or the address; '' of a unix socket. */
  get hostname(): string {
    if (this.first.family === 'unix') return '';
    return this.nameOf(this.first) ?? this.first.address;
  }

  get port(): number {
    return this.first.port;
  }

  /** What has not failed. */
  get addresses(): SocketAddress[] {
    return this.listeners.filter((_, i) => !this.lost.has(i)).map(addressOf);
  }

  get whereabouts(): Whereabouts {
    const { url, hostname, port, addresses } = this;
    return { url: url.href, hostname, port, addresses };
  }

  /** The URL of each place, as programs take it that know scopes of addresses (RFC 6874). */
  get texts(): string[] {
    const firsts = this.listeners.filter(
      ({ place }, i) => this.listeners.findIndex((other) => other.place === place) === i,
    );
    return firsts.map((listener) => this.urlOf(listener, '%25'));
  }

  /** Notes which listeners have failed, and gives an error for each that had not been noted. */
  lose(now: readonly EngineListener[]): GyrfalconError[] {
    const fresh = now.flatMap(({ failure }, i) =>
      failure === null || this.lost.has(i) ? [] : [{ i, failure }],
    );
    for (const { i } of fresh) this.lost.add(i);
    const left = this.listeners.length - this.lost.size;
    const hint = left === 0 ? 'nothing is listened on any more' : `${left} more go on`;
    return fresh.map(({ i, failure }) => {
      const at = addressText(addressOf(this.listeners[i] as EngineListener));
      const message = `The socket that listened on ${at} failed: ${failure}`;
      return new GyrfalconError('GYR_LISTENER_FAILED', message, hint);
    });
  }

  private get first(): EngineListener {
    return this.listeners[0] as EngineListener;
  }

  private urlOf(listener: EngineListener, percent: string): string {
    const scheme = this.secure[listener.place] ? 'https' : 'http';
    return urlText(scheme, this.nameOf(listener), listener, percent);
  }

  /** The name that a listener's place was asked for by; undefined where it was an address. */
  private nameOf({ place, family }: EngineListener): string | undefined {
    const name = this.names[place] ?? '';
    const inner = name.replace(/^\[(.*)\]$/, '$1').replace(/%.*$/, '');
    if (family === 'unix' || inner === '' || inner === '*' || isIP(inner) !== 0) return undefined;
    return name;
  }
}

function namesOf({ listen, hostname = '' }: ListenOptions): string[] {
  if (listen === undefined) return [hostname];
  const places = Array.isArray(listen) ? (listen as readonly ListenPlace[]) : [listen];
  return places.map((place) => (place as TcpPlace).hostname ?? '');
}

/** Of each place, whether it speaks TLS. */
function securesOf({ listen, tls }: ListenOptions): boolean[] {
  const isCommon = tls !== undefined;
  if (listen === undefined) return [isCommon];
  const places = Array.isArray(listen) ? (listen as readonly ListenPlace[]) : [listen];
  return places.map((place: ListenPlace) => {
    if ((place.redirect ?? false) !== false) return false;
    return place.tls === undefined ? isCommon : place.tls !== false;
  });
}

function isPath({ family, address }: EngineListener): boolean {
  return family === 'unix' && address !== '' && !address.startsWith('@');
}

function addressOf({ address, family, port }: EngineListener): SocketAddress {
  return { address, family, port };
}

/** "127.0.0.1:3000", "[::1]:3000", "unix:/run/app.sock" */
function addressText({ address, family, port }: SocketAddress): string {
  if (family === 'unix') return `unix:${address}`;
  return `${family === 'IPv6' ? `[${address}]` : address}:${port}`;
}

/** @param percent - what stands before the scope of an address; '' leaves the scope out, as `new URL` wants it */
function urlText(
  scheme: string,
  name: string | undefined,
  listener: EngineListener,
  percent: string,
): string {
  const { address, family, port } = listener;
  if (family === 'unix') {
    const slashes = address.startsWith('/') ? '//' : '';
    const path = address.replace(/[^/@]+/g, encodeURIComponent);
    return `unix:${slashes}${path}`;
  }
  const named = `${scheme}://${name}:${port}/`;
  if (name !== undefined && URL.canParse(named)) return named;
  if (address === '::' || address === '0.0.0.0') return `${scheme}://localhost:${port}/`;
  const [bare, scope] = address.split('%');
  const scoped = scope === undefined || percent === '' ? bare : `${bare}${percent}${scope}`;
  return `${scheme}://${family === 'IPv6' ? `[${scoped}]` : scoped}:${port}/`;
}

/**
 * The sockets that a service manager started this process with: systemd's LISTEN_FDS, if LISTEN_PID
 * says that they are meant for this process; else none. The variables are gone afterwards, so that no
 * program that is started from here takes the sockets for its own.
 *
 * @example
 * const inherited = inheritedSockets();
 * serve({ ...(inherited.length > 0 ? { listen: inherited } : { port: 3000 }), fetch });
 */
export function inheritedSockets(): InheritedPlace[] {
  const { LISTEN_FDS: count = '', LISTEN_PID: pid } = process.env;
  for (const name of ['LISTEN_FDS', 'LISTEN_PID', 'LISTEN_FDNAMES']) delete process.env[name];
  if (pid !== String(process.pid)) return [];
  if (!/^\d{1,4}$/.test(count)) {
    const message = `LISTEN_FDS is ${inspect(count)}`;
    throw new GyrfalconError('GYR_ADDRESS_FD', message, 'it must be a number of sockets');
  }
  const firstFd = 3; // sd_listen_fds(3)
  return Array.from({ length: Number(count) }, (_, i) => ({ fd: firstFd + i }));
}
