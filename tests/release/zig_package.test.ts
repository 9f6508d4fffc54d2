/** The package for Zig: a project outside of the tree has it from what was packed, with caches of its own. */
import { cpSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { dirname, join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { lacks, listening, project, start, stopAll } from '../support/process.ts';
import { testUnless } from '../support/skip.ts';
import { within } from '../support/wait.ts';
import { file, newFolder, output, removeFolders, version } from './released.ts';

const { zigPackageEntries } = (await import(project('scripts', 'lib', 'zig_package.mjs'))) as {
  zigPackageEntries(folder?: string): { path: string }[];
};

const test = suite('package for Zig');
const zig = process.env.GYRFALCON_ZIG ?? 'zig';
const name = `gyrfalcon-${version}-zig.tar.gz`;
/** A Zig program is compiled, on a machine that may be busy. */
const buildMs = 400_000;

test.after(async () => {
  await stopAll();
  removeFolders();
});

test('it has the files that build.zig.zon names, and no others', () => {
  const files = output('tar', ['-tzf', file(name)])
    .split('\n')
    .filter((path) => path !== '' && !path.endsWith('/'))
    .map((path) => path.slice(`gyrfalcon-${version}/`.length));
  const tops = new Set(files.map((path) => path.split('/')[0]));
  assert.equal([...tops].sort(), ['LICENSE', 'README.md', 'build.zig', 'build.zig.zon', 'zig']);
  for (const path of ['zig/gyrfalcon.zig', 'zig/main.zig', 'build.zig']) {
    assert.ok(files.includes(path), path);
  }
});

testUnless(test, lacks('git'), 'what git ignores is in no package', () => {
  const folder = newFolder();
  const files: Readonly<Record<string, string>> = {
    'build.zig.zon': '.{ .paths = .{ "build.zig", "zig" } }',
    '.gitignore': '*.log\nzig-out/\n',
    'build.zig': '',
    'zig/main.zig': '',
    'zig/new.zig': '',
    'zig/fuzz.log': '',
    'zig/zig-out/bin/site': '',
    'elsewhere.zig': '',
  };
  for (const [path, text] of Object.entries(files)) {
    mkdirSync(dirname(join(folder, path)), { recursive: true });
    writeFileSync(join(folder, path), text);
  }
  const names = (): string[] => zigPackageEntries(folder).map(({ path }) => path);
  const all = Object.keys(files).filter((path) => /^(?:build\.zig$|zig\/)/.test(path));
  assert.equal(names(), all.sort(), 'without git nobody knows');
  output('git', ['-C', folder, 'init', '-q']);
  output('git', ['-C', folder, 'add', 'zig/main.zig']);
  assert.equal(names(), ['build.zig', 'zig/main.zig', 'zig/new.zig']);
});

test('a project in an empty folder fetches it by its URL, builds with it, and answers', async () => {
  const folder = newFolder();
  for (const part of ['build.zig', 'build.zig.zon', 'src']) {
    cpSync(project('examples', 'zig-package', part), join(folder, part), { recursive: true });
  }
  const manifest = join(folder, 'build.zig.zon');
  const text = readFileSync(manifest, 'utf8');
  // As docs/ZIG.md says: the checkout's entry goes before `zig fetch` writes another.
  writeFileSync(manifest, text.replace(/^ *\.gyrfalcon = .*\n/m, ''));
  const env = {
    ZIG_GLOBAL_CACHE_DIR: join(folder, 'global-cache'),
    ZIG_LOCAL_CACHE_DIR: join(folder, 'local-cache'),
  };
  const run = async (...args: string[]): Promise<void> => {
    const running = start(zig, args, { cwd: folder, env });
    const { code } = await within(running.ended, `zig ${args[0]}`, buildMs);
    assert.is(code, 0, running.stdout() + running.stderr());
  };

  const packed = readFileSync(file(name));
  const server = createServer((_, response) => {
    response.setHeader('content-type', 'application/gzip');
    response.end(packed);
  });
  await new Promise<void>((resolve) => {
    server.listen(0, '127.0.0.1', resolve);
  });
  try {
    const { port } = server.address() as AddressInfo;
    await run('fetch', '--save=gyrfalcon', `http://127.0.0.1:${port}/${name}`);
  } finally {
    server.closeAllConnections();
    server.close();
  }
  const written = readFileSync(manifest, 'utf8');
  assert.match(written, /\.url = "http:\/\/127\.0\.0\.1:/);
  // Zig names what it has by name, version and hash: build.zig.zon of the package tells the first two.
  assert.match(written, `.hash = "gyrfalcon-${version}-`);
  assert.not.match(written, '.path = ');

  await run('build');
  const site = await listening(start(join(folder, 'zig-out', 'bin', 'site'), ['0']));
  const ask = async (path: string): Promise<string> =>
    (await fetch(new URL(path, site.url))).text();
  assert.is(await ask('/'), 'A site of its own\n');
  assert.is(await ask('/where?you=are'), '/where?you=are\n');
  assert.is((await fetch(new URL('/elsewhere', site.url))).status, 404);
  assert.equal(await site.stop(), { code: 0, signal: null }, site.stderr());
});

test.run();
