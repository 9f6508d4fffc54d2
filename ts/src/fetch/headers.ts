// biome-ignore-all lint/complexity/noArguments: Web IDL tells an absent argument from undefined.
import { inspect } from 'node:util';
import { PlatformHeaders, standFor } from './originals.ts';

/** What a `Headers` can be made from. */
export type HeadersInit =
  | Iterable<readonly [string, string]>
  | Iterable<Iterable<string>>
  | Record<string, string | readonly string[]>
  | globalThis.Headers
  | Headers;

/**
 * Where the fields of a received message are read from until somebody changes them.
 * Names are asked for in lower case and come in lower case.
 */
export interface HeaderSource {
  /** All values of the field, combined with ", " (cookie with "; "), or null when it is absent. */
  header(lowerName: string): string | null;
  /** Every field line as received: lower-cased name and value. */
  headerPairs(): [string, string][];
}

/**
 * A header list (Fetch §2.2.2) laid flat: lower-cased name, value, lower-cased name, value, …
 * Several entries of one name stay several entries.
 */
export type HeaderList = string[];

const nameCacheMax = 512;
const nameCache = new Map<string, string>();
const tokenPattern = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/;

/** Checks a field name (RFC 9110 §5.1) and gives it in lower case. Throws a TypeError. */
export function normalizeName(name: string): string {
  const known = nameCache.get(name);
  return known === undefined ? checkName(name) : known;
}

function checkName(name: unknown): string {
  const text = String(name);
  if (!tokenPattern.test(text)) throw new TypeError(`Invalid header name: ${inspect(text)}`);
  const lower = text.toLowerCase();
  // The cache is for the program's own names; a bound keeps strangers' names from growing it.
  if (nameCache.size < nameCacheMax && text.length <= 64) nameCache.set(text, lower);
  return lower;
}

const shortValue = 48;
const cleanValue = /^[\x21-\x7e\x80-\xff](?:[\t\x20-\x7e\x80-\xff]*[\x21-\x7e\x80-\xff])?$/;

/**
 * Strips the whitespace around a field value and checks it as Fetch does (§2.2.2: no NUL, CR, LF;
 * nothing above U+00FF). Throws a TypeError.
 */
export function normalizeValue(value: string): string {
  if (typeof value !== 'string') return normalizeValue(`${value as unknown}`); // once, and no symbol
  if (value.length > shortValue) return cleanValue.test(value) ? value : checkValue(value);
  const last = value.length - 1;
  for (let i = 0; i <= last; i++) {
    const code = value.charCodeAt(i);
    if (code < 0x21 || code > 0xff || code === 0x7f) {
      if (code === 0x20 && i > 0 && i < last) continue;
      return checkValue(value);
    }
  }
  return value;
}

function isHttpWhitespace(code: number): boolean {
  return code === 0x20 || code === 0x09 || code === 0x0a || code === 0x0d;
}

/** Strips HTTP whitespace from both ends (Fetch: "normalize"). */
export function trimHttpWhitespace(text: string): string {
  let start = 0;
  let end = text.length;
  while (start < end && isHttpWhitespace(text.charCodeAt(start))) start++;
  while (end > start && isHttpWhitespace(text.charCodeAt(end - 1))) end--;
  return start === 0 && end === text.length ? text : text.slice(start, end);
}

/**
 * Whether a value was ever taken that has control characters: Fetch allows them, HTTP does not
 * (RFC 9110 §5.5). Fields need no look while there is none.
 */
export let controlsSeen = false;

// biome-ignore lint/suspicious/noControlCharactersInRegex: it is these that are looked for
const controls = /[\x01-\x08\x0b\x0c\x0e-\x1f\x7f]/;

/** Whether HTTP allows a field value that Fetch allows. */
export function hasControls(value: string): boolean {
  return controls.test(value);
}

function checkValue(value: string): string {
  const text = trimHttpWhitespace(value);
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i);
    if (code === 0 || code === 0x0a || code === 0x0d || code > 0xff) {
      throw new TypeError(`Invalid header value: ${inspect(text)}`);
    }
  }
  if (hasControls(text)) controlsSeen = true;
  return text;
}

/** The values of `lowerName` combined (RFC 9110 §5.3), or null when there is none. */
export function getFromList(list: HeaderList, lowerName: string): string | null {
  let found: string | null = null;
  for (let i = 0; i < list.length; i += 2) {
    if (list[i] !== lowerName) continue;
    const value = list[i + 1] as string;
    if (found === null) found = value;
    else found += (lowerName === 'cookie' ? '; ' : ', ') + value;
  }
  return found;
}

/** True when the list has an entry of that name. */
export function listHas(list: HeaderList, lowerName: string): boolean {
  for (let i = 0; i < list.length; i += 2) if (list[i] === lowerName) return true;
  return false;
}

/** Removes every entry of that name. */
export function removeFromList(list: HeaderList, lowerName: string): void {
  let kept = 0;
  for (let i = 0; i < list.length; i += 2) {
    if (list[i] === lowerName) continue;
    list[kept] = list[i] as string;
    list[kept + 1] = list[i + 1] as string;
    kept += 2;
  }
  list.length = kept;
}

