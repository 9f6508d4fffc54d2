// What a release is made of, put into one folder: archives of the executable, Debian's packages, the package for Zig, those
// for npm, Homebrew's formula, the list of parts, checksums, and how all that was made. Nothing is published.
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { homedir } from 'node:os';
import { basename, join, sep } from 'node:path';
import { below, gzipOf, tarOf, zipOf } from './bundles.mjs';
import { debianArchitectures, debianFile, debianPackage } from './debian.mjs';
import { zlibNg } from './deflate.mjs';
import { buildExecutable, licencesOf } from './executables.mjs';
import { formulaOf } from './homebrew.mjs';
import { manualOf } from './manual.mjs';
import { at, root, SetupError } from './project.mjs';
import { outputOf } from './run.mjs';
import { sbomOf } from './sbom.mjs';
import { tripleOf } from './targets.mjs';
import { openssl, picotls } from './tls.mjs';
import { zigVersion } from './toolchain.mjs';
import { changesIn } from './version.mjs';
import { zigPackage } from './zig_package.mjs';

/** Where a release is put unless told otherwise. */
export const releaseFolder = at('build', 'release');

const provenanceFile = 'PROVENANCE.txt';

/** What git tells of the checkout: `commit` and `isClean`; no commit where this is no clone. */
export function checkoutState() {
  const git = (...args) => outputOf('git', ['-C', root, ...args]);
  const commit = git('rev-parse', 'HEAD');
  return { commit, isClean: commit !== undefined && git('status', '--porcelain') === '' };
}

/**
 * The time that all files of a release have, seconds since 1970: SOURCE_DATE_EPOCH, or that of the commit.
 */
export function releaseTime() {
  const { SOURCE_DATE_EPOCH: given } = process.env;
  if (given !== undefined && !/^\d+$/.test(given)) {
    throw new SetupError(`SOURCE_DATE_EPOCH is ${given}; it is seconds since 1970.`);
  }
  const time = given ?? outputOf('git', ['-C', root, 'log', '-1', '--format=%ct']);
  if (time === undefined) {
    throw new SetupError('This is no git clone: say by SOURCE_DATE_EPOCH which time files have.');
  }
  return Number(time);
}

/** The name of a system's archive, without its ending: of the folder in it too. */
export function archiveStem(version, target) {
  return `gyrfalcon-${version}-${tripleOf(target)}`;
}

/**
 * Puts the archive of one executable into `to`, and Debian's package where it is for Linux.
 *
 * @param {{ version: string, time: number, zig: string }} release
 * @param {object} target
 * @param {string} executable its path
 * @param {string} to a folder
 * @returns {string[]} the names of the files; the archive is the first
 */
export function packExecutable({ version, time, zig }, target, executable, to) {
  const data = readFileSync(executable);
  refusePaths(data, target);
  const licences = licencesOf(target, zig);
  const manual = manualOf(version, time);
  const isWindows = target.platform === 'win32';
  const entries = [
    { path: basename(executable), data, isProgram: true },
    { path: 'LICENSE', data: readFileSync(at('LICENSE')) },
    { path: 'LICENSES.txt', data: Buffer.from(licences) },
    { path: 'README.md', data: readFileSync(at('packages', 'executable', 'README.md')) },
    ...(isWindows ? [] : [{ path: 'gyrfalcon.1', data: Buffer.from(manual) }]),
  ];
  const stem = archiveStem(version, target);
  const files = [
    isWindows
      ? { name: `${stem}.zip`, data: zipOf(below(stem, entries), time) }
      : { name: `${stem}.tar.gz`, data: gzipOf(tarOf(below(stem, entries), time)) },
  ];
  if (target.platform === 'linux-musl') {
    const of = { version, target, executable: data, licences, manual, time };
    files.push({ name: debianFile(version, target), data: debianPackage(of) });
  }
  return write(to, files);
}

/** Whoever builds a release has folders of his own; an executable that names one is another on each machine. */
function refusePaths(data, target) {
  const places = [root, homedir(), process.env.CARGO_HOME]
    .filter((path) => path !== undefined && path.length > 1)
    .map((path) => `${path.replace(/[/\\]$/, '')}${sep}`);
  const told = places.find((path) => data.includes(path));
  if (told === undefined) return;
  throw new SetupError(
    `The executable for ${target.name} names ${told}, a folder of this machine: it would be another one elsewhere.`,
  );
}

function write(to, files) {
  mkdirSync(to, { recursive: true });
  for (const { name, data } of files) writeFileSync(join(to, name), data);
  return files.map(({ name }) => name);
}

