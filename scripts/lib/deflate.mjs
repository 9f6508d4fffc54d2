// zlib-ng, which compresses WebSocket messages: its sources, from which build.zig compiles what it needs for any target.
import {
  copyFileSync,
  cpSync,
  existsSync,
  mkdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { fetchCrate, named } from './crates.mjs';
import { hashOf, MissingError, readIfThere, toolchain, withLock } from './project.mjs';

/** The crate that carries the sources, and the hash of the file that cargo fetches. */
export const zlibNg = {
  title: 'zlib-ng',
  crate: 'libz-sys',
  version: '1.1.33',
  checksum: 'fee3f59f4321dab0c78d828942e7aa09d0bd8ad6e78a501977e6bf3d02938045',
  features: false,
  variable: 'GYRFALCON_ZLIB_NG_SOURCE',
};

const folder = join(toolchain, 'zlib-ng');
const stamp = join(folder, 'stamp');

/** What the stamp says of sources that are had from `origin`, a folder that a person has named; '': from cargo. */
const stampOf = (origin) => `${hashOf([], [zlibNg.checksum, origin])}\n${origin}`;

/**
 * Where the sources are, when they are there and of this version: what is built then compresses. Undefined else. What they
 * were made from need not be named again.
 */
export function deflateThere() {
  const text = readIfThere(stamp);
  const origin = text?.slice(text.indexOf('\n') + 1);
  return text !== undefined && text === stampOf(origin) ? folder : undefined;
}

/** Whether somebody has had them fetched: they are kept up to date then. */
export function wasDeflateFetched() {
  return existsSync(stamp);
}

/** Tells those that are there from others. */
export const deflateStamp = () => readIfThere(stamp) ?? '';

/** What tells build.zig so. */
export function deflateOption(from = deflateThere()) {
  return `-Ddeflate=${from ?? 'off'}`;
}

/**
 * As `fetchDeflate`, where this machine can: else what is built goes without compression, and the reason is told.
 *
 * @returns {Promise<string | undefined>} the reason; undefined when the sources are there
 */
export async function tryDeflate(progress) {
  if (deflateThere() !== undefined) return undefined;
  try {
    await fetchDeflate(progress);
    return undefined;
  } catch (error) {
    if (!(error instanceof MissingError)) throw error;
    progress.note(`WebSocket messages go without compression: ${error.message}`);
    return error.message;
  }
}

/**
 * Puts the sources and their headers where build.zig looks for them, unless they are there. Throws a MissingError for what
 * this machine lacks.
 */
export async function fetchDeflate(progress) {
  const wanted = stampOf(process.env[zlibNg.variable] ?? '');
  if (readIfThere(stamp) === wanted) {
    progress.fresh('the sources of zlib-ng');
    return;
  }
  const waiting = (pid) => progress.note(`waiting for the fetch in process ${pid}`);
  await withLock('zlib-ng', waiting, async () => {
    if (readIfThere(stamp) === wanted) return; // another process has fetched them
    const byHand = `Or set ${zlibNg.variable} to a folder with the sources of zlib-ng 2.3.`;
    const own = named(zlibNg, 'zlib-ng.h.in');
    const from =
      own ??
      join(
        await fetchCrate(zlibNg, join(folder, 'crate'), byHand, progress),
        ...['src', 'zlib-ng'],
      );
    rmSync(stamp, { force: true });
    for (const name of ['source', 'include']) {
      rmSync(join(folder, name), { recursive: true, force: true });
      mkdirSync(join(folder, name), { recursive: true });
    }
    cpSync(from, join(folder, 'source'), { recursive: true, dereference: true });
    // What its own build makes of them where no symbol gets a prefix.
    const header = readFileSync(join(from, 'zlib-ng.h.in'), 'utf8');
    const include = (name) => join(folder, 'include', name);
    writeFileSync(include('zlib-ng.h'), header.replaceAll('@ZLIB_SYMBOL_PREFIX@', ''));
    copyFileSync(join(from, 'zconf-ng.h.in'), include('zconf-ng.h'));
    copyFileSync(join(from, 'zlib_name_mangling.h.empty'), include('zlib_name_mangling-ng.h'));
    writeFileSync(stamp, wanted);
  });
}
