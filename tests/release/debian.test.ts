/**
 * Debian's packages, in the root folder of a Debian 12: installed by dpkg, started by the socket that systemd's program
 * hands over, and removed without a trace. systemd itself runs in tests/release/systemd.test.ts, where it can: here its unit
 * is looked at by systemd-analyze, and its command is run as it stands.
 */
import {
  cpSync,
  existsSync,
  lstatSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { request } from 'node:http';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { lacks, project, start, stopAll } from '../support/process.ts';
import { testUnless } from '../support/skip.ts';
import { until } from '../support/wait.ts';
import {
  debian,
  debianFile,
  debianVersion,
  newFolder,
  output,
  removeFolders,
  targets,
  unpack,
  version,
} from './released.ts';

const test = suite('Debian’s packages');
const architectures: Readonly<Record<string, string>> = { x64: 'amd64', arm64: 'arm64' };
const packaged = targets.filter(({ platform }) => platform === 'linux-musl');
const noDpkg = lacks('dpkg-deb');

const own = packaged.find(({ arch }) => arch === process.arch);
const noRoot =
  own === undefined
    ? 'the release has no package for this processor'
    : process.env.GYRFALCON_DEBIAN
      ? undefined
      : (process.env.GYRFALCON_DEBIAN_LACKS ?? 'the stage `release` makes the root folder');
/** The copy of the Debian, once there is one. */
let root = '';

test.before(() => {
  if (noRoot !== undefined) return;
  root = join(newFolder(), 'debian');
  output('cp', ['-a', process.env.GYRFALCON_DEBIAN as string, root]);
});

test.after(async () => {
  await stopAll();
  removeFolders();
});

const inRoot = (...args: string[]): string => output('chroot', [root, ...args]);

for (const target of packaged) {
  testUnless(test, noDpkg, `${architectures[target.arch]}: dpkg-deb reads what it should`, () => {
    const path = debianFile(target.arch);
    const field = (name: string): string => output('dpkg-deb', ['-f', path, name]).trim();
    assert.is(field('Package'), 'gyrfalcon');
    assert.is(field('Version'), debianVersion);
    assert.is(field('Architecture'), architectures[target.arch]);
    assert.match(field('Maintainer'), /^.+ <\S+@\S+>$/);
    for (const name of ['Section', 'Priority', 'Description', 'Installed-Size']) {
      assert.ok(field(name) !== '', name);
    }
    const folder = newFolder();
    output('dpkg-deb', ['-R', path, folder]);
    const files = readdirSync(folder, { recursive: true, withFileTypes: true })
      .filter((entry) => entry.isFile())
      .map((entry) => join(entry.parentPath ?? entry.path, entry.name).slice(folder.length + 1))
      .sort();
    assert.equal(files, [
      ...['DEBIAN/conffiles', 'DEBIAN/control', 'DEBIAN/md5sums'],
      ...['DEBIAN/postinst', 'DEBIAN/postrm', 'DEBIAN/prerm'],
      ...['etc/default/gyrfalcon', 'usr/bin/gyrfalcon'],
      'usr/lib/systemd/system/gyrfalcon.service',
      'usr/lib/systemd/system/gyrfalcon.socket',
      ...['README.md', 'changelog.gz', 'copyright'].map(
        (name) => `usr/share/doc/gyrfalcon/${name}`,
      ),
      'usr/share/gyrfalcon/www/index.html',
      'usr/share/man/man1/gyrfalcon.1.gz',
    ]);
    const listing = output('dpkg-deb', ['-c', path]).trimEnd().split('\n');
    for (const line of listing) assert.match(line, /^(?:-rw-r--r--|[-d]rwxr-xr-x) root\/root /);
    output('sh', ['-c', 'md5sum --quiet -c DEBIAN/md5sums'], folder);
    const program = readFileSync(join(folder, 'usr', 'bin', 'gyrfalcon'));
    assert.ok(
      program.equals(readFileSync(join(unpack(target), 'gyrfalcon'))),
      'that of the archive',
    );
  });
}

testUnless(test, lacks('dpkg'), 'what comes before a release is older than the release', () => {
  const { debianVersion: of, debianFile: named } = debian;
  assert.is(of('1.0.0'), '1.0.0');
  assert.is(named('1.0.0-rc.1', { arch: 'x64' }), `gyrfalcon_${of('1.0.0-rc.1')}_amd64.deb`);
  for (const [older, newer] of [
    ['1.0.0-rc.1', '1.0.0'],
    ['1.0.0-rc.1', '1.0.0-rc.2'],
    ['0.9.9', '1.0.0-rc.1'],
  ] as const) {
    output('dpkg', ['--compare-versions', of(older), 'lt', of(newer)]);
  }
});

test('the manual page has every command and option of --help', () => {
  const manual = readFileSync(join(unpack(packaged[0] as never), 'gyrfalcon.1'), 'utf8');
  const source = readFileSync(project('zig', 'main.zig'), 'utf8');
  const usage = source.split('const usage =')[1]?.split('\n;\n')[0] ?? '';
  const words = new Set([...usage.matchAll(/(?<![\w-])--[a-z][\w-]*/g)].map(([word]) => word));
  for (const known of ['--timeout', '--max-age']) assert.ok(words.has(known), known);
  for (const word of words) {
    const there = new RegExp(`${word.replaceAll('-', '\\\\-')}(?!\\w|\\\\-)`);
    assert.match(manual, there);
  }
  const calls = [...usage.matchAll(/ (gyrfalcon \w+) </g)].map(([, call]) => call as string);
  assert.equal(calls, ['gyrfalcon serve', 'gyrfalcon healthcheck']);
  const synopsis = /^\.SH SYNOPSIS\n([\s\S]*?)^\.SH /m.exec(manual)?.[1] ?? '';
  for (const call of calls) assert.match(synopsis, call);
});

testUnless(test, noRoot, 'systemd finds no fault with the units, and the sandbox is tight', () => {
  const units = newFolder();
  output('dpkg-deb', ['-x', debianFile(process.arch), units]);
  const at = 'usr/lib/systemd/system';
  for (const name of ['usr/bin/gyrfalcon', `${at}/gyrfalcon.service`, `${at}/gyrfalcon.socket`]) {
    cpSync(join(units, name), join(root, name));
  }
  const paths = ['service', 'socket'].map((kind) => `/${at}/gyrfalcon.${kind}`);
  try {
    const said = output('chroot', [root, 'systemd-analyze', 'verify', '--man=no', ...paths]);
    assert.is(said, '');
    // Tenths: it ends with 1 above the threshold. What is left is what it may be asked from (IPAddressDeny=).
    const threshold = '--threshold=9';
    inRoot('systemd-analyze', 'security', '--offline=yes', threshold, paths[0] as string);
  } finally {
    for (const name of ['usr/bin/gyrfalcon', `${at}/gyrfalcon.service`, `${at}/gyrfalcon.socket`]) {
      rmSync(join(root, name));
    }
  }
});

/** What dpkg keeps of itself, whatever is installed. */
const dpkgsOwn =
  /^var\/(?:log\/dpkg\.log|lib\/dpkg\/(?:lock(?:-frontend)?|status(?:-old)?|triggers\/Lock))$/;

/** The paths in the root folder, with what is in files. */
function everything(): Map<string, string> {
  const found = new Map<string, string>();
  for (const entry of readdirSync(root, { recursive: true, withFileTypes: true })) {
    const path = join(entry.parentPath ?? entry.path, entry.name).slice(root.length + 1);
    if (dpkgsOwn.test(path) || path.startsWith('proc/')) continue;
    const text = entry.isFile() ? readFileSync(join(root, path), 'latin1') : '';
    found.set(path, entry.isFile() ? `${text.length} ${text.slice(0, 4096)}` : 'no file');
  }
  return found;
}

testUnless(
  test,
  noRoot,
  'it installs, serves from a socket that systemd hands over, keeps its settings, and purge leaves no trace',
  async () => {
    const before = everything();
    assert.ok(before.size > 1000, 'the files of Debian were found');
    cpSync(debianFile(process.arch), join(root, 'gyrfalcon.deb'));
    inRoot('dpkg', '-i', '/gyrfalcon.deb');
    assert.match(inRoot('gyrfalcon', '--version'), version);
    const wanted = 'etc/systemd/system/sockets.target.wants/gyrfalcon.socket';
    const isEnabled = (): boolean =>
      lstatSync(join(root, wanted), { throwIfNoEntry: false }) !== undefined;
    assert.ok(isEnabled(), `${wanted} is there`);

    await activated('<h1>Gyrfalcon is running</h1>');

    // What the administrator sets holds, over an upgrade too.
    const settings = join(root, 'etc', 'default', 'gyrfalcon');
    const site = join(root, 'srv', 'index.html');
    writeFileSync(site, 'a site of its own\n');
    const text = 'GYRFALCON_DIRECTORY=/srv\nGYRFALCON_OPTIONS="--max-age 3600 --quiet"\n';
    writeFileSync(settings, text);
    inRoot('dpkg', '-i', '/gyrfalcon.deb');
    assert.is(readFileSync(settings, 'utf8'), text);
    const fields = await activated('a site of its own');
    assert.is(fields['cache-control'], 'max-age=3600');

    inRoot('dpkg', '--remove', 'gyrfalcon');
    assert.not.ok(existsSync(join(root, 'usr', 'bin', 'gyrfalcon')));
    assert.is(readFileSync(settings, 'utf8'), text, 'settings stay until purge');
    inRoot('dpkg', '--purge', 'gyrfalcon');
    for (const path of [site, join(root, 'gyrfalcon.deb')]) rmSync(path);
    const after = everything();
    assert.equal(
      [...after.keys()].filter((path) => !before.has(path)),
      [],
      'nothing is left',
    );
    assert.equal(
      [...before.keys()].filter((path) => !after.has(path)),
      [],
      'nothing is lost',
    );
    assert.equal(
      [...before].filter(([path, is]) => after.get(path) !== is),
      [],
      'or changed',
    );
    const status = readFileSync(join(root, 'var', 'lib', 'dpkg', 'status'), 'utf8');
    assert.not.match(status, 'gyrfalcon');
  },
);

/**
 * Runs the command of the installed unit, with the variables of its file, behind a socket that systemd-socket-activate
 * hands over; asks, and stops it. A shell puts variables in as systemd does.
 */
async function activated(expected: string): Promise<NodeJS.Dict<string | string[]>> {
  const unit = readFileSync(join(root, 'usr/lib/systemd/system/gyrfalcon.service'), 'utf8');
  const [, command = ''] = /^ExecStart=(.*)$/m.exec(unit) ?? [];
  const [, variable = ''] = /^Environment=(.*)$/m.exec(unit) ?? [];
  const socket = '/run/gyrfalcon-test.sock';
  const path = join(root, socket);
  const activate = `exec systemd-socket-activate -l ${socket} -E GYRFALCON_TEST=1 ${command}`;
  const line = `set -a; ${variable}; . /etc/default/gyrfalcon; ${activate}`;
  const running = start('chroot', [root, '/bin/sh', '-ec', line]);
  await until(() => existsSync(path), 'the socket');
  const program = (): string => {
    const cmdline = join('/proc', String(running.child.pid), 'cmdline');
    return existsSync(cmdline) ? (readFileSync(cmdline, 'latin1').split('\0')[0] as string) : '';
  };
  assert.match(program(), 'systemd-socket-activate', 'no server runs before a client comes');
  const { status, headers, body } = await ask(path);
  assert.is(status, 200, running.stderr());
  assert.match(body, expected);
  assert.match(program(), /gyrfalcon$/);
  running.child.kill('SIGTERM');
  assert.equal(await running.ended, { code: 0, signal: null }, running.stderr());
  rmSync(path, { force: true });
  return headers;
}

interface Answer {
  status: number | undefined;
  headers: NodeJS.Dict<string | string[]>;
  body: string;
}

function ask(socketPath: string): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const sent = request({ socketPath, path: '/', agent: false }, (response) => {
      const parts: Buffer[] = [];
      response.on('data', (part: Buffer) => parts.push(part));
      response.on('end', () => {
        const body = Buffer.concat(parts).toString('utf8');
        resolve({ status: response.statusCode, headers: response.headers, body });
      });
      response.on('error', reject);
    });
    sent.on('error', reject);
    sent.end();
  });
}

test.run();
