/** What a release says of itself, and what is no release. */
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { cpSync, existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { project, root, stopAll } from '../support/process.ts';
import { testUnless } from '../support/skip.ts';
import { type Bom, type Component, faultsOf } from './cyclonedx.ts';
import { archiveOf, file, newFolder, removeFolders, targets, textOf, version } from './released.ts';

interface Version {
  readonly places: readonly { readonly file: string }[];
  versionOf(folder?: string): string;
  setVersion(version: string, folder?: string): string[];
  changesIn(version: string, folder?: string): { date: string | undefined; text: string };
}

const { places, versionOf, setVersion, changesIn } = (await import(
  project('scripts', 'lib', 'version.mjs')
)) as Version;

const test = suite('papers of a release');

test.after(async () => {
  await stopAll();
  removeFolders();
});

const bom = JSON.parse(textOf(`gyrfalcon-${version}.cdx.json`)) as Bom;
const partOf = (ref: string): Component | undefined =>
  bom.components.find((one) => one['bom-ref'] === ref);

test('the list of parts is what CycloneDX asks for', () => {
  assert.equal(faultsOf(bom), []);
  assert.is(bom.metadata.component.version, version);
});

test('what is no such list is seen', () => {
  const broken: [change: object, fault: RegExp][] = [
    [{ specVersion: '2' }, /specVersion/],
    [{ serialNumber: '7' }, /serialNumber/],
    [{ components: [...bom.components, { type: 'library' }] }, /has no name/],
    [{ components: [...bom.components, bom.components[0]] }, /is there twice/],
    [{ dependencies: [...bom.dependencies, { ref: 'nobody' }] }, /nobody is no component/],
    [{ more: 1 }, /more is unknown/],
  ];
  for (const [change, fault] of broken) {
    assert.match(faultsOf({ ...bom, ...change }).join('\n'), fault);
  }
});

test('it has every package that package-lock.json installs for users, with its version and hash', () => {
  const lock = JSON.parse(readFileSync(project('package-lock.json'), 'utf8'));
  const { dependencies } = JSON.parse(readFileSync(project('package.json'), 'utf8'));
  const names = Object.keys(dependencies);
  assert.ok(names.length > 0, 'the dependencies were found');
  for (const name of names) {
    const entry = lock.packages[`node_modules/${name}`];
    const part = partOf(`npm:${name}@${entry.version}`);
    assert.ok(part !== undefined, name);
    const hex = Buffer.from(entry.integrity.replace('sha512-', ''), 'base64').toString('hex');
    assert.equal(part.hashes, [{ alg: 'SHA-512', content: hex }]);
  }
  const all = bom.components.map((one) => `${one.group ?? ''}${one.name}`);
  for (const development of ['typescript', 'uvu', '@biomejs/biome']) {
    assert.not.ok(all.includes(development.replace('/', '')), development);
  }
});

test('it has what is linked into executables, in the version that was compiled', () => {
  const tls = project('.toolchain', 'tls', targets[0]?.name ?? '', 'include', 'openssl');
  if (existsSync(join(tls, 'opensslv.h'))) {
    const header = readFileSync(join(tls, 'opensslv.h'), 'utf8');
    assert.match(header, `"${partOf('openssl')?.version}"`);
    assert.ok(partOf('picotls') !== undefined);
  }
  assert.is(partOf('zig')?.version, '0.14.1');
  const linked = bom.dependencies.find(({ ref }) => ref === 'executable')?.dependsOn ?? [];
  assert.ok(linked.includes('zig'));
  const musl = targets.some(({ platform }) => platform === 'linux-musl');
  assert.is(linked.includes('musl'), musl);
});

test('PROVENANCE.txt names the commit, the tools, and what was fetched', () => {
  const text = textOf('PROVENANCE.txt');
  const { stdout } = spawnSync('git', ['-C', root, 'rev-parse', 'HEAD'], { encoding: 'utf8' });
  if (stdout.trim() !== '') assert.match(text, stdout.trim());
  assert.match(text, `Node.js ${process.versions.node} `);
  assert.match(text, 'Zig 0.14.1');
  // Whoever makes them again has another clock, and perhaps a commit that a rebase has dated anew.
  const [, time] = /^Time of files {2}(\d+) /m.exec(text) ?? [];
  assert.match(text, new RegExp(`^ {2}SOURCE_DATE_EPOCH=${time} npm run release\\b`, 'm'));
  for (const name of ['tls.mjs', 'deflate.mjs']) {
    const source = readFileSync(project('scripts', 'lib', name), 'utf8');
    const sums = [...source.matchAll(/checksum: '([0-9a-f]{64})'/g)];
    assert.ok(sums.length > 0, `the checksums of ${name} were found`);
    for (const [, sum] of sums) assert.match(text, sum as string);
  }
});

test('NOTES.md is what the changelog says of this version', () => {
  assert.is(textOf('NOTES.md'), `${changesIn(version).text}\n`);
});

test('Homebrew’s formula names each archive that it may have, with its checksum', () => {
  const text = textOf('gyrfalcon.rb');
  const fitting = targets.filter(({ platform }) => platform !== 'win32');
  const stanzas = [...text.matchAll(/url "(\S+)"\n\s+sha256 "([0-9a-f]{64})"/g)];
  assert.is(stanzas.length, fitting.length);
  for (const target of fitting) {
    const name = archiveOf(target);
    const [, , sum] = stanzas.find(([, url]) => url?.endsWith(`/${name}`)) ?? [];
    const hash = createHash('sha256')
      .update(readFileSync(file(name)))
      .digest('hex');
    assert.is(sum, hash, name);
  }
  // Not where the archives lie: nobody reads there.
  assert.match(text, '\n  homepage "https://example.invalid"\n');
  const opened = text.match(/^\s*(?:class|def|on_\w+|service|test)\b.*(?: do)?$/gm) ?? [];
  const closed = text.match(/^\s*end$/gm) ?? [];
  assert.is(opened.length, closed.length, 'every block has its end');
});

/** A copy of the files that tell the version. */
function copyOfPlaces(): string {
  const folder = newFolder();
  for (const name of [...places.map((place) => place.file), 'CHANGELOG.md']) {
    mkdirSync(dirname(join(folder, name)), { recursive: true });
    cpSync(project(name), join(folder, name));
  }
  return folder;
}

test('a new version goes into every file that tells one, and into the changelog', () => {
  const folder = copyOfPlaces();
  const changed = setVersion('2.10.3-rc.1', folder);
  assert.equal(changed, [...places.map((place) => place.file), 'CHANGELOG.md']);
  assert.is(versionOf(folder), '2.10.3-rc.1');
  const lock = JSON.parse(readFileSync(join(folder, 'package-lock.json'), 'utf8'));
  assert.equal([lock.version, lock.packages[''].version], ['2.10.3-rc.1', '2.10.3-rc.1']);
  const changelog = readFileSync(join(folder, 'CHANGELOG.md'), 'utf8');
  assert.match(changelog, /^## 2\.10\.3-rc\.1 \(unreleased\)\n\n## /m);
  assert.throws(() => changesIn('2.10.3-rc.1', folder), /is empty/);
  assert.throws(() => changesIn('9.9.9', folder), /has no section "## 9\.9\.9/);
  const dated = changelog.replace('rc.1 (unreleased)\n', 'rc.1 (2027-01-02)\n\nMore.\n');
  writeFileSync(join(folder, 'CHANGELOG.md'), dated);
  assert.equal(changesIn('2.10.3-rc.1', folder), { date: '2027-01-02', text: 'More.' });
  // The same once more changes nothing.
  assert.equal(setVersion('2.10.3-rc.1', folder), []);
});

test('no other file asks for this version by its name', () => {
  // As npm, registries of images, and archives have it.
  const asked = new RegExp(`gyrfalcon(?:@|:|-|": ")${version.replaceAll('.', '\\.')}\\b`);
  const { stdout } = spawnSync('git', ['-C', root, 'ls-files', '-z'], { encoding: 'utf8' });
  const files = stdout.split('\0').filter((name) => name !== '' && existsSync(project(name)));
  const asking = files.filter((name) => asked.test(readFileSync(project(name), 'utf8')));
  const known = places.map((place) => place.file);
  if (files.length > 0) assert.ok(asking.length >= 4, 'those that are known were found');
  assert.equal(
    asking.filter((name) => !known.includes(name)),
    [],
  );
});

test('files that tell different versions are named, and what is no version is refused', () => {
  const folder = copyOfPlaces();
  const zon = join(folder, 'build.zig.zon');
  writeFileSync(zon, readFileSync(zon, 'utf8').replace(`"${version}"`, '"9.0.0"'));
  assert.throws(() => versionOf(folder), /build\.zig\.zon tells 9\.0\.0, package\.json/);
  for (const wrong of ['1.2', 'v1.2.3', '1.02.3', '1.2.3 ', '']) {
    assert.throws(() => setVersion(wrong, folder), /is no version/);
  }
  assert.throws(() => versionOf(folder), /9\.0\.0/, 'nothing was written');
});

interface Outcome {
  readonly status: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs the program of releases, with some variables beside its own; it has to end by itself. */
function release(args: readonly string[], more: NodeJS.ProcessEnv = {}): Outcome {
  const program = project('scripts', 'release.mjs');
  const env = { ...process.env, ...more };
  return spawnSync(process.execPath, [program, ...args], { encoding: 'utf8', env });
}

test('what is no release is refused in a sentence, and nothing is written', () => {
  const to = join(newFolder(), 'release');
  const refused: [args: string[], why: RegExp][] = [
    [['--npm', 'some'], /^error: --npm takes all, here or none, got some\./],
    [['--url', 'http://a/'], /^error: --url takes the https: URL of the folder with the files/],
    [['--homepage', 'a'], /^error: --homepage takes the https: URL of the page/],
    [['--homepage', 'https://a.test/'], /^error: --homepage goes with --url/],
    [['linux.x64'], /^error: there is no executable for "linux\.x64"; there are linux-musl\.x64/],
  ];
  if (changesIn(version).date === undefined) {
    refused.push([[], /^error: CHANGELOG\.md says that .* is unreleased: put the day in/]);
  }
  for (const [args, why] of refused) {
    const { status, stderr } = release(['--to', to, ...args]);
    assert.is(status, 1, stderr);
    assert.match(stderr, why);
    assert.not.ok(existsSync(to), 'nothing is written');
  }
});

test('a folder with something else in it is left as it is', () => {
  const folder = newFolder();
  writeFileSync(join(folder, 'letter.txt'), 'dear');
  const { status, stderr } = release(['--dry-run', '--partial', '--npm', 'none', '--to', folder]);
  assert.is(status, 1, stderr);
  assert.match(stderr, /has something in it that is no release: take another folder/);
  assert.is(readFileSync(join(folder, 'letter.txt'), 'utf8'), 'dear');
});

test('a rehearsal tells what a release is refused for, and goes on', () => {
  // Some other thing is in the folder: neither writes anything.
  const folder = newFolder();
  writeFileSync(join(folder, 'letter.txt'), 'dear');
  const args = ['--partial', '--npm', 'none', '--to', folder];
  const nowhere = { GIT_DIR: join(folder, 'no-git'), SOURCE_DATE_EPOCH: '1' };
  const why = 'This is no git clone: a release is of a commit.';
  const refused = release(args, nowhere);
  assert.is(refused.status, 1);
  assert.match(refused.stderr, why);
  assert.match(refused.stderr, '(--dry-run rehearses all the same)');
  const rehearsed = release(['--dry-run', ...args], nowhere);
  assert.match(rehearsed.stdout, `a release would be refused: ${why}\n`);
  assert.match(rehearsed.stderr, 'has something in it that is no release');
});

const { GYRFALCON_RELEASE_TARGETS: asked } = process.env;

testUnless(
  test,
  asked === undefined ? 'the stage `release` says which executables it asked for' : undefined,
  'a rehearsal makes every executable that it is asked for',
  () => {
    const names = (asked as string).split(' ').sort();
    assert.ok(names.length >= 2, 'it was asked for some');
    assert.equal(targets.map(({ name }) => name).sort(), names);
  },
);

test.run();
