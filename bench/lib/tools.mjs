// What the race needs beside this repository. Zig and the package are set up as `npm start` does; peers are taken from
// PATH, else fetched into .toolchain/bench (ignored by git) by apt-get download and npm. Nothing is installed into the
// system. What cannot be had is a MissingError: the contender is left out, with the reason.
import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdir, readdir, rm, writeFile } from 'node:fs/promises';
import { cpus } from 'node:os';
import { delimiter, dirname, join } from 'node:path';
import { promisify } from 'node:util';
import {
  filesBelow,
  hashOf,
  MissingError,
  readIfThere,
  root,
  toolchain,
} from '../../scripts/lib/project.mjs';
import { npm, outputOf, Progress, tail } from '../../scripts/lib/run.mjs';
import { setup } from '../../scripts/lib/setup.mjs';
import { targetHere } from '../../scripts/lib/targets.mjs';
import { archivesIn, tlsOption, tlsThere } from '../../scripts/lib/tls.mjs';
import { findPython, installFrameworks, zigVersion } from '../../scripts/lib/toolchain.mjs';
import { buildGo, buildRust, compiler } from './compiled.mjs';

export { root };

const execute = promisify(execFile);

/** Where everything goes that the race fetches, builds or generates. */
export const home = join(toolchain, 'bench');

const OHA_VERSION = '1.16.0';
const BUN_VERSION = '1.4.5';
const DENO_VERSION = '2.9.6';
const SOCKETIFY_VERSION = '0.0.31';

/** Runs a command to its end; the Error carries what it printed. */
export async function run(command, options = {}) {
  const [file, ...args] = command;
  try {
    return (await execute(file, args, { cwd: root, maxBuffer: 1 << 26, ...options })).stdout;
  } catch (error) {
    const said = `${error.stdout ?? ''}${error.stderr ?? ''}`.trim();
    throw new Error(`${command.join(' ')}: ${said || error.message}`, { cause: error });
  }
}

export function onPath(name) {
  const folders = (process.env.PATH ?? '').split(delimiter).concat('/usr/sbin');
  return folders.map((folder) => join(folder, name)).find((path) => existsSync(path)) ?? null;
}

const once = new Map();

/** Each tool is looked for, or made, once per run, however many contenders ask at a time. */
function memo(key, make) {
  if (!once.has(key)) once.set(key, make());
  return once.get(key);
}

/** @returns {Promise<string | null>} the path of a tool that this run has asked for and got, else null */
export const had = async (name) => (await once.get(name)?.catch(() => null)) ?? null;

/** @returns {Promise<string>} path of a program that Debian packages */
async function debian(name, packages, inside) {
  const installed = onPath(name);
  if (installed !== null) return installed;
  const unpacked = join(home, 'root', inside);
  if (existsSync(unpacked)) return unpacked;
  const advice = `${name} is not on PATH: install it`;
  if (onPath('apt-get') === null || onPath('dpkg-deb') === null) throw new MissingError(advice);
  const downloads = join(home, 'deb', name);
  await rm(downloads, { recursive: true, force: true });
  await mkdir(downloads, { recursive: true });
  try {
    await run(['apt-get', 'download', ...packages], { cwd: downloads });
  } catch (error) {
    const why = error.message.split('\n').at(-1);
    throw new MissingError(`${advice}, or have apt find ${packages.join(', ')} (${why})`);
  }
  for (const file of await readdir(downloads)) {
    if (file.endsWith('.deb')) {
      await run(['dpkg-deb', '-x', join(downloads, file), join(home, 'root')]);
    }
  }
  await rm(downloads, { recursive: true });
  return unpacked;
}

const machine = process.arch === 'arm64' ? 'aarch64' : 'x86_64';

/** Programs that were unpacked and not installed find their libraries by this. */
export const libraryEnv = {
  LD_LIBRARY_PATH: [join(home, `root/usr/lib/${machine}-linux-gnu`), process.env.LD_LIBRARY_PATH]
    .filter(Boolean)
    .join(delimiter),
};

export const wrk = () =>
  memo('wrk', () => debian('wrk', ['wrk', 'libluajit-5.1-2'], 'usr/bin/wrk'));

export const h2load = () =>
  memo('h2load', () => {
    const packages = ['nghttp2-client', 'libnghttp2-14', 'libev4', 'libjemalloc2'];
    return debian('h2load', packages, 'usr/bin/h2load');
  });

export const h2o = () => memo('h2o', () => debian('h2o', ['h2o', 'libyaml-0-2'], 'usr/bin/h2o'));

