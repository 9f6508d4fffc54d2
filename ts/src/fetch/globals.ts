import { prepareCaptured, replaceGlobal, wrapFetch } from './captured.ts';
import { Headers } from './headers.ts';
import { PlatformHeaders } from './originals.ts';
import { Request } from './request.ts';
import { Response } from './response.ts';

prepareCaptured();

const light = { Headers, Request, Response } as const;

/** What was there before the first `installGlobals()`, to be put back by the last uninstall. */
let saved: Map<string, PropertyDescriptor> | null = null;
let installs = 0;

/**
 * Puts the light `Headers`, `Request` and `Response` in the place of the global ones, and a `fetch`
 * that takes light requests, and a `structuredClone` that refuses them where the platform refuses its
 * own. What fetch gives are the platform's responses; they are `instanceof Response` all the same.
 * Calls nest.
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
  put(saved, 'structuredClone', wrapClone(globalThis.structuredClone));
}

/**
 * Node.js from 22 on refuses to clone its own Fetch objects, by a mark on each that would cost a
 * tenth of a microsecond an object. Here the function refuses them; inside of another object a light
 * one is cloned to an empty object, as Node.js 20 does it.
 */
function wrapClone(platformClone: typeof structuredClone): typeof structuredClone {
  try {
    platformClone(new PlatformHeaders());
    return platformClone;
  } catch {
    // it refuses them
  }
  return function structuredClone(value, ...rest) {
    if (value instanceof Headers || value instanceof Request || value instanceof Response) {
      throw new DOMException('Cannot clone object of unsupported type.', 'DataCloneError');
    }
    return platformClone(value, ...rest);
  };
}

function put(into: Map<string, PropertyDescriptor>, name: string, value: unknown): void {
  const before = Object.getOwnPropertyDescriptor(globalThis, name) as PropertyDescriptor;
  into.set(name, before);
  replaceGlobal(name, value);
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
