/** What bench/wide.mjs says of numbers that are none: it starts nothing. */
import { spawnSync } from 'node:child_process';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { project } from '../support/process.ts';

const test = suite('bench/wide.mjs');

for (const [option, value, range] of [
  ['--workers', 'x', '1 to 256'],
  ['--workers', '0', '1 to 256'],
  ['--threads', '', '0 to 256'],
  ['--connections', '1.5', '1 to 1000000'],
] as const) {
  test(`${option} '${value}' is refused in a sentence`, () => {
    const args = [project('bench', 'wide.mjs'), option, value];
    const { status, stdout, stderr } = spawnSync(process.execPath, args, { encoding: 'utf8' });
    assert.is(stderr, `${option} takes a whole number from ${range}, not '${value}'\n`);
    assert.is(status, 2);
    assert.is(stdout, '');
  });
}

test.run();
