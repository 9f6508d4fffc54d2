/** The kinds of handler that a request can lead to, each behind a running server. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { RunningServer } from '../support/process.ts';
import { serveApp, startEngine, stopEngine } from '../support/target.ts';

/** A kind of handler. */
export interface Kind {
  readonly name: string;
  readonly server: 'engine' | 'serve';
  /** Answers any request whose method it has with 200. */
  readonly path: string;
  /** Is answered with 404. */
  readonly missing: string;
  /** Answers with the request's body. */
  readonly echoes: boolean;
  /** Answers before the body is whole, and leaves that alone. A Zig handler is given the body whole, or nothing. */
  readonly early: boolean;
}

const missing = '/nowhere';
const echo = { path: '/echo', missing, echoes: true, early: false };
const constant = { path: '/hello', missing, echoes: false, early: true };
const file = { path: '/files/hello.txt', missing: '/files/nowhere', echoes: false };

/** All kinds, over both servers. */
export const kinds: readonly Kind[] = [
  { name: 'a Zig handler', server: 'engine', ...echo },
  { name: 'a static file of a Zig handler', server: 'engine', ...file, early: false },
  { name: 'a TypeScript handler', server: 'serve', ...echo },
  { name: 'a constant response', server: 'serve', ...constant },
  { name: 'a static file', server: 'serve', ...file, early: true },
];

/** An option by both of its names. */
const names = {
  body_bytes_max: 'maxRequestBodySize',
  body_timeout_ms: 'bodyTimeout',
  header_timeout_ms: 'headerTimeout',
  idle_timeout_ms: 'keepAliveTimeout',
  write_timeout_ms: 'writeTimeout',
} as const;

/** Options that both servers get. */
export type Shared = { readonly [Name in keyof typeof names]?: number };

/** The two servers, with the same limits and one worker each, over one folder of files. */
export class Servers {
  #running = new Map<Kind['server'], RunningServer>();
  #folder = '';

  /** Starts both. */
  async start(options: Shared = {}): Promise<void> {
    this.#folder = mkdtempSync(join(tmpdir(), 'gyrfalcon-hardening-'));
    writeFileSync(join(this.#folder, 'hello.txt'), 'Hello from a file\n');
    const translated = Object.fromEntries(
      Object.entries(options).map(([name, value]) => [names[name as keyof Shared], value]),
    );
    const shared = { workers: 1, files: this.#folder };
    const [engine, serve] = await Promise.all([
      startEngine({ ...shared, ...options }),
      serveApp.start({ ...shared, ...translated }),
    ]);
    this.#running.set('engine', engine).set('serve', serve);
  }

  /** Stops both; each must end as it should. */
  async stop(): Promise<void> {
    await stopEngine(this.of('engine'));
    await serveApp.stop(this.of('serve'));
    rmSync(this.#folder, { recursive: true });
  }

  of(server: Kind['server']): RunningServer {
    const running = this.#running.get(server);
    if (running === undefined) throw new Error(`${server} was not started`);
    return running;
  }

  portOf(kind: Kind): number {
    return this.of(kind.server).port;
  }
}
