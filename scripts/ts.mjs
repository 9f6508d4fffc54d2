// Lets Node.js run this checkout's TypeScript before ts/src was compiled:
//   node --import ./scripts/ts.mjs some.test.ts
// It compiles the loader alone, into .toolchain/loader, and registers it.
import { mkdirSync, readdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { threadId } from 'node:worker_threads';
import { transformSync } from 'esbuild';

const source = fileURLToPath(new URL('../ts/src/loader/', import.meta.url));
const output = fileURLToPath(new URL('../.toolchain/loader/', import.meta.url));

mkdirSync(output, { recursive: true });
for (const name of readdirSync(source)) {
  if (!name.endsWith('.ts') || name.endsWith('.test.ts')) continue;
  const { code } = transformSync(readFileSync(join(source, name), 'utf8'), { loader: 'ts' });
  const target = join(output, name.replace(/\.ts$/, '.js'));
  const text = code.replace(/(from\s*["']\.\/[^"']+)\.ts(["'])/g, '$1.js$2');
  const partial = `${target}.${process.pid}.${threadId}`; // threads that begin together do this too
  writeFileSync(partial, text);
  renameSync(partial, target);
}
await import(pathToFileURL(join(output, 'register.js')).href);
