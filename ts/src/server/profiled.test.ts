/** That profiles name handlers by their routes, and what Node.js has to be started with for that. */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { isProfiled, withName } from './profiled.ts';

const test = suite('profiled');

test('handlers are named where Node.js makes profiles or listens for a debugger', () => {
  for (const flag of [
    '--cpu-prof',
    '--cpu-prof-dir=a',
    '--prof',
    '--perf-basic-prof',
    '--inspect=0',
  ]) {
    assert.ok(isProfiled([flag]), flag);
    assert.ok(isProfiled([], `--enable-source-maps ${flag}`), flag);
  }
  assert.not.ok(isProfiled(['--enable-source-maps'], '--max-old-space-size=100'));
});

test('a named handler gets and gives what the handler does', () => {
  const seen: unknown[] = [];
  const named = withName((...given) => seen.push(given), 'GET /a/"quoted"\\\u2028');
  assert.is(named.name, 'GET /a/"quoted"\\\u2028');
  assert.is(named(1 as never, 2, 3 as never), 1);
  assert.equal(seen, [[1, 2, 3]]);
  const failing = withName(() => {
    throw new Error('thrown');
  }, 'fails');
  assert.throws(() => failing(1 as never, 2, 3 as never), 'thrown');
});

test('one that has the name is left as it is', () => {
  const handlers = { '/a': () => 1 };
  assert.is(withName(handlers['/a'], '/a'), handlers['/a']);
});

test('V8 writes the names to its profile', () => {
  const folder = mkdtempSync(join(tmpdir(), 'gyrfalcon-'));
  try {
    const names = ['POST /busy', '/busy/:id'];
    const busy =
      'const busy = () => { for (const end = Date.now() + 150; Date.now() < end; ) {} };';
    const from = JSON.stringify(new URL('../../../dist/server/profiled.js', import.meta.url).href);
    const program = `import { withName } from ${from};\n${busy}\n
      for (const name of ${JSON.stringify(names)}) withName(busy, name)();`;
    const flags = ['--cpu-prof', '--cpu-prof-dir', folder, '--cpu-prof-name', 'a.cpuprofile'];
    const args = [...flags, '--input-type=module', '--eval', program];
    execFileSync(process.execPath, args, { stdio: 'inherit' });
    const { nodes } = JSON.parse(readFileSync(join(folder, 'a.cpuprofile'), 'utf8'));
    const found = nodes.map((node: { callFrame: { functionName: string } }) => node.callFrame);
    const called = new Set(found.map((frame: { functionName: string }) => frame.functionName));
    assert.equal(
      names.filter((name) => called.has(name)),
      names,
    );
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
});

test.run();
