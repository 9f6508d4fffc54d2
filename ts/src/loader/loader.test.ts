import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { candidates, transform } from './transform.ts';

const test = suite<{ folder: string }>('loader', { folder: '' });

test.before((context) => {
  context.folder = mkdtempSync(join(tmpdir(), 'gyrfalcon-loader-'));
});
test.after(({ folder }) => rmSync(folder, { recursive: true }));

/** Writes files into a folder of their own and imports the first one's default export. */
async function load(folder: string, name: string, files: Record<string, string>): Promise<unknown> {
  for (const [path, text] of Object.entries(files)) {
    const file = join(folder, name, path);
    mkdirSync(dirname(file), { recursive: true });
    writeFileSync(file, text);
  }
  const first = Object.keys(files)[0] as string;
  const loaded = (await import(pathToFileURL(join(folder, name, first)).href)) as {
    default: unknown;
  };
  return loaded.default;
}

test('syntax that leaves something at run time is transformed', async ({ folder }) => {
  const text = `
    enum Color { red = 1, green }
    class Point { constructor(public x: number) {} }
    namespace Deep { export const value = 3 }
    export default [Color.green, new Point(7).x, Deep.value] as const;
  `;
  assert.equal(await load(folder, 'syntax', { 'app.ts': text }), [2, 7, 3]);
});

test('imports are found by output name, without extension and as a folder', async ({ folder }) => {
  const found = await load(folder, 'names', {
    'app.ts': `
      import a from './a.js';
      import b from './b';
      import c from './c';
      import d from './d.mjs';
      export default a + b + c + d;
    `,
    'a.ts': 'export default 1;',
    'b.tsx': 'export default 10;',
    'c/index.ts': 'export default 100;',
    'd.mts': 'export default 1000;',
  });
  assert.is(found, 1111);
});

test('a JavaScript file goes before a TypeScript one of its name', async ({ folder }) => {
  const found = await load(folder, 'both', {
    'app.ts': "export { default } from './a.js';",
    'a.js': "export default 'js';",
    'a.ts': "export default 'ts';",
    'package.json': '{ "type": "module" }',
  });
  assert.is(found, 'js');
});

test('an import that is nowhere fails as it does without the loader', async ({ folder }) => {
  const error = await load(folder, 'gone', {
    'app.ts': "import './gone.js'; export default 1;",
  }).then(
    () => undefined,
    (reason: unknown) => reason as { code: string },
  );
  assert.is(error?.code, 'ERR_MODULE_NOT_FOUND');
});

test('a module of a package that says commonjs is still one', async ({ folder }) => {
  const found = await load(folder, 'type', {
    'app.ts': 'export default import.meta.url.length > 0;',
    'package.json': '{ "type": "commonjs" }',
  });
  assert.is(found, true);
});

test("JSX follows the app's tsconfig.json, comments and all", async ({ folder }) => {
  const found = await load(folder, 'jsx', {
    'app.tsx': 'function h(name: string): number { return name.length; }\nexport default <main />;',
    'tsconfig.json': '{ /* ours */ "compilerOptions": { "jsx": "react", "jsxFactory": "h", } }',
  });
  assert.is(found, 4);
});

test('a stack trace names the line in the TypeScript file', async ({ folder }) => {
  const text =
    'interface A {\n  a: number;\n}\n\nexport default (a: A): never => {\n  throw new Error(String(a.a));\n};\n';
  const fail = (await load(folder, 'trace', { 'app.ts': text })) as (a: object) => never;
  try {
    fail({});
  } catch (error) {
    assert.match((error as Error).stack ?? '', /app\.ts:6:/);
  }
});

test('the format follows the extension, then the text, then the package', () => {
  assert.is(transform('/none/a.mts', 'f()').format, 'module');
  assert.is(transform('/none/a.cts', 'f()').format, 'commonjs');
  assert.is(transform('/none/a.ts', 'export const a = 1').format, 'module');
  assert.is(transform('/none/a.ts', 'f()').format, 'module');
});

test('candidates put the file itself before a folder', () => {
  assert.equal(candidates('/x/a.js'), ['/x/a.ts', '/x/a.tsx']);
  assert.is(candidates('/x/a')[0], '/x/a.ts');
  assert.is(candidates('/x/a').at(-1), '/x/a/index.jsx');
});

test.run();
