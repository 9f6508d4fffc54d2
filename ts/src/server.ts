import type { SocketAddress } from './exchange.ts';
import type { ServeOptions } from './options.ts';
import type { Request } from './request.ts';

/** Counters of a running server since its start, and its present state. */
export type ServerStats = Readonly<Record<string, number>>;

/** How `stop` treats what is in flight. */
export interface StopOptions {
  /** Milliseconds that exchanges in flight get. @default the option shutdownTimeout */
  deadline?: number;
}

/** A running server. */
export interface Server {
  /** Where it can be reached from this machine. */
  readonly url: URL;
  readonly port: number;
  readonly hostname: string;
  /**
   * Stops accepting, finishes what is in flight and closes what is idle. Resolves when the engine
   * has ended. `true` does not wait for what is in flight. A second call can only shorten the wait.
   */
  stop(closeActive?: boolean | StopOptions): Promise<void>;
  /**
   * Replaces routes, fetch and error while serving; requests that are being handled are not
   * touched. With `threads` the module is imported anew instead, and no options are taken.
   */
  reload(options?: Pick<ServeOptions, 'routes' | 'fetch' | 'error'>): Promise<void>;
  /** Address of the client, or null when the request did not come from this server. */
  requestIP(request: Request | globalThis.Request): SocketAddress | null;
  /** Throws GYR_SERVER_STOPPED after the end. */
  stats(): ServerStats;
  /** Keeps the process running while the server does. The default. */
  ref(): void;
  /** Lets the process end although the server runs. */
  unref(): void;
  [Symbol.asyncDispose](): Promise<void>;
}
