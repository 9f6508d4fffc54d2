/** Small and hostile places to run a command in. */
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, rmdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { project } from './process.ts';

/** A command that runs the one behind it in some place. */
export type Prefix = readonly string[];

/** Why there is no such place here, or undefined. It is tried with a program that does nothing. */
export function cannotConfine(prefix: Prefix): string | undefined {
  const [command = '', ...rest] = [...prefix, 'true'];
  const { status, error, stderr } = spawnSync(command, rest, { encoding: 'utf8' });
  if (error !== undefined) return `${command} is not installed`;
  if (status === 0) return undefined;
  const said = stderr.trim().split('\n').at(-1);
  return `${prefix.slice(0, 2).join(' ')} is not allowed here (${said || status})`;
}

/** Behind a line of shell. */
export const behind = (line: string): Prefix => ['sh', '-c', `${line} && exec "$0" "$@"`];

/** A filter refuses system calls: tests/support/refuse.py says how `calls` are written. */
export const refusing = (calls: string): Prefix => [
  'python3',
  project('tests', 'support', 'refuse.py'),
  calls,
];

/** The user is root in a name space of its own where it is not root itself. */
const unshare = (...what: string[]): Prefix => [
  'unshare',
  ...(process.getuid?.() === 0 ? [] : ['--map-root-user']),
  ...what,
];

/** Other mounts than this process has: behind a line of shell that makes them. */
export const mounting = (line: string): Prefix => [...unshare('--mount'), ...behind(line)];

/** The sysctl of this path below /proc/sys reads as `value`: another file lies over it. */
export const withSysctl = (path: string, value: string): Prefix =>
  mounting(
    `file=$(mktemp) && echo ${value} > "$file" && mount --bind "$file" /proc/sys/${path} && rm "$file"`,
  );

/** So much memory may be locked, KiB, by root too. */
export const lockingAtMost = (kib: number): Prefix => [
  ...(process.getuid?.() === 0 ? ['setpriv', '--bounding-set=-ipc_lock'] : []),
  ...behind(`ulimit -l ${kib}`),
];

/** A network with a loopback interface alone: behind a line of shell that changes it. */
export const networking = (line: string): Prefix => [
  ...unshare('--net'),
  ...behind(`ip link set lo up && ${line}`),
];

const tree = '/sys/fs/cgroup/cpu';

/** A control group of version 1, with one inside. */
export class CpuGroup {
  static #made = 0;
  readonly #outer = join(tree, `gyrfalcon-test-${process.pid}-${CpuGroup.#made++}`);
  readonly #inner = join(this.#outer, 'inner');

  /** Why none can be made here. */
  static missing(): string | undefined {
    if (!existsSync(join(tree, 'cpu.cfs_quota_us')))
      return 'no control groups of version 1 for the CPU';
    try {
      new CpuGroup().remove();
      return undefined;
    } catch (error) {
      return `no control group can be made: ${(error as Error).message}`;
    }
  }

  constructor() {
    mkdirSync(this.#inner, { recursive: true });
  }

  /** Microseconds of CPU time in 100 ms; -1 for no bound. It is that of the group around the process's own. */
  set quota(us: number) {
    writeFileSync(join(this.#outer, 'cpu.cfs_quota_us'), String(us));
  }

  /** What is started behind it is in the group. */
  get prefix(): Prefix {
    return behind(`echo $$ > '${join(this.#inner, 'cgroup.procs')}'`);
  }

  /** Nobody may be in it any more. */
  remove(): void {
    rmdirSync(this.#inner);
    rmdirSync(this.#outer);
  }
}
