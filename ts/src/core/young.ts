import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';

/**
 * Between two collections of what is young, bytes at most. V8 counts the memory of array buffers, which is not in its heap,
 * as if it had grown old, and answers every 20 to 60 MB of that with a collection of all there is; one of what is young
 * frees it just as well, in a tenth of the time. By itself it begins one when its own part of a buffer, a few dozen bytes,
 * has filled half the room for what is young, which is much later.
 */
const betweenBytes = 12 * 1024 * 1024;
/**
 * glibc gives memory back to the system at the end of its heap unless as much was once freed at a time, to have it back a
 * moment later page by page. So much it then keeps, bytes.
 */
const keptBytes = 16 * 1024 * 1024;
/** Threads that get the function at a time may take it from one another. */
const triesMax = 5;

type Collect = (options: { type: 'minor' }) => void;

/** Made outside of V8's heap since the last collection, bytes. */
let bytes = 0;
let collect: Collect | null = null;
let tries = 0;

/** So many bytes have been made outside of V8's heap, and are likely to be dropped soon. */
export function noteOutside(count: number): void {
  bytes += count;
}

/**
 * Collects what is young where much has been made outside of the heap. For the end of a turn, when little of it is in use.
 * True: it has.
 */
export function collectYoung(): boolean {
  if (bytes < betweenBytes) return false;
  bytes = 0;
  if (collect === null && tries < triesMax) {
    tries += 1;
    collect = findCollect();
    if (collect !== null) Buffer.allocUnsafeSlow(keptBytes); // which this collection frees
  }
  collect?.({ type: 'minor' });
  return collect !== null;
}

/** V8's own function, which a context has that is made while a flag is set; null where there is none. */
function findCollect(): Collect | null {
  const { bun, deno } = process.versions as { bun?: string; deno?: string };
  if (bun !== undefined || deno !== undefined) return null; // another engine, or flags that are fixed
  const { gc } = globalThis as { gc?: Collect };
  if (gc !== undefined) return gc;
  setFlagsFromString('--expose-gc');
  try {
    return runInNewContext("typeof gc === 'function' ? gc : null") as Collect | null;
  } finally {
    setFlagsFromString('--no-expose-gc');
  }
}
