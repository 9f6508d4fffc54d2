/**
 * TypeScript to JavaScript for files that Node.js loads: which files, which module format, and the transformation
 * itself (by esbuild, types are erased and not checked).
 */
import { existsSync, readFileSync } from 'node:fs';
import { dirname, extname, join } from 'node:path';
import { stop, transformSync } from 'esbuild';

/** What a module loading hook answers for a file. */
export interface LoadedModule {
  format: 'module' | 'commonjs';
  source: string;
}

const loaders: Readonly<Record<string, 'ts' | 'tsx' | 'jsx'>> = {
  '.ts': 'ts',
  '.mts': 'ts',
  '.cts': 'ts',
  '.tsx': 'tsx',
  '.jsx': 'jsx',
};

/** esbuild's helper process ends when nothing was transformed for so long. */
const idleMs = 500;

const target = `node${process.versions.node}`;
const tsconfigs = new Map<string, string | undefined>();
let idle: NodeJS.Timeout | undefined;

/** Whether the file at `path` is one that {@link transform} takes. */
export function isTransformed(path: string): boolean {
  return extname(path) in loaders;
}

/**
 * Transforms one file.
 *
 * @param path - absolute path of the file, for its extension, its tsconfig.json and error messages
 * @throws SyntaxError whose message begins with `path:line:column:` when the file does not parse
 */
export function transform(path: string, source: string): LoadedModule {
  const extension = extname(path);
  const format = formatOf(path, extension, source);
  try {
    const { code } = transformSync(source, {
      loader: loaders[extension] ?? 'ts',
      format: format === 'module' ? 'esm' : 'cjs',
      target,
      sourcefile: path,
      sourcemap: 'inline',
      sourcesContent: false,
      tsconfigRaw: tsconfigFor(dirname(path)) ?? '{}',
    });
    return { format, source: code };
  } catch (error) {
    throw syntaxError(path, error);
  } finally {
    stopWhenIdle();
  }
}

/**
 * The paths to try, best first, for an import of `path` that was not found: TypeScript sources are imported by the name
 * of their output (`./x.js`), without extension (`./x`) or as a folder (`./x/index.ts`).
 */
export function candidates(path: string): string[] {
  const extension = extname(path);
  const stem = path.slice(0, path.length - extension.length);
  if (extension === '.js') return [`${stem}.ts`, `${stem}.tsx`];
  if (extension === '.jsx') return [`${stem}.tsx`];
  if (extension === '.mjs') return [`${stem}.mts`];
  if (extension === '.cjs') return [`${stem}.cts`];
  const extensions = ['.ts', '.tsx', '.mts', '.js', '.mjs', '.jsx'];
  return [
    ...extensions.map((added) => path + added),
    ...extensions.map((added) => join(path, `index${added}`)),
  ];
}

function formatOf(path: string, extension: string, source: string): 'module' | 'commonjs' {
  if (extension === '.mts') return 'module';
  if (extension === '.cts') return 'commonjs';
  // `npm init` writes "type": "commonjs" without being asked, so what the file itself says goes first.
  if (/^\s*(?:import|export)\b/m.test(source)) return 'module';
  return packageType(dirname(path)) === 'commonjs' ? 'commonjs' : 'module';
}

function packageType(directory: string): string | undefined {
  const text = nearest(directory, 'package.json');
  if (text === undefined) return undefined;
  try {
    const { type } = JSON.parse(text) as { type?: unknown };
    return typeof type === 'string' ? type : undefined;
  } catch {
    return undefined;
  }
}

function tsconfigFor(directory: string): string | undefined {
  if (!tsconfigs.has(directory)) tsconfigs.set(directory, nearest(directory, 'tsconfig.json'));
  return tsconfigs.get(directory);
}

/** The text of the nearest file called `name` in `directory` or above it. */
function nearest(directory: string, name: string): string | undefined {
  for (let at = directory; ; at = dirname(at)) {
    const path = join(at, name);
    if (existsSync(path)) return readFileSync(path, 'utf8');
    if (dirname(at) === at) return undefined;
  }
}

interface Diagnostic {
  text: string;
  location: { line: number; column: number; lineText: string } | null;
}

function syntaxError(path: string, error: unknown): unknown {
  const { errors } = error as { errors?: Diagnostic[] };
  const first = errors?.[0];
  if (first === undefined) return error;
  const where = first.location;
  if (where === null) return new SyntaxError(`${path}: ${first.text}`);
  const excerpt = `${where.lineText}\n${' '.repeat(where.column)}^`;
  return new SyntaxError(`${path}:${where.line}:${where.column + 1}: ${first.text}\n${excerpt}`);
}

function stopWhenIdle(): void {
  if (idle !== undefined) {
    idle.refresh();
    return;
  }
  idle = setTimeout(() => {
    idle = undefined;
    void stop();
  }, idleMs);
  idle.unref();
}
