/**
 * Importing this module lets the thread import TypeScript and JSX files without a build step:
 * `node --import gyrfalcon/loader app.ts`. The `gyrfalcon` command does so itself.
 */
import { existsSync, readFileSync } from 'node:fs';
import module from 'node:module';
import { pathToFileURL } from 'node:url';
import { importedPath, loadedPath } from './paths.ts';
import { candidates, transform } from './transform.ts';

interface Resolved {
  url: string;
}

/** The part of `module.registerHooks` (Node.js 22.15) that is used here; older type packages lack it. */
interface SyncHooks {
  resolve(
    specifier: string,
    context: { parentURL?: string },
    next: (specifier: string, context: object) => Resolved,
  ): Resolved;
  load(url: string, context: object, next: (url: string, context: object) => unknown): unknown;
}

const { registerHooks } = module as unknown as { registerHooks?: (hooks: SyncHooks) => void };
const registered = Symbol.for('gyrfalcon.loader');
const state = globalThis as { [registered]?: true };

if (state[registered] === undefined) {
  state[registered] = true;
  // Stack traces name the TypeScript file's own lines.
  process.setSourceMapsEnabled(true);
  if (registerHooks === undefined) {
    const hooks = import.meta.url.endsWith('.ts') ? './hooks.ts' : './hooks.js';
    module.register(hooks, import.meta.url);
  } else {
    registerHooks(syncHooks());
  }
}

function syncHooks(): SyncHooks {
  return {
    resolve(specifier, context, next) {
      try {
        return next(specifier, context);
      } catch (error) {
        const path = importedPath(specifier, context.parentURL, error);
        const found = path === undefined ? undefined : candidates(path).find(existsSync);
        if (found === undefined) throw error;
        return next(pathToFileURL(found).href, context);
      }
    },
    load(url, context, next) {
      const path = loadedPath(url);
      if (path === undefined) return next(url, context);
      return { ...transform(path, readFileSync(path, 'utf8')), shortCircuit: true };
    },
  };
}
