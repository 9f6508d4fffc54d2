import { inspect } from 'node:util';
import type { BodyInit } from './body.ts';
import type { HeadersInit } from './headers.ts';

export type RequestMode = 'navigate' | 'same-origin' | 'no-cors' | 'cors';
export type RequestCredentials = 'omit' | 'same-origin' | 'include';
export type RequestCache =
  | 'default'
  | 'no-store'
  | 'reload'
  | 'no-cache'
  | 'force-cache'
  | 'only-if-cached';
export type RequestRedirect = 'follow' | 'manual' | 'error';
export type ReferrerPolicy =
  | ''
  | 'no-referrer'
  | 'no-referrer-when-downgrade'
  | 'same-origin'
  | 'origin'
  | 'strict-origin'
  | 'origin-when-cross-origin'
  | 'strict-origin-when-cross-origin'
  | 'unsafe-url';

/** The second argument of `new Request`. */
export interface RequestInit {
  /** @default 'GET' */
  method?: string;
  headers?: HeadersInit;
  /** Not beside GET and HEAD. */
  body?: BodyInit | null;
  /** Required beside a stream as body. */
  duplex?: 'half';
  /** The request's own signal follows it; null for none. */
  signal?: AbortSignal | null;
  redirect?: RequestRedirect;
  mode?: RequestMode;
  credentials?: RequestCredentials;
  cache?: RequestCache;
  referrer?: string;
  referrerPolicy?: ReferrerPolicy;
  integrity?: string;
  keepalive?: boolean;
  /** Checked, and of no effect. */
  priority?: 'high' | 'low' | 'auto';
  /** Must be null. */
  window?: null;
  /** undici's extension, handed on to fetch. */
  dispatcher?: unknown;
}

/** What only a fetch of the request would look at. */
export interface Settings {
  redirect: RequestRedirect;
  mode: RequestMode;
  credentials: RequestCredentials;
  cache: RequestCache;
  /** As the getter gives it: 'about:client', '' for no-referrer, or a URL. */
  referrer: string;
  referrerPolicy: ReferrerPolicy;
  integrity: string;
  keepalive: boolean;
  dispatcher: unknown;
}

export const defaultSettings: Settings = Object.freeze({
  redirect: 'follow',
  mode: 'cors',
  credentials: 'same-origin',
  cache: 'default',
  referrer: 'about:client',
  referrerPolicy: '',
  integrity: '',
  keepalive: false,
  dispatcher: undefined,
} satisfies Settings);

const modes: readonly RequestMode[] = ['navigate', 'same-origin', 'no-cors', 'cors'];
const credentialModes: readonly RequestCredentials[] = ['omit', 'same-origin', 'include'];
const caches: readonly RequestCache[] = [
  'default',
  'no-store',
  'reload',
  'no-cache',
  'force-cache',
  'only-if-cached',
];
const priorities = ['high', 'low', 'auto'] as const;
const redirects: readonly RequestRedirect[] = ['follow', 'manual', 'error'];
const policies: readonly ReferrerPolicy[] = [
  '',
  'no-referrer',
  'no-referrer-when-downgrade',
  'same-origin',
  'origin',
  'strict-origin',
  'origin-when-cross-origin',
  'strict-origin-when-cross-origin',
  'unsafe-url',
];

function oneOf<T extends string>(member: string, values: readonly T[], given: unknown): T {
  const text = String(given) as T;
  if (values.includes(text)) return text;
  throw new TypeError(
    `Request: ${member} must be one of ${values.join(', ')}, not ${inspect(text)}`,
  );
}

function parseReferrer(given: unknown): string {
  const text = String(given);
  if (text === '') return '';
  let url: URL;
  try {
    url = new URL(text);
  } catch (cause) {
    throw new TypeError(`Request: referrer ${inspect(text)} is not a URL`, { cause });
  }
  return url.protocol === 'about:' && url.pathname === 'client' ? 'about:client' : url.href;
}

