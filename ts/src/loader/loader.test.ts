import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join, sep } from 'node:path';
import { pathToFileURL } from 'node:url';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { defaultExport } from './default_export.ts';
import { candidates } from './resolution.ts';
import { transform } from './transform.ts';

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
  return defaultExport(loaded);
}

/** What holds for a folder whose tsconfig.json has these options. */
function tsconfig(compilerOptions: object, others: object = {}): string {
  return JSON.stringify({ compilerOptions, ...others });
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
  assert.is(transform('/none/a.cts', 'export default 1').format, 'commonjs');
  assert.is(transform('/none/a.ts', 'export const a = 1').format, 'module');
  assert.is(transform('/none/a.ts', 'await f()').format, 'module');
  assert.is(transform('/none/a.ts', 'import.meta.url').format, 'module');
  assert.is(transform('/none/a.ts', 'import a = require("a"); export = a').format, 'commonjs');
  assert.is(transform('/none/a.ts', 'f()').format, 'commonjs');
});

test('CommonJS is strict, as tsc makes it, unless it is told otherwise', async ({ folder }) => {
  const sloppy = 'export default (function (this: unknown) { return this; })();';
  assert.is(await load(folder, 'strict', { 'app.cts': sloppy }), undefined);
  const found = await load(folder, 'sloppy', {
    'app.cts': sloppy,
    'tsconfig.json': tsconfig({ alwaysStrict: false }),
  });
  assert.is(found, globalThis);
});

test('a file that begins with #! is CommonJS or a module as any other', async ({ folder }) => {
  const line = '#!/usr/bin/env node\n';
  assert.is(
    await load(folder, 'hash-cjs', { 'app.ts': `${line}module.exports = 1 as number;` }),
    1,
  );
  assert.is(await load(folder, 'hash-esm', { 'app.ts': `${line}export default 2 as number;` }), 2);
  const required = `${line}import path = require('node:path');\nexport default path.sep;`;
  assert.is(await load(folder, 'hash-require', { 'app.mts': required }), sep);
});

test('comments and strings that look like exports make no module', () => {
  const comment = '/*\nexport default nothing\n*/\nmodule.exports = 1;';
  assert.is(transform('/none/a.ts', comment).format, 'commonjs');
  const text = 'module.exports = `\nexport default 1;\nimport x from "y";\n`;';
  assert.is(transform('/none/a.ts', text).format, 'commonjs');
  assert.is(
    transform('/none/a.tsx', 'module.exports = <p>\nexport const\n</p>').format,
    'commonjs',
  );
});

test('CommonJS in TypeScript: exports, export =, import = require', async ({ folder }) => {
  const found = await load(folder, 'cts', {
    'app.cts': `
      import path = require('node:path');
      import one from './one.cjs';
      import { two } from './two';
      import three = require('./three.js');
      import type { Four } from './nowhere';
      export default [path.basename(__filename), one, two, three.value, typeof module] as const;
    `,
    'one.cts': 'export default 1 as number;',
    'two.cts': 'export const two: number = 2;',
    'three.ts': 'const three = { value: 3 as number };\nexport = three;',
    'package.json': '{ "type": "commonjs" }',
  });
  assert.equal(found, ['app.cts', 1, 2, 3, 'object']);
});

test('a module imports what CommonJS exports by name', async ({ folder }) => {
  const found = await load(folder, 'mixed', {
    'app.mts': `
      import { two } from './two.cjs';
      import whole from './two.cjs';
      import three from './three.cjs';
      export default [two, whole.two, three];
    `,
    'two.cts': 'export const two: number = 2;',
    'three.cts': 'const three: number = 3;\nexport = three;',
  });
  assert.equal(found, [2, 2, 3]);
});

test('import = require in a module of a package of modules', async ({ folder }) => {
  const found = await load(folder, 'require', {
    'app.ts': `
      import path = require('node:path');
      import one = require('./one.cjs');
      export default [path.basename('/a/b'), one.value];
    `,
    'one.cts': 'export const value: number = 1;',
    'package.json': '{ "type": "module" }',
  });
  assert.equal(found, ['b', 1]);
});

test('JavaScript in CommonJS requires TypeScript', async ({ folder }) => {
  const found = await load(folder, 'required', {
    'app.js':
      "module.exports = require('./a').a + require('./b.cts').b + require('./c.js').default;",
    'a.ts': 'export const a: number = 1;',
    'b.cts': 'exports.b = 10 as number;',
    'c.ts': 'export default 100 as number;',
    'package.json': '{ "type": "commonjs" }',
  });
  assert.is(found, 111);
});

test("the output of tsc in CommonJS has its author's default export", async ({ folder }) => {
  const found = await load(folder, 'output', {
    'app.cjs': `
      "use strict";
      Object.defineProperty(exports, "__esModule", { value: true });
      exports.default = { fetch: 1 };
    `,
  });
  assert.equal(found, { fetch: 1 });
});

