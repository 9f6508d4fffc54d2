/** What running test files gave. */
export interface Outcome {
  passed: number;
  failed: number;
  skipped: number;
  /** A line per failure. */
  failures: string[];
  /** A line per skipped test, with its reason. */
  skips: string[];
}

/** Runs uvu test files, each in a process of its own. */
export function runFiles(
  files: readonly string[],
  options: {
    root: string;
    /** file: URL of the TypeScript loader. */
    loader: string;
    /** What a file was compiled to, which is run without the loader; undefined: nothing. @default nothing */
    compiled?: (file: string) => string | undefined;
    /** Files at a time. @default 1 */
    jobs?: number;
    /** For each file. @default 120_000 */
    timeoutMs?: number;
    env?: NodeJS.ProcessEnv;
    /** What runs a file: a command and its first arguments. @default the Node.js of this process */
    node?: readonly string[];
    /** Print nothing. @default false */
    quiet?: boolean;
  },
): Promise<Outcome>;
