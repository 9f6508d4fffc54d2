/** How a server secures its connections: what `serve()` is told, and what the engine is. */
import { fileURLToPath } from 'node:url';
import { GyrfalconError } from '../core/errors.ts';
import { invalid } from './invalid.ts';

/**
 * A certificate or a key: PEM as text (it has a line `-----BEGIN …-----`) or as bytes; or a file, by
 * its path or its `file:` URL. Files are read anew when they change.
 */
export type TlsSource = string | URL | Uint8Array;

/** One certificate of a server. */
export interface TlsCertificate {
  /** The certificate, and those between it and its authority, in any order. */
  cert: TlsSource;
  /** Its private key, without a passphrase. */
  key: TlsSource;
  /** A file with an OCSP response, DER, for clients that ask for one. */
  ocsp?: string | URL;
  /** The names that it serves. `*.` may stand before one. @default those that the certificate tells */
  serverName?: string | readonly string[];
}

/** TLS of a server, or of one of the places in which it listens. */
export interface TlsOptions extends Partial<TlsCertificate> {
  /**
   * Further certificates, by the names that they serve. A client that asks for none of the names gets
   * the first whose signatures it takes.
   */
  certificates?: readonly TlsCertificate[];
  /**
   * For development, in the place of certificates: one for localhost and this machine's name, made at
   * the start by an authority that is kept for each user. The log tells how browsers come to trust it.
   *
   * @default false
   */
  selfSigned?: boolean;
  /** The lowest version of TLS that is spoken. @default '1.3' */
  minVersion?: '1.2' | '1.3' | 'TLSv1.2' | 'TLSv1.3';
  /** Refuse clients that ask for a name that no certificate has. @default false */
  strictServerName?: boolean;
  /** Authorities whose certificates of clients are believed, PEM. Needed where those are asked for. */
  ca?: TlsSource;
  /** Ask clients for a certificate. @default false */
  requestCert?: boolean;
  /**
   * Refuse clients that show no certificate, or one that leads to no authority of `ca`. Otherwise
   * handlers decide, by `request.tls.authorized`.
   *
   * @default true
   */
  rejectUnauthorized?: boolean;
  /** Resume sessions, which saves clients half of a handshake. @default true */
  sessionTickets?: boolean;
  /**
   * Secrets for that, 32 bytes each, or 64 hexadecimal digits. Servers that share them resume each
   * other's sessions, also after a restart. The first seals, all open: put a new one in front.
   *
   * @default one that lives as long as the server
   */
  ticketKeys?: readonly (string | Uint8Array)[];
  /** How long a session can be resumed, seconds, a week at most. @default 43200 */
  sessionTimeout?: number;
  /**
   * Take requests ahead of the handshake's end (0-RTT) from clients that come again, so many bytes of
   * each, or 16384 for `true`: GET, HEAD and OPTIONS alone, others are told 425. They may be copies:
   * see `request.tls.earlyData`.
   *
   * @default false
   */
  earlyData?: boolean | number;
  /**
   * Send Strict-Transport-Security (RFC 6797) with every response over TLS: for a year with `true`, or
   * as its parts or its text say.
   *
   * @default false
   */
  hsts?: boolean | string | HstsOptions;
  /** A file that the keys of all connections are appended to, for programs that watch the network. */
  keyLog?: string;
  /**
   * Linux seals the large files that HTTP/1 sends, where it can (kTLS), so that they need not pass through
   * this process. The log tells at the start whether it does.
   *
   * @default true
   */
  ktls?: boolean;
  /**
   * How often the files are looked at, and whether a certificate of `selfSigned` is to be replaced,
   * milliseconds; 0: never.
   *
   * @default 5000
   */
  reloadInterval?: number;
}

/** Strict-Transport-Security in parts. */
export interface HstsOptions {
  /** Seconds. */
  maxAge: number;
  includeSubDomains?: boolean;
  preload?: boolean;
}

/**
 * `tls` of `serve()`: options, certificates alone, or `'self-signed'`, which is `{ selfSigned: true }`.
 */
export type TlsOption = TlsOptions | readonly TlsCertificate[] | 'self-signed';

type EngineSource = { file: string } | { text: string };

interface EngineIdentity {
  certificate: EngineSource;
  key: EngineSource;
  staple?: EngineSource;
  names?: readonly string[];
}

/** A set of certificates as the engine takes it (zig/server/tls/settings.zig). */
export interface EngineTls {
  certificates: EngineIdentity[];
  self_signed?: boolean;
  [option: string]: unknown;
}

/** The sets of certificates of a server: each object that was given is one. */
export class TlsSets {
  readonly sets: EngineTls[] = [];
  private readonly given: unknown[] = [];

  /** Its index for the engine. Throws GYR_OPTION_INVALID. */
  indexOf(name: string, option: unknown): number {
    const known = this.given.indexOf(option);
    if (known !== -1) return known;
    this.sets.push(engineTls(name, option));
    return this.given.push(option) - 1;
  }
}