function setInList(list: HeaderList, lowerName: string, value: string): void {
  for (let i = 0; i < list.length; i += 2) {
    if (list[i] !== lowerName) continue;
    list[i + 1] = value;
    for (let j = i + 2; j < list.length; j += 2) {
      if (list[j] === lowerName) {
        list.splice(j, 2);
        j -= 2;
      }
    }
    return;
  }
  list.push(lowerName, value);
}

/** Sorted by name, equal names combined, except set-cookie (Fetch: "sort and combine"). */
function sortAndCombine(list: HeaderList): [string, string][] {
  const combined = new Map<string, string>();
  const entries: [string, string][] = [];
  for (let i = 0; i < list.length; i += 2) {
    const name = list[i] as string;
    const value = list[i + 1] as string;
    if (name === 'set-cookie') {
      entries.push([name, value]);
      continue;
    }
    const before = combined.get(name);
    const glue = name === 'cookie' ? '; ' : ', ';
    combined.set(name, before === undefined ? value : before + glue + value);
  }
  for (const entry of combined) entries.push(entry);
  // A stable sort: set-cookie entries keep their order.
  return entries.sort((a, b) => (a[0] < b[0] ? -1 : a[0] > b[0] ? 1 : 0));
}

/** Appends everything that `init` says to `list`. Throws a TypeError as Fetch's "fill" does. */
export function fillList(list: HeaderList, init: HeadersInit): void {
  if (init === null || (typeof init !== 'object' && typeof init !== 'function')) {
    throw new TypeError('Headers must be made from an object, an iterable of pairs or Headers');
  }
  const iterate = (init as Partial<Iterable<unknown>>)[Symbol.iterator];
  if (iterate === undefined || iterate === null) {
    fillFromRecord(list, init as Record<string, string>);
    return;
  }
  const own = iterate === lightIterator ? listOfHeaders(init) : null;
  if (own !== null) {
    for (let i = 0; i < own.length; i++) list.push(own[i] as string);
    return;
  }
  fillFromPairs(list, init as Iterable<unknown>);
}

const isEnumerable = Object.prototype.propertyIsEnumerable;

function fillFromRecord(list: HeaderList, init: Record<string, unknown>): void {
  // Web IDL §3.2.20: each key is looked at, and converted with its value, before the next one.
  const keys = Reflect.ownKeys(init);
  for (let i = 0; i < keys.length; i++) {
    const key = keys[i] as string;
    if (!isEnumerable.call(init, key)) continue;
    if (typeof key === 'symbol') throw new TypeError('A header name cannot be a symbol');
    const name = normalizeName(key);
    list.push(name, normalizeValue(init[key] as string));
  }
}

function fillFromPairs(list: HeaderList, init: Iterable<unknown>): void {
  for (const pair of init) {
    if (pair === null || typeof pair !== 'object') {
      throw new TypeError('Headers: each entry must be a pair of name and value');
    }
    const both = Array.isArray(pair) ? pair : Array.from(pair as Iterable<unknown>);
    if (both.length !== 2) throw new TypeError('Headers: each entry must have exactly two items');
    const name = normalizeName(both[0]);
    list.push(name, normalizeValue(both[1]));
  }
}

/** Makes light `Headers` over a list that they then share with the caller. */
export let headersFromList: (list: HeaderList, immutable: boolean) => Headers;
/** Makes light `Headers` that read from `source` until they are changed. */
export let headersFromSource: (source: HeaderSource) => Headers;
/** The list behind light `Headers` (shared, not copied); null for any other object. */
export let listOfHeaders: (headers: unknown) => HeaderList | null;
let entriesOf: (headers: Headers) => [string, string][];

function need(count: number, given: number, method: string): void {
  if (given < count) {
    throw new TypeError(`Headers.${method} needs ${count} argument(s), ${given} given`);
  }
}

/**
 * Light WHATWG `Headers` (Fetch §5.1). Names are kept and given in lower case; iteration is sorted
 * and combined, with each Set-Cookie apart. On a received request the fields are read from the
 * engine's record when they are asked for, and copied at the first change.
 */
export class Headers {
  #list: HeaderList | null = null;
  #source: HeaderSource | null = null;
  #immutable = false;
  #sorted: [string, string][] | null = null;

