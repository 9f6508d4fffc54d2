/**
 * `require` of TypeScript files for Node.js before 22.15, whose customization hooks are for `import` alone. Later
 * versions have hooks for both.
 */
import { existsSync, readFileSync, realpathSync } from 'node:fs';
import module from 'node:module';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { importedFile, mappedFile } from './resolution.ts';
import { extensions, transform } from './transform.ts';

interface CommonJsModule {
  readonly filename?: string | null;
  _compile(source: string, path: string, format?: string): void;
}

type ResolveFilename = (
  this: unknown,
  specifier: string,
  parent?: CommonJsModule,
  ...rest: unknown[]
) => string;

/** What Node.js calls when a module is required. It has no public name, and is what every such loader replaces. */
interface ModuleInternals {
  _resolveFilename: ResolveFilename;
  readonly _extensions: Record<string, (module: CommonJsModule, path: string) => void>;
}

/**
 * Lets the next import of a module run its text as it is by then. A URL with another query is another module, but
 * CommonJS is kept by its path.
 */
export function forgetModule(url: URL): void {
  if (url.protocol !== 'file:') return;
  const path = fileURLToPath(url);
  const { cache } = module.createRequire(url);
  if (existsSync(path)) delete cache[realpathSync(path)];
}

/** Lets `require` find and load what `import` does, in this thread. */
export function hookRequire(): void {
  const internals = module as unknown as ModuleInternals;
  const resolve = internals._resolveFilename;
  internals._resolveFilename = function (specifier, parent, ...rest): string {
    const url = parent?.filename ? pathToFileURL(parent.filename).href : undefined;
    const mapped = mappedFile(specifier, url);
    if (mapped !== undefined) return mapped;
    try {
      return resolve.call(this, specifier, parent, ...rest);
    } catch (error) {
      const found = importedFile(specifier, url, error);
      if (found === undefined) throw error;
      return found;
    }
  };
  for (const extension of extensions) {
    internals._extensions[extension] = (loaded, path) => {
      const { source, format } = transform(path, readFileSync(path, 'utf8'));
      loaded._compile(source, path, format);
    };
  }
}
