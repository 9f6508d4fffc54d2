/**
 * Importing this module lets the thread import TypeScript and JSX files without a build step:
 * `node --import gyrfalcon/loader app.ts`. The `gyrfalcon` command does so itself.
 */
import { readFileSync } from 'node:fs';
import module from 'node:module';
import { pathToFileURL } from 'node:url';
import { hookRequire } from './commonjs.ts';
import { installHelpers } from './decorators.ts';
import { importedFile, loadedPath, mappedFile } from './resolution.ts';
import { transform } from './transform.ts';

interface Resolved {
  url: string;
  format?: string | null;
  shortCircuit?: boolean;
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
  installHelpers();
  if (registerHooks === undefined) {
    const hooks = import.meta.url.endsWith('.ts') ? './hooks.ts' : './hooks.js';
    module.register(hooks, import.meta.url);
    hookRequire();
  } else {
    registerHooks(syncHooks());
  }
}

function syncHooks(): SyncHooks {
  return {
    resolve(specifier, context, next) {
      const mapped = mappedFile(specifier, context.parentURL);
      if (mapped !== undefined) return at(mapped);
      try {
        return next(specifier, context);
      } catch (error) {
        const found = importedFile(specifier, context.parentURL, error);
        if (found === undefined) throw error;
        return at(found);
      }
    },
    load(url, context, next) {
      const path = loadedPath(url);
      if (path === undefined) return next(url, context);
      return { ...transform(path, readFileSync(path, 'utf8')), shortCircuit: true };
    },
  };
}

function at(path: string): Resolved {
  return { url: pathToFileURL(path).href, shortCircuit: true };
}
