/** The release that the stage `release` has rehearsed, and what its tests need of the project's scripts. */
import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import * as assert from 'uvu/assert';
import { project } from '../support/process.ts';

export interface Target {
  readonly platform: string;
  readonly arch: string;
  /** As `linux-musl.x64`. */
  readonly name: string;
}

interface Executables {
  readonly executableTargets: readonly Target[];
  compileExecutable(
    target: Target,
    zig: string,
    where: { folder: string; prefix: string; env?: NodeJS.ProcessEnv },
  ): Promise<void>;
  executableIn(prefix: string, target: Target): string;
}

const script = (name: string): Promise<unknown> => import(project('scripts', 'lib', name));

export const { executableTargets, compileExecutable, executableIn } = (await script(
  'executables.mjs',
)) as Executables;
export const { tripleOf } = (await script('targets.mjs')) as { tripleOf(target: Target): string };
export const { emulatorOf, wineCommand } = (await script('foreign.mjs')) as {
  emulatorOf(arch: string): string | undefined;
  wineCommand(): string | undefined;
};

/** The version that the checkout tells. */
export const version: string = JSON.parse(readFileSync(project('package.json'), 'utf8')).version;

/** What names Debian's packages. */
export const debian = (await script('debian.mjs')) as {
  debianVersion(version: string): string;
  debianFile(version: string, target: Pick<Target, 'arch'>): string;
};

/** The version as Debian has it: what comes before a release has another name there. */
export const debianVersion = debian.debianVersion(version);

/** The folder with the files of the release. */
export const released = process.env.GYRFALCON_RELEASE ?? project('build', 'release-tested');
if (!existsSync(join(released, 'SHA256SUMS'))) {
  throw new Error(`${released} has no release: npm test -- --only release makes one`);
}

/** The path of a file of the release. */
export const file = (name: string): string => join(released, name);

/** The path of Debian's package for a processor. */
export const debianFile = (arch: string): string => file(debian.debianFile(version, { arch }));

/** The text of a file of the release. */
export const textOf = (name: string): string => readFileSync(file(name), 'utf8');

/** The systems that it has an executable for. */
export const targets = executableTargets.filter((target) => existsSync(file(archiveOf(target))));

/** The name of an executable's archive. */
export function archiveOf(target: Target): string {
  const ending = target.platform === 'win32' ? 'zip' : 'tar.gz';
  return `gyrfalcon-${version}-${tripleOf(target)}.${ending}`;
}

/** Runs a program to its end, and gives what it prints on stdout; fails when the program does. */
export function output(command: string, args: readonly string[], cwd?: string): string {
  const { status, stdout, stderr, error } = spawnSync(command, args, { encoding: 'utf8', cwd });
  assert.is(status, 0, `${command} ${args.join(' ')}: ${error?.message ?? stderr + stdout}`);
  return stdout;
}

const folders: string[] = [];

/** An empty folder outside of the project, for this file's tests. */
export function newFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), 'gyrfalcon-release-'));
  folders.push(folder);
  return folder;
}

/** Removes those; for `test.after`. */
export function removeFolders(): void {
  for (const folder of folders) rmSync(folder, { recursive: true, force: true });
}

/** Unpacks an executable's archive, with a program of the system; the folder that was in it. */
export function unpack(target: Target): string {
  const to = newFolder();
  const path = file(archiveOf(target));
  if (path.endsWith('.zip')) output('unzip', ['-q', path, '-d', to]);
  else output('tar', ['-xzf', path, '-C', to]);
  const [top, ...others] = readdirSync(to);
  assert.equal(others, [], 'one folder is in an archive');
  return join(to, top as string);
}
