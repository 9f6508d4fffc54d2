/** Loading the module that a command is to serve. */
import { existsSync, statSync } from 'node:fs';
import { resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import { defaultExport } from '../loader/default_export.ts';
import { CliError } from './errors.ts';

/** Options as serve() takes them, read from the module's default export. */
export interface App {
  /** The module's file: URL, for JavaScript threads that import it themselves. */
  readonly url: string;
  readonly options: Readonly<Record<string, unknown>>;
}

const shape = 'export default { fetch(request) { … } }, with routes beside it or in its place';

/**
 * Imports the module at `path` and takes serve()'s options from its default export.
 *
 * @throws {@link CliError} when there is no such file, when it does not parse, or when it exports nothing to serve
 */
export async function loadApp(path: string): Promise<App> {
  const file = resolve(path);
  if (!existsSync(file)) throw new CliError(`there is no file ${path}`);
  if (statSync(file).isDirectory()) throw new CliError(`${path} is a folder; name the app's file`);
  const url = pathToFileURL(file).href;
  return { url, options: optionsOf(path, await importApp(url)) };
}

async function importApp(url: string): Promise<Record<string, unknown>> {
  try {
    return (await import(url)) as Record<string, unknown>;
  } catch (error) {
    // The loader's syntax errors begin with file, line and column, and end with an excerpt.
    const told = error instanceof SyntaxError && /:\d+:\d+: /.test(error.message);
    throw told ? new CliError(error.message) : error;
  }
}

/**
 * serve()'s options from a module's exports: a plain object is taken as options; any other object, such as a Hono app,
 * is asked for its fetch method alone. An `onProtocolError` may be an export of its own.
 */
export function optionsOf(
  path: string,
  exported: Readonly<Record<string, unknown>>,
): Readonly<Record<string, unknown>> {
  const { onProtocolError } = exported;
  const options = optionsOfApp(path, exported);
  return onProtocolError === undefined ? options : { onProtocolError, ...options };
}

function optionsOfApp(
  path: string,
  exported: Readonly<Record<string, unknown>>,
): Readonly<Record<string, unknown>> {
  const app = defaultExport(exported);
  if (app === undefined) throw new CliError(`${path} has no default export`, shape);
  if (typeof app !== 'object' || app === null) {
    throw new CliError(`the default export of ${path} is no object`, shape);
  }
  const { fetch } = app as { fetch?: unknown };
  const prototype: unknown = Object.getPrototypeOf(app);
  if (prototype === Object.prototype || prototype === null) {
    const options = app as Record<string, unknown>;
    if (typeof fetch === 'function' || options.routes !== undefined) return options;
  } else if (typeof fetch === 'function') {
    return { fetch: fetch.bind(app) as unknown };
  }
  throw new CliError(`the default export of ${path} has neither fetch nor routes`, shape);
}
