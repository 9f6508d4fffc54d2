/** `gyrfalcon start`: serves the app that a module exports, until a signal. */
import { Log, type LogLevel } from '../core/log.ts';
import { installGlobals } from '../fetch/globals.ts';
import type { ServeOptions } from '../server/options.ts';
import { placeTexts, serve } from '../server/serve.ts';
import type { Server } from '../server/server.ts';
import { loadApp } from './app.ts';
import type { Invocation } from './arguments.ts';
import { listenFrom } from './listen.ts';

/** A terminal's Ctrl-C may reach the process twice, once through npm; only a later signal is a second one. */
const sameSignalMs = 500;

/** Loads the app, serves it and prints its URL, unless it is to be quiet. The process ends with a signal, after what is in flight. */
export async function start(invocation: Invocation): Promise<void> {
  const { operands, numbers, strings } = invocation;
  // Before the app is imported: its module may make responses or extend the classes as it loads.
  const uninstall = installGlobals();
  const undo = endOnSignals();
  const { url, options, ignored } = await loadApp(operands[0] as string);
  if (options.globals === false) uninstall();
  const merged = {
    ...options,
    ...listenFrom(options, invocation),
    ...(numbers.threads === undefined ? {} : { threads: numbers.threads }),
    ...(numbers.workers === undefined ? {} : { workers: numbers.workers }),
    ...(strings.mode === undefined ? {} : { mode: strings.mode }),
    ...logFrom(invocation),
    module: url,
    onError: endWithListeners(options.onError),
  } as ServeOptions;
  const log = new Log(merged.log);
  // With threads, the first of them tells it.
  if (ignored !== null && !merged.threads && log.shows('warn')) console.error(ignored);
  const server = await serve(merged);
  stopOnSignals(server, log);
  undo();
  if (merged.onListen !== undefined || !log.shows('info')) return;
  for (const text of placeTexts(server)) console.log(`Listening on ${text}`);
}

function logFrom({ strings, switches }: Invocation): { log?: LogLevel } {
  if (strings.log !== undefined) return { log: strings.log as LogLevel };
  return switches.has('quiet') ? { log: 'error' } : {};
}

/** The app's own hook, and the end of a server that nobody can come to any more. */
function endWithListeners(own: unknown): unknown {
  if (own !== undefined && typeof own !== 'function') return own; // serve() refuses it
  const onError: ServeOptions['onError'] = (error, server) => {
    if (server.addresses.length === 0) {
      console.error('error: nothing is listened on any more; finishing what is in flight');
      server.stop().finally(() => process.exit(1));
    }
    own?.(error, server);
  };
  return onError;
}

/**
 * The first process of a container gets no signal that it has not asked for. So it does, that it ends by one while its app
 * is loaded, as every other process.
 *
 * @returns what undoes it
 */
function endOnSignals(): () => void {
  if (process.pid !== 1) return () => {};
  const end = (signal: NodeJS.Signals): void => process.exit(codeOf(signal));
  process.on('SIGINT', end);
  process.on('SIGTERM', end);
  return () => {
    process.off('SIGINT', end);
    process.off('SIGTERM', end);
  };
}

/** How shells tell the end by a signal. */
function codeOf(signal: NodeJS.Signals): number {
  return signal === 'SIGINT' ? 130 : 143;
}

function stopOnSignals(server: Server, log: Log): void {
  let firstAt: number | undefined;
  const onSignal = (signal: NodeJS.Signals): void => {
    if (firstAt === undefined) {
      firstAt = performance.now();
      if (log.shows('info')) {
        console.error(`${signal}: finishing what is in flight; once more to stop at once`);
      }
      server.stop().then(
        () => process.exit(0),
        (error: unknown) => {
          console.error(error);
          process.exit(1);
        },
      );
    } else if (performance.now() - firstAt > sameSignalMs) {
      process.exit(codeOf(signal));
    }
  };
  process.on('SIGINT', onSignal);
  process.on('SIGTERM', onSignal);
}
