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

test('a plain run leaves the longest files of the sockets’ suite to others; all others have each of them', () => {
  const whole: string[] = socketSuite({ isWhole: true });
  const plain: string[] = socketSuite({ isWhole: false });
  const left = whole.filter((path) => !plain.includes(path));
  assert.ok(plain.every((path) => whole.includes(path)));
  assert.ok(left.every((path) => lists.tail.test(relative(root, path))));
  assert.ok(left.length > 0 && plain.length > 2 * left.length, `${left.length} of ${whole.length}`);
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
