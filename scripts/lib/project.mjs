// Where things are, and hashes, stamps and locks over them. Node.js builtins only: this runs before anything is installed.
import { createHash } from 'node:crypto';
import {
  closeSync,
  existsSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';

/** The project's root folder. */
export const root = fileURLToPath(new URL('../../', import.meta.url));

/** An absolute path inside the project. */
export const at = (...names) => join(root, ...names);

/** Everything that is installed for this project alone; ignored by git. */
export const toolchain = at('.toolchain');

/** The error of a step whose message says all there is to say: shown without a stack. */
export class SetupError extends Error {}

/** What a command needs, this machine lacks, and nobody installs by himself. */
export class MissingError extends SetupError {}

/** The exit code of a command that ends with a MissingError: EX_UNAVAILABLE of sysexits.h. */
export const exitMissing = 69;

/** All files below `directory` for which `keep(path relative to the project)` holds, sorted. */
export function filesBelow(directory, keep = () => true) {
  const found = [];
  const walk = (folder) => {
    for (const entry of readdirSync(folder, { withFileTypes: true })) {
      const path = join(folder, entry.name);
      if (entry.isDirectory()) {
        if (entry.name !== 'node_modules' && !entry.name.startsWith('.')) walk(path);
      } else if (keep(relative(root, path).replaceAll('\\', '/'))) {
        found.push(path);
      }
    }
  };
  walk(directory);
  return found.sort();
}

/** Removes a folder that has more than `count` files and folders in it. */
export function emptyAbove(folder, count) {
  if (!existsSync(folder) || readdirSync(folder, { recursive: true }).length <= count) return;
  rmSync(folder, { recursive: true, force: true });
}

/** A hash of files' names and contents and of further texts. */
export function hashOf(files, texts = []) {
  const hash = createHash('sha256');
  for (const text of texts) hash.update(`${text}\0`);
  for (const file of files) {
    const content = readFileSync(file);
    hash.update(`${relative(root, file)}\0${content.length}\0`).update(content);
  }
  return hash.digest('hex');
}

/** The text of a file, or undefined when there is none. */
export function readIfThere(path) {
  try {
    return readFileSync(path, 'utf8');
  } catch (error) {
    if (error.code === 'ENOENT' || error.code === 'ENOTDIR') return undefined;
    throw error;
  }
}

/** Writes a file and the folders that lead to it. */
export function writeFileDeep(path, text) {
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(path, text);
}

/**
 * Runs `action` while no other process of this checkout runs one of the same name. A lock whose process is gone is
 * taken over.
 */
export async function withLock(name, onWait, action) {
  const path = join(toolchain, `${name}.lock`);
  mkdirSync(toolchain, { recursive: true });
  let told = false;
  while (!tryLock(path)) {
    const owner = Number(readIfThere(path) ?? '0');
    if (owner > 0 && !isAlive(owner)) {
      rmSync(path, { force: true });
      continue;
    }
    if (!told) onWait(owner);
    told = true;
    await sleep(200);
  }
  try {
    return await action();
  } finally {
    rmSync(path, { force: true });
  }
}

function tryLock(path) {
  try {
    const file = openSync(path, 'wx');
    writeSync(file, String(process.pid));
    closeSync(file);
    return true;
  } catch (error) {
    if (error.code === 'EEXIST') return false;
    throw error;
  }
}

function isAlive(pid) {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return error.code === 'EPERM';
  }
}
