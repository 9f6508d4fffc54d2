/** Waiting for conditions, with a deadline and a name for what did not come. */

/** How long anything may take before a test calls it missing, ms. Generous: machines are slow at times. */
export const deadlineMs = 10_000;

/** Settles as `promise` does, or rejects when that takes longer than `ms`. */
export async function within<T>(promise: Promise<T>, what: string, ms = deadlineMs): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`${what}: nothing within ${ms} ms`)), ms);
  });
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}

/** Waits until `condition` holds, asking again every few milliseconds. Resolves to what it gave. */
export async function until<T>(
  condition: () => T | Promise<T>,
  what: string,
  ms = deadlineMs,
): Promise<NonNullable<T>> {
  const end = performance.now() + ms;
  for (;;) {
    const value = await condition();
    if (value) return value;
    if (performance.now() > end) throw new Error(`${what}: not so within ${ms} ms`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}
