/**
 * Module customization hooks for Node.js before 22.15, where they run on a thread of their own
 * (`module.register`). register.ts has those for later versions.
 */
import { existsSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import type { LoadHook, ResolveHook } from 'node:module';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { importedPath, loadedPath } from './paths.ts';
import { candidates, transform } from './transform.ts';

/** Resolves as Node.js does, then tries the names that TypeScript sources are imported by. */
export const resolve: ResolveHook = async (specifier, context, nextResolve) => {
  try {
    return await nextResolve(specifier, context);
  } catch (error) {
    const path = importedPath(specifier, context.parentURL, error);
    const found = path === undefined ? undefined : candidates(path).find(existsSync);
    if (found === undefined) throw error;
    return nextResolve(pathToFileURL(found).href, context);
  }
};

/** Loads TypeScript and JSX files transformed, all others as Node.js does. */
export const load: LoadHook = async (url, context, nextLoad) => {
  const path = loadedPath(url);
  if (path === undefined) return nextLoad(url, context);
  const source = await readFile(fileURLToPath(url), 'utf8');
  return { ...transform(path, source), shortCircuit: true };
};
