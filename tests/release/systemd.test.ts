/** Debian's package under a systemd that runs: socket activation, the sandbox of the unit, an upgrade, a purge. */
import { cpSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { lacks, project, stopAll } from '../support/process.ts';
import { testUnless } from '../support/skip.ts';
import { Booted, lackOfSystemd } from './booted.ts';
import { debianFile, newFolder, output, removeFolders, targets, unpack } from './released.ts';

const test = suite('Debian’s package under systemd');
const own = targets.find(
  ({ platform, arch }) => platform === 'linux-musl' && arch === process.arch,
);
const lack =
  own === undefined
    ? 'the release has no package for this processor'
    : process.env.GYRFALCON_DEBIAN
      ? lackOfSystemd()
      : (process.env.GYRFALCON_DEBIAN_LACKS ?? 'the stage `release` makes the root folder');
const service = 'gyrfalcon.service';
const socket = 'gyrfalcon.socket';
const port = 8080;

/** Why the executable serves nothing over TLS, or undefined. */
function lackOfTls(): string | undefined {
  const told = own && output(join(unpack(own), 'gyrfalcon'), ['--version']);
  return told?.includes(' with TLS') ? lacks('openssl') : 'the executable has no TLS in it';
}

/** A Debian of this test's own, with the package beside its folders. */
function newRoot(): string {
  const root = join(newFolder(), 'debian');
  output('cp', ['-a', process.env.GYRFALCON_DEBIAN as string, root]);
  cpSync(debianFile(process.arch), join(root, 'gyrfalcon.deb'));
  return root;
}

/** The drop-in that docs/RELEASING.md has for certificates. */
function dropIn(): string {
  const page = readFileSync(project('docs', 'RELEASING.md'), 'utf8');
  const block = /^```ini\n(# systemctl edit gyrfalcon\.service\n[^`]*)^```$/m.exec(page)?.[1];
  assert.ok(block !== undefined, 'the page has it');
  return block;
}

test.after(async () => {
  await stopAll();
  removeFolders();
});

testUnless(
  test,
  lack,
  'installed it waits for its first client, serves him from a sandbox, is upgraded under its socket, and purged',
  async () => {
    const root = newRoot();
    const debian = await Booted.start(root);
    try {
      assert.is(debian.ask(port), undefined, 'nobody listens there before');
      debian.run('dpkg', '-i', '/gyrfalcon.deb');
      assert.is(debian.property(socket, 'ActiveState'), 'active');
      assert.is(debian.property(service, 'ActiveState'), 'inactive', 'no client has come');

      const page = debian.ask(port);
      assert.is(page?.status, 200);
      assert.match(page?.body ?? '', '<h1>Gyrfalcon is running</h1>');
      assert.is(debian.property(service, 'ActiveState'), 'active');

      const first = debian.property(service, 'MainPID');
      const status = debian.run('cat', `/proc/${first}/status`);
      const field = (name: string): string =>
        new RegExp(`^${name}:\\s*(\\S+)`, 'm').exec(status)?.[1] ?? '';
      // DynamicUser= takes one of these.
      assert.ok(Number(field('Uid')) >= 61_184, 'it is not root, nor a user that is there');
      assert.match(field('CapEff'), /^0+$/);
      assert.is(field('NoNewPrivs'), '1');
      assert.is(field('Seccomp'), '2');

      // An upgrade: the socket stays, another process is behind it.
      debian.run('dpkg', '-i', '/gyrfalcon.deb');
      assert.is(debian.ask(port)?.status, 200);
      assert.is.not(debian.property(service, 'MainPID'), first);
      assert.is(debian.property(service, 'NRestarts'), '0', 'it has not failed');

      debian.run('dpkg', '--purge', 'gyrfalcon');
      assert.is(debian.ask(port), undefined, 'nobody listens there any more');
      for (const unit of [service, socket]) {
        assert.is(debian.property(unit, 'LoadState'), 'not-found');
      }
      const left = debian.run('find', '/etc', '/usr', '/var', '/run', '-name', '*gyrfalcon*');
      assert.is(left, '');
      const listing = readFileSync(join(root, 'var/lib/dpkg/status'), 'utf8');
      assert.not.match(listing, 'gyrfalcon');
    } finally {
      await debian.stop();
    }
  },
);

test('the drop-in for certificates keeps the unit’s command, and names files that it loads', () => {
  const unit = readFileSync(project('packages', 'debian', service), 'utf8');
  const commands = (text: string): string[] =>
    [...text.matchAll(/^ExecStart=(.*)$/gm)].map(([, command]) => command as string);
  const loaded = [...dropIn().matchAll(/^LoadCredential=([\w.]+):\//gm)].map(([, name]) => name);
  assert.equal(loaded, ['cert.pem', 'key.pem']);
  const [cert, key] = loaded.map((name) => `\${CREDENTIALS_DIRECTORY}/${name}`);
  const [own, ...others] = commands(unit);
  assert.equal(others, []);
  const secured = own?.replace(
    /(?= \$GYRFALCON_OPTIONS$)/,
    () => ` --tls-cert ${cert} --tls-key ${key}`,
  );
  // An empty one takes the unit's away; a second beside it would be refused.
  assert.equal(commands(dropIn()), ['', secured]);
});

testUnless(
  test,
  lack ?? lackOfTls(),
  'with that drop-in it serves over TLS, whatever its file of settings says beside that',
  async () => {
    const root = newRoot();
    const at = (...names: string[]): string => join(root, ...names);
    const certificate = at('etc', 'ssl', 'site', 'cert.pem');
    mkdirSync(at('etc', 'ssl', 'site'), { recursive: true });
    output('openssl', [
      ...['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes'],
      ...['-subj', '/CN=127.0.0.1', '-addext', 'subjectAltName=IP:127.0.0.1', '-days', '2'],
      ...['-keyout', at('etc', 'ssl', 'site', 'key.pem'), '-out', certificate],
    ]);
    const settings = 'GYRFALCON_DIRECTORY=/srv\nGYRFALCON_OPTIONS="--max-age 3600 --quiet"\n';
    writeFileSync(at('srv', 'index.html'), 'a site of its own\n');
    const debian = await Booted.start(root);
    try {
      debian.run('dpkg', '-i', '/gyrfalcon.deb');
      writeFileSync(at('etc', 'default', 'gyrfalcon'), settings);
      const folder = at('etc', 'systemd', 'system', `${service}.d`);
      mkdirSync(folder, { recursive: true });
      writeFileSync(join(folder, 'override.conf'), dropIn());
      debian.run('systemctl', 'daemon-reload');
      const page = debian.ask(port, certificate);
      assert.equal(page, { status: 200, body: 'a site of its own\n' });
      const line = debian.run('cat', `/proc/${debian.property(service, 'MainPID')}/cmdline`);
      assert.match(line, '--max-age\u00003600\u0000--quiet\u0000');
    } finally {
      await debian.stop();
    }
  },
);

test.run();
