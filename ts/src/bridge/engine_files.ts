/** Which files the engine is loaded from: those of a checkout, or those of the engine's package for this system. */
import { closeSync, existsSync, openSync, readFileSync, readSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join, resolve, sep } from 'node:path';
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
  given?: Installed,
  system: System = systemHere(),
  find: (name: string) => Installed | undefined = installedPackage,
): EngineFiles {
  const named = process.env.GYRFALCON_ENGINE;
  if (named !== undefined) return filesIn(resolve(named), system, namedCure);
  const own = given ?? ownPackage();
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

/** The addon lies beside the folder that the variable names, as in a checkout's build/ and in an engine's package. */
const namedCure =
  'GYRFALCON_ENGINE names the engine.zigar folder that it is sought in, with node-zigar-addon beside it';

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
  const asked = process.report as { excludeNetwork?: boolean };
  const { excludeNetwork } = asked;
  asked.excludeNetwork = true; // it would look up the names of whom the program is connected to
  const report = process.report.getReport() as { header?: { glibcVersionRuntime?: string } };
  asked.excludeNetwork = excludeNetwork;
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
  throw denied(file, folder);
}

function denied(file: string, folder: string): GyrfalconError {
  const message = `The engine may not be read: ${file}`;
  const cure = `--permission needs --allow-fs-read=${folder}`;
  return new GyrfalconError('GYR_ENGINE_DENIED', message, cure);
}

/** The outermost node_modules around a path: with pnpm packages are links to others below it. */
function modulesAround(path: string): string {
  const [outside] = path.split(`${sep}node_modules${sep}`, 1) as [string];
  return outside === path ? dirname(path) : `${outside}${sep}node_modules`;
}

/** The package that this code is in; undefined where a bundler has made another of it. */
function ownPackage(): Installed | undefined {
  const { url } = import.meta as { url?: string };
  if (url?.startsWith('file:') !== true) return undefined;
  for (let folder = dirname(fileURLToPath(url)); ; folder = dirname(folder)) {
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
    const { code, resource } = error as NodeJS.ErrnoException & { resource?: string };
    if (code !== 'MODULE_NOT_FOUND' && code !== 'ERR_ACCESS_DENIED') throw error;
    // Where nothing may be read nothing is found.
    const path = join(dirname(ownPackage()?.folder ?? ''), name);
    isThere(path, modulesAround(path));
    if (code === 'ERR_ACCESS_DENIED')
      throw denied(resource ?? path, modulesAround(resource ?? path));
    return undefined;
  }
}

/** Undefined where there is no package.json, or one that cannot be read: it is none of ours then. */
function packageIn(folder: string): Installed | undefined {
  const file = join(folder, 'package.json');
  try {
    return { folder, manifest: JSON.parse(readFileSync(file, 'utf8')) as Manifest };
  } catch {
    return undefined;
  }
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
