// The executable as it is released: for each system without debug information, so that the same sources give the same bytes
// in whatever folder they lie. The stages `static` and `wine` of npm test build it in the same way, and test that.
import { existsSync, readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { deflateOption, deflateThere, tryDeflate } from './deflate.mjs';
import { at, MissingError, root, SetupError } from './project.mjs';
import { outputOf, run, tail } from './run.mjs';
import { targets, tripleOf } from './targets.mjs';
import { tlsOption, tlsThere, tryTls } from './tls.mjs';

/** The systems: on Linux one executable, which needs no library, is for every distribution. */
export const executableTargets = targets.filter(({ platform }) => platform !== 'linux');

/** One of them by its name; a SetupError, which names them, when there is none. */
export function executableTarget(name) {
  const found = executableTargets.find((target) => target.name === name);
  if (found !== undefined) return found;
  const known = executableTargets.map((target) => target.name).join(', ');
  throw new SetupError(`there is no executable for "${name}"; there are ${known}`);
}

/** Where the executables for a system are installed, those of tests beside the one that is released. */
export function prefixFor(target) {
  return at('build', `zig-${tripleOf(target)}`);
}

/** The path of the executable below such a folder. */
export function executableIn(prefix, { platform }) {
  return join(prefix, 'bin', platform === 'win32' ? 'gyrfalcon.exe' : 'gyrfalcon');
}

/**
 * The options of `zig build`. `tls`, `deflate`: the folders of what is linked; without TLS, or compression, where there is
 * none. Debug by GYRFALCON_OPTIMIZE is for tests alone.
 */
export function executableOptions(
  target,
  { tls = tlsThere(target), deflate = deflateThere(), optimize = 'ReleaseSafe' } = {},
) {
  const system = [`-Dtarget=${tripleOf(target)}`, `-Dcpu=${target.cpu}`, '-Dstrip'];
  return [...system, tlsOption(tls), deflateOption(deflate), `-Doptimize=${optimize}`];
}

/**
 * Builds the executable for one of `executableTargets`. OpenSSL, which takes minutes, is built first where it is not there.
 * Throws a MissingError when it would lack TLS or compression, unless that is allowed (`isPartial`).
 *
 * @param {object} target
 * @param {string} zig its path
 * @param {import('./run.mjs').Progress} progress
 * @param {{ isPartial?: boolean }} options
 * @returns {Promise<string>} its path
 */
export async function buildExecutable(target, zig, progress, { isPartial = false } = {}) {
  const lacks = [await tryTls(target, zig, progress), await tryDeflate(progress)];
  const missing = ['TLS', 'compression'].filter((_, i) => lacks[i] !== undefined);
  if (missing.length > 0 && !isPartial) {
    const why = lacks.find((lack) => lack !== undefined);
    throw new MissingError(
      `the executable for ${target.name} would be without ${missing.join(' and ')} (${why}): npm run build:tls, npm run build:deflate, or --partial`,
    );
  }
  const prefix = prefixFor(target);
  await progress.work(`executable for ${target.name}: zig build`, () =>
    compileExecutable(target, zig, { folder: root, prefix }),
  );
  return executableIn(prefix, target);
}

/**
 * Compiles it. `folder`: where the sources lie, `prefix`: where it is installed to, `env`: for Zig.
 *
 * @param {object} target
 * @param {string} zig its path
 * @param {{ folder: string, prefix: string, env?: NodeJS.ProcessEnv }} where
 */
export async function compileExecutable(target, zig, { folder, prefix, env = process.env }) {
  const args = ['build', 'install', ...executableOptions(target), '--prefix', prefix];
  const { code, output } = await run(zig, args, { cwd: folder, env });
  if (code !== 0 || !existsSync(executableIn(prefix, target))) {
    throw new SetupError(`The executable for ${target.name} did not build.\n${tail(output, 40)}`);
  }
}

/** What of Zig's own distribution is linked into an executable, beside Zig's library. */
const bundled = {
  'linux-musl': {
    title: 'musl (C library), as Zig brings it',
    home: 'https://musl.libc.org/',
    file: ['libc', 'musl', 'COPYRIGHT'],
  },
  win32: {
    title: 'mingw-w64 (C runtime for Windows), as Zig brings it',
    home: 'https://www.mingw-w64.org/',
    file: ['libc', 'mingw', 'COPYING'],
  },
};

/** The folder with Zig's library, in which the sources of C libraries are. */
export function zigLibrary(zig) {
  const folder = /"?\.?lib_dir"?\s*[:=]\s*"([^"]+)"/.exec(outputOf(zig, ['env']) ?? '')?.[1];
  if (folder === undefined) throw new SetupError(`${zig} env does not tell where its library is.`);
  return resolve(folder);
}

const rule = '='.repeat(78);

/** The licences of what an executable is linked with: those of the engine, and of the C library. */
export function licencesOf({ platform }, zig) {
  const text = readFileSync(at('packages', 'engine', 'LICENSES.txt'), 'utf8');
  const [about, ...sections] = text.split(new RegExp(`\\n${rule}\\n(?=.+\\n.+\\n${rule}\\n)`));
  const kept = sections.filter((section) => !section.startsWith('node-zigar'));
  if (kept.length !== sections.length - 1) {
    throw new SetupError(
      'packages/engine/LICENSES.txt has no section of node-zigar: which is left out?',
    );
  }
  const more = bundled[platform];
  if (more !== undefined) {
    const licence = readFileSync(join(zigLibrary(zig), ...more.file), 'utf8');
    kept.push(`${more.title}\n${more.home}\n${rule}\n\n${licence.trimEnd()}\n`);
  }
  return [about, ...kept].join(`\n${rule}\n`);
}
