/** Which files the engine is loaded from: those of a checkout, or those of the engine's package for this system. */
import { closeSync, existsSync, openSync, readFileSync, readSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { GyrfalconError } from '../core/errors.ts';

/** What is loaded on this system. */
export interface EngineFiles {
  /** The system, by the name that files have: "linux.x64", "linux-musl.arm64", … */
  name: string;
  library: string;
  /** What Node.js loads the library with. */
  addon: string;
  /** What helps when a file is missing or cannot be loaded. */
  cure: string;
}

/** The system that this process runs on. `libc`: of Linux alone. */
export interface System {
  platform: string;
  arch: string;
  libc?: 'glibc' | 'musl';
}

/** What of package.json is looked at. That of a checkout names no engines: it builds its own. */
interface Manifest {
  name?: string;
  version?: string;
  optionalDependencies?: Record<string, string>;
}

/** A package of this installation, where it is. */
interface Installed {
  folder: string;
  manifest: Manifest;
}

/**
 * The files of the engine: those in the folder that GYRFALCON_ENGINE names, those that a checkout has built, or those of
 * the package for `system`. That they are there is asked of a package alone.
 *
 * @param find - where an installed package is; undefined when it is not installed
 * @throws GyrfalconError GYR_ENGINE_MISSING, or GYR_ENGINE_MISMATCH when the package is of another version
 */
export function findEngine(
  own: Installed | undefined = ownPackage(),
  system: System = systemHere(),
  find: (name: string) => Installed | undefined = installedPackage,
): EngineFiles {
  const named = process.env.GYRFALCON_ENGINE;
  if (named !== undefined)
    return filesIn(named, system, 'GYRFALCON_ENGINE names the folder that it is sought in');
  if (own === undefined) {
    throw new GyrfalconError(
      'GYR_ENGINE_MISSING',
      'The package gyrfalcon, which the engine belongs to, is not around this code',
      'have the bundler leave gyrfalcon out, or set GYRFALCON_ENGINE to the path of an engine.zigar folder',
    );
  }
  const engines = own.manifest.optionalDependencies;
  if (engines === undefined) {
    const built = join(own.folder, 'build', 'engine.zigar');
    return filesIn(built, system, 'in a checkout of gyrfalcon, run `npm run build`');
  }
  const name = enginePackage(system);
  const version = engines[name];
  if (version === undefined) throw unsupported(system, Object.keys(engines));
  const engine = find(name);
  if (engine === undefined) throw notInstalled(name, Object.keys(engines).filter(find));
  if (engine.manifest.version !== version) throw mismatch(own, name, engine.manifest.version);
  const again = 'remove node_modules and install again';
  return filesIn(join(engine.folder, 'engine.zigar'), system, again);
}

/** The package that holds the engine for a system; scripts/lib/packages.mjs makes it. */
export function enginePackage({ platform, arch, libc }: System): string {
  return `@gyrfalcon/engine-${platform}-${arch}${libc === 'musl' ? '-musl' : ''}`;
}

/** The files in a folder where those for several systems may lie side by side. */
function filesIn(folder: string, { platform, arch, libc }: System, cure: string): EngineFiles {
  const name = `${libc === 'musl' ? 'linux-musl' : platform}.${arch}`;
  const extension = { darwin: 'dylib', win32: 'dll' }[platform] ?? 'so';
  return {
    name,
    library: join(folder, `${name}.${extension}`),
    addon: join(dirname(folder), 'node-zigar-addon', `${name}.node`),
    cure,
  };
}

/** The system that this process runs on. */
function systemHere(): System {
  const { platform, arch } = process;
  return platform === 'linux' ? { platform, arch, libc: libcHere() } : { platform, arch };
}

/**
 * The C library of this process. Its executable names the loader of one near its beginning; where it does not, or may not
 * be read, the process is asked what it knows of itself, which takes ten times as long.
 */
function libcHere(): 'glibc' | 'musl' {
  const [, loader] = /\/ld-(musl|linux)-/.exec(beginning(process.execPath)) ?? [];
  if (loader !== undefined) return loader === 'musl' ? 'musl' : 'glibc';
  const report = process.report.getReport() as { header?: { glibcVersionRuntime?: string } };
  return report.header?.glibcVersionRuntime === undefined ? 'musl' : 'glibc';
}

/** The first 4 KiB of a file; nothing where they may not be read. */
function beginning(path: string): string {
  const bytes = Buffer.alloc(4096);
  try {
    const file = openSync(path, 'r');
    try {
      return bytes.toString('latin1', 0, readSync(file, bytes));
    } finally {
      closeSync(file);
    }
  } catch {
    return ''; // there is another way to know
  }
}

/** Node.js's permission model, where it is on. */
export const { permission } = process as {
  permission?: { has(scope: string, reference?: string): boolean };
};

/** Whether a file is there. Throws GYR_ENGINE_DENIED where it may not be looked at; `folder`: what should be readable. */
export function isThere(file: string, folder = dirname(dirname(file))): boolean {
  if (permission === undefined || permission.has('fs.read', file)) return existsSync(file);
  throw new GyrfalconError(
    'GYR_ENGINE_DENIED',
    `The engine may not be read: ${file}`,
    `--permission needs --allow-fs-read=${folder}`,
  );
}

/** The package that this code is in. */
function ownPackage(): Installed | undefined {
  for (let folder = dirname(fileURLToPath(import.meta.url)); ; folder = dirname(folder)) {
    const found = packageIn(folder);
    if (found?.manifest.name === 'gyrfalcon') return found;
    if (dirname(folder) === folder) return undefined;
  }
}

/** Where the engine's package lies as the program's package manager has it: beside this one, most often. */
function installedPackage(name: string): Installed | undefined {
  try {
    const path = createRequire(import.meta.url).resolve(`${name}/package.json`);
    return packageIn(dirname(path));
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code !== 'MODULE_NOT_FOUND' && code !== 'ERR_ACCESS_DENIED') throw error;
    // Where nothing may be read nothing is found.
    const modules = dirname(ownPackage()?.folder ?? '');
    isThere(join(modules, name), modules);
    if (code === 'ERR_ACCESS_DENIED') throw error;
    return undefined;
  }
}

