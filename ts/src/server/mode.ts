import type { Engine } from '../bridge/engine.ts';
import { GyrfalconError } from '../core/errors.ts';
import { Log, type LogLevel } from '../core/log.ts';
import { invalid } from './invalid.ts';
import { hasHandlers, type TableOptions } from './routes.ts';

/** Where the engine's workers run: see ServeOptions.mode. */
export type Mode = 'inline' | 'threads';

/** What of the options of serve() decides it. */
export interface ModeOptions extends Pick<TableOptions, 'routes' | 'fetch'> {
  mode?: 'auto' | Mode;
  threads?: number;
  workers?: number;
  pin?: boolean;
  io?: string;
  log?: LogLevel;
}

/** What of the engine decides it. */
export type ModeEngine = Pick<Engine, 'cpuCount' | 'inlineLack'>;

/** The mode of one server. */
export interface ChosenMode {
  mode: Mode;
  /** Why, in a few words. */
  reason: string;
}

const modes: readonly unknown[] = ['auto', 'inline', 'threads'];
const rule = "'auto', 'inline' or 'threads'";
const variable = 'GYRFALCON_MODE';

/** Throws GYR_OPTION_INVALID: the option has a wrong value, or others that do not go with it. */
export function checkMode(options: ModeOptions): void {
  const { mode } = options;
  if (mode === undefined) return;
  if (!modes.includes(mode)) throw invalid('mode', mode, rule);
  const conflict = mode === 'inline' ? conflictOf(options) : null;
  if (conflict === null) return;
  const message = `Option mode is 'inline', and ${conflict}`;
  throw new GyrfalconError('GYR_OPTION_INVALID', message, "leave it out, or mode: 'threads'");
}

/** Which other option does not go with a worker on each thread of handlers, and with no others. */
function conflictOf({ threads = 0, workers = 0, pin = false }: ModeOptions): string | null {
  if (workers > 0 && workers !== Math.max(threads, 1)) {
    const which = threads > 0 ? `each of ${threads} threads has one` : 'there is one';
    return `workers is ${workers}: ${which}, on the thread of the handlers`;
  }
  return pin ? 'pin is true: there is no thread of the engine to pin' : null;
}

/**
 * The mode that a server with these options, which `checkMode` has seen, gets here. Where the option is 'auto' or not
 * given the environment's GYRFALCON_MODE is asked, and then the number of CPUs. Throws GYR_MODE_UNAVAILABLE where the
 * option is 'inline' and that cannot be had; where nobody insists on it threads take over.
 */
export function chooseMode(options: ModeOptions, engine: ModeEngine): ChosenMode {
  const { mode = 'auto' } = options;
  if (mode === 'threads') return { mode, reason: 'configured' };
  if (mode === 'inline') {
    const lack = engine.inlineLack;
    if (lack === null) return { mode, reason: 'configured' };
    const message = `Inline mode cannot be had: ${lack}`;
    throw new GyrfalconError('GYR_MODE_UNAVAILABLE', message, "mode: 'auto', or 'threads'");
  }
  const asked = fromEnvironment(options);
  if (asked === 'threads') return { mode: 'threads', reason: variable };
  if ((options.threads ?? 0) > 0 || conflictOf(options) !== null) {
    return { mode: 'threads', reason: 'as other options want them' };
  }
  const wish = asked === 'inline' ? { mode: asked, reason: variable } : byCpus(options, engine);
  if (wish.mode === 'threads') return wish;
  const lack = lackOfBackend(options) ?? engine.inlineLack;
  return lack === null ? wish : { mode: 'threads', reason: lack };
}

/** A thread of the engine is of use where it has a CPU beside that of the handlers, or where there are none. */
function byCpus(options: ModeOptions, { cpuCount }: ModeEngine): ChosenMode {
  if (cpuCount > 1) return { mode: 'threads', reason: `${cpuCount} CPUs` };
  if (hasHandlers(options)) return { mode: 'inline', reason: 'one CPU' };
  return { mode: 'threads', reason: 'one CPU, and no handlers' };
}

/** Of the backends that a test build has on Linux one cannot be waited for in another loop. */
function lackOfBackend({ io = 'auto' }: ModeOptions): string | null {
  const asked = io === 'auto' ? process.env.GYRFALCON_IO : io;
  return asked === 'kqueue' ? 'it runs on epoll and io_uring alone' : null;
}

function fromEnvironment(options: ModeOptions): Mode | null {
  const value = process.env[variable];
  if (value === undefined || value === '' || value === 'auto') return null;
  if (value === 'inline' || value === 'threads') return value;
  if (new Log(options.log).shows('warn')) {
    console.error(
      `gyrfalcon warn: ${variable} is "${value}": auto, inline or threads would be right`,
    );
  }
  return null;
}