  static {
    headersFromList = (list, immutable) => {
      const headers = new Headers();
      headers.#list = list;
      headers.#immutable = immutable;
      return headers;
    };
    headersFromSource = (source) => {
      const headers = new Headers();
      headers.#source = source;
      return headers;
    };
    listOfHeaders = (headers) => {
      if (headers === null || typeof headers !== 'object' || !(#list in headers)) return null;
      return (headers as Headers).#read();
    };
    entriesOf = (headers) => {
      headers.#sorted ??= sortAndCombine(headers.#read());
      return headers.#sorted;
    };
  }

  constructor(init?: HeadersInit) {
    if (init === undefined) return;
    const list: HeaderList = [];
    fillList(list, init);
    this.#list = list;
  }

  /** The list, copied out of the source when there is one. */
  #read(): HeaderList {
    if (this.#list !== null) return this.#list;
    const list: HeaderList = [];
    if (this.#source !== null)
      for (const pair of this.#source.headerPairs()) list.push(pair[0], pair[1]);
    this.#list = list;
    this.#source = null;
    return list;
  }

  /** The list, to be changed. */
  #write(): HeaderList {
    const list = this.#read();
    if (this.#immutable) throw new TypeError('Headers are immutable');
    this.#sorted = null;
    return list;
  }

  /** Adds a value to the field, after those that are there. */
  append(name: string, value: string): void {
    need(2, arguments.length, 'append');
    const lower = normalizeName(name);
    const clean = normalizeValue(value);
    this.#write().push(lower, clean);
  }

  /** Removes every value of the field. */
  delete(name: string): void {
    need(1, arguments.length, 'delete');
    const lower = normalizeName(name);
    removeFromList(this.#write(), lower);
  }

  /** All values of the field combined with ", " (cookie with "; "), or null when it is absent. */
  get(name: string): string | null {
    need(1, arguments.length, 'get');
    const lower = normalizeName(name);
    if (this.#list !== null) return getFromList(this.#list, lower);
    return this.#source === null ? null : this.#source.header(lower);
  }

  /** Whether the field is there. */
  has(name: string): boolean {
    need(1, arguments.length, 'has');
    const lower = normalizeName(name);
    if (this.#list !== null) return listHas(this.#list, lower);
    return this.#source !== null && this.#source.header(lower) !== null;
  }

  /** Replaces every value of the field by this one. */
  set(name: string, value: string): void {
    need(2, arguments.length, 'set');
    const lower = normalizeName(name);
    const clean = normalizeValue(value);
    setInList(this.#write(), lower, clean);
  }

  /** The values of the Set-Cookie lines, one by one. */
  getSetCookie(): string[] {
    const list = this.#read();
    const cookies: string[] = [];
    for (let i = 0; i < list.length; i += 2) {
      if (list[i] === 'set-cookie') cookies.push(list[i + 1] as string);
    }
    return cookies;
  }

  forEach(callback: (value: string, name: string, headers: this) => void, thisArg?: unknown): void {
    need(1, arguments.length, 'forEach');
    if (typeof callback !== 'function') throw new TypeError('Headers.forEach needs a function');
    for (const [name, value] of this) callback.call(thisArg, value, name, this);
  }

  keys(): HeadersIterator<string> {
    return iterate(this, 0) as HeadersIterator<string>;
  }

  values(): HeadersIterator<string> {
    return iterate(this, 1) as HeadersIterator<string>;
  }

  entries(): HeadersIterator<[string, string]> {
    return iterate(this, 2) as HeadersIterator<[string, string]>;
  }

  declare [Symbol.iterator]: () => HeadersIterator<[string, string]>;

  /** How `console.log` shows it. */
  [inspect.custom](depth: number, options: Parameters<typeof inspect>[1]): string {
    const shown = Object.fromEntries(this);
    return depth < 0 ? '[Headers]' : `Headers ${inspect(shown, options)}`;
  }
}

/** What `keys()`, `values()` and `entries()` give: live, as Web IDL §3.7.10 has it. */
export interface HeadersIterator<T> extends IteratorObject<T, BuiltinIteratorReturn, unknown> {
  [Symbol.iterator](): HeadersIterator<T>;
}

interface Cursor {
  headers: Headers;
  index: number;
  kind: 0 | 1 | 2;
}

const cursors = new WeakMap<object, Cursor>();

const iteratorPrototype: object = Object.create(
  Object.getPrototypeOf(Object.getPrototypeOf([][Symbol.iterator]())),
  {
    next: {
      configurable: true,
      enumerable: true,
      writable: true,
      value: function next(this: object): IteratorResult<unknown> {
        const cursor = cursors.get(this);
        if (cursor === undefined) throw new TypeError('Illegal invocation');
        const entry = entriesOf(cursor.headers)[cursor.index];
        if (entry === undefined) return { value: undefined, done: true };
        cursor.index++;
        if (cursor.kind === 2) return { value: [entry[0], entry[1]], done: false };
        return { value: entry[cursor.kind], done: false };
      },
    },
    [Symbol.toStringTag]: { configurable: true, value: 'Headers Iterator' },
  },
);

function iterate(headers: Headers, kind: 0 | 1 | 2): unknown {
  entriesOf(headers); // refuses what is not light Headers
  const iterator = Object.create(iteratorPrototype);
  cursors.set(iterator, { headers, index: 0, kind });
  return iterator;
}

const lightIterator = Headers.prototype.entries;
Object.defineProperty(Headers.prototype, Symbol.iterator, {
  configurable: true,
  writable: true,
  value: lightIterator,
});
standFor(Headers, PlatformHeaders);
