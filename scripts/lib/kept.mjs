// What takes minutes to build and is the same in every checkout: kept for a person's other checkouts, in
// $XDG_CACHE_HOME/gyrfalcon, or ~/.cache/gyrfalcon. It is named by the hash of all that it was made from; what has not been
// asked for in a month goes.
import { createHash } from 'node:crypto';
import {
  cpSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { readIfThere } from './project.mjs';

const monthMs = 30 * 24 * 60 * 60 * 1000;

const home = () => join(process.env.XDG_CACHE_HOME || join(homedir(), '.cache'), 'gyrfalcon');

/**
 * Puts what is kept as `name` and `hash` into `folder`. False when there is nothing, or it is not what it was: then that
 * goes. `progress` is told of a cache that cannot be read.
 */
export function takeKept(name, hash, folder, progress) {
  const entry = join(home(), `${name}-${hash}`);
  try {
    const sum = readIfThere(join(entry, 'sum'));
    if (sum === undefined) return false;
    const files = join(entry, 'files');
    if (sum !== sumOf(files)) {
      progress.note(`${entry} is damaged and goes`);
      rmSync(entry, { recursive: true, force: true });
      return false;
    }
    cpSync(files, folder, { recursive: true });
    const now = new Date();
    utimesSync(entry, now, now);
    return true;
  } catch (error) {
    progress.note(`${entry} cannot be used: ${error.message}`);
    return false;
  }
}

/** Keeps copies of `paths` in `folder`. A cache that cannot be written is told of, and is no error. */
export function keep(name, hash, folder, paths, progress) {
  const entry = join(home(), `${name}-${hash}`);
  const partial = `${entry}.${process.pid}`;
  try {
    const files = join(partial, 'files');
    mkdirSync(files, { recursive: true });
    for (const path of paths) cpSync(join(folder, path), join(files, path), { recursive: true });
    writeFileSync(join(partial, 'sum'), sumOf(files));
    rmSync(entry, { recursive: true, force: true });
    renameSync(partial, entry);
    removeOld(Date.now() - monthMs);
  } catch (error) {
    progress.note(`it is not kept for other checkouts: ${error.message}`);
    if (existsSync(partial)) rmSync(partial, { recursive: true, force: true });
  }
}

function removeOld(beforeMs) {
  for (const each of readdirSync(home())) {
    const entry = join(home(), each);
    const seen = statSync(entry, { throwIfNoEntry: false });
    if (seen && seen.mtimeMs < beforeMs) rmSync(entry, { recursive: true, force: true });
  }
}

/** Of the names and contents of all files below a folder. */
function sumOf(folder) {
  const hash = createHash('sha256');
  const walk = (below) => {
    const entries = readdirSync(join(folder, below), { withFileTypes: true });
    for (const entry of entries.sort((a, b) => (a.name < b.name ? -1 : 1))) {
      const path = `${below}/${entry.name}`;
      if (entry.isDirectory()) {
        walk(path);
        continue;
      }
      const content = readFileSync(join(folder, path));
      hash.update(`${path}\0${content.length}\0`).update(content);
    }
  };
  walk('');
  return hash.digest('hex');
}
