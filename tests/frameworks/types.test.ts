/** The types of the frameworks go together with the library's. */
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { project, start } from '../support/process.ts';
import { within } from '../support/wait.ts';

const test = suite('types');

test('handlers of frameworks, and programs for node:http, are taken without a cast', async () => {
  const flags = ['--noEmit', '--strict', '--skipLibCheck', '--ignoreConfig', '--types', 'node'];
  const running = start(process.execPath, [
    project('node_modules/typescript/bin/tsc'),
    ...[...flags, '--target', 'es2022', '--module', 'nodenext'],
    project('tests/frameworks/apps/types.ts'),
  ]);
  const { code } = await within(running.ended, 'the end of tsc', 60_000);
  assert.is(code, 0, running.stdout());
});

test.run();
