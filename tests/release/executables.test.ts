/** The archives of the executable: what is in them, that it runs, and that it is the same wherever it is built. */
import { createHash } from 'node:crypto';
import { readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { listening, type RunningServer, start, stopAll } from '../support/process.ts';
import { testUnless } from '../support/skip.ts';
import {
  archiveOf,
  compileExecutable,
  emulatorOf,
  executableIn,
  file,
  newFolder,
  output,
  released,
  removeFolders,
  type Target,
  targets,
  textOf,
  unpack,
  version,
  wineCommand,
} from './released.ts';

const test = suite('executables of a release');

test.after(async () => {
  await stopAll();
  removeFolders();
});

const programOf = ({ platform }: Target): string =>
  platform === 'win32' ? 'gyrfalcon.exe' : 'gyrfalcon';

for (const target of targets) {
  test(`${archiveOf(target)} has the program, its papers, and nothing else`, () => {
    const folder = unpack(target);
    const program = programOf(target);
    const manual = target.platform === 'win32' ? [] : ['gyrfalcon.1'];
    assert.equal(
      readdirSync(folder).sort(),
      [program, 'LICENSE', 'LICENSES.txt', 'README.md', ...manual].sort(),
    );
    assert.is(statSync(join(folder, program)).mode & 0o777, 0o755);
    const licences = readFileSync(join(folder, 'LICENSES.txt'), 'utf8');
    const library = target.platform === 'win32' ? /^mingw-w64 /m : /^musl /m;
    for (const part of [library, /^Zig: /m, /^OpenSSL /m, /^picotls /m, /^zlib-ng /m]) {
      assert.match(licences, part);
    }
    assert.not.match(licences, 'node-zigar', 'that is in the engine for Node.js alone');
  });

  testUnless(test, lackOf(target), `${archiveOf(target)}: it serves a folder`, async () => {
    const folder = unpack(target);
    const site = newFolder();
    writeFileSync(join(site, 'index.html'), '<p>a site</p>\n');
    const server = await serve(target, join(folder, programOf(target)), site);
    const response = await fetch(server.url);
    assert.is(response.status, 200);
    assert.is(await response.text(), '<p>a site</p>\n');
    const signal = target.platform === 'win32' ? 'SIGINT' : 'SIGTERM';
    assert.equal(await server.stop(signal), { code: 0, signal: null }, server.stderr());
  });
}

/** Why it cannot be run here, or undefined when it can. */
function lackOf({ platform, arch }: Target): string | undefined {
  if (platform === 'win32') return wineCommand() === undefined ? 'wine is not there' : undefined;
  if (platform !== 'linux-musl') return 'there is no such system here';
  if (process.platform !== 'linux') return 'this is no Linux';
  const isForeign = arch !== process.arch;
  return isForeign && emulatorOf(arch) === undefined ? 'qemu-user is not there' : undefined;
}

function serve({ platform, arch }: Target, path: string, site: string): Promise<RunningServer> {
  const args = ['serve', site, '--host', '127.0.0.1', '--port', '0'];
  if (platform === 'win32') {
    const line = `exec ${wineCommand()} '${path}' "$@"`;
    return listening(start('sh', ['-c', line, 'sh', ...args]), 120_000);
  }
  if (arch === process.arch) return listening(start(path, args));
  return listening(start(emulatorOf(arch) as string, [path, ...args]), 120_000);
}

/** The one that is built once more. */
const again = targets.find(({ platform }) => platform === 'linux-musl');

testUnless(
  test,
  again === undefined ? 'the release has no executable for Linux' : undefined,
  'built from the package for Zig, in another folder and with caches of its own, it is the same, byte for byte',
  async () => {
    const target = again as Target;
    const folder = newFolder();
    output('tar', ['-xzf', file(`gyrfalcon-${version}-zig.tar.gz`), '-C', folder]);
    const sources = join(folder, `gyrfalcon-${version}`);
    const prefix = join(folder, 'out');
    const env = { ...process.env, ZIG_LOCAL_CACHE_DIR: join(folder, 'cache') };
    const zig = process.env.GYRFALCON_ZIG ?? 'zig';
    await compileExecutable(target, zig, { folder: sources, prefix, env });
    const ours = readFileSync(join(unpack(target), programOf(target)));
    const other = readFileSync(executableIn(prefix, target));
    assert.ok(ours.length > 1_000_000, 'that is an executable');
    assert.ok(ours.equals(other), 'another folder gives other bytes');
  },
);

test('SHA256SUMS has every file but itself, with its checksum', () => {
  const lines = textOf('SHA256SUMS').trimEnd().split('\n');
  const names = lines.map((line) => {
    const [, sum, name] = /^([0-9a-f]{64}) {2}(\S+)$/.exec(line) ?? [];
    assert.ok(name !== undefined, line);
    const hash = createHash('sha256').update(readFileSync(file(name)));
    assert.is(hash.digest('hex'), sum, name);
    return name;
  });
  const there = readdirSync(released, { recursive: true, encoding: 'utf8' })
    .filter((name) => statSync(file(name)).isFile() && name !== 'SHA256SUMS')
    .sort();
  assert.equal(names, there);
});

test.run();
