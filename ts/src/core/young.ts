import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';

/**
 * Between two collections of what is young, bytes at most. V8 counts the memory of array buffers, which is not in its heap,
 * as if it had grown old, and answers every 10 to 60 MB of that with a collection of all there is; one of what is young
 * frees it just as well, in a tenth of the time. By itself it begins one when its own part of a buffer, a few dozen bytes,
 * has filled half the room for what is young, which is much later.
 */
const betweenBytes = 6 * 1024 * 1024;
/**
 * glibc gives memory back to the system at the end of its heap unless as much was once freed at a time, to have it back a
 * moment later page by page. So much it then keeps, bytes.
 */
const keptBytes = 16 * 1024 * 1024;
/** Threads that look for the function at a time may take it from one another. */
const triesMax = 3;

type Collect = (options: { type: 'minor' }) => unknown;

/** Made outside of V8's heap since the last collection, bytes. */
let bytes = 0;
let collect: Collect | null = null;
let tries = 0;

/** So many bytes have been made outside of V8's heap, and are likely to be dropped soon. */
export function noteOutside(count: number): void {
  bytes += count;
}

/** Memory outside of V8's heap, however little, that is of nobody else and about to be written: what is in it is not defined. */
export function allocOutside(length: number): Buffer<ArrayBuffer> {
  bytes += length;
  return Buffer.allocUnsafeSlow(length);
}

/**
 * Collects what is young where much has been made outside of the heap. For the end of a turn, when little of it is in use.
 * True: it has. Where there is nothing to do so with, V8 goes on as it does.
 */
export function collectYoung(): boolean {
  if (bytes < betweenBytes) return false;
  bytes = 0;
  if (collect === null && tries < triesMax) {
    tries += 1;
    collect = findCollect();
    if (collect !== null) Buffer.allocUnsafeSlow(keptBytes); // which this collection frees
  }
  if (collect === null) return false;
  collect({ type: 'minor' });
  return true;
}

/** What of the process tells whether V8's flags may be set. */
export interface Host {
  readonly release: { readonly name: string };
  readonly versions: Readonly<Record<string, string | undefined>>;
  readonly execArgv: readonly string[];
  readonly env: Readonly<Record<string, string | undefined>>;
}

/**
 * Whether V8's flags may be set in this process: where they are frozen, as in programs that have Node.js within, it would
 * end. Bun and Deno have no such flags. GYRFALCON_COLLECT=off has them left alone.
 */
export function maySetFlags({ release, versions, execArgv, env }: Host = process as Host): boolean {
  if (env.GYRFALCON_COLLECT === 'off' || release.name !== 'node') return false;
  if (['bun', 'deno', 'electron', 'nw'].some((name) => versions[name] !== undefined)) return false;
  return ![...execArgv, env.NODE_OPTIONS ?? ''].some((text) => /freeze[-_]flags/.test(text));
}

/**
 * V8's own function: a new context has it where it is exposed, or while a flag is set. Not `globalThis.gc`, which is the
 * program's to replace. Null where there is none.
 */
function findCollect(): Collect | null {
  if (!maySetFlags()) return null;
  const exposed = ofNewContext();
  if (exposed !== null) return exposed;
  setFlagsFromString('--expose-gc');
  try {
    return ofNewContext();
  } finally {
    setFlagsFromString('--no-expose-gc');
  }
}

function ofNewContext(): Collect | null {
  return runInNewContext("typeof gc === 'function' ? gc : null") as Collect | null;
}
