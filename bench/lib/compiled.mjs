// Peers that are compiled here from the sources in bench/peers: those in Go, those in Rust. What they need of others comes
// through go and cargo as these are set up on this machine, in the versions that go.sum and Cargo.lock say.
import { existsSync } from 'node:fs';
import { cp, mkdir, readFile, writeFile } from 'node:fs/promises';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { filesBelow, hashOf, MissingError, readIfThere, root } from '../../scripts/lib/project.mjs';

/** Programs that are had where their installers put them, though PATH does not say so. */
const usual = { go: '/usr/local/go/bin', cargo: join(homedir(), '.cargo', 'bin') };

const sourcesOf = (language) => join(root, 'bench/peers', language);

/**
 * A compiler. Throws a MissingError where there is none.
 * @param {'go' | 'cargo'} name
 * @param {(name: string) => string | null} onPath
 */
export function compiler(name, onPath) {
  const found = onPath(name) ?? join(usual[name], name);
  if (existsSync(found)) return found;
  throw new MissingError(`${name} is not on PATH: install it`);
}

/**
 * Compiles what is stale, once for all peers of a language.
 * @param {string} language  a folder of bench/peers
 * @param {string} folder    where the programs go
 * @param {boolean} mayBuild  false: a MissingError where they would have to be
 * @param {() => Promise<void>} build
 */
async function whenStale(language, folder, mayBuild, build) {
  const stamp = join(folder, 'stamp');
  const hash = hashOf(filesBelow(sourcesOf(language)), [process.arch]);
  if (readIfThere(stamp) === hash) return;
  if (!mayBuild) {
    const what = `the peers in bench/peers/${language} are not built, which may take minutes`;
    throw new MissingError(`${what}: a race without --smoke builds them`);
  }
  console.error(`building the peers in bench/peers/${language}: once, in minutes`);
  await mkdir(folder, { recursive: true });
  await build();
  await writeFile(stamp, hash);
}

/** A command of go or cargo that fails for want of the network, or of a newer compiler. */
async function fetching(work, advice) {
  try {
    await work();
  } catch (error) {
    throw new MissingError(`${advice}\n${error.message}`, { cause: error });
  }
}

/**
 * @param {string} home  where the race keeps what it makes
 * @param {{ run: Function, onPath: Function, mayBuild: boolean }} how
 * @returns {Promise<string>} the folder of the programs in Go
 */
export async function buildGo(home, { run, onPath, mayBuild }) {
  const folder = join(home, 'go');
  await whenStale('go', folder, mayBuild, async () => {
    const go = compiler('go', onPath);
    const options = {
      cwd: sourcesOf('go'),
      env: { ...process.env, GOTOOLCHAIN: 'local', GOFLAGS: '-mod=readonly' },
    };
    const advice = 'go could not fetch what the peers in Go need: network, or a newer go';
    await fetching(() => run([go, 'mod', 'download'], options), advice);
    const names = ['./nethttp', './fasthttp'];
    await run([go, 'build', '-trimpath', '-o', `${folder}/`, ...names], options);
  });
  return folder;
}

/** @returns {Promise<string>} the folder of the programs in Rust. Parameters as of `buildGo` */
export async function buildRust(home, { run, onPath, mayBuild }) {
  const folder = join(home, 'rust');
  const target = join(folder, 'target');
  await whenStale('rust', folder, mayBuild, async () => {
    const cargo = compiler('cargo', onPath);
    await cp(sourcesOf('rust'), folder, { recursive: true });
    const options = { cwd: folder, env: { ...process.env, CARGO_TARGET_DIR: target } };
    const advice = 'cargo could not fetch what the peers in Rust need: network, or a newer cargo';
    await fetching(async () => {
      await writeLock(folder, () => run([cargo, 'generate-lockfile'], options));
      await run([cargo, 'fetch', '--locked'], options);
    }, advice);
    await run([cargo, 'build', '--release', '--locked', '--quiet'], options);
  });
  return join(target, 'release');
}

/** The lock as cargo wants it: with the source that a lock which it makes by itself names. */
async function writeLock(folder, generate) {
  const path = join(folder, 'Cargo.lock');
  await generate();
  const source = /^source = .*$/m.exec(await readFile(path, 'utf8'))?.[0];
  const kept = await readFile(join(sourcesOf('rust'), 'Cargo.lock'), 'utf8');
  await writeFile(path, withSource(kept, source));
}

/**
 * @param {string} lock    a Cargo.lock without sources
 * @param {string | undefined} source  the line that names one
 * @returns {string} the lock with that line in every package that has a checksum, which our own has not
 */
export function withSource(lock, source) {
  if (source === undefined) throw new Error('the lock that cargo has made names no source');
  return lock.replaceAll(/^checksum = /gm, () => `${source}\nchecksum = `);
}

/**
 * @param {'go' | 'rust'} language
 * @returns {Record<string, string>} the versions of the servers in it, by name
 */
export function versionsOf(language) {
  const manifest = { go: 'go.mod', rust: 'Cargo.toml' }[language];
  const text = readIfThere(join(sourcesOf(language), manifest)) ?? '';
  const found = (pattern) => pattern.exec(text)?.[1] ?? 'unknown';
  if (language === 'go') return { fasthttp: found(/fasthttp (\S+)/) };
  const crate = (name) => found(new RegExp(`^${name} = (?:\\{ version = )?"=([^"]+)"`, 'm'));
  return { hyper: crate('hyper'), actix: crate('actix-web'), may_minihttp: crate('may_minihttp') };
}
