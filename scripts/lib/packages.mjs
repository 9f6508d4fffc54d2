// The packages that npm installs: gyrfalcon, the engine for each system, create-gyrfalcon. Each is put together in a folder
// of its own, from what is built and from packages/, and packed by npm.
import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { buildFor, enginePath } from './build.mjs';
import { deflateThere, tryDeflate } from './deflate.mjs';
import { at, filesBelow, MissingError, SetupError } from './project.mjs';
import { npm, tail } from './run.mjs';
import { enginePackage, libraryExtension, targets } from './targets.mjs';
import { tlsThere, tryTls } from './tls.mjs';

/** Where packages are put unless told otherwise. */
export const packagesFolder = at('build', 'packages');

const own = () => JSON.parse(readFileSync(at('package.json'), 'utf8'));

/** What package.json of each package says alike: all have one version. */
function common() {
  const { version, author, engines } = own();
  return { version, author, engines, license: 'MIT' };
}

/**
 * The package.json of `gyrfalcon`: the checkout's, without what only a checkout has, and with the engines. They are named
 * in exactly this version. npm installs that for the system at hand and passes the others over.
 */
export function mainManifest() {
  const { private: _, scripts, devDependencies, overrides, ...rest } = own();
  const engines = targets.map((target) => [enginePackage(target), rest.version]);
  return { ...rest, optionalDependencies: Object.fromEntries(engines) };
}

const systems = { linux: 'Linux', darwin: 'macOS', win32: 'Windows' };

/**
 * The package.json of the engine for one of `targets`. `os`, `cpu` and `libc` are npm's: who takes no notice of `libc`
 * installs two engines for Linux, of which one is loaded. Yarn is told to unpack it, since a library is loaded from a file,
 * and npm that everybody may have it: what has a scope is its owner's else.
 */
export function engineManifest(target) {
  const [os, musl] = target.platform.split('-');
  const libc = os === 'linux' ? { libc: [musl ?? 'glibc'] } : {};
  const on = `${systems[os]} on ${target.arch}${os === 'linux' ? `, with ${libc.libc}` : ''}`;
  return {
    name: enginePackage(target),
    ...common(),
    description: `Gyrfalcon's engine for ${on}`,
    license: 'MIT AND Apache-2.0 AND ISC AND Zlib',
    os: [os],
    cpu: [target.arch],
    ...libc,
    preferUnplugged: true,
    publishConfig: { access: 'public' },
  };
}

/** Puts `gyrfalcon` together in `folder`. */
export function stageMain(folder) {
  writeManifest(folder, mainManifest());
  for (const name of ['bin', 'LICENSE', 'CHANGELOG.md', 'SECURITY.md'])
    copy(at(name), folder, name);
  copy(at('packages', 'gyrfalcon', 'README.md'), folder, 'README.md');
  for (const [top, ending] of [
    ['dist', /\.js$|\.d\.ts$/],
    ['docs', /\.md$/],
  ]) {
    for (const file of filesBelow(at(top), (path) => ending.test(path))) {
      copy(file, folder, top, file.slice(at(top).length + 1));
    }
  }
}

/**
 * Puts the engine for one of `targets` together in `folder`: the module and what loads it. They have to be built. Throws a
 * MissingError for one that lacks a part which all should have, unless it is to be packed all the same (`isPartial`).
 */
export function stageEngine(target, folder, { isPartial = false } = {}) {
  const { name, platform } = target;
  const lacks = [
    ...(tlsThere(target) === undefined ? ['TLS'] : []),
    ...(deflateThere() === undefined ? ['compression'] : []),
  ];
  if (lacks.length > 0 && !isPartial) {
    throw new MissingError(
      `the engine for ${name} is without ${lacks.join(' and ')}: npm run build:tls, npm run build:deflate, or --partial`,
    );
  }
  stageEngineTexts(target, folder);
  const library = `${name}.${libraryExtension(platform)}`;
  copy(join(enginePath, library), folder, 'engine.zigar', library);
  const addon = ['node-zigar-addon', `${name}.node`];
  copy(at('build', ...addon), folder, ...addon);
}

/** What of an engine's package is no machine code. */
export function stageEngineTexts(target, folder) {
  const manifest = engineManifest(target);
  writeManifest(folder, manifest);
  copy(at('LICENSE'), folder, 'LICENSE');
  copy(at('packages', 'engine', 'LICENSES.txt'), folder, 'LICENSES.txt');
  const about = `# ${manifest.name}\n\n${manifest.description}. The package \`gyrfalcon\` asks for it; it is of no use alone.\n`;
  writeFileSync(join(folder, 'README.md'), about);
}

/** The package.json of `create-gyrfalcon`. */
export function createManifest() {
  const text = readFileSync(at('packages', 'create-gyrfalcon', 'package.json'), 'utf8');
  const { private: _, ...rest } = JSON.parse(text);
  return { ...rest, ...common() };
}

/** Puts `create-gyrfalcon` together in `folder`. */
export function stageCreate(folder) {
  writeManifest(folder, createManifest());
  for (const file of ['create.mjs', 'README.md', 'templates']) {
    copy(at('packages', 'create-gyrfalcon', file), folder, file);
  }
  copy(at('LICENSE'), folder, 'LICENSE');
}

/**
 * Packs what `stage` puts together into `to`.
 *
 * @param {(folder: string) => void} stage
 * @param {string} to a folder, made where it is not there
 * @returns {Promise<{ name: string, file: string, packed: number, unpacked: number, files: string[] }>} the package: its
 *   name, its file, bytes of that and of what it holds, the paths in it
 */
export async function pack(stage, to) {
  const folder = mkdtempSync(join(tmpdir(), 'gyrfalcon-pack-'));
  try {
    stage(folder);
    mkdirSync(to, { recursive: true });
    const args = ['pack', '--json', '--ignore-scripts', '--loglevel=error'];
    const { code, output } = await npm([...args, '--pack-destination', to], { cwd: folder });
    if (code !== 0) throw new SetupError(`npm could not pack.\n${tail(output)}`);
    const said = Object.values(JSON.parse(output))[0];
    return {
      name: said.name,
      file: join(to, said.filename),
      packed: said.size,
      unpacked: said.unpackedSize,
      files: said.files.map(({ path }) => path).sort(),
    };
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/**
 * Builds what is not built yet for `chosen` of `targets`, and packs their engines and the two packages that are for all.
 *
 * @param {object[]} chosen
 * @param {{ zig: string, to: string, isPartial: boolean }} options `to`: a folder; `isPartial`: an engine may lack a part
 * @param {import('./run.mjs').Progress} progress
 * @param {(packed: Awaited<ReturnType<typeof pack>>) => void} onPacked told of each, as it is there
 */
export async function packPackages(chosen, { zig, to, isPartial }, progress, onPacked = () => {}) {
  await tryDeflate(progress);
  for (const target of chosen) {
    await tryTls(target, zig, progress);
    await buildFor(target, zig, progress);
  }
  const stages = [
    stageMain,
    ...chosen.map((target) => (folder) => stageEngine(target, folder, { isPartial })),
    stageCreate,
  ];
  for (const stage of stages) onPacked(await pack(stage, to));
}

function writeManifest(folder, manifest) {
  mkdirSync(folder, { recursive: true });
  writeFileSync(join(folder, 'package.json'), `${JSON.stringify(manifest, null, 2)}\n`);
}

function copy(from, ...to) {
  if (!existsSync(from))
    throw new SetupError(`${from} is missing: npm run build makes what is packed.`);
  cpSync(from, join(...to), { recursive: true });
}
