/** The servers that one table of tests is run over: the engine with a Zig handler, and a TypeScript app. */
import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import * as assert from 'uvu/assert';
import { ownCertificate } from './over_tls.ts';
import {
  lacks,
  listening,
  programOf,
  project,
  type RunningServer,
  start,
  underWine,
} from './process.ts';

/** Configuration of the engine, by the names of zig/server/config.zig. */
export type EngineOptions = Readonly<Record<string, string | number | boolean>>;

/** What /counters and the line at the end tell. */
export interface Counters {
  connections: number;
  requests: number;
  errors: number;
  /** Connections that the limit per address closed. */
  refused: number;
  /** Connections that were ended because the client was too slow. */
  timeouts: number;
  allocations: number;
  bufferBytes: number;
}

/** A server that answers the paths listed in tests/apps/engine_app.zig. */
export interface Target {
  readonly name: string;
  /** Options under which idle connections are kept for a minute. */
  readonly patient: EngineOptions;
  /** Whether /hello is answered before the request's body has come. */
  readonly early: boolean;
  /** Starts it on a free port of 127.0.0.1. */
  start(options?: EngineOptions): Promise<RunningServer>;
  /** Stops it with SIGTERM, and fails when it did not end as it should. */
  stop(server: RunningServer): Promise<void>;
}

/** The path of a Zig executable that the test run has built. */
export function zigProgram(name: string): string {
  const prefix = process.env.GYRFALCON_ZIG_PREFIX ?? project('build', 'zig');
  const path = join(prefix, 'bin', name);
  if (existsSync(path)) return path;
  throw new Error(
    `${name} is not built: zig build test-apps -Doptimize=ReleaseSafe --prefix ${prefix}`,
  );
}

const asArguments = (options: EngineOptions): string[] =>
  Object.entries(options).map(([name, value]) => `--${name}=${value}`);

/** Starts tests/apps/engine_app.zig. */
export async function startEngine(options: EngineOptions = {}): Promise<RunningServer> {
  const own = await ownCertificate();
  const tls = own === null ? [] : [`--tls=${own.certFile},${own.keyFile}`];
  return listening(start(zigProgram('engine_app'), [...asArguments(options), ...tls]));
}

/** Why the limit of a running server cannot be lowered here, or undefined when it can. */
export const limitsAreFixed = underWine ? 'Windows has no such limit' : lacks('prlimit');

/** From here on it may open no descriptor from number `descriptors` on; what is open stays open. */
export function limitDescriptors(server: RunningServer, descriptors: number): void {
  const limit = [`--pid=${server.child.pid}`, `--nofile=${descriptors}`];
  assert.is(spawnSync('prlimit', limit).status, 0, 'prlimit');
}

/** Stops it; it must end with 0, having allocated nothing after its start and leaked nothing. */
export async function stopEngine(server: RunningServer): Promise<Counters> {
  const { code, signal } = await server.stop();
  const output = server.stdout() + server.stderr();
  assert.is(signal, null, output);
  assert.is(code, 0, output);
  const line = /^COUNTERS (.*)$/m.exec(server.stdout())?.[1];
  const counters = JSON.parse(line ?? 'null') as Counters;
  assert.is(counters.allocations, 0);
  assert.is(counters.bufferBytes, 0, 'every buffer was given back');
  assert.is(counters.connections, 0, 'every connection was closed');
  return counters;
}

/** What the server has counted so far. */
export async function countersOf(server: RunningServer): Promise<Counters> {
  const response = await fetch(`${server.url}counters`, { headers: { connection: 'close' } });
  return (await response.json()) as Counters;
}

/** The engine with a Zig handler. */
export const engine: Target = {
  name: 'engine',
  patient: { idle_timeout_ms: 60_000 },
  early: false,
  start: startEngine,
  async stop(server) {
    await stopEngine(server);
  },
};

/** The engine with handlers in TypeScript: tests/apps/serve_app.ts. */
export const serveApp: Target = {
  name: 'serve',
  patient: { keepAliveTimeout: 60_000 },
  early: true,
  async start(options = {}) {
    const program = programOf('tests', 'apps', 'serve_app.ts');
    const own = await ownCertificate();
    const tls = own === null ? {} : { tls: { cert: own.certFile, key: own.keyFile } };
    const given = JSON.stringify({ ...options, ...tls });
    return listening(start(process.execPath, [...program, given]));
  },
  async stop(server) {
    const { code, signal } = await server.stop();
    const output = server.stdout() + server.stderr();
    assert.equal([code, signal], [0, null], output);
    assert.match(server.stdout(), /^STOPPED 0$/m, 'nothing was allocated after the start');
  },
};

/** `length` bytes of the pattern that /size, /static and /file answer with. */
export function patternOf(length: number): Buffer {
  const period = Buffer.from(Array.from({ length: 89 }, (_, index) => 33 + index));
  return Buffer.alloc(length, period);
}

/** A field of memory use from /proc, bytes; undefined where the system has no /proc. */
export async function memoryOf(server: RunningServer, field = 'VmRSS'): Promise<number> {
  const { readFile } = await import('node:fs/promises');
  const status = await readFile(`/proc/${server.child.pid}/status`, 'latin1');
  return Number(new RegExp(`^${field}:\\s+(\\d+) kB`, 'm').exec(status)?.[1]) * 1024;
}
