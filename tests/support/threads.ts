/** What tests of threads that have workers of the engine share: the program is tests/inline/fixtures/threads_app.ts. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Worker } from 'node:worker_threads';
import type { ServeOptions, Server } from 'gyrfalcon';
import { WebSocket } from 'undici';
import * as assert from 'uvu/assert';
import { moduleOf } from './process.ts';
import { connect, type RawClient, type RawResponse } from './socket.ts';
import { until } from './wait.ts';

/** A thread is started and imports its module within this, on a machine that has much to do, ms. */
export const startMs = 60_000;

export const inlineThreads = (threads: number) =>
  ({
    port: 0,
    hostname: '127.0.0.1',
    mode: 'inline',
    log: 'error',
    threads,
    keepAliveTimeout: 60_000,
    module: moduleOf('tests', 'inline', 'fixtures', 'threads_app.ts'),
  }) as const satisfies ServeOptions;

/** Waits until so many threads have their workers. */
export const haveWorkers = (server: Server, count: number): Promise<boolean> =>
  until(() => server.stats().inline === count, 'all threads', startMs);

export async function ask(client: RawClient, path: string): Promise<RawResponse> {
  await client.send(`GET ${path} HTTP/1.1\r\nHost: a\r\n\r\n`);
  return client.response();
}

export const text = async (client: RawClient, path: string) =>
  (await ask(client, path)).body.toString();

/** A connection to each of the workers: they take turns. */
export async function oneEach(server: Server, count: number): Promise<RawClient[]> {
  const clients: RawClient[] = [];
  const threads = new Set<string>();
  for (let i = 0; i < count; i++) {
    const client = await connect(server.port);
    clients.push(client);
    threads.add(await text(client, '/thread'));
  }
  assert.is(threads.size, count);
  return clients;
}

/** A WebSocket, what it has heard, and its end; the first message is the thread that it is on. */
export class Heard {
  readonly socket: WebSocket;
  readonly texts: string[] = [];
  code = 0;

  constructor({ port }: Server) {
    this.socket = new WebSocket(`ws://127.0.0.1:${port}/`);
    this.socket.addEventListener('message', ({ data }) => this.texts.push(String(data)));
    this.socket.addEventListener('close', ({ code }) => {
      this.code = code;
    });
  }

  async thread(): Promise<string> {
    await until(() => this.texts.length > 0, 'the socket');
    return this.texts[0] as string;
  }
}

/** So many sockets, one after the other. */
export async function sockets(server: Server, count: number): Promise<Heard[]> {
  const made: Heard[] = [];
  for (let i = 0; i < count; i++) {
    const one = new Heard(server);
    await one.thread();
    made.push(one);
  }
  return made;
}

/** What a handler waits for without letting go of its thread. */
export class Gate {
  static readonly #folder = mkdtempSync(join(tmpdir(), 'gyrfalcon-gates-'));
  readonly #file = join(Gate.#folder, `${Math.random()}`);
  readonly path = `/gate?file=${encodeURIComponent(this.#file)}`;

  open(): void {
    writeFileSync(this.#file, '');
  }

  /** For `test.after`. */
  static removeAll(): void {
    rmSync(Gate.#folder, { recursive: true });
  }
}

/** The threads of a server as Node.js has them, to end one from outside. */
export function workersOf(server: Server): Worker[] {
  const { pool } = server as unknown as { pool: { members: { worker: Worker }[] } };
  return pool.members.map(({ worker }) => worker);
}

/** Asks for `path` over so many connections, over and over, until their ends. */
export async function load(port: number, path: string, connections = 10): Promise<void> {
  const clients = await Promise.all(Array.from({ length: connections }, () => connect(port)));
  const request = `GET ${path} HTTP/1.1\r\nHost: a\r\n\r\n`;
  for (const { socket } of clients) {
    socket.on('data', () => socket.write(request));
    socket.write(request);
  }
}
