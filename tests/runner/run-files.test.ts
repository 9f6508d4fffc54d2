import { pathToFileURL } from 'node:url';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { project, root } from '../support/process.ts';
import { type Outcome, runFiles } from './run-files.mjs';

const test = suite('test runner');

function run(name: string, timeoutMs?: number): Promise<Outcome> {
  return runFiles([project('tests', 'runner', 'fixtures', name)], {
    root,
    loader: pathToFileURL(project('dist', 'loader', 'register.js')).href,
    quiet: true,
    ...(timeoutMs === undefined ? {} : { timeoutMs }),
  });
}

test('passed and skipped tests are counted, a skip with its reason', async () => {
  const { passed, failed, skipped, skips } = await run('passes.ts');
  assert.equal([passed, failed, skipped], [2, 0, 1]);
  assert.equal(skips, ['three: the fixture lacks it']);
});

test('a failed test is counted and named', async () => {
  const { passed, failed, failures } = await run('fails.ts');
  assert.equal([passed, failed], [1, 1]);
  assert.match(failures[0] ?? '', /fails +"bad"/);
});

test('a file that never runs its tests fails', async () => {
  const { failed, failures } = await run('forgets.ts');
  assert.is(failed, 1);
  assert.match(failures[0] ?? '', /forgets\.ts: ended before its tests did/);
});

test('a file that ends within a test fails', async () => {
  const { failed, failures } = await run('crashes.ts');
  assert.is(failed, 1);
  assert.match(failures[0] ?? '', /crashes\.ts: ended before its tests did/);
});

test('a file that leaves something open fails at the deadline', async () => {
  const { failed, failures } = await run('hangs.ts', 2000);
  assert.is(failed, 1);
  assert.match(failures[0] ?? '', /hangs\.ts: did not end within 2 s/);
});

test.run();
