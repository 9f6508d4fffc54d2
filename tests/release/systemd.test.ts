/** Debian's package under a systemd that runs: socket activation, the sandbox of the unit, an upgrade, a purge. */
import { cpSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { stopAll } from '../support/process.ts';
import { testUnless } from '../support/skip.ts';
import { Booted, lackOfSystemd } from './booted.ts';
import { debianFile, newFolder, output, removeFolders, targets } from './released.ts';

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

/** A Debian of this test's own, with the package beside its folders. */
function newRoot(): string {
  const root = join(newFolder(), 'debian');
  output('cp', ['-a', process.env.GYRFALCON_DEBIAN as string, root]);
  cpSync(debianFile(process.arch), join(root, 'gyrfalcon.deb'));
  return root;
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

test.run();
