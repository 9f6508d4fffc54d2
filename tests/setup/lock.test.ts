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
const text = readFileSync(project('package-lock.json'), 'utf8');
const { packages } = JSON.parse(text) as { packages: Record<string, Locked> };

test('it names no registry, so that any mirror will do', () => {
  for (const [path, { resolved }] of Object.entries(packages)) assert.is(resolved, undefined, path);
  assert.not.match(text, 'https://registry');
});

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