/** @returns {Promise<string>} oha, from PATH or built by cargo: minutes, once */
export const oha = () =>
  memo('oha', async () => {
    const installed = onPath('oha');
    if (installed !== null) return installed;
    const binary = join(home, 'cargo/bin/oha');
    if (existsSync(binary)) return binary;
    if (onPath('cargo') === null) {
      throw new MissingError('oha is not on PATH, nor is cargo to build it');
    }
    const version = ['--version', OHA_VERSION, '--locked'];
    await run(['cargo', 'install', 'oha', ...version, '--root', join(home, 'cargo')]);
    return binary;
  });

/** Installs the frameworks of tests/frameworks, once. */
export const frameworks = () =>
  memo('frameworks', () =>
    installFrameworks(new Progress({ quiet: true })).catch((error) => {
      throw new MissingError(error.message, { cause: error });
    }),
  );

let mayBuild = true;

/** What would have to be compiled by go or cargo is left out from now on. */
export function buildNothing() {
  mayBuild = false;
}

const building = () => ({ run, onPath, mayBuild });

/** @returns {Promise<string>} a program of bench/peers/go */
export const goProgram = async (name) => {
  const folder = await memo('peers in Go', () => buildGo(home, building()));
  // For its version.
  await memo('go', async () => compiler('go', onPath));
  return join(folder, name);
};

/** @returns {Promise<string>} a program of bench/peers/rust */
export const rustProgram = async (name) =>
  join(await memo('peers in Rust', () => buildRust(home, building())), name);

/** @returns {Promise<{ program: string, modules: string }>} lighttpd, and the folder of its modules */
export const lighttpd = async () => {
  const packages = ['lighttpd', 'libnettle8', 'libpcre2-8-0', 'libxxhash0'];
  const program = await memo('lighttpd', () => debian('lighttpd', packages, 'usr/sbin/lighttpd'));
  return { program, modules: join(dirname(dirname(program)), 'lib', 'lighttpd') };
};

export const haproxy = () =>
  memo('haproxy', () => {
    const packages = [
      'liblua5.3-0',
      'libopentracing-c-wrapper0',
      'libopentracing1',
      'libpcre2-8-0',
    ];
    return debian('haproxy', ['haproxy', ...packages], 'usr/sbin/haproxy');
  });

export const nginx = () => memo('nginx', () => debian('nginx', ['nginx'], 'usr/sbin/nginx'));

/** @returns {Promise<string>} the Bun executable, from npm's package `bun` */
export const bun = () =>
  fromNpm('Bun', 'bun', BUN_VERSION, '@oven', 'bin/bun', (said) => said === BUN_VERSION);

/** @returns {Promise<string>} the Deno executable, from npm's package `deno` */
export const deno = () =>
  fromNpm('Deno', 'deno', DENO_VERSION, '@deno', 'deno', (said) =>
    said?.startsWith(`deno ${DENO_VERSION} `),
  );

/**
 * A program that npm's package `name` has for several systems, in packages of `scope`. What its install script would link
 * to is taken from there: no script is run. A system may get more than one (for glibc, for musl): the one that runs.
 */
const fromNpm = (title, name, version, scope, inside, isIt) =>
  memo(name, async () => {
    const folder = join(home, 'npm', name);
    const find = async () => {
      const packages = join(folder, 'node_modules', scope);
      const names = existsSync(packages) ? await readdir(packages) : [];
      const binaries = names.map((one) => join(packages, one, inside));
      return binaries.find((path) => isIt(outputOf(path, ['--version']))) ?? null;
    };
    const there = await find();
    if (there !== null) return there;
    await mkdir(folder, { recursive: true });
    await writeFile(join(folder, 'package.json'), '{"private":true}\n');
    const args = ['install', '--ignore-scripts', '--no-audit', '--no-fund', '--loglevel=error'];
    const { code, output } = await npm([...args, `${name}@${version}`], { cwd: folder });
    if (code !== 0) throw new MissingError(`npm could not install ${title}\n${tail(output)}`);
    const installed = await find();
    if (installed !== null) return installed;
    throw new MissingError(`the ${title} of npm's package ${name}@${version} does not run here`);
  });

/** @returns {Promise<string>} uWebSockets with a C interface: the library that PyPI's package socketify carries */
export const uwebsockets = () =>
  memo('uwebsockets', async () => {
    if (process.platform !== 'linux' || process.arch !== 'x64')
      throw new MissingError('socketify carries a library for x86-64 and Linux alone');
    const folder = join(home, 'socketify');
    const library = join(folder, 'socketify', 'libsocketify_linux_amd64.so');
    if (!existsSync(library)) {
      const { command, args } = pythonForSocketify();
      const how = ['-m', 'pip', 'install', '--quiet', '--disable-pip-version-check', '--no-deps'];
      const what = ['--target', folder, `socketify==${SOCKETIFY_VERSION}`];
      await run([command, ...args, ...how, ...what]).catch((error) => {
        throw new MissingError(`pip could not install socketify: ${error.message}`);
      });
    }
    await libuv();
    return library;
  });

