/** Which specifiers and URLs the loader concerns itself with. */
import { fileURLToPath } from 'node:url';
import { isTransformed } from './transform.ts';

/**
 * The path that a failed import was for, or undefined when the loader has nothing to add: a bare specifier, another
 * scheme, an importing file in node_modules, or a failure of another kind.
 */
export function importedPath(
  specifier: string,
  parentURL: string | undefined,
  error: unknown,
): string | undefined {
  const { code } = error as { code?: string };
  if (code !== 'ERR_MODULE_NOT_FOUND' && code !== 'ERR_UNSUPPORTED_DIR_IMPORT') return undefined;
  if (!/^(?:\.{1,2}\/|\.{1,2}$|\/|file:)/.test(specifier)) return undefined;
  if (parentURL?.includes('/node_modules/')) return undefined;
  const url = new URL(specifier, parentURL);
  return url.protocol === 'file:' ? fileURLToPath(url) : undefined;
}

/** The path of a file: URL that is to be transformed, else undefined. */
export function loadedPath(url: string): string | undefined {
  if (!url.startsWith('file:')) return undefined;
  const path = fileURLToPath(url);
  return isTransformed(path) ? path : undefined;
}