/**
 * Builds and packs the executables for `targets` and all that goes with them.
 *
 * @param {object} release
 * @param {string} release.version
 * @param {number} release.time seconds since 1970
 * @param {string} release.zig its path
 * @param {{ commit?: string, isClean: boolean }} release.state of the checkout
 * @param {object[]} release.targets
 * @param {string} release.to a folder; what is in it goes
 * @param {string} [release.url] where the files will be downloaded from; without, there is no formula
 * @param {string} [release.homepage] where one reads of it, for the formula
 * @param {string[]} release.given the arguments that say all that
 * @param {boolean} [release.isPartial] executables may lack TLS or compression
 * @param {(to: string) => Promise<void>} [release.addPackages] puts npm's into a folder
 * @param {import('./run.mjs').Progress} progress
 */
export async function makeRelease(release, progress) {
  const { version, time, zig, targets, to, url, homepage, isPartial } = release;
  empty(to);
  write(to, [{ name: provenanceFile, data: provenanceOf(release) }]);
  const archives = [];
  for (const target of targets) {
    const executable = await buildExecutable(target, zig, progress, { isPartial });
    const [file] = packExecutable(release, target, executable, to);
    archives.push({ target, file, sha256: sha256Of(join(to, file)) });
  }
  write(to, [{ name: `gyrfalcon-${version}-zig.tar.gz`, data: zigPackage(version, time) }]);
  await release.addPackages?.(join(to, 'npm'));
  const texts = [
    { name: `gyrfalcon-${version}.cdx.json`, data: sbomOf({ version, time, targets, zig }) },
    { name: 'NOTES.md', data: `${changesIn(version).text}\n` },
  ];
  if (url !== undefined) {
    const formula = formulaOf(version, { url, homepage }, archives);
    texts.push({ name: 'gyrfalcon.rb', data: formula });
  }
  write(to, texts);
  write(to, [{ name: 'SHA256SUMS', data: checksumsOf(to) }]);
}

/** An earlier release goes; a folder of something else is left as it is, and refused. */
function empty(folder) {
  const there = existsSync(folder) ? readdirSync(folder) : [];
  if (there.length > 0 && !there.includes(provenanceFile)) {
    throw new SetupError(`${folder} has something in it that is no release: take another folder.`);
  }
  rmSync(folder, { recursive: true, force: true });
}

const sha256Of = (path) => createHash('sha256').update(readFileSync(path)).digest('hex');

/** The names of all files below a folder, with `/`, sorted. */
export function filesIn(folder) {
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath ?? entry.path, entry.name).slice(folder.length + 1))
    .map((name) => name.replaceAll('\\', '/'))
    .sort();
}

/** The text of SHA256SUMS, as `sha256sum -c` reads it. */
function checksumsOf(folder) {
  return filesIn(folder)
    .map((name) => `${sha256Of(join(folder, name))}  ${name}\n`)
    .join('');
}

/** From what, and by what, a release was made, and how somebody else makes it again. */
export function provenanceOf({ version, time, state, targets, given }) {
  const options = given.length === 0 ? '' : ` -- ${given.join(' ')}`;
  const commit = state.commit ?? 'none: this was no git clone';
  const changed = state.isClean
    ? ''
    : '\n               with changes that are not committed: a rehearsal';
  const debs = targets.filter(({ platform }) => platform === 'linux-musl');
  const packages = debs.map(({ arch }) => debianArchitectures[arch]).join(', ');
  return `Gyrfalcon ${version}

Commit         ${commit}${changed}
Time of files  ${time} (${new Date(time * 1000).toISOString()})
Executables    ${targets.map(tripleOf).join(', ')}
Debian         ${packages || 'none'}

Made with
  Zig ${zigVersion} (PyPI: ziglang ${zigVersion}), which is compiler and linker for all systems
  Node.js ${process.versions.node} with zlib ${process.versions.zlib}, which has compressed the archives
From, beside the repository
  ${openssl.title}: crate ${openssl.crate} ${openssl.version}
    SHA-256 ${openssl.checksum}
  picotls: ${picotls.project} ${picotls.version} of PyPI, its source distribution
    SHA-256 ${picotls.checksum}
  ${zlibNg.title}: crate ${zlibNg.crate} ${zlibNg.version}
    SHA-256 ${zlibNg.checksum}
  npm's packages: package-lock.json of the commit

To see that the files are those:

  sha256sum -c SHA256SUMS

To make them again, on Linux, with that Node.js, cargo, perl, make and Python 3 with pip:

  git checkout ${state.commit ?? 'COMMIT'}
  SOURCE_DATE_EPOCH=${time} npm run release${options}
  (cd build/release && sha256sum -c /where/they/are/SHA256SUMS)

Archives, Debian's packages and the package for Zig have the same bytes wherever the checkout lies. The packages of
engines for npm have not: their libraries keep debug information, which names folders.
`;
}
