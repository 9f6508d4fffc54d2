/** What a test writes to `console.error`, taken from the terminal. */

/** From here on `told` has each line; returns what gives `console.error` back, which has to be called always. */
export function takeErrors(told: (line: string) => void): () => void {
  const before = console.error;
  console.error = (...parts: unknown[]) => told(parts.map(String).join(' '));
  return () => {
    console.error = before;
  };
}

/** The lines that are written while `run` runs, which may throw. */
export async function logged(run: () => unknown): Promise<string[]> {
  const lines: string[] = [];
  const giveBack = takeErrors((line) => lines.push(line));
  try {
    await run();
  } finally {
    giveBack();
  }
  return lines;
}
