/** Servers in processes of their own: the gyrfalcon command and the Zig executables. */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { overTls, ownCertificate } from './over_tls.ts';
import { until, within } from './wait.ts';

/** The project's root folder. */
export const root = fileURLToPath(new URL('../../', import.meta.url));

/** The path of a file in the project. */
export const project = (...names: string[]): string => join(root, ...names);

/** What Node.js is told so that it runs TypeScript. */
export const loader: readonly string[] = [
  '--import',
  pathToFileURL(project('dist', 'loader', 'register.js')).href,
];

/** What Node.js is told to run a TypeScript file of the project: what the test run has compiled it to, if it has. */
export function programOf(...names: string[]): string[] {
  // What was compiled of it may be there still when it is not.
  if (!existsSync(project(...names))) throw new Error(`${names.join('/')} is not there`);
  const folder = process.env.GYRFALCON_COMPILED;
  if (folder === undefined) return [...loader, project(...names)];
  return ['--enable-source-maps', join(folder, ...names).replace(/\.ts$/, '.js')];
}

/** The module of threads that {@link programOf} would run: of JavaScript, there is nothing for their loader to transform. */
export function moduleOf(...names: string[]): URL {
  return pathToFileURL(programOf(...names).at(-1) as string);
}

/** How a process ended. */
export interface Ending {
  code: number | null;
  signal: NodeJS.Signals | null;
}

/** A process whose output is kept. */
export interface Running {
  readonly child: ChildProcess;
  /** What it has printed on stdout so far. */
  stdout(): string;
  /** What it has printed on stderr so far. */
  stderr(): string;
  /** Resolves when it has ended and its output is complete. */
  readonly ended: Promise<Ending>;
}

/** A server in a process of its own. */
export interface RunningServer extends Running {
  /** With a trailing slash. */
  readonly url: string;
  readonly port: number;
  /** Sends a signal (SIGTERM unless told) and waits for the end. */
  stop(signal?: NodeJS.Signals): Promise<Ending>;
}

/** Whether the Zig executables are those of Windows, which wine runs. */
export const underWine = process.env.GYRFALCON_WINE === '1';

/** What asks a server to stop. Programs of Windows have no SIGTERM: wine makes Ctrl-C of SIGINT for them. */
const stopSignal: NodeJS.Signals = underWine ? 'SIGINT' : 'SIGTERM';

const alive = new Set<ChildProcess>();
/** Those that have a process group of their own. */
const leaders = new WeakSet<ChildProcess>();

process.on('exit', () => {
  for (const child of alive) signalTo(child, 'SIGKILL');
});

/** Sends a signal to a process, or to all of its group. */
function signalTo(child: ChildProcess, signal: NodeJS.Signals): void {
  if (!leaders.has(child) || child.pid === undefined) {
    child.kill(signal);
    return;
  }
  try {
    process.kill(-child.pid, signal);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error; // all have ended
  }
}

/** Ends what tests have left running; for `test.after`. */
export async function stopAll(): Promise<void> {
  for (const child of alive) signalTo(child, 'SIGKILL');
  await until(() => alive.size === 0, 'the end of all processes');
}

export interface ProcessOptions {
  cwd?: string;
  env?: NodeJS.ProcessEnv;
  /** Descriptors of this process that it gets, as 3 and so on. */
  fds?: readonly number[];
  /** It has a process group of its own, which gets the signals: for what starts others and does not pass signals on. */
  isGroup?: boolean;
  /** Whose it is, where that is not who runs the tests. */
  uid?: number;
  gid?: number;
}

