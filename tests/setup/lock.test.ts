import { readFileSync } from 'node:fs';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { project } from '../support/process.ts';

interface Locked {
  resolved?: string;
  version: string;
  optionalDependencies?: Record<string, string>;
}

const test = suite('package-lock.json');

interface Lock {
  text: string;
  packages: Record<string, Locked>;
}

function lockIn(...folder: string[]): Lock {
  const text = readFileSync(project(...folder, 'package-lock.json'), 'utf8');
  return { text, packages: JSON.parse(text).packages };
}

const { text, packages } = lockIn();
const frameworks = lockIn('tests', 'frameworks', 'apps');

for (const [name, lock] of [
  ['it', { text, packages }],
  ['that of tests/frameworks', frameworks],
  ['that of tests/packages', lockIn('tests', 'packages', 'registry')],
] as [string, Lock][]) {
  test(`${name} names no registry, so that any mirror will do`, () => {
    for (const [path, { resolved }] of Object.entries(lock.packages)) {
      assert.is(resolved, undefined, path);
    }
    assert.not.match(lock.text, 'https://registry');
  });
}

test('it has the packages of every platform, as npm ci demands', () => {
  for (const [path, { optionalDependencies = {} }] of Object.entries(packages)) {
    for (const name of Object.keys(optionalDependencies)) {
      assert.ok(`node_modules/${name}` in packages, `${path} needs ${name}`);
    }
  }
});

test('node-zigar and its parts are the versions that work together', () => {
  for (const name of ['node-zigar', 'node-zigar-addon', 'zigar-compiler']) {
    assert.is(packages[`node_modules/${name}`]?.version, '0.14.0', name);
  }
});

test.run();
