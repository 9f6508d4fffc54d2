import { createHash } from 'node:crypto';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
// @ts-expect-error: a script, without types
import { visibleSymbols } from '../../scripts/lib/archives.mjs';
// @ts-expect-error: a script, without types
import { targetHere } from '../../scripts/lib/targets.mjs';
// @ts-expect-error: a script, without types
import { tlsFolder } from '../../scripts/lib/tls.mjs';

interface Module {
  readonly version: string;
  readonly digest: string;
}

const test = suite('OpenSSL in a module');

test('it is its own, and not the one that Node.js exports', () => {
  const extension = process.platform === 'darwin' ? 'dylib' : 'so';
  const prefix = process.env.GYRFALCON_ZIG_PREFIX as string;
  const path = join(prefix, 'lib', `libtls_module.${extension}`);
  const found = { exports: {} as Module };
  process.dlopen(found, path);
  assert.match(found.exports.version, /^OpenSSL 3\.5\./);
  assert.not.match(found.exports.version, process.versions.openssl);
  assert.is(found.exports.digest, createHash('sha256').update('abc').digest('hex'));
  // Node.js's own goes on.
  assert.ok(createRequire(import.meta.url)('node:tls').getCiphers().length > 10);
});

test('the archives show no symbol to other images', () => {
  const folder = tlsFolder(targetHere());
  for (const name of ['crypto', 'ssl', 'picotls']) {
    assert.equal(visibleSymbols(join(folder, 'lib', `lib${name}.a`)), [], name);
  }
});

test.run();
