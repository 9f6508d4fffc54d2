import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync, statSync } from 'node:fs';
import { posix } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { project, root } from '../support/process.ts';
import { testUnless } from '../support/skip.ts';

// What the repository promises about its own sources. Each failure names file and line.

const columns = 100;
const lines = 800;
const bytes = 256 * 1024;
/** Where the compiler begins: every other file below zig/ is imported from one of these. */
const zigEntries = [
  'zig/gyrfalcon.zig',
  'zig/main.zig',
  'zig/node.zig',
  'zig/differential.zig',
  'zig/fuzz.zig',
  'zig/fuzz_coverage.zig',
  'zig/sim.zig',
  'zig/model.zig',
  'zig/abi_gen.zig',
  'zig/windows_tests.zig',
  'zig/tls.zig',
  'zig/tls_tests.zig',
  'zig/ktls_vm.zig',
  'zig/tls_module.zig',
  'zig/deflate_tests.zig',
  'zig/websocket_bench.zig',
];
/** The same for ts/src: what is imported, run, or given to Node.js by its name. */
const tsEntries = [
  'ts/src/index.ts',
  'ts/src/node/index.ts',
  'ts/src/hono/index.ts',
  'ts/src/ws/index.ts',
  'ts/src/redis/index.ts',
  'ts/src/nats/index.ts',
  'ts/src/cli/main.ts',
  'ts/src/loader/register.ts',
  'ts/src/loader/hooks.ts',
  'ts/src/server/thread_entry.ts',
];

const listing = spawnSync('git', ['ls-files', '-z'], { cwd: root, encoding: 'utf8' });
const tracked = (listing.status === 0 ? listing.stdout : '')
  .split('\0')
  .filter((path) => path !== '' && existsSync(project(path)));
const why =
  tracked.length === 0 ? 'this is no git clone: which files are its own is unknown' : undefined;

const contents = new Map<string, string[]>();

function linesOf(path: string): string[] {
  let found = contents.get(path);
  if (found === undefined) {
    found = readFileSync(project(path), 'utf8').replace(/\n$/, '').split('\n');
    contents.set(path, found);
  }
  return found;
}

/** Tracked files whose name ends in one of `extensions`, without the generated ones. */
function sources(...extensions: string[]): string[] {
  return tracked.filter(
    (path) => extensions.some((extension) => path.endsWith(extension)) && !/\.gen\.\w+$/.test(path),
  );
}

/** `file:line: about` of each line that `wrong` says something about. */
function complaints(paths: string[], wrong: (line: string) => string | undefined): string[] {
  return paths.flatMap((path) =>
    linesOf(path).flatMap((line, at) => {
      const about = wrong(line);
      return about === undefined ? [] : [`${path}:${at + 1}: ${about}`];
    }),
  );
}

function none(found: string[]): void {
  assert.ok(found.length === 0, found.join('\n'));
}

interface Import {
  from: string;
  line: number;
  to: string;
}

/** How each language names the file that it imports. `import type` counts too. */
const importing: Record<string, RegExp> = {
  zig: /@import\("([^"]+\.zig)"\)/g,
  ts: /(?:\bfrom|^\s*import|\bimport\() ?'(\.[^']+)'/g,
};

/** Imports of files, by the paths they have in the project; comments are passed over. */
function importsOf(path: string): Import[] {
  const pattern = importing[posix.extname(path).slice(1)] as RegExp;
  return linesOf(path).flatMap((line, at) => {
    const code = line.replace(/^\s*(?:\/\/|\*|\/\*).*$/, '');
    return [...code.matchAll(pattern)].map((match) => ({
      from: path,
      line: at + 1,
      to: posix.join(posix.dirname(path), match[1] as string),
    }));
  });
}

/** The room of a file below `top`: its folder's name, or undefined for what stands above the rooms. */
function roomOf(top: string, path: string): string | undefined {
  return path.startsWith(`${top}/`) ? /^(\w+)\//.exec(path.slice(top.length + 1))?.[1] : undefined;
}

/** Per room of `top` those it may know, as the table in docs/ARCHITECTURE.md says. */
function rooms(top: string): Map<string, Set<string>> {
  const allowed = new Map<string, Set<string>>();
  const page = readFileSync(project('docs', 'ARCHITECTURE.md'), 'utf8');
  const rows = new RegExp(`^\\| \`${top}/(\\w+)\` \\|.*\\| ([^|]*) \\|$`, 'gm');
  for (const row of page.matchAll(rows)) {
    const [room, known] = [row[1] as string, row[2] as string];
    let names = known.split(', ');
    if (known === 'all above') names = [...allowed.keys()];
    if (known === 'nothing') names = [];
    // Only rooms above: so there can be no circle of rooms.
    for (const name of names) assert.ok(allowed.has(name), `${top}/${room} may know ${name}?`);
    allowed.set(room, new Set(names));
  }
  assert.ok(allowed.size > 1, `the rooms of ${top} were found`);
  return allowed;
}

