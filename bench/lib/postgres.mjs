// A Postgres of the race's own, for what asks a database: in a folder of its own, on 127.0.0.1, gone when the race ends.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { makeDatabase, query } from '../../scripts/lib/postgres.mjs';
import { freePort, start } from './process.mjs';

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
}

async function begin(core) {
  const folder = mkdtempSync(join(tmpdir(), 'gyrfalcon-race-postgres-'));
  process.once('exit', () => rmSync(folder, { recursive: true, force: true }));
  const port = await freePort();
  const { command, options, psql } = makeDatabase(folder, { listen_addresses: '127.0.0.1', port });
  const server = start(command, { core, nice: 0, ...options });
  await ready(server);
  query(psql, ['-h', '127.0.0.1', '-p', String(port), '-c', sql]);
  return { server, url: `postgres://bench@127.0.0.1:${port}/postgres` };
}

async function ready(server) {
  const until = Date.now() + readyMs;
  while (!server.output.includes('ready to accept connections')) {
    if (server.exited !== null || Date.now() > until)
      throw new Error(`Postgres did not start: ${server.exited ?? 'in time'}\n${server.output}`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}
