/**
 * What the tsconfig.json of a file says: the options that `tsc --showConfig` prints for its project, as far as they
 * matter while the file runs.
 */
import { dirname, join, resolve } from 'node:path';
import {
  type Cache,
  createFilesMatcher,
  createPathsMatcher,
  getTsconfig,
  parseTsconfig,
  type TsConfigResult,
} from 'get-tsconfig';

/** The options that are looked at here; esbuild takes its own out of the others. */
export interface CompilerOptions {
  readonly alwaysStrict?: boolean;
  readonly allowJs?: boolean;
  readonly emitDecoratorMetadata?: boolean;
  readonly experimentalDecorators?: boolean;
  readonly jsx?: string;
  readonly jsxFactory?: string;
  readonly module?: string;
  readonly strict?: boolean;
  readonly strictNullChecks?: boolean;
  readonly target?: string;
  readonly useDefineForClassFields?: boolean;
  readonly verbatimModuleSyntax?: boolean;
  readonly [other: string]: unknown;
}

/** A tsconfig.json, with what it extends. */
export interface Project {
  /** Absolute path of the file, or '' where there is none. */
  readonly path: string;
  readonly compilerOptions: CompilerOptions;
  /** The absolute paths, best first, that `paths` and `baseUrl` give for what a file imports; null without either. */
  readonly targetsOf: ((specifier: string) => string[]) | null;
}

interface Found {
  readonly result: TsConfigResult;
  readonly project: Project;
}

const none: Project = { path: '', compilerOptions: {}, targetsOf: null };
const parsed: Cache = new Map();
/** By folder. */
const nearest = new Map<string, Found | null>();
/** By the path of the tsconfig.json. */
const projects = new Map<string, Found>();

/**
 * The project that the file at `path` belongs to: the nearest tsconfig.json, or, where that leaves the file to the
 * projects that it references, the first of those. What is in node_modules belongs to none: packages bring configurations
 * along whose bases they do not bring.
 *
 * @throws Error that names the tsconfig.json when it, or one that it extends, cannot be read
 */
export function projectOf(path: string): Project {
  if (/[\\/]node_modules[\\/]/.test(path)) return none;
  const found = nearestOf(dirname(path));
  if (found === null) return none;
  return (owner(found, path, new Set()) ?? found).project;
}

function nearestOf(folder: string): Found | null {
  let found = nearest.get(folder);
  if (found === undefined) {
    const result = reading(folder, () => getTsconfig(folder, 'tsconfig.json', parsed));
    found = result === null ? null : foundOf(result);
    nearest.set(folder, found);
  }
  return found;
}

/** The project that takes the file, of `found` and those that it references, in their order. */
function owner(found: Found, path: string, seen: Set<string>): Found | null {
  const { references } = found.result.config;
  if (references === undefined && seen.size === 0) return found;
  seen.add(found.result.path);
  if (createFilesMatcher(found.result)(path) !== undefined) return found;
  for (const reference of references ?? []) {
    const config = configOf(dirname(found.result.path), reference.path);
    if (seen.has(config)) continue;
    const taken = owner(readProject(config), path, seen);
    if (taken !== null) return taken;
  }
  return null;
}

/** A reference names a tsconfig.json, or the folder of one. */
function configOf(folder: string, reference: string): string {
  const path = resolve(folder, reference);
  return path.endsWith('.json') ? path : join(path, 'tsconfig.json');
}

function readProject(path: string): Found {
  const known = projects.get(path);
  if (known !== undefined) return known;
  return foundOf({ path, config: reading(path, () => parseTsconfig(path, parsed)) });
}

function foundOf(result: TsConfigResult): Found {
  const known = projects.get(result.path);
  if (known !== undefined) return known;
  const compilerOptions = (result.config.compilerOptions ?? {}) as CompilerOptions;
  const project = {
    path: result.path,
    compilerOptions,
    targetsOf: createPathsMatcher(result),
  };
  const found = { result, project };
  projects.set(result.path, found);
  return found;
}

function reading<T>(place: string, read: () => T): T {
  try {
    return read();
  } catch (cause) {
    const text = cause instanceof Error ? cause.message : String(cause);
    throw new Error(`The tsconfig.json of ${place} cannot be read: ${text}`, { cause });
  }
}