/** Imports of rooms' files that the table does not allow. Tests may take helpers from elsewhere. */
function strangers(top: string): string[] {
  const allowed = rooms(top);
  return sources(posix.basename(top) === 'zig' ? '.zig' : '.ts').flatMap((path) => {
    const room = roomOf(top, path);
    if (room === undefined) return [];
    const known = allowed.get(room);
    if (known === undefined) return [`${path}:1: ${top}/${room} is not in the table of folders`];
    return importsOf(path)
      .filter(({ to }) => to.startsWith(`${top}/`) || !path.endsWith('.test.ts'))
      .filter(({ to }) => roomOf(top, to) !== room && !known.has(roomOf(top, to) ?? ''))
      .map(({ line, to }) => `${path}:${line}: ${top}/${room} may not know ${to}`);
  });
}

/** Files that import themselves by way of others, one way per circle: `a → b → a`. */
function circles(files: string[]): string[] {
  const found: string[] = [];
  const state = new Map<string, 'open' | 'done'>();
  const way: string[] = [];
  const visit = (path: string): void => {
    if (state.get(path) === 'done') return;
    if (state.get(path) === 'open') {
      found.push([...way.slice(way.indexOf(path)), path].join(' → '));
      return;
    }
    state.set(path, 'open');
    way.push(path);
    for (const { to } of importsOf(path)) if (files.includes(to)) visit(to);
    way.pop();
    state.set(path, 'done');
  };
  for (const path of files) visit(path);
  return found;
}

/** Files that nothing leads to from `entries`. */
function unreached(files: string[], entries: string[]): string[] {
  const reached = new Set(entries);
  // A set that grows while it is walked is walked to its end.
  for (const path of reached) {
    if (!existsSync(project(path))) continue;
    for (const { to } of importsOf(path)) reached.add(to);
  }
  return files.filter((path) => !reached.has(path)).map((path) => `${path}:1: no file imports it`);
}

const test = suite('sources');
const check = (name: string, body: () => void): void => testUnless(test, why, name, body);

check('no file is as large as what compilers write', () => {
  const large = tracked.filter((path) => statSync(project(path)).size > bytes);
  assert.equal(large, []);
});

check(`no line of Zig is above ${columns} columns`, () => {
  const wide = (line: string): string | undefined => {
    const width = [...line].length;
    return width > columns ? `${width} columns` : undefined;
  };
  none(complaints(sources('.zig'), wide));
});

check(`no file of Zig or TypeScript is above ${lines} lines`, () => {
  const long = sources('.zig', '.ts').filter((path) => linesOf(path).length > lines);
  none(long.map((path) => `${path}:${lines + 1}: the file has ${linesOf(path).length} lines`));
});

check('nothing is left to do', () => {
  const left = /\b(?:TOD[O]|FIXM[E]|XX[X])\b/;
  none(complaints(sources('.zig', '.ts', '.mts', '.mjs', '.zon'), (line) => left.exec(line)?.[0]));
});

for (const top of ['zig', 'ts/src']) {
  check(`every room of ${top}/ imports those alone that docs/ARCHITECTURE.md lets it know`, () => {
    none(strangers(top));
  });
}

check('no file of ts/src imports itself by way of others, types included', () => {
  none(circles(sources('.ts').filter((path) => path.startsWith('ts/src/'))));
});

check('every file of zig/ is imported from where the compiler begins', () => {
  const files = sources('.zig').filter((path) => path.startsWith('zig/'));
  none(unreached(files, zigEntries));
});

check('every file of ts/src is imported from where programs and threads begin', () => {
  const files = sources('.ts').filter((path) => /^ts\/src\/.*(?<!\.test)\.ts$/.test(path));
  none(unreached(files, tsEntries));
});

test('package.json, that of create-gyrfalcon and the executable tell the same version', () => {
  const versionIn = (...path: string[]): string =>
    JSON.parse(readFileSync(project(...path, 'package.json'), 'utf8')).version;
  const version = versionIn();
  assert.is(versionIn('packages', 'create-gyrfalcon'), version);
  const at = linesOf('zig/main.zig').findIndex((line) => line.startsWith('const version = '));
  const told = /"(.*)"/.exec(linesOf('zig/main.zig')[at] ?? '')?.[1];
  assert.is(told, version, `zig/main.zig:${at + 1}: ${told}, package.json: ${version}`);
});

test.run();
