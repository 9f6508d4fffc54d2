// Builds the engine's Node.js module (Zig, through node-zigar) and compiles ts/src; both only when their sources changed.
import { existsSync, mkdirSync, rmSync } from 'node:fs';
import { cpus } from 'node:os';
import { dirname, join } from 'node:path';
import { buildAddon } from './addon.mjs';
import {
  at,
  filesBelow,
  hashOf,
  readIfThere,
  root,
  SetupError,
  toolchain,
  withLock,
  writeFileDeep,
} from './project.mjs';
import { run, tail } from './run.mjs';
import { zigVersion } from './toolchain.mjs';

/** One build for users and tests: with the checks of ReleaseSafe it costs less than 2 % over ReleaseFast. */
const optimize = 'ReleaseSafe';

/**
 * The processor that the engine's code is for. Left to itself it runs on every x86-64 machine since 2009, and on the first
 * of other architectures; with GYRFALCON_CPU=native it is for the machine at hand alone.
 */
const cpu = process.env.GYRFALCON_CPU || (process.arch === 'x64' ? 'x86_64_v2' : 'baseline');
const zigTarget = cpu === 'native' ? '-Dtarget=native' : `-Dcpu=${cpu}`;

/** The path that the engine is loaded by. */
export const enginePath = at('build', 'engine.zigar');

/** Builds the engine's module, and what Node.js loads it with. */
export async function buildEngine(zig, progress) {
  await buildModule(zig, progress);
  await buildAddon(join(dirname(enginePath), 'node-zigar-addon'), zig, progress);
}

async function buildModule(zig, progress) {
  const stamp = at('build', 'engine.stamp');
  const hash = engineHash();
  const isFresh = () => readIfThere(stamp) === hash && existsSync(enginePath);
  if (isFresh()) {
    progress.fresh('engine');
    return;
  }
  const waiting = (pid) => progress.note(`waiting for the build in process ${pid}`);
  await withLock('engine', waiting, async () => {
    if (isFresh()) return;
    rmSync(stamp, { force: true });
    await progress.work(`engine: zig build, ${optimize}`, () => compile(enginePath, zig));
    writeFileDeep(stamp, hash);
  });
}

function engineHash() {
  const sources = filesBelow(at('zig'), (path) => !path.includes('/_t_'));
  const machine = cpu === 'native' ? (cpus()[0]?.model ?? '') : '';
  const system = [process.platform, process.arch, cpu, machine];
  const texts = [optimize, zigVersion, ...system, readIfThere(at('package-lock.json')) ?? ''];
  return hashOf(sources, texts);
}

async function compile(path, zig) {
  const compiler = await import('zigar-compiler');
  const target = { platform: compiler.getPlatform(), arch: compiler.getArch(), zigPath: zig };
  mkdirSync(toolchain, { recursive: true });
  try {
    const { outputPath } = await compiler.compile(at('zig', 'node.zig'), path, {
      ...target,
      optimize,
      buildDir: join(toolchain, 'engine'),
      zigArgs: zigTarget,
    });
    if (!existsSync(outputPath)) throw new Error(`${outputPath} was not made`);
  } catch (error) {
    throw new SetupError(`The engine did not build.\n${tail(String(error.message), 40)}`);
  }
}

/** Compiles ts/src into dist: JavaScript and declarations. */
export async function buildTypeScript(progress) {
  const sources = filesBelow(at('ts', 'src'), (path) => isShipped(path));
  const configs = ['tsconfig.json', 'tsconfig.build.json', 'package-lock.json'].map((name) =>
    at(name),
  );
  const hash = hashOf([...sources, ...configs]);
  const stamp = at('dist', '.stamp');
  if (readIfThere(stamp) === hash) {
    progress.fresh('TypeScript');
    return;
  }
  const waiting = (pid) => progress.note(`waiting for the compilation in process ${pid}`);
  await withLock('typescript', waiting, async () => {
    if (readIfThere(stamp) === hash) return;
    rmSync(stamp, { force: true });
    await progress.work('TypeScript: tsc', async () => {
      const tsc = at('node_modules', 'typescript', 'bin', 'tsc');
      const args = [tsc, '-p', at('tsconfig.build.json')];
      const { code, output } = await run(process.execPath, args, { cwd: root });
      if (code !== 0) throw new SetupError(`TypeScript did not compile.\n${tail(output, 40)}`);
    });
    removeOrphans(sources);
    writeFileDeep(stamp, hash);
  });
}

const isShipped = (path) => path.endsWith('.ts') && !path.endsWith('.test.ts');

/** Removes what dist holds of sources that are gone. */
function removeOrphans(sources) {
  const kept = new Set(
    sources.map((path) => path.slice(at('ts', 'src').length + 1, -'.ts'.length)),
  );
  for (const path of filesBelow(at('dist'), (name) => /\.js$|\.d\.ts$/.test(name))) {
    const stem = path.slice(at('dist').length + 1).replace(/\.js$|\.d\.ts$/, '');
    if (!kept.has(stem.replaceAll('\\', '/'))) rmSync(path);
  }
}
