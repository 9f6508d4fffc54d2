import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { project } from '../support/process.ts';

// Run by the stage `modules`, once they are built.
const test = suite('modules');

/** The lines of `npm run build:modules -- --list`: a name, and why it cannot be built. */
const listed = spawnSync(process.execPath, [project('scripts', 'build-modules.mjs'), '--list'], {
  encoding: 'utf8',
}).stdout;
const targets = [...listed.matchAll(/^(\S+)\.(\w+?)(?:: (.+))?$/gm)].map(
  ([, platform = '', arch = '', lacks]) => ({ platform, arch, name: `${platform}.${arch}`, lacks }),
);

/** What a library says that it is for. */
function kindOf(path: string): string {
  const file = readFileSync(path);
  if (file.toString('latin1', 0, 4) === '\x7fELF') {
    return `linux ${{ 62: 'x64', 183: 'arm64' }[file.readUInt16LE(18)]}`;
  }
  if (file.readUInt32LE(0) === 0xfeedfacf) {
    return `darwin ${{ 16777223: 'x64', 16777228: 'arm64' }[file.readUInt32LE(4)]}`;
  }
  const at = file.readUInt32LE(0x3c);
  assert.is(file.toString('latin1', at, at + 4), 'PE\0\0', path);
  return `win32 ${{ 34404: 'x64' }[file.readUInt16LE(at + 4)]}`;
}

/** The C library that a library of Linux asks for, as text in its table of names. */
function libcOf(path: string): string | undefined {
  return /\0(libc\.so(?:\.6)?)\0/.exec(readFileSync(path, 'latin1'))?.[1];
}

test('there is a row for each system that the package is for', () => {
  const names = targets.map(({ name }) => name);
  assert.equal(names, [
    'linux.x64',
    'linux.arm64',
    'linux-musl.x64',
    'linux-musl.arm64',
    'darwin.arm64',
    'darwin.x64',
    'win32.x64',
  ]);
});

for (const { platform, arch, name, lacks } of targets) {
  const extension = { darwin: 'dylib', win32: 'dll' }[platform] ?? 'so';
  const files = [
    project('build', 'engine.zigar', `${name}.${extension}`),
    join(project('build', 'node-zigar-addon'), `${name}.node`),
  ];
  if (lacks === undefined) {
    test(`${name}: module and addon are for that system`, () => {
      for (const file of files) {
        assert.is(kindOf(file), `${platform.replace('-musl', '')} ${arch}`, file);
        if (platform === 'linux') assert.is(libcOf(file), 'libc.so.6', file);
        if (platform === 'linux-musl') assert.is(libcOf(file), 'libc.so', file);
      }
    });
  } else {
    test(`${name} is refused with its reason, and nothing is left that looks like it`, () => {
      const script = project('scripts', 'build-modules.mjs');
      const { status, stderr } = spawnSync(process.execPath, [script, name], { encoding: 'utf8' });
      assert.is(status, 69);
      assert.match(stderr, `${name}: ${lacks}`);
      for (const file of files) assert.not(existsSync(file), file);
    });
  }
}

test('a system that nobody knows is refused by name', () => {
  const script = project('scripts', 'build-modules.mjs');
  const { status, stderr } = spawnSync(process.execPath, [script, 'plan9.x64'], {
    encoding: 'utf8',
  });
  assert.is(status, 1);
  assert.match(stderr, /no module is built for "plan9\.x64"; there are linux\.x64, /);
});

test.run();