function pythonForSocketify() {
  try {
    return findPython('socketify', 'uWebSockets comes with it.');
  } catch (error) {
    throw new MissingError(error.message, { cause: error });
  }
}

/** The library's event loop. */
async function libuv() {
  const name = `usr/lib/${machine}-linux-gnu/libuv.so.1`;
  if (existsSync(join('/', name))) return;
  await debian('libuv.so.1', ['libuv1'], name);
}

/** @returns {Promise<string>} Zig, as every script of this project finds it */
export const zig = () => memo('zig', async () => (await setup({ engine: false, quiet: true })).zig);

/** The package as `npm start` builds it: engine and TypeScript, where they are stale. */
export const built = () => memo('built', () => setup({ quiet: true }));

/**
 * Compiles a Zig program with ReleaseFast, unless that is done and no source has changed: Zig keeps no program whose place
 * it is told.
 * @param {string} name     of the executable
 * @param {string[]} source arguments that name the modules
 * @param {boolean} [plain] without AVX-512, which valgrind cannot run
 */
export const zigProgram = (name, source, plain = false) =>
  memo(`${name} ${plain}`, async () => {
    const output = join(home, 'bin', plain ? `${name}-plain` : name);
    const cache = ['--cache-dir', join(home, 'zig-cache')];
    const sources = [...filesBelow(join(root, 'zig')), ...filesBelow(join(root, 'bench'), isZig)];
    const archives = source.filter((argument) => argument.endsWith('.a'));
    const processor = plain ? 'baseline' : cpus()[0]?.model;
    const hash = hashOf([...sources, ...archives], [...source, `${processor}`, zigVersion]);
    const stamp = `${output}.stamp`;
    if (existsSync(output) && readIfThere(stamp) === hash) return output;
    await mkdir(dirname(output), { recursive: true });
    await run([
      await zig(),
      'build-exe',
      '-OReleaseFast',
      ...(plain ? ['-mcpu=baseline'] : []),
      ...source,
      `-femit-bin=${output}`,
      ...cache,
    ]);
    await writeFile(stamp, hash);
    return output;
  });

const isZig = (path) => path.endsWith('.zig');

/** @returns {Promise<string>} a Zig program that uses the engine over TLS */
export async function tlsProgram(name) {
  const folder = tlsThere(targetHere());
  if (folder === undefined) throw new MissingError('TLS is not built: npm run build:tls');
  const engine = ['--dep', 'gyrfalcon', `-Mroot=bench/apps/${name}.zig`, ...archivesIn(folder)];
  return zigProgram(name, ['-lc', ...engine, '-Mgyrfalcon=zig/gyrfalcon.zig']);
}

/** A certificate for localhost and its key, on the curve P-256: their files, made once. */
export const certificate = () =>
  memo('certificate', async () => {
    const [cert, key] = [join(home, 'localhost.pem'), join(home, 'localhost.key')];
    if (existsSync(cert)) return { cert, key };
    if (onPath('openssl') === null) throw new MissingError('openssl is not on PATH');
    await mkdir(home, { recursive: true });
    const kind = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes'];
    const names = ['-subj', '/CN=localhost', '-days', '3650', '-keyout', key, '-out', cert];
    await run(['openssl', 'req', '-x509', ...kind, ...names]);
    return { cert, key };
  });

/** @returns {Promise<string>} the executable, ReleaseFast; with TLS where that is built */
export const gyrfalcon = () =>
  memo('gyrfalcon', async () => {
    const prefix = join(home, 'gyrfalcon');
    const options = ['-Doptimize=ReleaseFast', tlsOption(tlsThere(targetHere()))];
    await run([await zig(), 'build', 'install', ...options, '--prefix', prefix]);
    return join(prefix, 'bin', 'gyrfalcon');
  });

/** @returns {Promise<string>} the first line that a program prints about its version */
export async function versionOf(command, env) {
  const [file, ...args] = command;
  const options = { env: { ...process.env, ...env } };
  const printed = await execute(file, args, options).catch((error) => error); // wrk -v exits with 1
  return `${printed.stdout ?? ''}${printed.stderr ?? ''}`.trim().split('\n')[0].trim();
}
