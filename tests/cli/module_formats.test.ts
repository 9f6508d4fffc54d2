import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { serve } from 'gyrfalcon';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { project, startApp, stopAll } from '../support/process.ts';

const test = suite<{ folder: string }>('apps in the formats that tsc knows', { folder: '' });

test.before((context) => {
  context.folder = mkdtempSync(join(tmpdir(), 'gyrfalcon-formats-'));
});
test.after(({ folder }) => {
  stopAll();
  rmSync(folder, { recursive: true });
});

/** Writes an app of several files; the first is the one to start. */
function write(folder: string, name: string, files: Record<string, string>): string {
  for (const [path, text] of Object.entries(files)) {
    const file = join(folder, name, path);
    mkdirSync(dirname(file), { recursive: true });
    writeFileSync(file, text);
  }
  return join(folder, name, Object.keys(files)[0] as string);
}

/** What the app answers on the main thread, and in a thread of its own. */
async function answers(path: string, threads = [0, 1]): Promise<string[]> {
  const texts: string[] = [];
  for (const count of threads) {
    const args = count === 0 ? [] : ['--threads', String(count)];
    const server = await startApp(path, args);
    const response = await fetch(`http://127.0.0.1:${server.port}/`);
    texts.push(await response.text());
    await server.stop();
  }
  return texts;
}

const options = "hostname: '127.0.0.1', port: 0";

test('a .cts file with a default export, and one with export =', async ({ folder }) => {
  const exported = write(folder, 'default', {
    'app.cts': `export default { ${options}, fetch: (): Response => new Response('default') };`,
  });
  assert.equal(await answers(exported), ['default', 'default']);
  const assigned = write(folder, 'assigned', {
    'app.cts': `
      import path = require('node:path');
      const app = { ${options}, fetch: (): Response => new Response(path.basename(__filename)) };
      export = app;
    `,
  });
  assert.equal(await answers(assigned, [1]), ['app.cts']);
});

test('the CommonJS that tsc has made of an app', async ({ folder }) => {
  const source = write(folder, 'compiled', {
    'app.ts': `
      import { text } from './text.js';
      class Served { fetch(): Response { return new Response(text); } }
      export const hostname: string = '127.0.0.1';
      export default new Served();
    `,
    'text.ts': "export const text: string = 'compiled';",
    'tsconfig.json': JSON.stringify({
      compilerOptions: {
        module: 'nodenext',
        target: 'es2022',
        outDir: 'out',
        lib: ['es2022', 'dom'],
      },
    }),
    'package.json': '{ "type": "commonjs" }',
  });
  const tsc = project('node_modules', 'typescript', 'bin', 'tsc');
  execFileSync(process.execPath, [tsc, '-p', dirname(source), '--types', '']);
  const output = join(dirname(source), 'out', 'app.js');
  assert.equal(await answers(output), ['compiled', 'compiled']);
  assert.equal(await answers(source, [0]), ['compiled']);
});

test('a reload takes the new text of a module, CommonJS or not', async ({ folder }) => {
  for (const name of ['app.cts', 'app.mts']) {
    const text = (word: string): string =>
      `export default { fetch: (): Response => new Response('${word}') };`;
    const module = pathToFileURL(write(folder, 'reload', { [name]: text('old') }));
    const server = await serve({
      port: 0,
      hostname: '127.0.0.1',
      threads: 1,
      module,
      log: 'error',
    });
    const answer = async (): Promise<string> => (await fetch(server.url)).text();
    try {
      assert.is(await answer(), 'old', name);
      write(folder, 'reload', { [name]: text('new') });
      await server.reload();
      assert.is(await answer(), 'new', name);
    } finally {
      await server.stop(true);
    }
  }
});

test('what serve() says of forms holds in threads, unless the module says something', async ({
  folder,
}) => {
  const text = (own: string): string => `
    export default {
      ${own}
      fetch: async (request: Request): Promise<Response> =>
        new Response(String([...(await request.formData())].length)),
    };
  `;
  const body = new FormData();
  body.append('a', '1');
  body.append('b', '2');
  for (const [own, status] of [
    ['', 413],
    ['forms: { maxParts: 2 },', 200],
  ] as const) {
    const module = pathToFileURL(write(folder, `forms-${status}`, { 'app.mts': text(own) }));
    const forms = { maxParts: 1 };
    const common = { port: 0, hostname: '127.0.0.1', log: 'error' } as const;
    const server = await serve({ ...common, threads: 1, module, forms });
    try {
      assert.is((await fetch(server.url, { method: 'POST', body })).status, status);
    } finally {
      await server.stop(true);
    }
  }
});

test('an app with injected classes, paths and a configuration of several files', async ({
  folder,
}) => {
  const app = write(folder, 'injected', {
    'src/main.ts': `
      import './reflect';
      import { Greeter } from '@/greeter';
      import { make } from '@/inject';
      const greeter = make(Greeter);
      export default { ${options}, fetch: (): Response => new Response(greeter.greet()) };
    `,
    'src/reflect.ts': `
      const known = new Map<unknown, unknown>();
      Object.assign(Reflect, {
        metadata: (key: string, value: unknown) => (target: unknown, name?: string) => {
          if (key === 'design:paramtypes' && name === undefined) known.set(target, value);
        },
        getOwnMetadata: (_: string, target: unknown) => known.get(target),
      });
    `,
    'src/inject.ts': `
      type Class = new (...args: any[]) => any;
      export const Injectable = () => (_: unknown): void => {};
      export function make<T>(type: new (...args: any[]) => T): T {
        const types: Class[] = (Reflect as any).getOwnMetadata('design:paramtypes', type) ?? [];
        return new type(...types.map((each) => make(each)));
      }
    `,
    'src/greeter.ts': `
      import { Injectable } from '@/inject';
      import { Words } from '@/words';
      @Injectable()
      export class Greeter {
        constructor(private readonly words: Words) {}
        greet(): string { return this.words.hello; }
      }
    `,
    'src/words.ts': `
      import { Injectable } from '@/inject';
      @Injectable()
      export class Words { readonly hello: string = 'injected'; }
    `,
    'tsconfig.json': '{ "files": [], "references": [{ "path": "./tsconfig.app.json" }] }',
    'tsconfig.app.json': JSON.stringify({
      extends: ['./config/base', '@acme/config'],
      compilerOptions: { composite: true, paths: { '@/*': ['./src/*'] } },
      include: ['src'],
    }),
    'config/base.json': JSON.stringify({
      compilerOptions: { module: 'esnext', experimentalDecorators: true, target: 'es2021' },
    }),
    'node_modules/@acme/config/tsconfig.json': JSON.stringify({
      compilerOptions: { module: 'commonjs', emitDecoratorMetadata: true },
    }),
  });
  assert.equal(await answers(app), ['injected', 'injected']);
});

test.run();
