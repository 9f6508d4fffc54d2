/** Loading the module that a command is to serve. */
import { existsSync, statSync } from 'node:fs';
import { resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import { ignoredLine, type Refuse, shapeOf } from '../server/shapes.ts';
import { CliError } from './errors.ts';

/** Options as serve() takes them, read from the module's default export. */
export interface App {
  /** The module's file: URL, for JavaScript threads that import it themselves. */
  readonly url: string;
  readonly options: Readonly<Record<string, unknown>>;
  /** `fetch` as its author wrote it: that of the options may be one around it. */
  readonly written: unknown;
  /** A line that tells what of the module is ignored; null when nothing is. */
  readonly ignored: string | null;
}

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
  const shape = shapeOf(await importApp(url), path, refuse);
  const { options, written } = shape;
  return { url, options, written, ignored: ignoredLine(path, shape) };
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

const refuse: Refuse = (message, hint) => new CliError(message, hint);
