// The root folder of a Debian 12 with systemd, for tests that install a package: debootstrap makes it once, below .toolchain.
import { existsSync, mkdirSync, renameSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { toolchain, withLock } from './project.mjs';
import { outputOf, run, tail } from './run.mjs';

const folder = join(toolchain, 'debian-12');

/**
 * @param {import('./run.mjs').Progress} progress
 * @returns {Promise<{ root?: string, lacks?: string }>} the folder, which is not to be changed; or why there is none
 */
export async function debianRoot(progress) {
  if (process.platform !== 'linux') return { lacks: 'Debian is installed on Linux alone' };
  if (process.getuid() !== 0) return { lacks: 'debootstrap and chroot need root' };
  if (existsSync(folder)) return { root: folder };
  if (outputOf('debootstrap', ['--version']) === undefined) {
    return { lacks: 'debootstrap is not installed (on Debian: apt install debootstrap)' };
  }
  const waiting = (pid) => progress.note(`waiting for the Debian of process ${pid}`);
  return withLock('debian', waiting, async () => {
    if (existsSync(folder)) return { root: folder };
    const partial = `${folder}.partial`;
    rmSync(partial, { recursive: true, force: true });
    mkdirSync(partial, { recursive: true });
    const args = ['--variant=minbase', '--include=systemd', 'bookworm', partial];
    const { code, output } = await progress.work('the files of Debian 12: debootstrap', () =>
      run('debootstrap', args),
    );
    if (code !== 0) {
      rmSync(partial, { recursive: true, force: true });
      return { lacks: `debootstrap has no Debian 12 from here: ${tail(output, 1).trim()}` };
    }
    // What apt has fetched is installed.
    rmSync(join(partial, 'var', 'cache', 'apt', 'archives'), { recursive: true, force: true });
    renameSync(partial, folder);
    return { root: folder };
  });
}
