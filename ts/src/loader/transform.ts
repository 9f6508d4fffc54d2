/**
 * TypeScript to JavaScript for files that Node.js loads: which files, which module format, and the transformation
 * itself (by esbuild, types are erased and not checked).
 */
import { existsSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, extname, join } from 'node:path';
import { compileFunction } from 'node:vm';
import type { TransformOptions, TransformResult } from 'esbuild';
import { helpersBanner, lowerDecorators, mayHaveDecorators } from './decorators.ts';
import { kept } from './kept.ts';
import { type CompilerOptions, projectOf } from './tsconfig.ts';

type Esbuild = typeof import('esbuild');
type Format = 'module' | 'commonjs';

/** What a module loading hook answers for a file. */
export interface LoadedModule {
  format: Format;
  source: string;
}

const loaders: Readonly<Record<string, 'ts' | 'tsx' | 'jsx'>> = {
  '.ts': 'ts',
  '.mts': 'ts',
  '.cts': 'ts',
  '.tsx': 'tsx',
  '.jsx': 'jsx',
};

/** The extensions of the files that are transformed. */
export const extensions: readonly string[] = Object.keys(loaders);

/** esbuild's helper process ends when nothing was transformed for so long. */
const idleMs = 500;

/** What CommonJS gives to a module as parameters. */
const commonJsNames = ['exports', 'require', 'module', '__filename', '__dirname'];

const requireName = '__gyrfalconCreateRequire';
const requireBanner = `import { createRequire as ${requireName} } from 'node:module'; const require = ${requireName}(import.meta.url);`;

/**
 * Before Node.js 24 a CommonJS module that was imported through hooks has a `require` that knows neither hooks nor the
 * conditions of packages, and no cache; and another `require` of the module would run it once more. It gets the usual
 * function, and enters itself where that looks.
 */
const ownRequire =
  'require.cache || (module.constructor._cache[__filename] = { filename: __filename, get exports() { return module.exports; }, get loaded() { return module.loaded; } }, require = module.constructor.createRequire(__filename));';

const target = `node${process.versions.node}`;
const require = createRequire(import.meta.url);
let loadedEsbuild: Esbuild | undefined;
let idle: NodeJS.Timeout | undefined;

/** Whether the file at `path` is one that {@link transform} takes. */
export function isTransformed(path: string): boolean {
  return extname(path) in loaders;
}

/**
 * Transforms one file.
 *
 * @param path - absolute path of the file, for its extension, its tsconfig.json and error messages
 * @throws SyntaxError whose message begins with `path:line:column:` when the file does not parse
 */
export function transform(path: string, source: string): LoadedModule {
  try {
    return new Transformation(path, source).run();
  } catch (error) {
    throw syntaxError(path, error);
  } finally {
    if (loadedEsbuild !== undefined) stopWhenIdle(loadedEsbuild);
  }
}

/** Loaded where something is to be transformed: most threads that register the loader never get there. */
function esbuild(): Esbuild {
  loadedEsbuild ??= require('esbuild') as Esbuild;
  return loadedEsbuild;
}

class Transformation {
  private readonly path: string;
  private readonly extension: string;
  private readonly original: string;
  /** Without the decorators that esbuild does not lower as they are to be. */
  private readonly source: string;
  private readonly compilerOptions: CompilerOptions;
  private readonly options: TransformOptions;
  /** What the file needs on its first line whatever its format is. */
  private readonly banner: string;

  constructor(path: string, source: string) {
    const { compilerOptions } = projectOf(path);
    const extension = extname(path);
    const kind = loaders[extension] ?? 'ts';
    const lowered = kind !== 'jsx' && lowersDecorators(compilerOptions, source);
    this.path = path;
    this.original = source;
    this.extension = extension;
    this.compilerOptions = compilerOptions;
    this.source = lowered ? lowerDecorators(path, source, compilerOptions) : source;
    this.banner = lowered ? helpersBanner : '';
    this.options = {
      loader: lowered ? (kind === 'tsx' ? 'jsx' : 'js') : kind,
      target,
      sourcefile: path,
      sourcemap: 'inline',
      sourcesContent: false,
      ...jsxOptions(compilerOptions),
    };
  }

  /** What decorators become depends on more than is looked at here: it is not kept. */
  run(): LoadedModule {
    if (this.banner !== '') return this.make();
    const { path, original, compilerOptions } = this;
    return kept([path, original, compilerOptions, packageType(path)], () => this.make());
  }

