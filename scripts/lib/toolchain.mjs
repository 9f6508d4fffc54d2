// Node.js, the npm packages and Zig: what has to be there before anything can be built.
import { copyFileSync, existsSync, mkdirSync, renameSync, rmSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import { at, readIfThere, root, SetupError, toolchain } from './project.mjs';
import { npm, outputOf, run, tail } from './run.mjs';

export const nodeMajorMin = 20;
export const zigVersion = '0.14.1';

const windows = process.platform === 'win32';

/** Ends the setup unless this Node.js is new enough. */
export function checkNode(version = process.versions.node) {
  if (Number.parseInt(version, 10) >= nodeMajorMin) return;
  throw new SetupError(
    `Gyrfalcon needs Node.js ${nodeMajorMin} or later, this is ${version}: get one from https://nodejs.org/.`,
  );
}

/** Installs what package-lock.json names, unless node_modules holds it already. */
export function installPackages(progress) {
  return installInto(root, 'npm packages', progress);
}

/** The frameworks that tests/frameworks runs, beside their applications. */
export function installFrameworks(progress) {
  return installInto(at('tests', 'frameworks', 'apps'), 'frameworks', progress);
}

/** The registry that tests/packages publishes to, in .toolchain: it is no part of what is tested. */
export function installRegistry(progress) {
  const folder = join(toolchain, 'registry');
  mkdirSync(folder, { recursive: true });
  for (const name of ['package.json', 'package-lock.json']) {
    copyFileSync(at('tests', 'packages', 'registry', name), join(folder, name));
  }
  return installInto(folder, 'a registry (verdaccio)', progress);
}

/** `npm ci` in a folder with a package-lock.json. */
async function installInto(folder, name, progress) {
  if (packagesAreFresh(folder)) {
    progress.fresh(name);
    return;
  }
  await progress.work(`${name}: npm ci`, async () => {
    // The checkout's .npmrc is not read in a folder below it.
    const args = ['ci', '--ignore-scripts', '--no-audit', '--no-fund', '--loglevel=error'];
    const { code, missing, output } = await npm(args, { cwd: folder });
    if (missing) throw new SetupError('npm is not on PATH: it comes with Node.js.');
    if (code === 0) return;
    throw new SetupError(`npm ci failed; it needs the network or a filled cache.\n${tail(output)}`);
  });
}

/** Whether node_modules holds every package of package-lock.json that this system needs, in its version. */
export function packagesAreFresh(folder = root) {
  const wanted = JSON.parse(readIfThere(join(folder, 'package-lock.json')) ?? '{}').packages ?? {};
  const installed = readIfThere(join(folder, 'node_modules', '.package-lock.json'));
  const there = JSON.parse(installed ?? '{}').packages;
  if (there === undefined) return false;
  return Object.entries(wanted).every(([path, entry]) => {
    if (path === '' || !isForHere(entry)) return true;
    return there[path]?.version === entry.version && existsSync(join(folder, path));
  });
}

function isForHere({ os, cpu, libc }) {
  if (libc !== undefined) return false;
  return (os?.includes(process.platform) ?? true) && (cpu?.includes(process.arch) ?? true);
}

/**
 * The path of Zig in the one version that fits: from PATH, from the project's own folder, or installed there now.
 */
export async function findZig(progress) {
  const executable = windows ? 'zig.exe' : 'zig';
  const onPath = (process.env.PATH ?? '')
    .split(delimiter)
    .map((folder) => join(folder, executable))
    .find((path) => existsSync(path) && outputOf(path, ['version']) === zigVersion);
  if (onPath !== undefined) {
    progress.fresh(`Zig ${zigVersion} (on PATH)`);
    return onPath;
  }
  const folder = join(toolchain, `zig-${zigVersion}`);
  const own = join(folder, 'ziglang', executable);
  if (existsSync(own) && outputOf(own, ['version']) === zigVersion) {
    progress.fresh(`Zig ${zigVersion}`);
    return own;
  }
  await progress.work(`Zig ${zigVersion}: installing ziglang from PyPI (about 80 MB)`, () =>
    installZig(folder),
  );
  if (outputOf(own, ['version']) === zigVersion) return own;
  throw new SetupError(`ziglang was installed into ${folder}, but its zig does not run.`);
}

async function installZig(folder) {
  const python = findPython(
    `Zig ${zigVersion}`,
    `Or put Zig ${zigVersion} on PATH: https://ziglang.org/download/.`,
  );
  const partial = `${folder}.partial-${process.pid}`;
  mkdirSync(toolchain, { recursive: true });
  // --target leaves the system's Python alone, so that PEP 668 has nothing against it.
  const args = [...python.args, '-m', 'pip', 'install', '--target', partial, '--no-deps'];
  args.push('--only-binary', ':all:', '--no-compile', '--quiet', `ziglang==${zigVersion}`);
  const { code, output } = await run(python.command, args, {
    env: {
      ...process.env,
      PIP_USER: '0',
      PIP_REQUIRE_VIRTUALENV: '0',
      PIP_ROOT_USER_ACTION: 'ignore',
      PIP_DISABLE_PIP_VERSION_CHECK: '1',
    },
  });
  if (code !== 0) {
    rmSync(partial, { recursive: true, force: true });
    throw new SetupError(
      `pip could not install ziglang ${zigVersion}; it needs the network. Or put Zig ${zigVersion} on PATH: ` +
        `https://ziglang.org/download/.\n${tail(output)}`,
    );
  }
  rmSync(folder, { recursive: true, force: true });
  renameSync(partial, folder);
}

/**
 * Python 3 with pip: `{ command, args }`. Without, the error says that `what` is had through it; `advice` is what else
 * helps.
 */
export function findPython(what, advice) {
  const known = [
    { command: 'python3', args: [] },
    { command: 'python', args: [] },
    { command: 'py', args: ['-3'] },
  ];
  const found = known.filter(({ command, args }) =>
    outputOf(command, [...args, '--version'])?.startsWith('Python 3'),
  );
  if (found.length === 0) {
    throw new SetupError(`Python 3 is missing; ${what} is had through its pip. ${advice}`);
  }
  const withPip = found.find(({ command, args }) =>
    outputOf(command, [...args, '-m', 'pip', '--version']),
  );
  if (withPip !== undefined) return withPip;
  throw new SetupError(
    `Python 3 has no pip (on Debian: apt install python3-pip); ${what} is had through it. ${advice}`,
  );
}
