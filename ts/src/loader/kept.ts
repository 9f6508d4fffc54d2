/**
 * Keeps what files were transformed to, in the folder that GYRFALCON_LOADER_CACHE names. A program whose files are all
 * there starts without esbuild, and so does each of its threads. Nothing is kept where the variable is not set: nobody is
 * to run text that another user could have put into a shared folder.
 */
import { createHash, randomUUID } from 'node:crypto';
import { mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

type Format = 'module' | 'commonjs';

interface Loaded {
  format: Format;
  source: string;
}

const marks: Readonly<Record<string, Format>> = { m: 'module', c: 'commonjs' };
const here = import.meta.url;
/** null: they cannot be told, and nothing is kept. */
let programs: string | null | undefined;
let isTold = false;

/**
 * What `make` gives, or gave before for the same inputs.
 *
 * @param inputs - all that the result depends on but the versions of Node.js, esbuild and this loader
 */
export function kept(inputs: readonly unknown[], make: () => Loaded): Loaded {
  const folder = process.env.GYRFALCON_LOADER_CACHE;
  if (folder === undefined || folder === '') return make();
  if (programs === undefined) programs = attempt(versions) ?? null;
  if (programs === null) return make();
  const name = createHash('sha256').update(programs).update(JSON.stringify(inputs)).digest('hex');
  const path = join(folder, name.slice(0, 2), name.slice(2));
  const known = attempt(() => read(path));
  if (known !== undefined) return known;
  const made = make();
  attempt(() => write(path, made));
  return made;
}

/** A folder that cannot be read or written, of a process that may not, costs time and is told of once. */
function attempt<T>(use: () => T): T | undefined {
  try {
    return use();
  } catch (error) {
    if (!isTold) process.emitWarning(`GYRFALCON_LOADER_CACHE: ${(error as Error).message}`);
    isTold = true;
    return undefined;
  }
}

/** The loader's own text changes while somebody works on it; its version does not. */
function versions(): string {
  const extension = here.endsWith('.ts') ? '.ts' : '.js';
  const own = ['kept', 'transform'].map((name) =>
    readFileSync(fileURLToPath(new URL(`./${name}${extension}`, here)), 'utf8'),
  );
  const { version } = createRequire(here)('esbuild/package.json') as { version: string };
  return JSON.stringify([process.version, version, ...own]);
}

function read(path: string): Loaded | undefined {
  let text: string;
  try {
    text = readFileSync(path, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
  const format = marks[text.charAt(0)];
  return format === undefined ? undefined : { format, source: text.slice(1) };
}

/** Whole or not at all: others read while this writes. */
function write(path: string, { format, source }: Loaded): void {
  const partial = `${path}.${randomUUID()}`;
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(partial, format.charAt(0) + source, { flag: 'wx' });
  renameSync(partial, path);
}
