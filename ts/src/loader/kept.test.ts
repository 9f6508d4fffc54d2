import { mkdtempSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { transform } from './transform.ts';

/** Its URL ends as that of a source does. */
const fresh = './kept.ts?without=esbuild.ts';
const before = process.env.GYRFALCON_LOADER_CACHE;
const test = suite<{ folder: string }>('what the loader keeps');

test.before.each((context) => {
  context.folder = mkdtempSync(join(tmpdir(), 'gyrfalcon-kept-'));
  process.env.GYRFALCON_LOADER_CACHE = context.folder;
});
test.after.each(({ folder }) => {
  if (before === undefined) delete process.env.GYRFALCON_LOADER_CACHE;
  else process.env.GYRFALCON_LOADER_CACHE = before;
  rmSync(folder, { recursive: true });
});

function filesOf(folder: string): string[] {
  const names = readdirSync(folder, { recursive: true, encoding: 'utf8' });
  return names.map((name) => join(folder, name)).filter((path) => statSync(path).isFile());
}

test('what was transformed is taken from the folder the next time, in its format', ({ folder }) => {
  for (const [text, format] of [
    ['export const a: number = 1;', 'module'],
    ['const a: number = 1;\nmodule.exports = a;', 'commonjs'],
  ] as const) {
    const path = join(folder, '..', `none-${format}.ts`);
    const made = transform(path, text);
    assert.is(made.format, format);
    assert.equal(transform(path, text), made);
  }
  const files = filesOf(folder);
  assert.is(files.length, 2);
  for (const file of files) writeFileSync(file, 'mexport const kept = true;');
  const path = join(folder, '..', 'none-module.ts');
  const kept = { format: 'module', source: 'export const kept = true;' };
  assert.equal(transform(path, 'export const a: number = 1;'), kept);
});

test('another text or path is another file', ({ folder }) => {
  transform(join(folder, 'a.ts'), 'export const a = 1;');
  transform(join(folder, 'a.ts'), 'export const a = 2;');
  transform(join(folder, 'b.ts'), 'export const a = 1;');
  assert.is(filesOf(folder).length, 3);
});

test('an empty file of the folder, which a full disk leaves, is made anew', ({ folder }) => {
  const made = transform(join(folder, 'a.ts'), 'export const a = 1;');
  for (const file of filesOf(folder)) writeFileSync(file, '');
  assert.equal(transform(join(folder, 'a.ts'), 'export const a = 1;'), made);
  assert.match(transform(join(folder, 'a.ts'), 'export const a = 1;').source, 'a = 1');
});

test('what does not parse is not kept, and is told again', ({ folder }) => {
  for (let n = 0; n < 2; n += 1) {
    assert.throws(() => transform(join(folder, 'a.ts'), 'export const = 1;'), /a\.ts:1:/);
  }
  assert.equal(filesOf(folder), []);
});

test('a folder that cannot be had is told of once, and files are transformed', async ({
  folder,
}) => {
  const file = join(folder, 'file');
  writeFileSync(file, '');
  process.env.GYRFALCON_LOADER_CACHE = file;
  const warnings: Error[] = [];
  const hear = (warning: Error) => void warnings.push(warning);
  process.on('warning', hear);
  for (const name of ['a.ts', 'b.ts']) {
    assert.match(transform(join(folder, name), 'export const a: 1 = 1;').source, 'a = 1');
  }
  await new Promise((resolve) => setImmediate(resolve));
  process.off('warning', hear);
  assert.is(warnings.length, 1);
  assert.match(warnings[0]?.message ?? '', /^GYRFALCON_LOADER_CACHE: ENOTDIR/);
});

test('where the version of esbuild cannot be read nothing is kept, and files are loaded', async ({
  folder,
}) => {
  const { cache, extensions, resolve } = createRequire(import.meta.url);
  const file = resolve('esbuild/package.json');
  const { [file]: before } = cache;
  const { '.json': load } = extensions;
  delete cache[file];
  extensions['.json'] = () => {
    throw new Error('EACCES: esbuild');
  };
  const warnings: Error[] = [];
  const hear = (warning: Error) => void warnings.push(warning);
  process.on('warning', hear);
  // One that has not looked for it yet.
  const { kept } = (await import(fresh)) as typeof import('./kept.ts');
  const made = { format: 'module', source: 'made' } as const;
  try {
    for (const input of ['a', 'b']) assert.is(kept([input], () => made).source, 'made');
  } finally {
    extensions['.json'] = load;
    cache[file] = before;
  }
  await new Promise((resolve) => setImmediate(resolve));
  process.off('warning', hear);
  assert.equal(filesOf(folder), []);
  assert.equal(
    warnings.map(({ message }) => message),
    ['GYRFALCON_LOADER_CACHE: EACCES: esbuild'],
  );
});

test('nothing is kept where no folder is named', ({ folder }) => {
  delete process.env.GYRFALCON_LOADER_CACHE;
  transform(join(folder, 'a.ts'), 'export const a = 1;');
  assert.equal(filesOf(folder), []);
});

test.run();