  private make(): LoadedModule {
    if (this.extension === '.cts') return this.as('commonjs');
    if (this.extension === '.mts') return this.as('module');
    const probe = this.probe();
    if (isScript(probe)) return this.as(packageType(this.path) ?? 'commonjs');
    // `npm init` writes "type": "commonjs" without being asked: that alone says nothing of a file with import and export.
    const emitsCommonJs = this.compilerOptions.module?.toLowerCase() === 'commonjs';
    if (emitsCommonJs && packageType(this.path) !== 'module') return this.commonJsOrModule();
    const isDone = loaders[this.extension] === 'ts' && this.banner + this.moduleBanner() === '';
    return isDone ? { format: 'module', source: probe } : this.as('module');
  }

  private as(format: Format): LoadedModule {
    return { format, source: this.emit(format).code };
  }

  private emit(format: Format): TransformResult {
    const commonJs = format === 'commonjs';
    return esbuild().transformSync(this.source, {
      ...this.options,
      // With the platform comes the list of names by which `import` finds what CommonJS exports.
      ...(commonJs ? { format: 'cjs', platform: 'node' } : { format: 'esm' }),
      banner: commonJs
        ? this.strictness() + ownRequire + this.banner
        : this.moduleBanner() + this.banner,
    });
  }

  /** The directive has to stand before the banner. */
  private strictness(): string {
    const { alwaysStrict, strict } = this.compilerOptions;
    return (alwaysStrict ?? strict ?? true) ? '"use strict";' : '';
  }

  /** As tsc emits it, but for what CommonJS cannot have and tsc refuses: top-level await and import.meta. */
  private commonJsOrModule(): LoadedModule {
    let emitted: TransformResult;
    try {
      emitted = this.emit('commonjs');
    } catch {
      return this.as('module');
    }
    if (emitted.warnings.some(({ id }) => id === 'empty-import-meta')) return this.as('module');
    return { format: 'commonjs', source: emitted.code };
  }

  /** `import x = require()` stays a call of require, which a module has to make for itself. */
  private moduleBanner(): string {
    if (!/\bimport\s+[^;'"]*?=\s*require\s*\(/.test(this.original)) return '';
    const hasOwn = /\b(?:const|let|var|function|import|as)\s+require\b/.test(this.original);
    return hasOwn ? '' : requireBanner;
  }

  /** As it is but for the types. JSX becomes plain calls here: its own runtime would come by an import. */
  private probe(): string {
    const jsx = loaders[this.extension] === 'ts' ? {} : { jsx: 'transform' as const };
    return esbuild().transformSync(this.source, { ...this.options, ...jsx }).code;
  }
}

/**
 * Whether the code has nothing that only a module can have. The compiler is asked, since text that looks like it may
 * stand in comments and strings.
 */
function isScript(code: string): boolean {
  try {
    compileFunction(code, commonJsNames);
    return true;
  } catch {
    return false;
  }
}

function lowersDecorators(options: CompilerOptions, source: string): boolean {
  const { experimentalDecorators, emitDecoratorMetadata } = options;
  return (
    experimentalDecorators === true && emitDecoratorMetadata === true && mayHaveDecorators(source)
  );
}

/** JSX that is preserved was meant for a bundler, which makes of it what the types say. */
function jsxOptions(compilerOptions: CompilerOptions): TransformOptions {
  const { jsx, jsxFactory } = compilerOptions;
  const preserved = jsx === 'preserve' || jsx === 'react-native';
  const tsconfigRaw = JSON.stringify({ compilerOptions });
  if (!preserved) return { tsconfigRaw };
  return { tsconfigRaw, jsx: jsxFactory === undefined ? 'automatic' : 'transform' };
}

function packageType(path: string): Format | undefined {
  const text = nearestPackage(dirname(path));
  if (text === undefined) return undefined;
  try {
    const { type } = JSON.parse(text) as { type?: unknown };
    return type === 'module' || type === 'commonjs' ? type : undefined;
  } catch {
    return undefined;
  }
}

/** The text of the nearest package.json in `directory` or above it. */
function nearestPackage(directory: string): string | undefined {
  for (let at = directory; ; at = dirname(at)) {
    const path = join(at, 'package.json');
    if (existsSync(path)) return readFileSync(path, 'utf8');
    if (dirname(at) === at) return undefined;
  }
}

interface Diagnostic {
  text: string;
  location: { line: number; column: number; lineText: string } | null;
}

function syntaxError(path: string, error: unknown): unknown {
  const { errors } = error as { errors?: Diagnostic[] };
  const first = errors?.[0];
  if (first === undefined) return error;
  const where = first.location;
  if (where === null) return new SyntaxError(`${path}: ${first.text}`);
  const excerpt = `${where.lineText}\n${' '.repeat(where.column)}^`;
  return new SyntaxError(`${path}:${where.line}:${where.column + 1}: ${first.text}\n${excerpt}`);
}

function stopWhenIdle({ stop }: Esbuild): void {
  if (idle !== undefined) {
    idle.refresh();
    return;
  }
  idle = setTimeout(() => {
    idle = undefined;
    void stop();
  }, idleMs);
  idle.unref();
}
