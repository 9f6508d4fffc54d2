/** Which test files run at the same time. */
import { relative } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
// @ts-expect-error: a script, without types.
import { inGroups, lists, socketSuite, testFiles } from '../../scripts/lib/suites.mjs';
import { project, root } from '../support/process.ts';

const test = suite('suites');
const files = ['conformance/engine', 'conformance/timeouts', 'conformance/rates', 'docs/tidy'].map(
  (name) => project('tests', `${name}.test.ts`),
);
const [engine, timeouts, rates, tidy] = files;

test('test files that measure time run beside none but such, and greedy ones by themselves', () => {
  assert.equal(inGroups(files, 8), [
    { jobs: 2, files: [engine, tidy] },
    { jobs: 2, files: [timeouts] },
    { jobs: 1, files: [rates] },
  ]);
});

test('with one processor they run one by one', () => {
  assert.ok(inGroups(files, 1).every(({ jobs }: { jobs: number }) => jobs === 1));
});

test('every test file runs once', () => {
  const all: string[] = testFiles({}, 'tests');
  const grouped = inGroups(all, 2).flatMap((group: { files: string[] }) => group.files);
  assert.equal(grouped.sort(), all.sort());
});

test('a plain run has every file of the sockets’ suite on one backend', () => {
  assert.equal(socketSuite({ isWhole: false }), socketSuite({ isWhole: true }));
  const named = (path: string) => lists.notBlackbox.test(relative(root, path));
  const others: string[] = testFiles({}, 'tests').filter((path: string) => !named(path));
  assert.equal(socketSuite({ isWhole: false }), others);
});

test('another backend has all that has to do with one, but the longest files in a plain run: a quarter at most', () => {
  const names = (isWhole: boolean): string[] => {
    const files: string[] = socketSuite({ isWhole }, { isAgain: true });
    return files.map((path) => relative(root, path));
  };
  const [whole, plain] = [names(true), names(false)];
  const all: string[] = socketSuite({}).map((path: string) => relative(root, path));
  assert.equal(
    whole,
    all.filter((name) => !lists.aboutNoBackend.test(name)),
  );
  assert.equal(
    plain,
    whole.filter((name) => !lists.tail.test(name)),
  );
  const left = whole.length - plain.length;
  assert.ok(left > 0 && whole.length >= 4 * left, `${left} of ${whole.length}`);
});

test('what a list names is there', () => {
  const names: string[] = testFiles({}, 'tests').map((path: string) => relative(root, path));
  for (const [list, { source }] of Object.entries<RegExp>(lists)) {
    for (const alternative of alternatives(source)) {
      const pattern = new RegExp(alternative);
      assert.ok(
        names.some((name) => pattern.test(name)),
        `${list}: ${alternative}`,
      );
    }
  }
});

/** `^a(?:b|c)d` as `^abd` and `^acd`. */
function alternatives(source: string): string[] {
  // The innermost group; without one, what is left is alternatives itself.
  const found = /\(\?:([^()]*)\)/.exec(source);
  if (found === null) return source.split('|');
  const [group, inside = ''] = found;
  const before = source.slice(0, found.index);
  const after = source.slice(found.index + group.length);
  return inside.split('|').flatMap((one) => alternatives(before + one + after));
}

test.run();
