/** A Postgres of its own for a test, at a unix socket in a folder of its own. */
import { spawnSync } from 'node:child_process';
import { chownSync, existsSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Running, start } from './process.ts';
import { until, within } from './wait.ts';

/** Where Debian has its programs, by version; elsewhere they are on PATH. */
const debian = '/usr/lib/postgresql';

/** The folder of its programs, or undefined. */
function binaries(): string | undefined {
  const versions = existsSync(debian) ? readdirSync(debian).map(Number) : [];
  const onDebian = versions
    .sort((a, b) => b - a)
    .map((version) => join(debian, `${version}`, 'bin'));
  const onPath = (process.env.PATH ?? '').split(':');
  return [...onDebian, ...onPath].find(
    (folder) => existsSync(join(folder, 'initdb')) && existsSync(join(folder, 'postgres')),
  );
}

/** It refuses to run as root: who runs it then, or why it cannot be. Null: who runs the test. */
function runner(): { uid: number; gid: number } | null | string {
  if (process.getuid?.() !== 0) return null;
  const idOf = (flag: string): number =>
    Number(spawnSync('id', [flag, 'postgres'], { encoding: 'utf8' }).stdout || Number.NaN);
  const [uid, gid] = [idOf('-u'), idOf('-g')];
  return Number.isNaN(uid) ? 'there is no user postgres, and root may not run it' : { uid, gid };
}

/** Why there can be none, or undefined. */
export const noPostgres: string | undefined = (() => {
  if (binaries() === undefined) return 'postgres is not installed';
  const user = runner();
  return typeof user === 'string' ? user : undefined;
})();

export class TestPostgres {
  private readonly folder = mkdtempSync(join(tmpdir(), 'gyrfalcon-postgres-'));
  private running: Running | null = null;

  /** For `pg`: the socket's folder stands in the place of the host. */
  readonly url = `postgres://bench@localhost/postgres?host=${encodeURIComponent(this.folder)}`;

  /** Starts it, and runs a file of SQL in it. */
  async start(sqlFile: string): Promise<void> {
    const programs = binaries() as string;
    const user = runner() as { uid: number; gid: number } | null;
    if (user !== null) chownSync(this.folder, user.uid, user.gid);
    const data = join(this.folder, 'data');
    const options = { ...user, cwd: this.folder, encoding: 'utf8' } as const;
    const made = ['-D', data, '-U', 'bench', '--auth=trust', '--no-sync', '-E', 'UTF8'];
    must(spawnSync(join(programs, 'initdb'), [...made, '--locale=C'], options));
    const settings = { listen_addresses: '', unix_socket_directories: this.folder, fsync: 'off' };
    const flags = Object.entries(settings).flatMap(([name, value]) => ['-c', `${name}=${value}`]);
    const running = start(join(programs, 'postgres'), ['-D', data, ...flags], {
      ...user,
      cwd: this.folder,
    });
    this.running = running;
    const ready = /ready to accept connections/;
    await until(() => ready.test(running.stderr()), 'the start of Postgres', 30_000);
    const psql = [
      '-h',
      this.folder,
      '-U',
      'bench',
      '-d',
      'postgres',
      '-q',
      '-v',
      'ON_ERROR_STOP=1',
    ];
    must(spawnSync('psql', [...psql, '-f', sqlFile], { encoding: 'utf8' }));
  }

  /** Ends it, with whatever it was told. */
  async remove(): Promise<void> {
    this.running?.child.kill('SIGQUIT');
    if (this.running !== null) await within(this.running.ended, 'the end of Postgres');
    rmSync(this.folder, { recursive: true, force: true });
  }
}

function must({ status, stderr, error }: ReturnType<typeof spawnSync>): void {
  if (error !== undefined) throw error;
  if (status !== 0) throw new Error(String(stderr));
}
