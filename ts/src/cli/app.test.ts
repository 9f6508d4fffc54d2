import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { loadApp } from './app.ts';
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
