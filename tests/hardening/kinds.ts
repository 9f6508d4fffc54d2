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
  /** Answers with the request's body, when that is whole. The others answer at once, and leave the body alone. */
  readonly echoes: boolean;
}

/** All kinds, over both servers. */
export const kinds: readonly Kind[] = [
  kind('a Zig handler', 'engine', '/echo', true),
  kind('a static file (Zig)', 'engine', '/files/hello.txt', false),
  kind('a TypeScript handler', 'serve', '/echo', true),
  kind('a constant response', 'serve', '/hello', false),
  kind('a static file (TypeScript)', 'serve', '/files/hello.txt', false),
];

function kind(name: string, server: Kind['server'], path: string, echoes: boolean): Kind {
  const missing = path.startsWith('/files/') ? '/files/nowhere' : '/nowhere';
  return { name, server, path, missing, echoes };
}

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
