// A Postgres of the race's own, for what asks a database: in a folder of its own, on 127.0.0.1, gone when the race ends.
import { spawnSync } from 'node:child_process';
import { chownSync, existsSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { MissingError } from '../../scripts/lib/project.mjs';
import { freePort, start } from './process.mjs';

/** Where Debian has its programs, by version; elsewhere they are on PATH. */
const debian = '/usr/lib/postgresql';
const readyMs = 30_000;

/** A table of ten thousand items, asked for by their number. */
const sql = `
  CREATE TABLE items AS SELECT id, 'Item number ' || id AS name, id * 7919 % 10000 AS price
    FROM generate_series(1, 10000) AS id;
  ALTER TABLE items ADD PRIMARY KEY (id);
  ANALYZE items;`;

let begun = null;

/**
 * Where it listens, as `pg` is told. It is started when it is first asked for, on the core that loads: what it does is no
 * work of the servers that ask it.
 *
 * @param {{ loadCore: number }} where
 * @returns {Promise<string>}
 */
export async function postgres({ loadCore }) {
  begun ??= begin(loadCore);
  return (await begun).url;
}

/** Ends it, where there is one. */
export async function stopPostgres() {
  const it = await begun?.catch(() => null);
  begun = null;
  if (!it) return;
  it.server.child.kill('SIGINT'); // whoever is connected is cut off
  await it.server.ended;
  rmSync(it.folder, { recursive: true, force: true });
}

async function begin(core) {
  const programs = binaries();
  const user = runner();
  const folder = mkdtempSync(join(tmpdir(), 'gyrfalcon-race-postgres-'));
  process.once('exit', () => rmSync(folder, { recursive: true, force: true }));
  if (user.uid !== undefined) chownSync(folder, user.uid, user.gid);
  const data = join(folder, 'data');
  const inFolder = { ...user, cwd: folder };
  const how = ['-U', 'bench', '--auth=trust', '--no-sync', '-E', 'UTF8', '--locale=C'];
  must(join(programs, 'initdb'), ['-D', data, ...how], inFolder);
  const port = await freePort();
  const settings = {
    listen_addresses: '127.0.0.1',
    port,
    unix_socket_directories: folder,
    fsync: 'off',
  };
  const flags = Object.entries(settings).flatMap(([name, value]) => ['-c', `${name}=${value}`]);
  const command = [join(programs, 'postgres'), '-D', data, ...flags];
  const server = start(command, { core, nice: 0, ...inFolder });
  const there = ['-h', '127.0.0.1', '-p', String(port), '-U', 'bench', '-d', 'postgres'];
  await answering(server, join(programs, 'psql'), there);
  must(join(programs, 'psql'), [...there, '-q', '-v', 'ON_ERROR_STOP=1', '-c', sql], inFolder);
  return { server, folder, url: `postgres://bench@127.0.0.1:${port}/postgres` };
}

function binaries() {
  const versions = existsSync(debian) ? readdirSync(debian).map(Number) : [];
  const ofDebian = versions.sort((a, b) => b - a).map((one) => join(debian, `${one}`, 'bin'));
  const folders = [...ofDebian, ...(process.env.PATH ?? '').split(':')];
  const needed = ['initdb', 'postgres', 'psql'];
  const found = folders.find((folder) => needed.every((name) => existsSync(join(folder, name))));
  if (found === undefined) throw new MissingError('Postgres is not on PATH: install postgresql');
  return found;
}

/** Who runs it: it refuses to be run by root. */
function runner() {
  if (process.getuid?.() !== 0) return {};
  const [uid, gid] = ['-u', '-g'].map((flag) => {
    const { stdout } = spawnSync('id', [flag, 'postgres'], { encoding: 'utf8' });
    return Number.parseInt(stdout ?? '', 10);
  });
  if (Number.isNaN(uid) || Number.isNaN(gid))
    throw new MissingError('there is no user postgres, and root may not run it');
  return { uid, gid };
}

async function answering(server, psql, there) {
  const until = Date.now() + readyMs;
  while (server.exited === null && Date.now() < until) {
    const { status } = spawnSync(psql, [...there, '-c', 'SELECT 1'], { stdio: 'ignore' });
    if (status === 0) return;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  throw new Error(`Postgres does not answer: ${server.exited ?? 'time is over'}\n${server.output}`);
}

function must(program, args, options) {
  const { status, stderr, error } = spawnSync(program, args, { encoding: 'utf8', ...options });
  if (error !== undefined) throw error;
  if (status !== 0) throw new Error(`${program}: ${stderr}`);
}
