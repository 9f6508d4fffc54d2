import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { lacks, project, start, stopAll } from '../support/process.ts';
import { testUnless } from '../support/skip.ts';
import { within } from '../support/wait.ts';

// bench/streams.mjs in short: that many streams of many connections are held and answered, whatever they cost.
const test = suite('streams held');

testUnless(test, lacks('taskset'), 'a hundred streams on each connection are held', async () => {
  const args = [project('bench', 'streams.mjs'), '--smoke'];
  const running = start(process.execPath, args, { env: { GYRFALCON_SETUP: '0' } });
  const { code } = await within(running.ended, 'the end of it', 60_000);
  assert.is(code, 0, running.stderr() + running.stdout());
  assert.match(running.stdout(), '2000 streams over 20 connections were held, and answered');
});

test.after(stopAll);
test.run();
