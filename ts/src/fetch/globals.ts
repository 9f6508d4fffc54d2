import { isForeignBody } from './body.ts';
import { rememberDecoded } from './decoded.ts';
import { Headers } from './headers.ts';
import { isLightRequest, platformRequest, Request, type RequestInfo } from './request.ts';
import type { RequestInit } from './request_init.ts';
import { Response } from './response.ts';

const light = { Headers, Request, Response } as const;

/** What was there before the first `installGlobals()`, to be put back by the last uninstall. */
let saved: Map<string, PropertyDescriptor> | null = null;
let installs = 0;

/**
 * Puts the light `Headers`, `Request` and `Response` in the place of the global ones, and a `fetch`
 * that takes light requests. What fetch gives are the platform's responses; they are
 * `instanceof Response` all the same. Calls nest.
 *
 * @returns a function that undoes this call; the globals come back with the last one.
 */
export function installGlobals(): () => void {
  if (installs++ === 0) replace();
  let undone = false;
  return () => {
    if (undone) return;
    undone = true;
    if (--installs === 0) restore();
  };
}

function replace(): void {
  saved = new Map();
  for (const [name, value] of Object.entries(light)) put(saved, name, value);
  put(saved, 'fetch', wrapFetch(globalThis.fetch));
}

function put(into: Map<string, PropertyDescriptor>, name: string, value: unknown): void {
  const before = Object.getOwnPropertyDescriptor(globalThis, name) as PropertyDescriptor;
  into.set(name, before);
  const enumerable = before.enumerable ?? false;
  Object.defineProperty(globalThis, name, {
    configurable: true,
    writable: true,
    enumerable,
    value,
  });
  installed.set(name, value);
}

const installed = new Map<string, unknown>();

/** Puts back what is still ours; what somebody else has replaced since stays theirs. */
function restore(): void {
  for (const [name, before] of saved ?? []) {
    const now = Object.getOwnPropertyDescriptor(globalThis, name);
    if (now?.value === installed.get(name)) Object.defineProperty(globalThis, name, before);
  }
  saved = null;
  installed.clear();
}

type Fetch = typeof globalThis.fetch;

/**
 * `fetch` that takes light requests, and the forms of other libraries, too: the platform's would take
 * them for strings.
 */
export function wrapFetch(platformFetch: Fetch): Fetch {
  function fetch(...args: unknown[]): Promise<unknown> {
    try {
      return Promise.resolve(call(platformFetch, args)).then(remember);
    } catch (error) {
      return Promise.reject(error);
    }
  }
  Object.defineProperty(fetch, 'length', { configurable: true, value: 1 });
  return fetch as Fetch;
}

function call(platformFetch: Fetch, args: unknown[]): Promise<globalThis.Response> {
  const [input, init] = args as [RequestInfo, RequestInit | null | undefined];
  if (isForeignBody(init?.body)) {
    const request = new Request(input, init as RequestInit);
    return platformFetch(platformRequest(request, true));
  }
  if (!isLightRequest(input)) return Reflect.apply(platformFetch, undefined, args);
  const ownBody = (init?.body ?? null) === null;
  return platformFetch(platformRequest(input, ownBody), init as Parameters<Fetch>[1]);
}

function remember(response: globalThis.Response): globalThis.Response {
  rememberDecoded(response);
  return response;
}
