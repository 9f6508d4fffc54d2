/**
 * Images that stand in for those of Node.js on Debian, which a registry of images would have: the same files in the same
 * places, of what npm's registry and this machine have.
 */
import { cpSync, existsSync, mkdirSync, symlinkSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { npmFolder } from '../packages/place.ts';
import { project } from '../support/process.ts';
import { addShell, architectures, imageOf, type Place } from './images.ts';

const { nodeThere } = (await import(project('scripts', 'lib', 'nodes.mjs'))) as {
  nodeThere(major: number, arch: string): string | undefined;
};
const { librariesOf } = (await import(project('scripts', 'lib', 'foreign.mjs'))) as {
  librariesOf(arch: string): string | undefined;
};

/** The version in the images: that of examples/10-container/Dockerfile. */
export const nodeMajor = 24;

/** What Node.js loads, beside the loader. */
const libraries = ['c', 'm', 'dl', 'pthread', 'gcc_s', 'stdc++'];
const numbers: Readonly<Record<string, number>> = { dl: 2, pthread: 0, gcc_s: 1 };
const loaders: Readonly<Record<string, string>> = {
  x64: 'ld-linux-x86-64.so.2',
  arm64: 'ld-linux-aarch64.so.1',
};
const machines: Readonly<Record<string, string>> = { x64: 'x86_64', arm64: 'aarch64' };

/** Where this machine has the libraries for a processor. */
function librariesFor(arch: string): string | undefined {
  if (arch === process.arch) return `/usr/lib/${machines[arch]}-linux-gnu`;
  const folder = librariesOf(arch);
  return folder && join(folder, 'lib');
}

/** Why there is no image of Node.js here, or undefined. */
export function nodeImagesLack(): string | undefined {
  if (npmFolder === undefined) return 'npm is not on PATH';
  for (const { arch } of architectures) {
    if (nodeThere(nodeMajor, arch) === undefined)
      return `Node.js ${nodeMajor} for ${arch} is not installed: npm test -- --only images does it`;
    if (!existsSync(join(librariesFor(arch) ?? '', loaders[arch] as string)))
      return `the libraries for ${arch} are not installed (Debian: libstdc++6-arm64-cross)`;
  }
  return undefined;
}

/** Puts Node.js and what it loads into the folder of an image's files. */
function addNode(folder: string, arch: string): void {
  const multiarch = `${machines[arch]}-linux-gnu`;
  const to = join(folder, 'usr', 'lib', multiarch);
  const bin = join(folder, 'usr', 'local', 'bin');
  for (const path of [to, bin]) mkdirSync(path, { recursive: true });
  const from = librariesFor(arch) as string;
  const names = libraries.map((name) => `lib${name}.so.${numbers[name] ?? 6}`);
  for (const name of [...names, loaders[arch] as string])
    cpSync(join(from, name), join(to, name), { dereference: true });
  cpSync(nodeThere(nodeMajor, arch) as string, join(bin, 'node'));
  symlinkSync('usr/lib', join(folder, 'lib'));
  if (arch !== 'x64') return;
  mkdirSync(join(folder, 'usr', 'lib64'));
  symlinkSync('usr/lib64', join(folder, 'lib64'));
  symlinkSync(
    `../lib/${multiarch}/${loaders[arch]}`,
    join(folder, 'usr', 'lib64', loaders[arch] as string),
  );
}

/** Builds both, and gives what the Dockerfile is told: NODE for the image's processor, BUILD for this machine's. */
export async function nodeImages(place: Place): Promise<{ NODE: string; BUILD: string }> {
  for (const { name, arch } of architectures) {
    const folder = place.at(`node-${name}`);
    addNode(folder, arch);
    await imageOf(place.store, { name: 'node', folder, platforms: [name] });
  }
  const folder = place.at('build');
  addNode(folder, process.arch);
  addShell(folder);
  const npm = join(folder, 'usr', 'local', 'lib', 'node_modules', 'npm');
  cpSync(dirname(npmFolder as string), npm, { recursive: true, dereference: true });
  symlinkSync('../lib/node_modules/npm/bin/npm-cli.js', join(folder, 'usr', 'local', 'bin', 'npm'));
  await imageOf(place.store, { name: 'build', folder });
  return { NODE: 'localhost/node', BUILD: 'localhost/build' };
}
