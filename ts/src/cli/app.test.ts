import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { loadApp, optionsOf } from './app.ts';
import { CliError } from './errors.ts';

const test = suite<{ folder: string }>('app module', { folder: '' });

test.before((context) => {
  context.folder = mkdtempSync(join(tmpdir(), 'gyrfalcon-app-'));
});
test.after(({ folder }) => rmSync(folder, { recursive: true }));

async function mistake(path: string): Promise<string> {
  try {
    await loadApp(path);
  } catch (error) {
    if (error instanceof CliError) return error.message;
    throw error;
  }
  throw new Error('no error');
}

test('options, a fetch object and an app of a class are taken', () => {
  class App {
    routes = [{ path: '/' }];
    name = 'app';
    fetch(): string {
      return this.name;
    }
  }
  const fetch = (): string => 'x';
  assert.equal(optionsOf('a.ts', { default: { fetch, port: 1 } }), { fetch, port: 1 });
  assert.equal(optionsOf('a.ts', { default: { routes: {} } }), { routes: {} });
  const onProtocolError = () => {};
  const both = { default: { fetch }, onProtocolError };
  assert.equal(optionsOf('a.ts', both), { fetch, onProtocolError });
  assert.is(
    optionsOf('a.ts', { default: new App(), onProtocolError }).onProtocolError,
    onProtocolError,
  );
  const taken = optionsOf('a.ts', { default: new App() }) as { fetch(): string };
  assert.equal(Object.keys(taken), ['fetch']);
  assert.is(taken.fetch(), 'app');
});

test('exports that cannot be served are refused', () => {
  for (const exported of [{}, { default: 5 }, { default: null }, { default: { port: 1 } }]) {
    assert.throws(() => optionsOf('a.ts', exported), /a\.ts/);
  }
});

test('a missing file and a folder are told apart', async ({ folder }) => {
  assert.match(await mistake(join(folder, 'none.ts')), /there is no file .*none\.ts/);
  assert.match(await mistake(folder), /is a folder/);
});

test('a syntax error names file, line and column', async ({ folder }) => {
  const path = join(folder, 'broken.ts');
  writeFileSync(path, 'const ok = 1;\nexport default { fetch( };\n');
  const message = await mistake(path);
  assert.match(message, `${path}:2:`);
  assert.match(message, 'export default { fetch( };');
});

test.run();
