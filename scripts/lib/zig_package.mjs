// The package for Zig: what `zig fetch` takes, with the files that build.zig.zon names.
import { existsSync, readFileSync, statSync } from 'node:fs';
import { join, relative } from 'node:path';
import { below, gzipOf, tarOf } from './bundles.mjs';
import { filesBelow, root, SetupError } from './project.mjs';
import { outputOf } from './run.mjs';

/** The paths that build.zig.zon has in the package. */
function zigPackagePaths(folder) {
  const manifest = readFileSync(join(folder, 'build.zig.zon'), 'utf8');
  const list = /\.paths = \.\{([^}]*)\}/.exec(manifest)?.[1] ?? '';
  const paths = [...list.matchAll(/"([^"]+)"/g)].map(([, path]) => path);
  if (paths.length === 0) throw new SetupError('build.zig.zon names no paths.');
  return paths;
}

/** What git has below these paths, or would take; undefined where it has nothing: an archive's files are no clone. */
function filesOfGit(folder, paths) {
  const options = ['-z', '--cached', '--others', '--exclude-standard'];
  const listed = outputOf('git', ['-C', folder, 'ls-files', ...options, '--', ...paths]);
  if (!listed) return undefined;
  // What is removed and not committed is listed too.
  const there = (name) => name !== '' && existsSync(join(folder, name));
  return [...new Set(listed.split('\0').filter(there))];
}

/**
 * The files of the package, without those that git ignores, in the order of their paths. Where there is no git they are all
 * that lie below the paths, without those that somebody is trying something in.
 *
 * @param {string} folder the checkout
 * @returns {{ path: string, data: Buffer }[]}
 */
export function zigPackageEntries(folder = root) {
  const paths = zigPackagePaths(folder);
  const names =
    filesOfGit(folder, paths) ??
    paths.flatMap((path) => {
      const at = join(folder, path);
      const files = statSync(at).isDirectory()
        ? filesBelow(at, (name) => !name.includes('/_t_'))
        : [at];
      return files.map((file) => relative(folder, file).replaceAll('\\', '/'));
    });
  return names.sort().map((path) => ({ path, data: readFileSync(join(folder, path)) }));
}

/** The package, its bytes. `time`: of all files, seconds since 1970. */
export function zigPackage(version, time) {
  return gzipOf(tarOf(below(`gyrfalcon-${version}`, zigPackageEntries()), time));
}
