// Other Node.js than the one that runs: of other versions, for other processors. Their binaries come from npm.
import { existsSync, renameSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { SetupError, toolchain } from './project.mjs';
import { npm, tail } from './run.mjs';

/**
 * The path of the latest Node.js of a major version for this system, and for `arch`, installed into .toolchain when it is
 * not there. It is what npm's package `node` would choose.
 */
export async function nodeOf(major, progress, arch = process.arch) {
  const there = nodeThere(major, arch);
  if (there !== undefined) return there;
  const { folder, name, path } = placeOf(major, arch);
  const partial = `${folder}.partial-${process.pid}`;
  const args = ['install', '--prefix', partial, '--no-save', '--no-audit', '--no-fund'];
  // The package is for another processor than this one's, where it is asked for.
  if (arch !== process.arch) args.push('--force');
  const { code, output } = await progress.work(`Node.js ${major} for ${arch}: npm install`, () =>
    npm([...args, '--ignore-scripts', '--loglevel=error', `${name}@${major}`]),
  );
  if (code !== 0) {
    rmSync(partial, { recursive: true, force: true });
    throw new SetupError(`Node.js ${major} could not be installed from npm.\n${tail(output)}`);
  }
  rmSync(folder, { recursive: true, force: true });
  renameSync(partial, folder);
  return path;
}

/** The path of one that is installed; undefined when it is not. */
export function nodeThere(major, arch = process.arch) {
  const { path } = placeOf(major, arch);
  return existsSync(path) ? path : undefined;
}

/** Where it is installed to, from which package. */
function placeOf(major, arch) {
  const windows = process.platform === 'win32';
  const name = `node-${windows ? 'win' : process.platform}-${arch}`;
  const folder = join(toolchain, `node-${major}${arch === process.arch ? '' : `-${arch}`}`);
  const binary = windows ? ['node.exe'] : ['bin', 'node'];
  return { folder, name, path: join(folder, 'node_modules', name, ...binary) };
}
