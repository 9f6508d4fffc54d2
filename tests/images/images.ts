/** What the tests of images share: where images are built, and what is known of them. */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { project } from '../support/process.ts';

/** The configuration of an image. */
export interface Config {
  readonly User: string;
  readonly Env: readonly string[];
  readonly Entrypoint: readonly string[];
  readonly Cmd: readonly string[];
  readonly WorkingDir: string;
  readonly ExposedPorts: Readonly<Record<string, unknown>>;
  readonly StopSignal: string;
  readonly Healthcheck: { readonly Test: readonly string[] };
}

/** An image for one processor. */
export interface Image {
  readonly os: string;
  readonly architecture: string;
  readonly config: Config;
  /** What clients fetch, bytes. */
  readonly packed: number;
  /** What lies on a disk, bytes. */
  readonly unpacked: number;
  /** Variables that its programs need under an emulator. */
  readonly emulated?: NodeJS.ProcessEnv;
}

interface BuildOptions {
  readonly name: string;
  readonly context: string;
  readonly file: string;
  readonly args?: Readonly<Record<string, string>>;
}

interface Store {
  build(options: BuildOptions): Promise<void>;
  save(name: string, folder: string): Promise<void>;
  files(name: string, architecture: string): Promise<string>;
  remove(): void;
}

interface Architecture {
  /** As images call it. */
  readonly name: string;
  /** As Node.js does. */
  readonly arch: string;
}

const lib = (await import(project('scripts', 'lib', 'images.mjs'))) as {
  architectures: readonly Architecture[];
  imagesLack(): string | undefined;
  imagesIn(folder: string): Promise<Image[]>;
  sizesText(images: readonly Image[]): string;
  stageExecutables(folder: string): void;
  shellImage(store: Store, folder: string): Promise<string>;
  imageOf(
    store: Store,
    what: { name: string; folder: string; platforms?: string[] },
  ): Promise<void>;
  addShell(folder: string): void;
  Store: new (folder: string) => Store;
};
export const { architectures, imagesLack, addShell, imageOf, shellImage, stageExecutables } = lib;

const { emulatorOf: emulatorNamed } = (await import(project('scripts', 'lib', 'foreign.mjs'))) as {
  emulatorOf(arch: string): string | undefined;
};

const archOf = (architecture: string): string =>
  architectures.find(({ name }) => name === architecture)?.arch ?? architecture;

/** The path of what runs an image's programs; undefined for the processor of this machine. */
export function emulatorOf({ architecture }: Pick<Image, 'architecture'>): string | undefined {
  const arch = archOf(architecture);
  if (arch === process.arch) return undefined;
  const name = emulatorNamed(arch);
  const found = (process.env.PATH ?? '')
    .split(delimiter)
    .map((folder) => join(folder, name ?? ''))
    .find((path) => spawnSync(path, ['--version']).status === 0);
  if (found === undefined) throw new Error(`there is no emulator for ${arch}`);
  return found;
}

/** Why the images of a processor cannot be run here, or undefined. */
export function notRunnable(architecture: string): string | undefined {
  const arch = archOf(architecture);
  if (arch === process.arch || emulatorNamed(arch)?.endsWith('-static')) return undefined;
  return 'qemu-user is not installed (qemu-user-static)';
}

/** A folder with images, which is removed in the end. */
export class Place {
  readonly folder = mkdtempSync(join(tmpdir(), 'gyrfalcon-images-'));
  readonly store: Store = new lib.Store(this.at('store'));

  at(...names: string[]): string {
    return join(this.folder, ...names);
  }

  /** Builds what is to be tested and tells its sizes. */
  async build(options: BuildOptions): Promise<Image[]> {
    await this.store.build(options);
    const to = this.at(`${options.name}.saved`);
    await this.store.save(options.name, to);
    const images = await lib.imagesIn(to);
    rmSync(to, { recursive: true });
    for (const line of lib.sizesText(images).split('\n')) console.log(`${options.name}: ${line}`);
    return images;
  }

  remove(): void {
    this.store.remove();
    rmSync(this.folder, { recursive: true, force: true });
  }
}
