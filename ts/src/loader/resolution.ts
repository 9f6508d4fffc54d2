/** Where an import leads that Node.js alone does not find, or finds otherwise than tsc. */
import { existsSync, realpathSync, statSync } from 'node:fs';
import { isBuiltin } from 'node:module';
import { extname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { isTransformed } from './transform.ts';
import { projectOf } from './tsconfig.ts';

const relative = /^(?:\.{1,2}\/|\.{1,2}$|\/|file:)/;
const failures = new Set([
  'ERR_MODULE_NOT_FOUND',
  'ERR_UNSUPPORTED_DIR_IMPORT',
  'MODULE_NOT_FOUND',
]);

/** The extensions of what an import without one may mean, best first. */
const extensions = ['.ts', '.tsx', '.mts', '.cts', '.js', '.mjs', '.cjs', '.jsx', '.json'];

/**
 * The file that `paths` or `baseUrl` of the importing file's tsconfig.json give for a specifier, or undefined. They are
 * asked before Node.js is, as tsc does.
 *
 * @param parent - the importing file's URL, or undefined for an entry point
 */
export function mappedFile(specifier: string, parent: string | undefined): string | undefined {
  if (parent === undefined || relative.test(specifier) || isBuiltin(specifier)) return undefined;
  if (/^[a-z][a-z\d+.-]+:/i.test(specifier) || !parent.startsWith('file:')) return undefined;
  const importing = fileURLToPath(parent);
  const { targetsOf, compilerOptions } = projectOf(importing);
  if (targetsOf === null) return undefined;
  if (!isTransformed(importing) && compilerOptions.allowJs !== true) return undefined;
  for (const target of targetsOf(specifier)) {
    const found = firstFile([target, ...candidates(target)]);
    if (found !== undefined) return found;
  }
  return undefined;
}

/**
 * The file that an import was for which Node.js has not found, or undefined when the loader has nothing to add: a
 * package, another scheme, an importing file in node_modules, or a failure of another kind.
 */
export function importedFile(
  specifier: string,
  parent: string | undefined,
  error: unknown,
): string | undefined {
  const { code, url } = error as { code?: string; url?: unknown };
  if (code === undefined || !failures.has(code)) return undefined;
  if (parent?.includes('/node_modules/')) return undefined;
  // A package's `imports` and `exports` name the output as well; Node.js tells where they have led.
  const wanted = relative.test(specifier) ? new URL(specifier, parent).href : url;
  if (typeof wanted !== 'string' || !wanted.startsWith('file:')) return undefined;
  if (wanted.includes('/node_modules/')) return undefined;
  return firstFile(candidates(fileURLToPath(wanted)));
}

/** The path of a file: URL that is to be transformed, else undefined. */
export function loadedPath(url: string): string | undefined {
  if (!url.startsWith('file:')) return undefined;
  const path = fileURLToPath(url);
  return isTransformed(path) ? path : undefined;
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
  return [
    ...extensions.map((added) => path + added),
    ...extensions.map((added) => join(path, `index${added}`)),
  ];
}

/** The first that is a file with something to run in it, by the name that Node.js keeps it under. */
function firstFile(paths: readonly string[]): string | undefined {
  for (const path of paths) {
    if (/\.d\.[cm]?ts$/.test(path)) continue;
    if (existsSync(path) && statSync(path).isFile()) return realpathSync(path);
  }
  return undefined;
}
