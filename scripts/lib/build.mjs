// Builds the engine's Node.js module (Zig, through node-zigar) and compiles ts/src; both only when their sources changed.
import { existsSync, rmSync } from 'node:fs';
import { cpus } from 'node:os';
import { dirname, join } from 'node:path';
import { buildAddon } from './addon.mjs';
import { deflateOption, deflateStamp, deflateThere } from './deflate.mjs';
import {
  at,
  filesBelow,
  hashOf,
  readIfThere,
  root,
  SetupError,
  withLock,
  writeFileDeep,
} from './project.mjs';
import { allOf, run, tail } from './run.mjs';
import { libraryExtension, targetHere, targets, tripleOf } from './targets.mjs';
import { archivesIn, tlsOption, tlsThere } from './tls.mjs';
import { zigVersion } from './toolchain.mjs';

/**
 * One build for users and tests: with the checks of ReleaseSafe it costs less than 2 % over ReleaseFast. Stages that test
 * once more what another system does ask for Debug by GYRFALCON_OPTIMIZE, which compiles in a third of the time.
 */
export const optimize = process.env.GYRFALCON_OPTIMIZE || 'ReleaseSafe';

/** The path that the engine is loaded by. */
export const enginePath = at('build', 'engine.zigar');

/** What Node.js loads the engine with. */
const addonPath = join(dirname(enginePath), 'node-zigar-addon');

/**
 * Builds the engine's module for this machine, with TLS where that is built and compression where its sources are there,
 * and what Node.js loads it with. With GYRFALCON_CPU=native it is for the processor at hand alone.
 */
export async function buildEngine(zig, progress) {
  const here = targetHere();
  await buildFor({ ...here, cpu: process.env.GYRFALCON_CPU || here.cpu }, zig, progress);
}

/** The same for one of `targets`. What is built for several of them lies side by side. */
export async function buildFor(target, zig, progress) {
  // The module keeps one processor busy, the other is free.
  await allOf([buildModule(target, zig, progress), buildAddon(addonPath, target, zig, progress)]);
}

async function buildModule(target, zig, progress) {
  const { name } = target;
  const stamp = at('build', 'stamps', `engine.${name}`);
  const tls = tlsThere(target);
  const deflate = deflateThere();
  const hash = engineHash(target, tls, deflate);
  const library = join(enginePath, `${name}.${libraryExtension(target.platform)}`);
  const compression = deflate === undefined ? '' : ', with compression';
  const form = `${tls === undefined ? 'without' : 'with'} TLS${compression}`;
  const isFresh = () => readIfThere(stamp) === hash && existsSync(library);
  if (isFresh()) {
    progress.fresh(`engine for ${name}, ${form}`);
    return;
  }
  const waiting = (pid) => progress.note(`waiting for the build in process ${pid}`);
  await withLock('engine', waiting, async () => {
    if (isFresh()) return;
    rmSync(stamp, { force: true });
    const about = `engine for ${name}, ${form}: zig build, ${optimize}`;
    await progress.work(about, () => compile(target, { tls, deflate }, library, zig));
    writeFileDeep(stamp, hash);
  });
}

function engineHash({ name, cpu }, tls, deflate) {
  const sources = filesBelow(at('zig'), (path) => !path.includes('/_t_'));
  sources.push(at('build.zig'), ...archivesIn(tls));
  const machine = cpu === 'native' ? (cpus()[0]?.model ?? '') : '';
  const system = [name, cpu, machine, deflate === undefined ? '' : deflateStamp()];
  const texts = [optimize, zigVersion, ...system, readIfThere(at('package-lock.json')) ?? ''];
  return hashOf(sources, texts);
}

async function compile(target, { tls, deflate }, library, zig) {
  const { name, cpu } = target;
  const isListed = targets.some((listed) => listed.name === name);
  const system = cpu === 'native' || !isListed ? 'native' : tripleOf(target);
  const processor = cpu === 'native' ? [] : [`-Dcpu=${cpu}`];
  const options = [`-Doptimize=${optimize}`, `-Dtarget=${system}`, ...processor];
  options.push(tlsOption(tls), deflateOption(deflate));
  const args = ['build', 'node-module', ...options, '--prefix', enginePath];
  const { code, output } = await run(zig, args, { cwd: root });
  if (code === 0 && existsSync(library)) return;
  const said = code === 0 ? `${library} was not made` : tail(output, 40);
  throw new SetupError(`The engine did not build for ${name}.\n${said}`);
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
