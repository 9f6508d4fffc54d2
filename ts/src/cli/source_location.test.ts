import { fileURLToPath } from 'node:url';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { sourcesOf } from './source_location.ts';

const file = fileURLToPath(import.meta.url);

test('a function is found where it was written, whatever was made of the file', () => {
  interface Erased {
    name: string;
  }
  const kept = (erased: Erased) => erased.name;
  const [found] = sourcesOf([kept]);
  assert.is(found?.name, 'kept');
  assert.is(found?.location?.file, file);
  const line = new Error().stack?.split('\n')[1] ?? '';
  const here = Number(/:(\d+):\d+\)?$/.exec(line)?.[1]);
  assert.is(found?.location?.line, here - 4);
});

test('a bound one is the function that it was bound from', () => {
  function own(): void {}
  const [bound, twice, plain] = sourcesOf([own.bind(1), own.bind(1).bind(2), own]);
  assert.equal([bound, twice], [plain, plain]);
  assert.is(plain?.name, 'own');
});

test('what has no name or no source has null in its place', () => {
  const [nameless, native] = sourcesOf([(() => () => {})(), Math.max]);
  assert.is(nameless?.name, null);
  assert.is(nameless?.location?.file, file);
  assert.equal(native, { name: 'max', location: null });
  assert.equal(sourcesOf([]), []);
});

test.run();
