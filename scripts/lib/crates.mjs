// Sources of C libraries that crates carry: fetched through cargo, as it is set up on this machine, and checked by their
// hashes. Nothing of a crate is compiled or run.
import { existsSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { MissingError, SetupError, writeFileDeep } from './project.mjs';
import { outputOf, run, tail } from './run.mjs';

/**
 * Where the sources are that a person has named for a library, by an environment variable; undefined when there are none.
 *
 * @param {{ variable: string }} library
 * @param {string} file one that has to be there
 */
export function named({ variable }, file) {
  const folder = process.env[variable];
  if (folder === undefined || folder === '') return undefined;
  if (existsSync(join(folder, file))) return folder;
  throw new SetupError(`${variable} is ${folder}, where there is no ${file}.`);
}

/**
 * Where a crate is, unpacked. Throws a MissingError where cargo or the network is not there.
 *
 * @param {{ title: string, crate: string, version: string, checksum: string, features?: boolean }} library `checksum`: of
 *   the file that cargo fetches; `features`: false leaves out what a crate turns on by itself
 * @param {string} folder for the package that asks for it
 * @param {string} byHand what a person can do instead
 */
export async function fetchCrate(library, folder, byHand, progress) {
  const { title, crate, version, checksum, features = true } = library;
  const package_ = `[package]\nname = "sources"\nversion = "0.0.0"\nedition = "2018"\n`;
  const wanted = features
    ? `"=${version}"`
    : `{ version = "=${version}", default-features = false }`;
  const manifest = `${package_}[dependencies]\n${crate} = ${wanted}\n`;
  writeFileDeep(join(folder, 'Cargo.toml'), manifest);
  writeFileDeep(join(folder, 'src', 'lib.rs'), '');
  const about = `${title}: cargo fetch ${crate} ${version}`;
  const source = crateFolder(crate, folder);
  if (source === undefined) {
    await progress.work(about, async () => {
      const { code, missing, output } = await run('cargo', ['fetch', '--quiet'], { cwd: folder });
      if (missing) {
        throw new MissingError(
          `cargo is not on PATH; ${title}'s sources are had through it (on Debian: apt install cargo). ${byHand}`,
        );
      }
      if (code !== 0) {
        // A cargo of rustup's without a toolchain is none, too.
        throw new MissingError(
          `cargo fetch failed; it needs the network or a filled cache. ${byHand}\n${tail(output)}`,
        );
      }
    });
  }
  const found = source ?? crateFolder(crate, folder);
  if (found === undefined) throw new SetupError(`cargo metadata knows no ${crate}.`);
  // cargo has checked the file against the index: this checks the index.
  const lock = readFileSync(join(folder, 'Cargo.lock'), 'utf8');
  const entry = lock.split('[[package]]').find((it) => it.includes(`name = "${crate}"`));
  const hash = /checksum = "(\w+)"/.exec(entry ?? '')?.[1];
  if (hash !== checksum) {
    throw new SetupError(`${crate} ${version} has the hash ${hash}, ${checksum} was expected.`);
  }
  return found;
}

/** Where cargo has unpacked the crate; undefined before it has. */
function crateFolder(crate, folder) {
  const args = ['metadata', '--format-version', '1', '--locked', '--offline'];
  const manifest = ['--manifest-path', join(folder, 'Cargo.toml')];
  const text = outputOf('cargo', [...args, ...manifest]);
  if (text === undefined) return undefined;
  const { packages } = JSON.parse(text);
  const found = packages.find(({ name }) => name === crate);
  return found && dirname(found.manifest_path);
}
