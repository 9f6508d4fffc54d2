/** Node.js started with less than the server needs: the error says what is missing. */
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { project, start, stopAll } from '../support/process.ts';
import { within } from '../support/wait.ts';

const test = suite('permissions');
test.after(stopAll);

const script = project('tests', 'bridge', 'fixtures', 'denied_server.mjs');
const permission = process.allowedNodeEnvironmentFlags.has('--permission')
  ? '--permission'
  : '--experimental-permission';

/** What a server says that is started by Node.js with these flags. */
async function told(flags: string[], threads = 0): Promise<string> {
  const running = start(process.execPath, [...flags, script, String(threads)]);
  await within(running.ended, 'the end of the program');
  return running.stdout().trim();
}

test('without addons there is no engine', async () => {
  assert.match(await told(['--no-addons']), /^GYR_ENGINE_DENIED .*without --no-addons/);
  const denied = await told([permission, '--allow-fs-read=*']);
  assert.match(denied, /^GYR_ENGINE_DENIED .*--allow-addons/);
});

test('the package must be readable', async () => {
  const readable = ['dist', 'package.json', 'node_modules', 'tests'].map(
    (name) => `--allow-fs-read=${project(name)}`,
  );
  const denied = await told([permission, '--allow-addons', ...readable]);
  assert.match(denied, `--allow-fs-read=${project('build')}`);
});

test('threads need leave to be started', async () => {
  const flags = [permission, '--allow-fs-read=*', '--allow-addons'];
  assert.match(await told(flags, 1), /^GYR_THREAD .*--allow-worker/);
  assert.is(await told(flags), 'served');
  assert.is(await told([...flags, '--allow-worker'], 1), 'served');
});

test.run();
