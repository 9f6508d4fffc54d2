/**
 * A Debian whose systemd runs as the first process: in namespaces of its own for processes, mounts, cgroups and network, so
 * that it sees nothing of this machine, and opens no port of it.
 */
import { spawnSync } from 'node:child_process';
import { mkdirSync, readdirSync, readFileSync, rmdirSync } from 'node:fs';
import { join } from 'node:path';
import * as assert from 'uvu/assert';
import { type Running, start } from '../support/process.ts';
import { until, within } from '../support/wait.ts';

/** Where this machine has cgroups of version 2; undefined when it has none. */
function cgroups(): string | undefined {
  const mounts = readFileSync('/proc/self/mounts', 'utf8');
  return /^\S+ (\S+) cgroup2 (?:rw|\S*,rw)/m.exec(mounts)?.[1];
}

const namespaces = ['--cgroup', '--pid', '--mount', '--uts', '--ipc', '--net', '--fork'];

/** Why systemd cannot be run here, or undefined when it can. */
export function lackOfSystemd(): string | undefined {
  if (process.platform !== 'linux') return 'this is no Linux';
  if (process.getuid?.() !== 0) return 'namespaces need root';
  if (cgroups() === undefined) return 'there are no cgroups of version 2';
  const line = 'mount --make-rprivate / && mount -t cgroup2 none /mnt && mount -t tmpfs none /tmp';
  const { error, status } = spawnSync('unshare', [...namespaces, 'sh', '-c', line]);
  return error === undefined && status === 0
    ? undefined
    : 'this machine lets nobody make namespaces and mount in them';
}

/** What its first process does before it is systemd. */
const boot = `
mount --make-rprivate /
mount --bind "$0" "$0"
cd "$0"
mount -t proc proc proc
mount -t sysfs -o ro sysfs sys
mount -t cgroup2 cgroup2 sys/fs/cgroup
mount -t tmpfs tmpfs run
mount -t tmpfs tmpfs tmp
pivot_root . mnt
cd /
umount -l /mnt
exec env -i container=other PATH=/usr/sbin:/usr/bin /lib/systemd/systemd --unit=multi-user.target --log-target=journal
`;

/** An answer over HTTP. */
export interface Answer {
  status: number;
  body: string;
}

export class Booted {
  readonly #running: Running;
  readonly #group: string;
  #pid = 0;

  private constructor(root: string) {
    this.#group = join(cgroups() as string, `gyrfalcon-test-${process.pid}`);
    mkdirSync(this.#group);
    const line = `echo $$ >'${this.#group}/cgroup.procs'; exec unshare --kill-child ${namespaces.join(' ')} sh -ec "$1" "$0"`;
    this.#running = start('sh', ['-ec', line, root, boot]);
  }

  /** Starts the Debian in a root folder, and waits until systemd is through with it. */
  static async start(root: string): Promise<Booted> {
    const booted = new Booted(root);
    const children = `/proc/${booted.#running.child.pid}/task/${booted.#running.child.pid}/children`;
    let ended = false;
    booted.#running.ended.then(() => {
      ended = true;
    });
    const isUp = (): boolean => {
      if (ended) throw new Error(`systemd did not start: ${booted.#running.stderr()}`);
      booted.#pid ||= Number.parseInt(readFileSync(children, 'latin1'), 10) || 0;
      return (
        booted.#pid > 0 &&
        /^(?:running|degraded)/.test(booted.#spawn('systemctl', 'is-system-running').stdout)
      );
    };
    await until(isUp, 'the start of systemd', 120_000);
    return booted;
  }

  #spawn(...command: string[]) {
    const inside = ['-t', String(this.#pid), ...'-m -p -u -i -C -n -r -w'.split(' ')];
    return spawnSync('nsenter', [...inside, ...command], { encoding: 'utf8' });
  }

  /** Runs a program in it to its end, and gives what it prints on stdout; fails when it does. */
  run(...command: string[]): string {
    const { status, stdout, stderr } = this.#spawn(...command);
    assert.is(status, 0, `${command.join(' ')}: ${stderr}${stdout}`);
    return stdout;
  }

  /** What systemd tells of a unit. */
  property(unit: string, name: string): string {
    return this.run('systemctl', 'show', '--value', '-p', name, unit).trim();
  }

  /** Asks for `/` at a port of its own network; undefined when nobody listens there. */
  ask(port: number): Answer | undefined {
    const program = `fetch('http://127.0.0.1:${port}/').then(async (response) => {
      console.log(JSON.stringify({ status: response.status, body: await response.text() }));
    }, (error) => {
      if (error.cause?.code !== 'ECONNREFUSED') throw error;
      console.log('null');
    });`;
    const args = ['-t', String(this.#pid), '-n', process.execPath, '-e', program];
    const { status, stdout, stderr } = spawnSync('nsenter', args, { encoding: 'utf8' });
    assert.is(status, 0, stderr);
    return JSON.parse(stdout) ?? undefined;
  }

  /** Ends all of its processes, and removes what this machine had of it. */
  async stop(): Promise<void> {
    this.#running.child.kill('SIGKILL');
    await within(this.#running.ended, 'the end of systemd');
    const remove = (folder: string): void => {
      for (const entry of readdirSync(folder, { withFileTypes: true })) {
        if (entry.isDirectory()) remove(join(folder, entry.name));
      }
      rmdirSync(folder);
    };
    const isEmpty = (): boolean =>
      readFileSync(join(this.#group, 'cgroup.events'), 'latin1').includes('populated 0');
    await until(isEmpty, 'the end of all processes in it');
    remove(this.#group);
  }
}