const certificateNames = ['cert', 'key', 'ocsp', 'serverName'];
const otherNames = [
  'certificates',
  'selfSigned',
  'minVersion',
  'strictServerName',
  'ca',
  'requestCert',
  'rejectUnauthorized',
  'sessionTickets',
  'ticketKeys',
  'sessionTimeout',
  'earlyData',
  'hsts',
  'keyLog',
  'ktls',
  'reloadInterval',
];
const week = 7 * 24 * 3600;
const earlyBytesDefault = 16_384;
const earlyBytesMax = 65_536;
const secretBytes = 32;

function engineTls(name: string, option: unknown): EngineTls {
  if (Array.isArray(option)) {
    if (option.length === 0) throw invalid(name, option, 'one certificate at least');
    return { certificates: option.map((one, i) => identity(`${name}[${i}]`, one)) };
  }
  const options = option === 'self-signed' ? { selfSigned: true } : option;
  const given = objectOf(name, options, [...certificateNames, ...otherNames]);
  const out = certificatesOf(name, given);
  takeVersion(name, given.minVersion, out);
  takeBoolean(`${name}.strictServerName`, given.strictServerName, 'strict_names', out);
  takeBoolean(`${name}.sessionTickets`, given.sessionTickets, 'tickets', out);
  takeBoolean(`${name}.ktls`, given.ktls, 'ktls', out);
  takeNumber(`${name}.sessionTimeout`, given.sessionTimeout, [1, week], 'ticket_lifetime_s', out);
  const intervals = [0, 2 ** 31 - 1] as const;
  takeNumber(`${name}.reloadInterval`, given.reloadInterval, intervals, 'reload_ms', out);
  takeClients(name, given, out);
  takeTicketKeys(`${name}.ticketKeys`, given.ticketKeys, out);
  takeEarlyData(`${name}.earlyData`, given, out);
  takeHsts(`${name}.hsts`, given.hsts, out);
  if (given.keyLog !== undefined) {
    if (typeof given.keyLog !== 'string' || given.keyLog === '')
      throw invalid(`${name}.keyLog`, given.keyLog, 'a path');
    out.key_log = given.keyLog;
  }
  return out;
}

function objectOf(name: string, value: unknown, names: readonly string[]): Record<string, unknown> {
  if (typeof value !== 'object' || value === null) throw wrongKind(name, value, 'an object');
  for (const key of Object.keys(value)) {
    if (names.includes(key)) continue;
    const message = `Option ${name} has no option ${key}`;
    throw new GyrfalconError('GYR_OPTION_UNKNOWN', message, `options are ${names.join(', ')}`);
  }
  return value as Record<string, unknown>;
}

/** Certificates of the user's, or one for development. */
function certificatesOf(name: string, given: Record<string, unknown>): EngineTls {
  const { selfSigned = false } = given;
  if (typeof selfSigned !== 'boolean') throw invalid(`${name}.selfSigned`, selfSigned, 'a boolean');
  if (!selfSigned) return { certificates: identities(name, given) };
  const other = [...certificateNames, 'certificates'].find((one) => given[one] !== undefined);
  if (other === undefined) return { certificates: [], self_signed: true };
  const message = `Option ${name}.selfSigned stands beside ${other}`;
  throw new GyrfalconError('GYR_OPTION_INVALID', message, 'it is in the place of certificates');
}

function identities(name: string, given: Record<string, unknown>): EngineIdentity[] {
  const { certificates = [], cert, key } = given;
  if (!Array.isArray(certificates))
    throw wrongKind(`${name}.certificates`, certificates, 'an array');
  const further = certificates.map((one, i) => identity(`${name}.certificates[${i}]`, one));
  if (cert === undefined && key === undefined && further.length > 0) return further;
  const own = Object.fromEntries(
    certificateNames.flatMap((part) => (part in given ? [[part, given[part]]] : [])),
  );
  return [identity(name, own), ...further];
}

function identity(name: string, value: unknown): EngineIdentity {
  const { cert, key, ocsp, serverName } = objectOf(name, value, certificateNames);
  const out: EngineIdentity = {
    certificate: source(`${name}.cert`, cert),
    key: source(`${name}.key`, key),
  };
  if (ocsp !== undefined) out.staple = staple(`${name}.ocsp`, ocsp);
  if (serverName !== undefined) {
    const names = Array.isArray(serverName) ? serverName : [serverName];
    const areNames = names.length > 0 && names.every((one) => typeof one === 'string');
    if (!areNames) throw invalid(`${name}.serverName`, serverName, 'a host name, or some');
    out.names = names;
  }
  return out;
}

const isPem = (text: string): boolean => text.includes('-----BEGIN ');

function source(name: string, value: unknown): EngineSource {
  if (typeof value === 'string' && isPem(value)) return { text: value };
  if (value instanceof Uint8Array) {
    const text = Buffer.from(value.buffer, value.byteOffset, value.byteLength).toString('latin1');
    if (!isPem(text)) throw invalidSecret(name, 'PEM: a line "-----BEGIN …-----" is missing');
    return { text };
  }
  const path = pathOf(value);
  if (path === null) throw invalidSecret(name, 'PEM text, bytes of it, a path or a file: URL');
  return { file: path };
}

