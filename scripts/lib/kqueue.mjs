// The project once more, with an engine that has kqueue on Linux: a kqueue of our own stands in for the system's
// (zig/io/testing/kevent.zig). What people get is never built that way.
import {
  cpSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { at, readIfThere, root, toolchain } from './project.mjs';

/** What is made, and stays from one time to the next. */
const made = ['.git', '.toolchain', '.zig-cache', 'build', 'dist', 'node_modules', 'zig-out'];

/** Makes the copy, or brings it up to date. Returns its folder. */
export function copyWithKqueue() {
  const copy = at('build', 'kqueue');
  mkdirSync(copy, { recursive: true });
  for (const name of readdirSync(copy)) {
    if (!made.includes(name)) rmSync(join(copy, name), { recursive: true });
  }
  for (const name of readdirSync(root)) {
    if (!made.includes(name)) cpSync(at(name), join(copy, name), { recursive: true });
  }
  if (!existsSync(join(copy, '.toolchain'))) symlinkSync(toolchain, join(copy, '.toolchain'));
  copyPackages(copy);
  enable(join(copy, 'zig', 'io', 'testing', 'kqueue_on_linux.zig'));
  return copy;
}

/** Copied, not linked: `npx gyrfalcon` is to find the copy's command. */
function copyPackages(copy) {
  const list = join('node_modules', '.package-lock.json');
  if (readIfThere(join(copy, list)) === readIfThere(at(list))) return;
  rmSync(join(copy, 'node_modules'), { recursive: true, force: true });
  const options = { recursive: true, verbatimSymlinks: true };
  cpSync(at('node_modules'), join(copy, 'node_modules'), options);
}

function enable(path) {
  const parts = readFileSync(path, 'utf8').split('enabled = false;');
  if (parts.length !== 2) throw new Error(`${path} is not what it was`);
  writeFileSync(path, parts.join('enabled = true;'));
}
