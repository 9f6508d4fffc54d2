/** Clients that ask without a pause, while servers come and go. */
import { connect as connectSocket } from 'node:net';
import { connect, type RawClient } from '../support/socket.ts';

const request = (end: string): string => `GET /pid HTTP/1.1\r\nHost: a\r\n${end}\r\n`;

export type Where = { port: number } | { path: string };

function open(where: Where): Promise<RawClient> {
  if ('port' in where) return connect(where.port);
  return connect(0, where.path);
}

/** Some clients make a connection per request, others keep theirs as long as the server does. */
export class Hammer {
  /** What went wrong. */
  readonly failures: string[] = [];
  /** How many answers came from which process. */
  readonly answers = new Map<string, number>();
  /** The longest that a client waited, ms. */
  slowest = 0;
  #stopped = false;
  readonly #running: Promise<void>[];

  constructor(where: Where, clients = 8) {
    this.#running = Array.from({ length: clients }, (_, i) => this.#run(where, i % 2 === 0));
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    await Promise.all(this.#running);
  }

  async #run(where: Where, keep: boolean): Promise<void> {
    let client: RawClient | undefined;
    while (!this.#stopped) {
      const begun = performance.now();
      const reused = client !== undefined;
      try {
        client ??= await open(where);
        await client.send(request(keep ? '' : 'Connection: close\r\n'));
        const { status, body, headers } = await client.response();
        if (status !== 200) this.failures.push(`status ${status}`);
        const pid = body.toString();
        this.answers.set(pid, (this.answers.get(pid) ?? 0) + 1);
        if (headers.get('connection') === 'close') {
          client.destroy();
          client = undefined;
        }
      } catch (error) {
        // A kept connection may end between two requests; clients then ask again on a new one (RFC 9112 §9.3.1).
        const mayRetry = reused && client?.received.length === 0;
        if (!mayRetry) this.failures.push(`${keep ? 'kept' : 'new'}: ${client?.error ?? error}`);
        client?.destroy();
        client = undefined;
        if (this.failures.length > 20) return;
      }
      this.slowest = Math.max(this.slowest, performance.now() - begun);
    }
    client?.destroy();
  }
}

/** Whether somebody listens at a unix socket. */
export function isServed(path: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connectSocket(path);
    socket.once('connect', () => {
      socket.destroy();
      resolve(true);
    });
    socket.once('error', () => resolve(false));
  });
}
