/** Which Node.js this package runs on. */
import { GyrfalconError } from './errors.ts';

/** The oldest that it does; package.json's `engines` says so too. */
export const nodeMajorMin = 20;

/** Throws GYR_NODE_TOO_OLD for a Node.js that lacks what the package is written with. */
export function checkNode(version: string = process.versions.node): void {
  if (Number.parseInt(version, 10) >= nodeMajorMin) return;
  throw new GyrfalconError(
    'GYR_NODE_TOO_OLD',
    `Gyrfalcon needs Node.js ${nodeMajorMin} or later, and this is ${version}`,
    'get one from https://nodejs.org/',
  );
}
