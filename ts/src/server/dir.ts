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

/**
 * A static directory, for a route whose pattern ends in `/*`. The engine serves it: JavaScript is
 * not asked. A relative path is taken from the current folder of the process.
 *
 * @example
 * serve({ routes: { '/assets/*': dir('./public') } })
 */
export function dir(root: string, options: DirOptions = {}): DirRoute {
  if (typeof root !== 'string' || root === '') {
    const message = `dir() needs the path of a folder, not ${inspect(root)}`;
    throw new GyrfalconError('GYR_ROUTE_DIRECTORY', message);
  }
  return new DirRoute(resolve(root), options);
}
