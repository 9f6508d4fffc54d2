import { resolve } from 'node:path';
import { inspect } from 'node:util';
import { GyrfalconError } from '../core/errors.ts';

/** Options of `dir()`. */
export interface DirOptions {
  /** Files that stand for a folder, in order. @default ['index.html'] */
  index?: readonly string[];
  /** Keep small files in memory. @default true */
  cache?: boolean;
  /** Memory for kept files, bytes; from 262144 on. @default 16777216 */
  cacheBytes?: number;
  /**
   * Files above 64 KiB that are kept open to be sent again, at most, from 0 to 4096. One that is
   * not asked for in ten seconds is closed.
   * @default 64
   */
  openFiles?: number;
  /**
   * How long a kept file is taken as unchanged, and the path of one that is kept open as leading to
   * it, milliseconds.
   * @default 1000
   */
  cacheTime?: number;
  /** Serve files and folders whose name begins with a dot. @default false */
  dotfiles?: boolean;
  /** Cache-Control: max-age, seconds; not sent unless set. */
  maxAge?: number;
  /** Redirect a folder's path without a final slash to the one with. @default true */
  redirect?: boolean;
}

/** A directory that the engine serves by itself. Made by `dir()`. */
export class DirRoute {
  /** Absolute path. */
  readonly root: string;
  readonly options: Readonly<DirOptions>;

  constructor(root: string, options: DirOptions) {
    this.root = root;
    this.options = options;
  }
}

const u32Max = 0xffff_ffff;

/** What a number may be. */
const ranges: Readonly<Record<string, readonly [min: number, max: number]>> = {
  cacheBytes: [2 ** 18, 2 ** 36],
  openFiles: [0, 4096],
  cacheTime: [0, u32Max],
  maxAge: [0, u32Max],
};
const booleans = ['cache', 'dotfiles', 'redirect'];

/** Throws GYR_OPTION_INVALID or GYR_OPTION_UNKNOWN. */
function checkOptions(options: DirOptions): void {
  if (typeof options !== 'object' || options === null) {
    const message = `dir() needs an object of options, not ${inspect(options)}`;
    throw new GyrfalconError('GYR_OPTION_INVALID', message);
  }
  for (const [name, value] of Object.entries(options)) {
    if (value !== undefined) checkOption(name, value);
  }
}

function checkOption(name: string, value: unknown): void {
  const range = ranges[name];
  if (range !== undefined) {
    const [min, max] = range;
    const fits = typeof value === 'number' && Number.isInteger(value);
    if (!fits || value < min || value > max) {
      throw invalid(name, value, `an integer from ${min} to ${max}`);
    }
  } else if (booleans.includes(name)) {
    if (typeof value !== 'boolean') throw invalid(name, value, 'a boolean');
  } else if (name === 'index') {
    const isList = Array.isArray(value) && value.every((file) => typeof file === 'string');
    if (!isList) throw invalid(name, value, 'an array of file names');
  } else {
    const known = ['index', ...Object.keys(ranges), ...booleans].join(', ');
    const message = `dir() has no option ${inspect(name)}`;
    throw new GyrfalconError('GYR_OPTION_UNKNOWN', message, `it has ${known}`);
  }
}

function invalid(name: string, value: unknown, rule: string): GyrfalconError {
  const message = `Option ${name} of dir() is ${inspect(value, { depth: 0 })}`;
  return new GyrfalconError('GYR_OPTION_INVALID', message, `it must be ${rule}`);
}

/**
 * A static directory, for a route whose pattern ends in `/*`. The engine serves it: JavaScript is
 * not asked. A relative path is taken from the current folder of the process. Throws a
 * GyrfalconError for options that cannot be.
 *
 * @example
 * serve({ routes: { '/assets/*': dir('./public') } })
 */
export function dir(root: string, options: DirOptions = {}): DirRoute {
  if (typeof root !== 'string' || root === '') {
    const message = `dir() needs the path of a folder, not ${inspect(root)}`;
    throw new GyrfalconError('GYR_ROUTE_DIRECTORY', message);
  }
  checkOptions(options);
  return new DirRoute(resolve(root), options);
}
