// What the race needs beside this repository: taken from PATH, else fetched into .toolchain/bench
// (ignored by git) by apt-get download, npm and Zig. Nothing is installed into the system.
import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdir, readdir, rm, writeFile } from 'node:fs/promises';
import { delimiter, dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

const execute = promisify(execFile);

/** The repository. */
export const root = dirname(dirname(dirname(fileURLToPath(import.meta.url))));
/** Where everything goes that the race fetches, builds or generates. */
export const home = join(root, '.toolchain', 'bench');

const OHA_VERSION = '1.16.0';
const BUN_VERSION = '1.4.5';
const ZIG_VERSION = '0.14.1';

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

function onPath(name) {
  const folders = (process.env.PATH ?? '').split(delimiter).concat('/usr/sbin');
  return folders.map((folder) => join(folder, name)).find((path) => existsSync(path)) ?? null;
}

const once = new Map();

/** Each tool is looked for, or made, once per run, however many contenders ask at a time. */
function memo(key, make) {
  if (!once.has(key)) once.set(key, make());
  return once.get(key);
}

/** @returns {Promise<string>} path of a program that Debian packages */
async function debian(name, packages, inside) {
  const installed = onPath(name);
  if (installed !== null) return installed;
  const unpacked = join(home, 'root', inside);
  if (existsSync(unpacked)) return unpacked;
  if (onPath('apt-get') === null) throw new Error(`${name} is not on PATH: install it`);
  const downloads = join(home, 'deb', name);
  await mkdir(downloads, { recursive: true });
  await run(['apt-get', 'download', ...packages], { cwd: downloads });
  for (const file of await readdir(downloads)) {
    if (file.endsWith('.deb')) {
      await run(['dpkg-deb', '-x', join(downloads, file), join(home, 'root')]);
    }
  }
  await rm(downloads, { recursive: true });
  return unpacked;
}

/** Programs that were unpacked and not installed find their libraries by this. */
export const libraryEnv = {
  LD_LIBRARY_PATH: [join(home, 'root/usr/lib/x86_64-linux-gnu'), process.env.LD_LIBRARY_PATH]
    .filter(Boolean)
    .join(delimiter),
};

export const wrk = () =>
  memo('wrk', () => debian('wrk', ['wrk', 'libluajit-5.1-2'], 'usr/bin/wrk'));

/** @returns {Promise<string>} oha, from PATH or built by cargo: minutes, once */
export const oha = () =>
  memo('oha', async () => {
    const installed = onPath('oha');
    if (installed !== null) return installed;
    const binary = join(home, 'cargo/bin/oha');
    if (existsSync(binary)) return binary;
    if (onPath('cargo') === null) throw new Error('oha is not on PATH, nor is cargo to build it');
    const version = ['--version', OHA_VERSION, '--locked'];
    await run(['cargo', 'install', 'oha', ...version, '--root', join(home, 'cargo')]);
    return binary;
  });

export const nginx = () => memo('nginx', () => debian('nginx', ['nginx'], 'usr/sbin/nginx'));

/** @returns {Promise<string>} the Bun executable, from PATH or from npm's package `bun` */
export const bun = () =>
  memo('bun', async () => {
    const folder = join(home, 'npm');
    const binary = join(folder, 'node_modules/bun/bin/bun.exe');
    if (existsSync(binary)) return binary;
    await mkdir(folder, { recursive: true });
    await writeFile(join(folder, 'package.json'), '{"private":true}\n');
    await run(['npm', 'install', '--no-audit', '--no-fund', `bun@${BUN_VERSION}`], { cwd: folder });
    return binary;
  });

/** @returns {Promise<string>} a Zig compiler of the version that this project is written for */
export const zig = () =>
  memo('zig', async () => {
    const candidates = [
      process.env.ZIG,
      onPath('zig'),
      join(root, '.toolchain/ziglang/zig'),
      join(root, '.toolchain/zig/ziglang/zig'),
    ];
    for (const path of candidates) {
      if (!path || !existsSync(path)) continue;
      if ((await run([path, 'version'])).trim() === ZIG_VERSION) return path;
    }
    throw new Error(`Zig ${ZIG_VERSION} was not found: run \`npm start\` once, or set ZIG`);
  });

/**
 * Compiles a Zig program with ReleaseFast; Zig's own cache makes an unchanged one free.
 * @param {string} name     of the executable
 * @param {string[]} source arguments that name the modules
 * @param {boolean} [plain] without AVX-512, which valgrind cannot run
 */
export const zigProgram = (name, source, plain = false) =>
  memo(`${name} ${plain}`, async () => {
    const output = join(home, 'bin', plain ? `${name}-plain` : name);
    await mkdir(dirname(output), { recursive: true });
    const cache = ['--cache-dir', join(home, 'zig-cache')];
    await run([
      await zig(),
      'build-exe',
      '-OReleaseFast',
      ...(plain ? ['-mcpu=baseline'] : []),
      ...source,
      `-femit-bin=${output}`,
      ...cache,
    ]);
    return output;
  });

/** Builds the package as `npm start` does, once: engine and TypeScript, where they are stale. */
export const built = () =>
  memo('built', () => run([process.execPath, join(root, 'scripts/bootstrap.mjs'), '--no-start']));

/** @returns {Promise<string>} the first line that a program prints about its version */
export async function versionOf(command, env) {
  const [file, ...args] = command;
  const options = { env: { ...process.env, ...env } };
  const printed = await execute(file, args, options).catch((error) => error); // wrk -v exits with 1
  return `${printed.stdout ?? ''}${printed.stderr ?? ''}`.trim().split('\n')[0].trim();
}