test('module: commonjs is followed but where only a module can run', async ({ folder }) => {
  const files = {
    'tsconfig.json': tsconfig({ module: 'CommonJS' }),
    'b.ts': "export const b = require('node:path').basename(__filename);",
  };
  const found = await load(folder, 'emits', {
    'app.ts': "import { b } from './b';\nexport default [typeof module, b];",
    ...files,
  });
  assert.equal(found, ['object', 'b.ts']);
  const awaiting = await load(folder, 'awaits', {
    'app.ts': "import { b } from './b';\nexport default await Promise.resolve(b);",
    ...files,
  });
  assert.is(awaiting, 'b.ts');
  const meta = await load(folder, 'meta', {
    'app.ts': "import { b } from './b';\nexport default import.meta.url.length > b.length;",
    ...files,
  });
  assert.is(meta, true);
});

test('circles of CommonJS modules close as tsc has them close', async ({ folder }) => {
  const found = await load(folder, 'circle', {
    'app.ts': "import { b } from './b';\nexport const a = 1;\nexport default b();",
    'b.ts': "import { a } from './app';\nexport const b = (): number => a + 1;",
    'tsconfig.json': tsconfig({ module: 'commonjs' }),
  });
  assert.is(found, 2);
});

test('paths and baseUrl lead to files before packages do', async ({ folder }) => {
  const found = await load(folder, 'paths', {
    'app.ts': `
      import a from '@app/a';
      import b from '@app/deep/b.js';
      import c from 'exact';
      import d from 'lib/d';
      import e from '#e';
      import { basename } from 'path';
      import hono from 'hono/tiny';
      export default [a, b, c, d, e, basename('/x/y'), typeof hono];
    `,
    'src/a.ts': 'export default 1;',
    'other/deep/b.ts': 'export default 2;',
    'src/exact/index.ts': 'export default 3;',
    'lib/d.tsx': 'export default 4;',
    'src/e.mts': 'export default 5;',
    'path.ts': 'export const basename = () => "no builtin";',
    'types/hono.d.ts': 'export {};',
    'node_modules/hono/package.json':
      '{ "name": "hono", "type": "module", "exports": { "./tiny": "./tiny.js" } }',
    'node_modules/hono/tiny.js': 'export default () => {};',
    'tsconfig.json': `{
      // a comment
      "compilerOptions": {
        "baseUrl": ".",
        "paths": {
          "@app/*": ["./src/*", "./other/*"],
          "exact": ["./src/exact"],
          "#*": ["./src/*"],
          "hono/tiny": ["./types/hono.d.ts"],
        },
      },
    }`,
  });
  assert.equal(found, [1, 2, 3, 4, 5, 'y', 'function']);
});

test('paths hold for require too', async ({ folder }) => {
  const found = await load(folder, 'required-paths', {
    'app.cts': "import a = require('@app/a');\nexport = a.a + require('@app/b').b;",
    'src/a.cts': 'export const a: number = 1;',
    'src/b.ts': 'module.exports = { b: 2 as number };',
    'tsconfig.json': tsconfig({ paths: { '@app/*': ['./src/*'] } }),
    'package.json': '{ "type": "commonjs" }',
  });
  assert.is(found, 3);
});

test("a package's imports name outputs whose sources are there", async ({ folder }) => {
  const found = await load(folder, 'imports', {
    'app.ts': "import db from '#db';\nexport default db;",
    'src/db.ts': 'export default 7;',
    'package.json': '{ "type": "module", "imports": { "#db": "./src/db.js" } }',
  });
  assert.is(found, 7);
});

test('decorators: legacy, with what tsc emits of the types', async ({ folder }) => {
  const files = {
    'dep.ts': 'export class Dep {}\nexport interface Face { a: 1 }',
    'reflect.ts': `
      export const seen: unknown[] = [];
      (Reflect as any).metadata = (key: string, value: unknown) => (_: unknown, name?: string) => {
        seen.push([key, name, value]);
      };
    `,
  };
  const text = `
    import { seen } from './reflect';
    import { Dep, type Face } from './dep';
    const order: string[] = [];
    const log = (what: string) => (...args: unknown[]): void => { order.push(what + args.length); };
    @log('class')
    export class App {
      @log('field') name!: string;
      constructor(private readonly dep: Dep, @log('parameter') face: Face, list: number[]) {}
      @log('method') run(when: Date): Promise<void> { return Promise.resolve(); }
    }
    const app = new App(new Dep(), { a: 1 }, []);
    export default [order, seen, Object.keys(app), Dep, Promise];
  `;
  const options = {
    experimentalDecorators: true,
    emitDecoratorMetadata: true,
    target: 'es2021',
  };
  for (const module of ['commonjs', 'esnext']) {
    const found = (await load(folder, `metadata-${module}`, {
      'app.ts': text,
      ...files,
      'tsconfig.json': tsconfig({ ...options, module }),
    })) as [string[], unknown[], string[], unknown, unknown];
    const [order, seen, keys, Dep, promise] = found;
    assert.equal(order, ['field3', 'method3', 'parameter3', 'class1']);
    assert.equal(seen, [
      ['design:type', 'name', String],
      ['design:returntype', 'run', promise],
      ['design:paramtypes', 'run', [Date]],
      ['design:type', 'run', Function],
      ['design:paramtypes', undefined, [Dep, Object, Array]],
    ]);
    assert.equal(keys, ['dep']);
  }
});

