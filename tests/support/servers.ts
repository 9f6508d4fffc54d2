import { type ServeOptions, type Server, serve } from 'gyrfalcon';
import type { Test } from 'uvu';
import { takeErrors } from './console.ts';

/** The servers of the test that runs, in this process, and what they and their handlers log. */
export interface Servers {
  /** A server on this thread, with one worker, on a free port of 127.0.0.1; options come on top. */
  open(options: ServeOptions): Server;
  /** One that was started otherwise is to be stopped behind the test too. */
  keep(server: Server): Server;
  /** Lines written to console.error since the test began, or since it was emptied. */
  log: string;
}

/** Stops behind each test of a suite what it started; its log does not reach the terminal. */
export function serversOf<T>(test: Test<T>): Servers {
  const running: Server[] = [];
  let giveBack = (): void => {};
  const servers: Servers = {
    open: (options) =>
      servers.keep(serve({ port: 0, workers: 1, hostname: '127.0.0.1', ...options }) as Server),
    keep(server) {
      running.push(server);
      return server;
    },
    log: '',
  };
  test.before.each(() => {
    servers.log = '';
    giveBack = takeErrors((line) => {
      servers.log += `${line}\n`;
    });
  });
  test.after.each(async () => {
    try {
      await Promise.all(running.splice(0).map((server) => server.stop(true)));
    } finally {
      giveBack();
    }
  });
  return servers;
}