function packageIn(folder: string): Installed | undefined {
  const file = join(folder, 'package.json');
  if (!existsSync(file)) return undefined;
  return { folder, manifest: JSON.parse(readFileSync(file, 'utf8')) as Manifest };
}

function unsupported({ platform, arch, libc }: System, engines: string[]): GyrfalconError {
  const here = [platform, arch, libc === 'musl' ? 'with musl' : ''].join(' ').trim();
  const known = engines.map((name) => name.replace('@gyrfalcon/engine-', '')).join(', ');
  const cure = `there are engines for ${known}; a checkout of gyrfalcon builds one where Zig does`;
  return new GyrfalconError('GYR_ENGINE_MISSING', `There is no engine for ${here}`, cure);
}

/** `others`: those that are installed, which tells who installed them. */
function notInstalled(name: string, others: string[]): GyrfalconError {
  const message = `The engine for this system, the package ${name}, is not installed`;
  const [other] = others;
  const cure =
    other === undefined
      ? 'install without --omit=optional; if the lock file was made on another system, remove it and node_modules first'
      : `node_modules has ${other}, and was made for another system: remove it, and install on this one`;
  return new GyrfalconError('GYR_ENGINE_MISSING', message, cure);
}

function mismatch(own: Installed, name: string, version = 'without a version'): GyrfalconError {
  const wanted = own.manifest.optionalDependencies?.[name] ?? '';
  return new GyrfalconError(
    'GYR_ENGINE_MISMATCH',
    `gyrfalcon ${own.manifest.version} needs ${name} ${wanted}, and ${version} is installed`,
    'remove node_modules and install again; overrides in package.json must not name the engine',
  );
}