test('decorators: legacy replaces classes and methods, without metadata', async ({ folder }) => {
  const text = `
    const twice = (_: unknown, __: string, d: PropertyDescriptor) => {
      const { value } = d;
      return { ...d, value: (n: number) => 2 * value(n) };
    };
    const sealed = <C extends new () => any>(base: C) => class extends base { extra = 1; };
    @sealed class A { @twice run(n: number) { return n + 1; } }
    const a = new A() as any;
    export default [a.run(1), a.extra];
  `;
  for (const emitDecoratorMetadata of [true, false]) {
    const found = await load(folder, `legacy-${emitDecoratorMetadata}`, {
      'app.ts': text,
      'tsconfig.json': tsconfig({ experimentalDecorators: true, emitDecoratorMetadata }),
    });
    assert.equal(found, [4, 1]);
  }
});

test('decorators: standard, where tsconfig.json asks for no others', async ({ folder }) => {
  const found = await load(folder, 'standard', {
    'app.ts': `
      const kinds: string[] = [];
      const see = (_: unknown, context: DecoratorContext): void => {
        kinds.push(context.kind + ' ' + String(context.name));
      };
      @see class A { @see field = 1; @see accessor both = 2; @see static run(): void {} }
      export default [kinds, new A().both];
    `,
  });
  assert.equal(found, [['method run', 'accessor both', 'field field', 'class A'], 2]);
});

test('an error behind lowered decorators names its line', async ({ folder }) => {
  const fail = (await load(folder, 'trace-metadata', {
    'app.ts':
      'const d = (..._: unknown[]): void => {};\n\ninterface A {\n  a: number;\n}\n\nclass B {\n  @d m(a: A): never {\n    throw new Error(String(a));\n  }\n}\nexport default () => new B().m({ a: 1 });\n',
    'tsconfig.json': tsconfig({ experimentalDecorators: true, emitDecoratorMetadata: true }),
  })) as () => never;
  try {
    fail();
    assert.unreachable();
  } catch (error) {
    assert.match((error as Error).stack ?? '', /app\.ts:9:/);
  }
});

test('JSX that is preserved for a bundler runs', async ({ folder }) => {
  const runtime = {
    'node_modules/ui/package.json': '{ "name": "ui", "type": "module" }',
    'node_modules/ui/jsx-runtime.js': 'export const jsx = (type, props) => [type, props];',
    'node_modules/ui/package-lock.json': '{}',
  };
  const found = await load(folder, 'preserve', {
    'app.tsx': 'export default <main id="a" />;',
    'tsconfig.json': tsconfig({ jsx: 'preserve', jsxImportSource: 'ui' }),
    ...runtime,
    'node_modules/ui/package.json':
      '{ "name": "ui", "type": "module", "exports": { "./jsx-runtime": "./jsx-runtime.js" } }',
  });
  assert.equal(found, ['main', { id: 'a' }]);
  const factory = await load(folder, 'preserve-factory', {
    'app.tsx': 'const h = (name: string): string => name;\nexport default <main />;',
    'tsconfig.json': tsconfig({ jsx: 'preserve', jsxFactory: 'h' }),
  });
  assert.is(factory, 'main');
});

test('class fields are defined or assigned as the target has it', async ({ folder }) => {
  const text = `
    const set: string[] = [];
    class Base { set a(value: number) { set.push('a' + value); } }
    class A extends Base { a = 1; b?: number; }
    export default [set, 'b' in new A()];
  `;
  const assigned = await load(folder, 'assigned', {
    'app.ts': text,
    'tsconfig.json': tsconfig({ target: 'ES2021' }),
  });
  assert.equal(assigned, [['a1'], false]);
  const defined = await load(folder, 'defined', {
    'app.ts': text,
    'tsconfig.json': tsconfig({ target: 'ES2022' }),
  });
  assert.equal(defined, [[], true]);
});

test('candidates put the file itself before a folder', () => {
  assert.equal(candidates('/x/a.js'), ['/x/a.ts', '/x/a.tsx']);
  assert.is(candidates('/x/a')[0], '/x/a.ts');
  assert.is(candidates('/x/a').at(-1), '/x/a/index.json');
});

test.run();