function staple(name: string, value: unknown): EngineSource {
  const path = pathOf(value);
  if (path === null) throw invalidSecret(name, 'a path or a file: URL');
  return { file: path };
}

function pathOf(value: unknown): string | null {
  if (value instanceof URL) return value.protocol === 'file:' ? fileURLToPath(value) : null;
  return typeof value === 'string' && value !== '' && !value.includes('\n') ? value : null;
}

function takeVersion(name: string, value: unknown, out: EngineTls): void {
  if (value === undefined) return;
  if (value === '1.2' || value === 'TLSv1.2') out.version_min = 'tls12';
  else if (value !== '1.3' && value !== 'TLSv1.3')
    throw invalid(`${name}.minVersion`, value, "'1.2' or '1.3'");
}

function takeClients(name: string, given: Record<string, unknown>, out: EngineTls): void {
  const { ca, requestCert = false, rejectUnauthorized = true } = given;
  const flags = { requestCert, rejectUnauthorized };
  for (const [flag, value] of Object.entries(flags)) {
    if (typeof value !== 'boolean') throw invalid(`${name}.${flag}`, value, 'a boolean');
  }
  if (!requestCert) {
    if (ca === undefined) return;
    const message = `Option ${name}.ca stands without requestCert`;
    throw new GyrfalconError('GYR_OPTION_INVALID', message, 'clients are asked for none: set both');
  }
  if (ca === undefined) {
    const message = `Option ${name}.requestCert needs ca`;
    throw new GyrfalconError('GYR_OPTION_INVALID', message, 'whose certificates are believed');
  }
  out.client_authorities = source(`${name}.ca`, ca);
  out.client_certificates = rejectUnauthorized ? 'require' : 'request';
}

function takeTicketKeys(name: string, value: unknown, out: EngineTls): void {
  if (value === undefined) return;
  if (!Array.isArray(value) || value.length === 0 || value.length > 16)
    throw invalidSecret(name, 'an array of 1 to 16 secrets');
  out.ticket_secrets = value.map((one, i) => {
    const hex = one instanceof Uint8Array ? Buffer.from(one).toString('hex') : one;
    if (typeof hex === 'string' && hex.length === 2 * secretBytes && /^[\da-f]*$/i.test(hex))
      return hex;
    throw invalidSecret(`${name}[${i}]`, '32 bytes, or 64 hexadecimal digits');
  });
}

/** Data comes ahead where a session is resumed. */
function takeEarlyData(name: string, given: Record<string, unknown>, out: EngineTls): void {
  const { earlyData = false, sessionTickets, requestCert } = given;
  if (earlyData === false) return;
  const bytes = earlyData === true ? earlyBytesDefault : earlyData;
  takeNumber(name, bytes, [1, earlyBytesMax], 'early_data_bytes_max', out);
  if (sessionTickets !== false && requestCert !== true) return;
  const other = requestCert === true ? 'requestCert' : 'sessionTickets: false';
  const message = `Option ${name} stands beside ${other}`;
  throw new GyrfalconError('GYR_OPTION_INVALID', message, 'no session is resumed then: take one');
}

function takeHsts(name: string, value: unknown, out: EngineTls): void {
  if (value === undefined || value === false) return;
  if (value === true) out.hsts = `max-age=${365 * 24 * 3600}`;
  else if (typeof value === 'string' && value !== '') out.hsts = value;
  else out.hsts = hstsText(name, value);
}

function hstsText(name: string, value: unknown): string {
  const { maxAge, includeSubDomains, preload } = objectOf(name, value, [
    'maxAge',
    'includeSubDomains',
    'preload',
  ]);
  if (typeof maxAge !== 'number' || !Number.isInteger(maxAge) || maxAge < 0)
    throw invalid(`${name}.maxAge`, maxAge, 'a number of seconds');
  const parts = [`max-age=${maxAge}`];
  if (includeSubDomains) parts.push('includeSubDomains');
  if (preload) parts.push('preload');
  return parts.join('; ');
}

function takeBoolean(name: string, value: unknown, engine: string, out: EngineTls): void {
  if (value === undefined) return;
  if (typeof value !== 'boolean') throw invalid(name, value, 'a boolean');
  out[engine] = value;
}

function takeNumber(
  name: string,
  value: unknown,
  [min, max]: readonly [number, number],
  engine: string,
  out: EngineTls,
): void {
  if (value === undefined) return;
  if (typeof value !== 'number' || !Number.isInteger(value) || value < min || value > max)
    throw invalid(name, value, `an integer from ${min} to ${max}`);
  out[engine] = value;
}

/** As `invalid`, where the value may be a key, or hold one. */
function wrongKind(name: string, value: unknown, rule: string): GyrfalconError {
  const kind = value === null ? 'null' : typeof value;
  return new GyrfalconError(
    'GYR_OPTION_INVALID',
    `Option ${name} is ${kind}`,
    `it must be ${rule}`,
  );
}

/** What was given is not told: it may be a key. */
function invalidSecret(name: string, rule: string): GyrfalconError {
  return new GyrfalconError('GYR_OPTION_INVALID', `Option ${name} cannot be`, `it must be ${rule}`);
}
