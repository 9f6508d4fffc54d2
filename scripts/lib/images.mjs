// Images for containers, made by buildah in a store of this checkout's own, as root: that of the executable is built of what
// Zig compiles, whichever processor it is for. docs/DEPLOYMENT.md tells of them.
import {
  cpSync,
  createReadStream,
  existsSync,
  mkdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { delimiter, dirname, join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { createGzip } from 'node:zlib';
import { buildExecutable } from './executables.mjs';
import { at, MissingError, SetupError } from './project.mjs';
import { outputOf, run, tail } from './run.mjs';
import { targets, tripleOf } from './targets.mjs';

/** The processors that images are for, by their names in images, in Node.js, and in the executable's triple. */
export const architectures = ['amd64', 'arm64'].map((name) => {
  const arch = name === 'amd64' ? 'x64' : name;
  const target = targets.find((one) => one.platform === 'linux-musl' && one.arch === arch);
  return { name, arch, triple: tripleOf(target), target };
});

/** Where executables are put that an image is to be made of, by the names of processors. */
const executables = at('build', 'images');

/** What of the checkout is in the image of the executable, and what makes it. */
const contents = ['packages/images', 'packages/engine/LICENSES.txt', 'LICENSE'];

/** Why no image can be built here, or undefined. */
export function imagesLack() {
  if (process.platform !== 'linux') return 'images are built on Linux';
  if (process.getuid() !== 0) return 'images are built by root here: docker builds them for others';
  if (outputOf('buildah', ['--version']) === undefined) {
    return 'buildah is not installed (Debian: apt install buildah)';
  }
  if (busybox() === undefined) {
    return 'busybox is not installed: a static one lays images out (Debian: apt install busybox-static)';
  }
  return undefined;
}

/** The path of busybox on PATH. */
function busybox() {
  const folders = (process.env.PATH ?? '').split(delimiter);
  return folders.map((folder) => join(folder, 'busybox')).find((path) => existsSync(path));
}

/** Refuses where no image can be built. */
export function needImages() {
  const lack = imagesLack();
  if (lack !== undefined) throw new MissingError(lack);
}

/**
 * The executable for a processor, as it is released, put where its image is made of it. Throws a MissingError when it would
 * lack TLS or compression, unless that is allowed (`isPartial`).
 *
 * @param {{ name: string, target: object }} architecture one of `architectures`
 * @param {string} zig its path
 * @param {import('./run.mjs').Progress} progress
 * @param {{ isPartial?: boolean }} options
 * @returns {Promise<string>} its path
 */
export async function prepareExecutable(
  { name, target },
  zig,
  progress,
  { isPartial = false } = {},
) {
  const built = await buildExecutable(target, zig, progress, { isPartial });
  const path = join(executables, name, 'gyrfalcon');
  mkdirSync(dirname(path), { recursive: true });
  cpSync(built, path);
  return path;
}

/** Puts into `folder` what the image of the executable is built of, once the executables are there. */
export function stageExecutables(folder) {
  for (const path of contents) cpSync(at(path), join(folder, path), { recursive: true });
  for (const { name } of architectures) {
    const path = join('build', 'images', name);
    cpSync(at(path), join(folder, path), { recursive: true });
  }
}

/** Images and the containers that files are read of. Nobody else sees them. */
export class Store {
  #folder;

  /** @param {string} folder is made, and removed with all that is in it by `remove` */
  constructor(folder) {
    this.#folder = folder;
  }

  /**
   * Runs buildah. Throws a SetupError with what it said, where it fails.
   *
   * @returns {Promise<string>} what it printed
   */
  async run(command, ...args) {
    // No driver but this one needs nothing of the machine.
    const where = ['--root', join(this.#folder, 'root'), '--runroot', join(this.#folder, 'run')];
    const options = ['--storage-driver', 'vfs', '--log-level', 'error', ...where];
    // Its caches of layers, locks and such are its user's else.
    const env = { ...process.env, TMPDIR: tmpdir(), XDG_RUNTIME_DIR: join(this.#folder, 'run') };
    const { code, output } = await run('buildah', [...options, command, ...args], { env });
    if (code !== 0) throw new SetupError(`buildah ${command} failed.\n${tail(output, 60)}`);
    return output;
  }

  /**
   * Builds an image for each of `platforms`, in one list of manifests.
   *
   * @param {{ name: string, context: string, file: string, platforms?: string[], args?: Record<string, string> }} what
   */
  async build({ name, context, file, platforms = architectures.map((it) => it.name), args = {} }) {
    const given = Object.entries(args).flatMap(([key, value]) => [
      '--build-arg',
      `${key}=${value}`,
    ]);
    const options = [
      // The format of the Open Container Initiative has no HEALTHCHECK.
      ...['--format', 'docker', '--isolation', 'chroot', '--pull=never'],
      ...['--platform', platforms.map((it) => `linux/${it}`).join(',')],
      ...['--manifest', name, '--file', file],
    ];
    await this.run('build', ...options, ...given, context);
  }

  /** Writes the images of a list, and the list, into a folder, as `skopeo copy --all dir:FOLDER docker://NAME` reads them. */
  async save(name, folder) {
    rmSync(folder, { recursive: true, force: true });
    await this.run('manifest', 'push', '--all', '--format', 'v2s2', name, `dir:${folder}`);
  }

  /** The folder with the files of an image for one processor, which may be changed. */
  async files(name, architecture) {
    const from = ['--pull=never', '--arch', architecture, name];
    const container = (await this.run('from', ...from)).trim();
    return (await this.run('mount', container)).trim();
  }

  remove() {
    rmSync(this.#folder, { recursive: true, force: true });
  }
}

/**
 * Puts a shell and the usual programs into the folder of an image's files: those of busybox.
 *
 * @param {string} folder is made where it is not there
 */
export function addShell(folder) {
  mkdirSync(join(folder, 'bin'), { recursive: true });
  mkdirSync(join(folder, 'usr', 'bin'), { recursive: true });
  mkdirSync(join(folder, 'tmp'), { recursive: true });
  const path = busybox();
  cpSync(path, join(folder, 'bin', 'busybox'), { dereference: true });
  for (const name of outputOf(path, ['--list']).split('\n')) {
    const link = join(folder, name === 'env' ? 'usr/bin' : 'bin', name);
    if (!existsSync(link)) symlinkSync('/bin/busybox', link);
  }
}

/**
 * Makes an image of a folder of files.
 *
 * @param {Store} store
 * @param {{ name: string, folder: string, platforms?: string[] }} what `platforms`: which processors it says it is for; of a
 *   name that is there already it becomes one more
 */
export async function imageOf(store, { name, folder, platforms }) {
  const file = `${folder}.Dockerfile`;
  writeFileSync(file, 'FROM scratch\nCOPY . /\nENV PATH=/usr/local/bin:/usr/bin:/bin\n');
  await store.build({ name, context: folder, file, platforms });
}

/**
 * The name of an image with a shell, to lay out in what is compiled already. It says that it is for every processor: until
 * its version 1.33 buildah takes no notice of the platform that a FROM names.
 *
 * @param {Store} store
 * @param {string} folder for its files, made where it is not there
 */
export async function shellImage(store, folder) {
  addShell(folder);
  await imageOf(store, { name: 'shell', folder });
  return 'localhost/shell';
}

/** A file of a saved image, by its digest. */
const blob = (folder, digest, ending = '') =>
  join(folder, `${digest.replace('sha256:', '')}${ending}`);
const json = (path) => JSON.parse(readFileSync(path, 'utf8'));

/**
 * What a saved list of images has in it.
 *
 * @param {string} folder
 * @returns {Promise<{ architecture: string, os: string, config: object, packed: number, unpacked: number }[]>} for each
 *   image its processor, its configuration, and how large it is, bytes: its layers as registries keep and clients fetch
 *   them, by gzip; and as files
 */
export async function imagesIn(folder) {
  const { manifests } = json(join(folder, 'manifest.json'));
  const images = manifests.map(async ({ digest, platform }) => {
    const { config, layers } = json(blob(folder, digest, '.manifest.json'));
    const paths = layers.map((layer) => blob(folder, layer.digest));
    const packed = await Promise.all(paths.map(gzipped));
    const unpacked = paths.map((path) => statSync(path).size);
    const sum = (sizes) => sizes.reduce((all, size) => all + size, 0);
    return {
      ...platform,
      config: json(blob(folder, config.digest)).config,
      packed: sum(packed),
      unpacked: sum(unpacked),
    };
  });
  return Promise.all(images);
}

async function gzipped(path) {
  let bytes = 0;
  await pipeline(createReadStream(path), createGzip(), async (chunks) => {
    for await (const chunk of chunks) bytes += chunk.length;
  });
  return bytes;
}

/** Sizes of images, a line each. */
export function sizesText(images) {
  const mb = (bytes) => `${(bytes / 1e6).toFixed(1)} MB`;
  return images
    .map(
      (it) => `${it.os}/${it.architecture}: ${mb(it.packed)} to fetch, ${mb(it.unpacked)} as files`,
    )
    .join('\n');
}
