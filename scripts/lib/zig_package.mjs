// The package for Zig: what `zig fetch` takes, with the files that build.zig.zon names.
import { readFileSync, statSync } from 'node:fs';
import { below, gzipOf, tarOf } from './bundles.mjs';
import { at, filesBelow, root, SetupError } from './project.mjs';

/** The paths that build.zig.zon has in the package. */
export function zigPackagePaths() {
  const manifest = readFileSync(at('build.zig.zon'), 'utf8');
  const list = /\.paths = \.\{([^}]*)\}/.exec(manifest)?.[1] ?? '';
  const paths = [...list.matchAll(/"([^"]+)"/g)].map(([, path]) => path);
  if (paths.length === 0) throw new SetupError('build.zig.zon names no paths.');
  return paths;
}

/** Its files, without those that somebody is trying something in. */
export function zigPackageEntries() {
  const files = zigPackagePaths().flatMap((path) =>
    statSync(at(path)).isDirectory()
      ? filesBelow(at(path), (name) => !name.includes('/_t_'))
      : [at(path)],
  );
  return files.map((file) => ({
    path: file.slice(root.length).replaceAll('\\', '/'),
    data: readFileSync(file),
  }));
}

/** The package, its bytes. `time`: of all files, seconds since 1970. */
export function zigPackage(version, time) {
  return gzipOf(tarOf(below(`gyrfalcon-${version}`, zigPackageEntries()), time));
}
