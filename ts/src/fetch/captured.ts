/**
 * The platform's own `fetch` and `Request`, kept by a module from before the light ones took their
 * place, take light requests. What they look at is the private state of a request:
 *
 * - undici 6 (Node.js 20 and 22) has it under symbols. A light request has them too, and answers with
 *   the state of a platform request that is made then. This holds for every reference, however old.
 * - undici 7 (Node.js 24) has it in private fields, which no other object can have. Stand-ins take the
 *   places of the two when this module is loaded, and stay: they are the platform's but for light
 *   requests, which they translate. References that are older do not take light requests.
 */
import { isForeignBody } from './body.ts';
import { rememberDecoded } from './decoded.ts';
import { PlatformRequest, platformClass } from './originals.ts';
import {
  isLightRequest,
  platformRequest,
  platformTwin,
  Request,
  type RequestInfo,
} from './request.ts';
import type { RequestInit } from './request_init.ts';

type Fetch = typeof globalThis.fetch;
type Args = [input: unknown, init?: { body?: unknown } | null];

const stateKeys = Object.getOwnPropertySymbols(new PlatformRequest('http://localhost/'));

/** Whether references to the platform's functions take light requests however old they are. */
export const isStateShared = stateKeys.length > 0;

/** Once, when the package is loaded. */
export function prepareCaptured(): void {
  if (isStateShared) shareState();
  else standIn();
}

function shareState(): void {
  for (const key of stateKeys) {
    Object.defineProperty(Request.prototype, key, {
      configurable: true,
      get(this: unknown): unknown {
        if (!isLightRequest(this)) return undefined;
        return (platformTwin(this) as unknown as Record<symbol, unknown>)[key];
      },
    });
  }
}

function standIn(): void {
  replaceGlobal('fetch', wrapFetch(globalThis.fetch));
  replaceGlobal('Request', wrapRequest(globalThis.Request));
}

/** Keeps the rest of what the property is. */
export function replaceGlobal(name: string, value: unknown): void {
  const { enumerable = false } = Object.getOwnPropertyDescriptor(globalThis, name) ?? {};
  const descriptor = { configurable: true, writable: true, enumerable, value };
  Object.defineProperty(globalThis, name, descriptor);
}

/** `Request` that takes light requests too. In every other respect it is the one given. */
function wrapRequest(current: typeof globalThis.Request): typeof globalThis.Request {
  const wrapped: typeof current = new Proxy(current, {
    construct(target, args: Args, newTarget) {
      const translated = isLightRequest(args[0]) ? translate(args) : args;
      const made = newTarget === wrapped ? target : newTarget;
      return Reflect.construct(target, translated, made);
    },
    get(target, key, receiver) {
      // Another copy of this package is to find the platform's own class.
      if (key === platformClass) return PlatformRequest;
      return Reflect.get(target, key, receiver);
    },
  });
  return wrapped;
}

/** The body goes along, unless `init` has another. */
function translate([input, ...rest]: Args): unknown[] {
  const ownBody = (rest[0]?.body ?? null) === null;
  return [platformRequest(input as Request, ownBody), ...rest];
}

/**
 * `fetch` that takes light requests, and the forms of other libraries, too: the platform's would take
 * them for strings.
 */
export function wrapFetch(platformFetch: Fetch): Fetch {
  function fetch(...args: Args): Promise<unknown> {
    try {
      return Promise.resolve(call(platformFetch, args)).then(remember);
    } catch (error) {
      return Promise.reject(error);
    }
  }
  Object.defineProperty(fetch, 'length', { configurable: true, value: 1 });
  return fetch as Fetch;
}

function call(platformFetch: Fetch, args: Args): Promise<globalThis.Response> {
  const [input, init] = args;
  if (isForeignBody(init?.body)) {
    const request = new Request(input as RequestInfo, init as RequestInit);
    return platformFetch(platformRequest(request, true));
  }
  return Reflect.apply(platformFetch, undefined, isLightRequest(input) ? translate(args) : args);
}

function remember(response: globalThis.Response): globalThis.Response {
  rememberDecoded(response);
  return response;
}
