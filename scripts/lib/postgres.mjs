// A Postgres for a while, as tests and the race make themselves one: its programs, who may run them, its files.
import { spawnSync } from 'node:child_process';
import { chownSync, existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { MissingError } from './project.mjs';

/** Where Debian has its programs, by version; elsewhere they are on PATH. */
const debian = '/usr/lib/postgresql';
const needed = ['initdb', 'postgres', 'psql'];

/** The folder of its programs, or undefined. */
function binaries() {
  const versions = existsSync(debian) ? readdirSync(debian).map(Number) : [];
  const ofDebian = versions.sort((a, b) => b - a).map((one) => join(debian, `${one}`, 'bin'));
  const folders = [...ofDebian, ...(process.env.PATH ?? '').split(':')];
  return folders.find((folder) => needed.every((name) => existsSync(join(folder, name))));
}

/** It refuses to run as root: who runs it then; nothing where that is who runs this; or null, where there is nobody. */
function runner() {
  if (process.getuid?.() !== 0) return {};
  const idOf = (flag) =>
    Number(spawnSync('id', [flag, 'postgres'], { encoding: 'utf8' }).stdout || Number.NaN);
  const [uid, gid] = [idOf('-u'), idOf('-g')];
  return Number.isNaN(uid) ? null : { uid, gid };
}

/** Why there can be none, or undefined. */
export function lackOfPostgres() {
  if (binaries() === undefined) return 'postgres is not installed: install postgresql';
  return runner() === null ? 'there is no user postgres, and root may not run it' : undefined;
}

/**
 * Makes a database in `folder`, which is empty and whose owner changes, for the user `bench`, who needs no password.
 *
 * @param {string} folder
 * @param {Record<string, string | number>} settings  those of its server, whose sockets are in `folder`
 * @returns {{ command: string[], options: { cwd: string, uid?: number, gid?: number }, psql: string }}  what starts the server,
 *   how, and the path of its client; throws a MissingError where there can be none
 */
export function makeDatabase(folder, settings) {
  const lack = lackOfPostgres();
  if (lack !== undefined) throw new MissingError(lack);
  const programs = binaries();
  const user = runner();
  if (user.uid !== undefined) chownSync(folder, user.uid, user.gid);
  const data = join(folder, 'data');
  const options = { ...user, cwd: folder };
  const how = ['-U', 'bench', '--auth=trust', '--no-sync', '-E', 'UTF8', '--locale=C'];
  must(spawnSync(join(programs, 'initdb'), ['-D', data, ...how], { ...options, encoding: 'utf8' }));
  const all = { unix_socket_directories: folder, fsync: 'off', ...settings };
  const flags = Object.entries(all).flatMap(([name, value]) => ['-c', `${name}=${value}`]);
  const command = [join(programs, 'postgres'), '-D', data, ...flags];
  return { command, options, psql: join(programs, 'psql') };
}

/**
 * Runs SQL in it, at the host that `psql -h` is given; what it says is thrown.
 *
 * @param {string} psql  the client's path
 * @param {string[]} args  `-h` and the like, and where the SQL comes from: `-c` or `-f`
 */
export function query(psql, args) {
  const always = ['-U', 'bench', '-d', 'postgres', '-q', '-v', 'ON_ERROR_STOP=1'];
  must(spawnSync(psql, [...always, ...args], { encoding: 'utf8' }));
}

function must({ status, stderr, error }) {
  if (error !== undefined) throw error;
  if (status !== 0) throw new Error(stderr);
}
