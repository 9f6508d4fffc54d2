import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { GyrfalconError } from '../core/errors.ts';
import { checkNode } from '../core/node_version.ts';
import { enginePackage, findEngine, type System } from './engine_files.ts';

const test = suite('files of the engine');
const given = process.env.GYRFALCON_ENGINE;
const glibc: System = { platform: 'linux', arch: 'x64', libc: 'glibc' };
const musl: System = { ...glibc, libc: 'musl' };

test.before.each(() => {
  delete process.env.GYRFALCON_ENGINE;
});
test.after(() => {
  if (given !== undefined) process.env.GYRFALCON_ENGINE = given;
});

/** The package as npm has it, with engines for Linux. */
const main = {
  folder: '/app/node_modules/gyrfalcon',
  manifest: {
    name: 'gyrfalcon',
    version: '1.2.3',
    optionalDependencies: {
      '@gyrfalcon/engine-linux-x64': '1.2.3',
      '@gyrfalcon/engine-linux-x64-musl': '1.2.3',
    },
  },
};

/** Of packages that are installed, in one version. */
const installed =
  (names: string[], version = '1.2.3') =>
  (name: string) =>
    names.includes(name)
      ? { folder: `/app/node_modules/${name}`, manifest: { version } }
      : undefined;

function refusal(action: () => unknown): GyrfalconError {
  try {
    action();
  } catch (error) {
    assert.instance(error, GyrfalconError);
    return error as GyrfalconError;
  }
  throw new Error('it was not refused');
}

test('a checkout has its engine in build/, by the system and its C library', () => {
  const checkout = { folder: '/checkout', manifest: { name: 'gyrfalcon', version: '1.2.3' } };
  const of = (system: System): string => findEngine(checkout, system).library;
  assert.is(of(glibc), join('/checkout', 'build', 'engine.zigar', 'linux.x64.so'));
  assert.is(of(musl), join('/checkout', 'build', 'engine.zigar', 'linux-musl.x64.so'));
  assert.match(of({ platform: 'darwin', arch: 'arm64' }), /darwin\.arm64\.dylib$/);
  assert.match(of({ platform: 'win32', arch: 'x64' }), /win32\.x64\.dll$/);
  const { addon } = findEngine(checkout, musl);
  assert.is(addon, join('/checkout', 'build', 'node-zigar-addon', 'linux-musl.x64.node'));
});

test('an installed package takes the engine of this system, also where others lie beside it', () => {
  const both = installed(['@gyrfalcon/engine-linux-x64', '@gyrfalcon/engine-linux-x64-musl']);
  for (const system of [glibc, musl]) {
    const folder = join('/app/node_modules', enginePackage(system));
    const { library, addon } = findEngine(main, system, both);
    assert.ok(library.startsWith(join(folder, 'engine.zigar')), library);
    assert.ok(addon.startsWith(join(folder, 'node-zigar-addon')), addon);
  }
});

test('an engine that is not installed is named, with the cure', () => {
  const error = refusal(() => findEngine(main, glibc, installed([])));
  assert.is(error.code, 'GYR_ENGINE_MISSING');
  assert.match(error.message, 'the package @gyrfalcon/engine-linux-x64, is not installed');
  assert.match(error.hint, 'install without --omit=optional');
});

test('an engine for another C library tells that node_modules came from elsewhere', () => {
  const others = installed(['@gyrfalcon/engine-linux-x64']);
  const error = refusal(() => findEngine(main, musl, others));
  assert.is(error.code, 'GYR_ENGINE_MISSING');
  assert.match(error.message, 'the package @gyrfalcon/engine-linux-x64-musl, is not installed');
  assert.match(error.hint, 'has @gyrfalcon/engine-linux-x64, and was made for another system');
});

test('a system without an engine is told those that there are', () => {
  for (const [system, name] of [
    [{ platform: 'freebsd', arch: 'x64' }, 'freebsd x64'],
    [{ ...musl, arch: 'riscv64' }, 'linux riscv64 with musl'],
  ] as const) {
    const error = refusal(() => findEngine(main, system, installed([])));
    assert.is(error.code, 'GYR_ENGINE_MISSING');
    assert.match(
      error.message,
      `There is no engine for ${name} (there are engines for linux-x64, `,
    );
  }
});

test('an engine of another version is refused before it is loaded', () => {
  const old = installed(['@gyrfalcon/engine-linux-x64'], '1.2.2');
  const error = refusal(() => findEngine(main, glibc, old));
  assert.is(error.code, 'GYR_ENGINE_MISMATCH');
  assert.match(
    error.message,
    'gyrfalcon 1.2.3 needs @gyrfalcon/engine-linux-x64 1.2.3, and 1.2.2 is installed',
  );
});

test('GYRFALCON_ENGINE comes before all that', () => {
  process.env.GYRFALCON_ENGINE = '/elsewhere/engine.zigar';
  const { library, addon } = findEngine(main, glibc, installed([]));
  assert.is(library, join('/elsewhere/engine.zigar', 'linux.x64.so'));
  assert.is(addon, join('/elsewhere', 'node-zigar-addon', 'linux.x64.node'));
});

test('GYRFALCON_ENGINE may be relative, and what lies around the code is not looked at', () => {
  process.env.GYRFALCON_ENGINE = 'engine.zigar';
  const { library, addon, cure } = findEngine(undefined, glibc);
  assert.is(library, join(process.cwd(), 'engine.zigar', 'linux.x64.so'));
  assert.is(addon, join(process.cwd(), 'node-zigar-addon', 'linux.x64.node'));
  assert.match(cure, 'with node-zigar-addon beside it');
});

test('a Node.js before 20 is told which one is needed', () => {
  const error = refusal(() => checkNode('18.20.4'));
  assert.is(error.code, 'GYR_NODE_TOO_OLD');
  assert.match(error.message, 'needs Node.js 20 or later, and this is 18.20.4');
  checkNode('20.0.0');
  checkNode();
});

test.run();
