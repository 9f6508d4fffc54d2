import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, realpathSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { type CompilerOptions, projectOf } from './tsconfig.ts';

const tsc = fileURLToPath(new URL('../../../node_modules/typescript/bin/tsc', import.meta.url));
const test = suite<{ folder: string }>('tsconfig', { folder: '' });

test.before((context) => {
  context.folder = realpathSync(mkdtempSync(join(tmpdir(), 'gyrfalcon-tsconfig-')));
});
test.after(({ folder }) => rmSync(folder, { recursive: true }));

/** Writes files into a folder of their own and returns its path. */
function write(folder: string, name: string, files: Record<string, string | object>): string {
  const root = join(folder, name);
  for (const [path, content] of Object.entries(files)) {
    const file = join(root, path);
    mkdirSync(dirname(file), { recursive: true });
    writeFileSync(file, typeof content === 'string' ? content : JSON.stringify(content));
  }
  return root;
}

/** What `tsc --showConfig` prints of a project's options. */
function shown(project: string): CompilerOptions {
  let text: string;
  try {
    text = execFileSync(process.execPath, [tsc, '-p', project, '--showConfig'], {
      encoding: 'utf8',
    });
  } catch (error) {
    // It prints the configuration beside what it finds fault with.
    text = (error as { stdout: string }).stdout;
  }
  return JSON.parse(text.slice(text.indexOf('{'))).compilerOptions;
}

/** The options of the file's project are those that tsc shows, by each name that is given. */
function agrees(project: string, file: string, names: readonly string[]): void {
  const expected = shown(project);
  const { compilerOptions } = projectOf(file);
  const lower = (value: unknown): unknown =>
    typeof value === 'string' ? value.toLowerCase() : value;
  for (const name of names) {
    assert.equal(lower(compilerOptions[name]), lower(expected[name]), name);
    assert.ok(expected[name] !== undefined, `tsc shows ${name}`);
  }
}

test('extends: by a relative path, by a package, and by a list whose last word counts', ({
  folder,
}) => {
  const files = {
    'app.ts': 'export {};',
    'base.json': {
      compilerOptions: {
        jsx: 'react',
        jsxFactory: 'h',
        experimentalDecorators: true,
        target: 'es2021',
      },
    },
    'node_modules/@acme/config/package.json': { name: '@acme/config', version: '1.0.0' },
    'node_modules/@acme/config/tsconfig.json': {
      compilerOptions: { jsx: 'react-jsx', jsxImportSource: 'acme', emitDecoratorMetadata: true },
    },
    'node_modules/@acme/config/strict.json': { compilerOptions: { strict: true } },
  };
  const project = (extended: string | string[], own: object = {}) => ({
    ...files,
    'tsconfig.json': { extends: extended, compilerOptions: own, include: ['app.ts'] },
  });
  const byPath = write(folder, 'relative', project('./base.json', { target: 'es2020' }));
  agrees(byPath, join(byPath, 'app.ts'), ['jsx', 'jsxFactory', 'experimentalDecorators', 'target']);
  const byPackage = write(folder, 'package', project('@acme/config'));
  agrees(byPackage, join(byPackage, 'app.ts'), ['jsx', 'jsxImportSource', 'emitDecoratorMetadata']);
  const byFile = write(folder, 'package-file', project('@acme/config/strict.json'));
  agrees(byFile, join(byFile, 'app.ts'), ['strict']);
  const list = write(folder, 'list', project(['./base', '@acme/config', '@acme/config/strict']));
  const names = ['jsx', 'jsxFactory', 'experimentalDecorators', 'target', 'strict'];
  agrees(list, join(list, 'app.ts'), [...names, 'emitDecoratorMetadata', 'jsxImportSource']);
  assert.is(projectOf(join(list, 'app.ts')).compilerOptions.jsx, 'react-jsx');
});