/** The members of `init` over those of the request that it starts from. Throws a TypeError. */
export function readSettings(init: RequestInit, base: Settings): Settings {
  const settings: Settings = { ...base, referrer: 'about:client', referrerPolicy: '' };
  if (init.referrer !== undefined) settings.referrer = parseReferrer(init.referrer);
  if (init.referrerPolicy !== undefined) {
    settings.referrerPolicy = oneOf('referrerPolicy', policies, init.referrerPolicy);
  }
  if (init.mode !== undefined) settings.mode = oneOf('mode', modes, init.mode);
  if (init.mode === 'navigate') throw new TypeError("Request: mode 'navigate' cannot be asked for");
  if (init.credentials !== undefined) {
    settings.credentials = oneOf('credentials', credentialModes, init.credentials);
  }
  if (init.cache !== undefined) settings.cache = oneOf('cache', caches, init.cache);
  if (settings.cache === 'only-if-cached' && settings.mode !== 'same-origin') {
    throw new TypeError("Request: cache 'only-if-cached' needs mode 'same-origin'");
  }
  if (init.redirect !== undefined) settings.redirect = oneOf('redirect', redirects, init.redirect);
  if (init.integrity !== undefined) settings.integrity = String(init.integrity);
  if (init.keepalive !== undefined) settings.keepalive = Boolean(init.keepalive);
  if (init.dispatcher !== undefined) settings.dispatcher = init.dispatcher;
  if (init.priority !== undefined) oneOf('priority', priorities, init.priority);
  if (init.duplex !== undefined) oneOf('duplex', ['half'], init.duplex);
  if (init.window !== undefined && init.window !== null) {
    throw new TypeError('Request: window must be null');
  }
  return settings;
}

const token = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/;

/** Checks a method and gives it in its usual case (Fetch "normalize a method"). */
export function normalizeMethod(given: unknown): string {
  const method = String(given);
  if (!token.test(method)) throw new TypeError(`Request: ${inspect(method)} is not a method`);
  const upper = method.toUpperCase();
  switch (upper) {
    case 'CONNECT':
    case 'TRACE':
    case 'TRACK':
      throw new TypeError(`Request: method ${upper} is forbidden`);
    case 'DELETE':
    case 'GET':
    case 'HEAD':
    case 'OPTIONS':
    case 'POST':
    case 'PUT':
      return upper;
    default:
      return method;
  }
}

/** Parses the URL of a new request: absolute, without user and password. Throws a TypeError. */
export function parseRequestUrl(given: unknown): string {
  let url: URL;
  try {
    url = new URL(String(given));
  } catch (cause) {
    throw new TypeError(`Failed to parse URL from ${String(given)}`, { cause });
  }
  if (url.username !== '' || url.password !== '') {
    throw new TypeError(`Request cannot be made from a URL with credentials: ${url.href}`);
  }
  return url.href;
}

let goodOrigin = '';
/** Paths and queries that the URL parser would leave as they are. */
const plainTarget = /^\/[\w\-~!$&()*+,;=:@%/.?[\]|]*$/;
const dotSegment = /\/\.|\/%2e/i;

/**
 * The URL of a received request as the URL parser would write it. Parses only when something in it
 * might be changed by that: an origin not seen just before, dot segments, unusual characters. Null
 * when it is no URL.
 */
export function canonicalUrl(raw: string): string | null {
  const length = goodOrigin.length;
  if (length > 0 && raw.length > length && raw.startsWith(goodOrigin)) {
    const target = raw.slice(length);
    if (plainTarget.test(target) && !dotSegment.test(target)) return raw;
  }
  let url: URL;
  try {
    url = new URL(raw);
  } catch {
    return null;
  }
  if (url.origin.length <= 256 && raw.startsWith(`${url.origin}/`)) goodOrigin = url.origin;
  return url.href;
}
