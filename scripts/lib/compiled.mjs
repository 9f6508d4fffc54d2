// The TypeScript of tests, and of what they try of the project's, as JavaScript, file by file: a process of a test, or of a server
// that is tested, then starts without the loader, which before Node.js 22.15 costs as much as all else of the start.
import { mkdirSync, realpathSync, renameSync, writeFileSync } from 'node:fs';
import { dirname, join, relative, resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import { at, filesBelow, readIfThere, root } from './project.mjs';

/** Below it they have the paths that their sources have below the project. */
export const compiledFolder = at('build', 'js');

/** They are about the loader, or import TypeScript that is none of these files. */
const byLoader =
  /^(?:ts\/src\/(?:cli\/app|loader\/)|tests\/(?:bridge\/memory|frameworks\/|runner\/|tls\/))/;

/** What cannot be compiled, and what is imported by who has another package.json. */
const none = /\/fixtures\/broken\/|^tests\/frameworks\/apps\//;

let compiling;

/** Compiles all of it, once in this process. */
export function compileTests() {
  compiling ??= compile();
  return compiling;
}

/** What of it a test file is run as: JavaScript, or undefined where it wants the loader. */
export function compiledTest(file) {
  const name = relative(root, file).replaceAll('\\', '/');
  return byLoader.test(name) ? undefined : compiledPath(file);
}

const compiledPath = (file) => join(compiledFolder, relative(root, file).replace(/\.ts$/, '.js'));

async function compile() {
  const { build } = await import('esbuild'); // installed by then
  const isSource = (path) => path.endsWith('.ts') && !none.test(path);
  const files = new Set(
    ['tests', 'ts/src', 'examples', 'bench'].flatMap((folder) => filesBelow(at(folder), isSource)),
  );
  const { outputFiles } = await build({
    entryPoints: [...files],
    outdir: compiledFolder,
    outbase: root,
    // Nothing is bundled: each import is told where it leads now.
    bundle: true,
    plugins: [{ name: 'beside each other', setup: (own) => besideEachOther(own, files) }],
    treeShaking: false,
    format: 'esm',
    platform: 'node',
    target: `node${process.versions.node}`,
    sourcemap: 'inline',
    sourcesContent: false,
    // Files that are asked for by their place beside a source are found, and a query stays.
    define: { 'import.meta.url': '__sourceUrl' },
    banner: { js: ownUrl() },
    logLevel: 'error',
    write: false,
  });
  for (const { path, text } of outputFiles) put(path, text);
}

/** Whole, and where it changes something: another run in this folder may be reading it. */
function put(path, text) {
  if (readIfThere(path) === text) return;
  const partial = `${path}.${process.pid}`;
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(partial, text);
  renameSync(partial, path);
}

function besideEachOther({ onResolve }, files) {
  onResolve({ filter: /^/ }, ({ path, importer, kind }) => {
    if (kind === 'entry-point') return undefined;
    if (!/^\.{1,2}\//.test(path)) return { path, external: true };
    const [name, query = ''] = path.split(/(?=\?)/);
    const file = resolve(dirname(importer), name);
    if (!files.has(file)) return { path: pathToFileURL(file).href + query, external: true };
    const from = dirname(compiledPath(importer));
    const to = relative(from, compiledPath(file)).replaceAll('\\', '/');
    return { path: (to.startsWith('.') ? to : `./${to}`) + query, external: true };
  });
}

/** Its source's URL, from its own. */
function ownUrl() {
  mkdirSync(compiledFolder, { recursive: true });
  // Node.js tells where a module is behind all links.
  const here = pathToFileURL(join(realpathSync(compiledFolder), '/')).href;
  const sources = pathToFileURL(join(root, '/')).href;
  return `const __sourceUrl = ${JSON.stringify(sources)} + import.meta.url.slice(${here.length}).replace(/\\.js(?=$|\\?)/, '.ts');`;
}