test('extends: paths are relative to the file that has them', ({ folder }) => {
  const root = write(folder, 'chain', {
    'config/base.json': { compilerOptions: { paths: { '@/*': ['../src/*'] } } },
    'config/middle.json': { extends: './base.json', compilerOptions: { module: 'commonjs' } },
    'app/tsconfig.json': { extends: '../config/middle.json', include: ['*.ts'] },
    'app/app.ts': 'export {};',
  });
  const project = projectOf(join(root, 'app', 'app.ts'));
  const shownPaths = shown(join(root, 'app')).paths as Record<string, string[]>;
  assert.equal(shownPaths, { '@/*': ['../src/*'] });
  assert.equal(project.targetsOf?.('@/a'), [join(root, 'src', 'a')]);
  agrees(join(root, 'app'), join(root, 'app', 'app.ts'), ['module']);
});

test('baseUrl and configDir', ({ folder }) => {
  const root = write(folder, 'base-url', {
    'tsconfig.json': {
      compilerOptions: { baseUrl: './src', paths: { own: ['${' + 'configDir}/lib/own'] } },
    },
    'app.ts': 'export {};',
  });
  const { targetsOf } = projectOf(join(root, 'app.ts'));
  assert.is(join(root, shown(root).baseUrl as string), join(root, 'src'));
  const seen = (targetsOf?.('deep/a') ?? []).map((path) => relative(root, path));
  assert.equal(seen, [join('src', 'deep', 'a')]);
  assert.is(targetsOf?.('own')[0], join(root, 'lib', 'own'));
});

test('references: a file belongs to the project that takes it', ({ folder }) => {
  const root = write(folder, 'solution', {
    'tsconfig.json': {
      files: [],
      references: [{ path: './tsconfig.app.json' }, { path: './server' }],
    },
    'tsconfig.app.json': { compilerOptions: { jsx: 'react-jsx' }, include: ['src'] },
    'server/tsconfig.json': { compilerOptions: { module: 'commonjs' }, include: ['../api'] },
    'src/app.ts': 'export {};',
    'api/app.ts': 'export {};',
    'elsewhere/app.ts': 'export {};',
    'server/app.ts': 'export {};',
  });
  assert.is(projectOf(join(root, 'src', 'app.ts')).path, join(root, 'tsconfig.app.json'));
  assert.is(projectOf(join(root, 'api', 'app.ts')).path, join(root, 'server', 'tsconfig.json'));
  agrees(join(root, 'server'), join(root, 'api', 'app.ts'), ['module']);
  agrees(join(root, 'tsconfig.app.json'), join(root, 'src', 'app.ts'), ['jsx']);
  // Nobody takes it: the nearest one holds, as for the compiler when it is given the folder.
  assert.is(projectOf(join(root, 'elsewhere', 'app.ts')).path, join(root, 'tsconfig.json'));
});

test('references: a project that takes the file keeps it, and circles end', ({ folder }) => {
  const root = write(folder, 'circles', {
    'tsconfig.json': { include: ['src'], references: [{ path: './other' }] },
    'other/tsconfig.json': { include: ['../src', '../lib'], references: [{ path: '..' }] },
    'src/app.ts': 'export {};',
    'lib/app.ts': 'export {};',
    'none/app.ts': 'export {};',
  });
  assert.is(projectOf(join(root, 'src', 'app.ts')).path, join(root, 'tsconfig.json'));
  assert.is(projectOf(join(root, 'lib', 'app.ts')).path, join(root, 'other', 'tsconfig.json'));
  assert.is(projectOf(join(root, 'none', 'app.ts')).path, join(root, 'tsconfig.json'));
});

test('a tsconfig.json that cannot be read is told, by its name', ({ folder }) => {
  const broken = write(folder, 'broken', { 'tsconfig.json': { extends: './gone.json' } });
  assert.throws(() => projectOf(join(broken, 'app.ts')), /broken.*gone\.json/s);
});

test('what is in node_modules has no project', ({ folder }) => {
  const root = write(folder, 'packages', {
    'tsconfig.json': {},
    'node_modules/p/tsconfig.json': { extends: '@not/published' },
  });
  assert.is(projectOf(join(root, 'node_modules', 'p', 'a.ts')).path, '');
});

test.run();
