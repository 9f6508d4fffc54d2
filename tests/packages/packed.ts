/** The packages of this checkout, packed for a test. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { project } from '../support/process.ts';

interface Target {
  readonly platform: string;
  readonly arch: string;
  readonly name: string;
}

/** What of a package.json is looked at. */
export interface Manifest {
  readonly version: string;
  readonly scripts?: unknown;
  readonly bin?: unknown;
  readonly exports?: unknown;
  readonly optionalDependencies?: Readonly<Record<string, string>>;
}

/** A package in a file. */
export interface Packed {
  readonly name: string;
  /** Its path. */
  readonly file: string;
  /** Bytes of the file. */
  readonly packed: number;
  /** Bytes of what is in it. */
  readonly unpacked: number;
  /** The paths in it. */
  readonly files: readonly string[];
  readonly manifest: Manifest;
}

type Stage = (folder: string) => void;

const packages = (await import(project('scripts', 'lib', 'packages.mjs'))) as {
  mainManifest(): Manifest;
  engineManifest(target: Target): Manifest;
  stageMain: Stage;
  stageEngine(target: Target, folder: string, options: { isPartial: boolean }): void;
  stageEngineTexts(target: Target, folder: string): void;
  stageCreate: Stage;
  createManifest(): Manifest;
  pack(stage: Stage, to: string): Promise<Omit<Packed, 'manifest'>>;
};
const { enginePackage, libraryExtension, targetHere, targets } = (await import(
  project('scripts', 'lib', 'targets.mjs')
)) as {
  enginePackage(target: Target): string;
  libraryExtension(platform: string): string;
  targetHere(): Target;
  targets: Target[];
};

const here = targetHere();
const isMusl = here.platform === 'linux-musl';
const other = { ...here, platform: isMusl ? 'linux' : 'linux-musl' };

/** The engine's package for this system. */
export const thisEngine = {
  name: enginePackage(here),
  library: `engine.zigar/${here.name}.${libraryExtension(here.platform)}`,
  addon: `node-zigar-addon/${here.name}.node`,
  /** One for another system, by what npm asks for it with. */
  other: {
    name: enginePackage(other),
    os: 'linux',
    cpu: here.arch,
    libc: isMusl ? 'glibc' : 'musl',
  },
};

/**
 * Packs all packages. Of engines that are for other systems there are all files but the machine code.
 *
 * @param others - false leaves those out: npm takes an optional package that no registry has for one that is not for here
 * @param whole - systems besides this one whose engine is built, and packed whole, by their names in scripts/lib/targets.mjs
 */
export async function packAll(others = true, whole: readonly string[] = []): Promise<Packed[]> {
  const to = mkdtempSync(join(tmpdir(), 'gyrfalcon-packed-'));
  process.on('exit', () => rmSync(to, { recursive: true, force: true }));
  const chosen = others ? targets : [here];
  const stages: [Stage, Manifest][] = [
    [packages.stageMain, packages.mainManifest()],
    [packages.stageCreate, packages.createManifest()],
    ...chosen.map((target): [Stage, Manifest] => [
      (folder) => {
        const isWhole = target.name === here.name || whole.includes(target.name);
        if (isWhole) packages.stageEngine(target, folder, { isPartial: true });
        else packages.stageEngineTexts(target, folder);
      },
      packages.engineManifest(target),
    ]),
  ];
  return Promise.all(
    stages.map(async ([stage, manifest]) => ({ ...(await packages.pack(stage, to)), manifest })),
  );
}