/** Starts a process. It is killed when this one ends. */
export function start(
  command: string,
  args: readonly string[],
  options: ProcessOptions = {},
): Running {
  const child = spawn(command, args, {
    cwd: options.cwd ?? root,
    env: { ...process.env, ...options.env },
    stdio: ['ignore', 'pipe', 'pipe', ...(options.fds ?? [])],
    detached: options.isGroup,
    uid: options.uid,
    gid: options.gid,
  });
  alive.add(child);
  if (options.isGroup) leaders.add(child);
  const texts = { out: '', err: '' };
  child.stdout?.setEncoding('utf8').on('data', (text: string) => {
    texts.out += text;
  });
  child.stderr?.setEncoding('utf8').on('data', (text: string) => {
    texts.err += text;
  });
  const ended = new Promise<Ending>((resolve, reject) => {
    child.on('error', (error) => {
      alive.delete(child);
      reject(error);
    });
    child.on('close', (code, signal) => {
      alive.delete(child);
      resolve({ code, signal });
    });
  });
  // Whoever waits for the end sees the failure; nobody has to.
  ended.catch(() => {});
  return { child, ended, stdout: () => texts.out, stderr: () => texts.err };
}

/** Runs `gyrfalcon` with arguments. */
export function startCommand(args: readonly string[], options: ProcessOptions = {}): Running {
  return start(process.execPath, [project('bin', 'gyrfalcon.mjs'), ...args], {
    ...options,
    env: { GYRFALCON_SETUP: '0', ...options.env },
  });
}

/** Runs `gyrfalcon start` on a free port and waits until it listens. */
export async function startApp(
  app: string,
  args: readonly string[] = [],
  options: { cwd?: string; env?: NodeJS.ProcessEnv } = {},
): Promise<RunningServer> {
  const own = await ownCertificate();
  const tls = own === null ? [] : ['--tls-cert', own.certFile, '--tls-key', own.keyFile];
  const given = ['start', app, '--port', '0', '--host', '127.0.0.1', ...tls, ...args];
  return listening(startCommand(given, options));
}

/** Starts a Zig executable that the test run has built ("example", "counter") on a free port. */
export async function startZig(
  name: string,
  args: readonly string[] = ['0'],
): Promise<RunningServer> {
  const prefix = process.env.GYRFALCON_ZIG_PREFIX ?? project('build', 'zig');
  const path = [join(prefix, 'examples', name), join(prefix, 'bin', name)].find(existsSync);
  if (path === undefined) {
    throw new Error(`${name} is not built: zig build examples -Doptimize=ReleaseSafe -p ${prefix}`);
  }
  return listening(start(path, args));
}

/** How a server's output says that it listens: its URL, or the line of a Zig program's engine. */
const itsOwn = /https?:\/\/\S+?:(\d+)\/|listening on \S*:(\d+): .* workers, /;

/** The same, or the line of an engine in Node.js: for programs that print nothing. */
export const anyLine = /https?:\/\/\S+?:(\d+)\/|listening on \S*:(\d+)/;

/**
 * Waits until a server has printed `line`, for `ms` at most. The line of an engine in Node.js ("2 workers in threads") is
 * none unless told: a program prints its URL behind it, when it is ready for signals.
 */
export async function listening(
  running: Running,
  ms = 30_000,
  line = itsOwn,
): Promise<RunningServer> {
  const port = (): number =>
    Number(
      line
        .exec(running.stdout() + running.stderr())
        ?.slice(1)
        .find((digits) => digits !== undefined) ?? 0,
    );
  let ended = false;
  const onEnd = (): void => {
    ended = true;
  };
  running.ended.then(onEnd, onEnd);
  await until(() => ended || port() > 0, 'the URL of the server', ms);
  if (port() === 0) {
    const { code, signal } = await running.ended;
    const output = running.stdout() + running.stderr();
    throw new Error(`the server ended (${signal ?? code}) before it listened:\n${output}`);
  }
  return {
    ...running,
    url: `${overTls ? 'https' : 'http'}://127.0.0.1:${port()}/`,
    port: port(),
    stop(signal = stopSignal) {
      signalTo(running.child, signal);
      return within(running.ended, 'the end of the server', ms / 2);
    },
  };
}

/** Why a test cannot use a program, or undefined when it can. */
export function lacks(program: string, versionFlag = '--version'): string | undefined {
  const { error } = spawnSync(program, [versionFlag], { stdio: 'ignore' });
  return error === undefined ? undefined : `${program} is not installed`;
}
