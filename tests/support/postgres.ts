/** A Postgres of its own for a test, at a unix socket in a folder of its own. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
// @ts-expect-error: a script, without types
import * as scripts from '../../scripts/lib/postgres.mjs';
import { type Running, start } from './process.ts';
import { until, within } from './wait.ts';

interface Database {
  readonly command: readonly [string, ...string[]];
  readonly options: { readonly cwd: string; readonly uid?: number; readonly gid?: number };
  readonly psql: string;
}

const makeDatabase: (folder: string, settings: Record<string, string>) => Database =
  scripts.makeDatabase;
const query: (psql: string, args: readonly string[]) => void = scripts.query;

/** Why there can be none, or undefined. */
export const noPostgres: string | undefined = scripts.lackOfPostgres();

export class TestPostgres {
  private readonly folder = mkdtempSync(join(tmpdir(), 'gyrfalcon-postgres-'));
  private running: Running | null = null;

  /** For `pg`: the socket's folder stands in the place of the host. */
  readonly url = `postgres://bench@localhost/postgres?host=${encodeURIComponent(this.folder)}`;

  /** Starts it, and runs a file of SQL in it. */
  async start(sqlFile: string): Promise<void> {
    const { command, options, psql } = makeDatabase(this.folder, { listen_addresses: '' });
    const [program, ...args] = command;
    const running = start(program, args, options);
    this.running = running;
    const ready = /ready to accept connections/;
    await until(() => ready.test(running.stderr()), 'the start of Postgres', 30_000);
    query(psql, ['-h', this.folder, '-f', sqlFile]);
  }

  /** Ends it, with whatever it was told. */
  async remove(): Promise<void> {
    this.running?.child.kill('SIGQUIT');
    if (this.running !== null) await within(this.running.ended, 'the end of Postgres');
    rmSync(this.folder, { recursive: true, force: true });
  }
}
