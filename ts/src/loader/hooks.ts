/**
 * Module customization hooks for Node.js before 22.15, where they run on a thread of their own
 * (`module.register`). register.ts has those for later versions, commonjs.ts what these do not reach.
 */
import { readFile } from 'node:fs/promises';
import type { LoadHook, ResolveHook } from 'node:module';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { importedFile, loadedPath, mappedFile } from './resolution.ts';
import { transform } from './transform.ts';

/** Resolves as tsconfig.json says, then as Node.js does, then by the names that TypeScript sources are imported by. */
export const resolve: ResolveHook = async (specifier, context, nextResolve) => {
  const mapped = mappedFile(specifier, context.parentURL);
  if (mapped !== undefined) return nextResolve(pathToFileURL(mapped).href, context);
  try {
    return await nextResolve(specifier, context);
  } catch (error) {
    const found = importedFile(specifier, context.parentURL, error);
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
