/** The entry of examples/httparena, running, and curl as its client. */
import { execFile } from 'node:child_process';
import { mkdtempSync, readFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import * as assert from 'uvu/assert';
import { Authority, noTls } from '../support/certificates.ts';
import { noPostgres, TestPostgres } from '../support/postgres.ts';
import { project, type Running, start } from '../support/process.ts';
import { freePort } from '../support/socket.ts';
import { until, within } from '../support/wait.ts';

export const entryFolder = project('examples', 'httparena');
export const folder = mkdtempSync(join(tmpdir(), 'gyrfalcon-httparena-'));
export const authority = noTls === undefined ? new Authority() : null;
export const postgres = noPostgres === undefined ? new TestPostgres() : null;
const processes = 2;

/** A running entry, and its ports. */
export interface Entry {
  readonly running: Running;
  readonly http: number;
  readonly http1Tls: number;
  readonly http2: number;
  readonly http2Tls: number;
}

/** What the benchmark's image runs, on other ports. */
export async function startEntry(env: NodeJS.ProcessEnv = {}): Promise<Entry> {
  const [, ...args] = instruction('CMD');
  const ports = {
    http: await freePort(),
    http1Tls: await freePort(),
    http2: await freePort(),
    http2Tls: await freePort(),
  };
  const running = start(process.execPath, args, {
    cwd: entryFolder,
    env: {
      GYRFALCON_SETUP: '0',
      DATA_DIR: folder,
      CERTS_DIR: folder,
      HTTP_PORT: `${ports.http}`,
      HTTP1_TLS_PORT: `${ports.http1Tls}`,
      HTTP2_PORT: `${ports.http2}`,
      HTTP2_TLS_PORT: `${ports.http2Tls}`,
      PROCESSES: `${processes}`,
      ...(postgres === null ? {} : { DATABASE_URL: postgres.url, DATABASE_MAX_CONN: '8' }),
      ...env,
    },
  });
  let hasEnded = false;
  running.ended.then(
    () => {
      hasEnded = true;
    },
    () => {},
  );
  await until(() => hasEnded || running.stdout().includes('processes:'), 'the entry', 30_000);
  assert.not(hasEnded, `the entry has ended: ${running.stderr()}`);
  return { running, ...ports };
}

export async function stopEntry({ running }: Entry): Promise<void> {
  running.child.kill('SIGTERM');
  assert.is((await within(running.ended, 'the end of the entry')).code, 0, running.stderr());
}

/** The arguments of an instruction of the Dockerfile. */
export function instruction(name: string): string[] {
  const text = readFileSync(join(entryFolder, 'Dockerfile'), 'utf8');
  const line = text.split('\n').find((it) => it.startsWith(`${name} `)) ?? '';
  const given = line.slice(name.length + 1);
  return given.startsWith('[') ? (JSON.parse(given) as string[]) : given.split(' ');
}

export interface Answer {
  readonly status: number;
  /** '1.1' or '2'. */
  readonly version: string;
  readonly headers: Readonly<Record<string, string | undefined>>;
  readonly body: Buffer;
  readonly text: string;
}

/** curl with these arguments; of a connection that is refused the status is 0. */
export function curl(...args: string[]): Promise<Answer> {
  const format = '\n%{stderr}%{http_code} %{http_version} %{header_json}';
  return new Promise((resolve) => {
    execFile(
      'curl',
      ['-sk', '--max-time', '30', '-w', format, ...args],
      { encoding: 'buffer', maxBuffer: 2 ** 26 },
      (_, stdout, stderr) => {
        const [, status = '0', version = '', fields = '{}'] =
          /^(\d+) (\S+) ([\s\S]*)$/.exec(stderr.toString()) ?? [];
        const headers = Object.fromEntries(
          Object.entries(JSON.parse(fields) as Record<string, string[]>).map(([name, values]) => [
            name.toLowerCase(),
            values[0],
          ]),
        );
        const body = stdout.subarray(0, -1); // the line break of the format
        resolve({ status: Number(status), version, headers, body, text: body.toString() });
      },
    );
  });
}
