/** Where `gyrfalcon start` listens: its options, the service manager, the app's own, the environment. */
import { inheritedSockets } from '../server/listen.ts';
import type { ServeOptions } from '../server/options.ts';
import type { Invocation } from './arguments.ts';
import { CliError } from './errors.ts';

type Where = Pick<
  ServeOptions,
  'hostname' | 'port' | 'unix' | 'unixMode' | 'listen' | 'reusePort' | 'tls'
>;

/** What an app may say of it; `undefined` takes it back. */
const none = { hostname: undefined, port: undefined, unix: undefined, unixMode: undefined };

/**
 * The options of serve() that say where, over those of the app.
 *
 * @throws {@link CliError} when several say where to listen, or a value cannot be
 */
export function listenFrom(
  app: Readonly<Record<string, unknown>>,
  { numbers, strings, switches }: Pick<Invocation, 'numbers' | 'strings' | 'switches'>,
): Where {
  const reusePort = switches.has('reuse-port') ? { reusePort: true } : {};
  const inherited = inheritedByThis();
  const { host: hostname, unix } = strings;
  const { port, fd } = numbers;
  const ways = [
    ...(hostname === undefined ? [] : ['--host']),
    ...(port === undefined ? [] : ['--port']),
    ...(unix === undefined ? [] : ['--unix']),
    ...(fd === undefined ? [] : ['--fd']),
    ...(inherited.length === 0 ? [] : ['LISTEN_FDS']),
  ].filter((way, i, all) => !(way === '--port' && all[i - 1] === '--host'));
  if (ways.length > 1) {
    throw new CliError(`${ways.join(' and ')} both say where to listen`, 'leave one out');
  }
  if (strings['unix-mode'] !== undefined && unix === undefined) {
    throw new CliError('--unix-mode needs --unix', '--unix PATH --unix-mode 660');
  }
  const tls = tlsFrom(strings, switches.has('tls-self-signed'));
  const httpsPort = numbers['https-port'];
  if (httpsPort !== undefined) {
    const other = ways.find((way) => way !== '--host' && way !== '--port');
    if (other !== undefined) {
      throw new CliError(`--https-port stands beside ${other}`, 'it goes with --port and --host');
    }
    if (tls.tls === undefined && app.tls === undefined) {
      throw new CliError('--https-port needs --tls-cert and --tls-key, or --tls-self-signed');
    }
    return { ...none, ...redirected(app, hostname, port, httpsPort), ...tls, ...reusePort };
  }
  return {
    ...tls,
    ...placeFrom(app, inherited, fd, unix, hostname, port, strings['unix-mode']),
    ...reusePort,
  };
}

/** HTTP at one port, which sends to https at the other. */
function redirected(
  app: Readonly<Record<string, unknown>>,
  hostname: string | undefined,
  port: number | undefined,
  httpsPort: number,
): Where {
  const { hostname: host, port: http } = { ...app, ...tcpFrom(app, hostname, port) } as Where;
  const at = host === undefined ? {} : { hostname: host };
  const secured = { ...at, port: httpsPort };
  return { listen: [secured, { ...at, port: http ?? 3000, redirect: true }] };
}

function tlsFrom(strings: Readonly<Record<string, string>>, selfSigned: boolean): Where {
  const { 'tls-cert': cert, 'tls-key': key } = strings;
  if (cert === undefined && key === undefined) return selfSigned ? { tls: 'self-signed' } : {};
  if (selfSigned) {
    throw new CliError('--tls-self-signed stands in the place of --tls-cert and --tls-key');
  }
  if (cert === undefined || key === undefined) {
    throw new CliError('--tls-cert and --tls-key go together', '--tls-cert FILE --tls-key FILE');
  }
  return { tls: { cert, key } };
}

function placeFrom(
  app: Readonly<Record<string, unknown>>,
  inherited: ReturnType<typeof inheritedSockets>,
  fd: number | undefined,
  unix: string | undefined,
  hostname: string | undefined,
  port: number | undefined,
  unixMode: string | undefined,
): Where {
  if (inherited.length > 0) return { ...none, listen: inherited };
  if (fd !== undefined) return { ...none, listen: { fd } };
  if (unix !== undefined) {
    return { ...none, listen: { unix, ...modeFrom(unixMode) } };
  }
  return tcpFrom(app, hostname, port);
}

function tcpFrom(
  app: Readonly<Record<string, unknown>>,
  hostname: string | undefined,
  port: number | undefined,
): Where {
  const elsewhere = app.unix !== undefined || app.listen !== undefined;
  if (hostname === undefined && port === undefined) {
    return elsewhere || app.port !== undefined ? {} : environmentsPort();
  }
  return {
    ...(elsewhere ? { ...none, listen: undefined } : {}),
    ...(hostname === undefined ? {} : { hostname }),
    ...(port === undefined ? (app.port === undefined ? environmentsPort() : {}) : { port }),
  };
}

function environmentsPort(): { port?: number } {
  const { PORT } = process.env;
  if (PORT === undefined) return {};
  const port = Number(PORT);
  if (!/^\d+$/.test(PORT) || port > 65_535) {
    throw new CliError(`the environment's PORT is no port number: "${PORT}"`);
  }
  return { port };
}

function modeFrom(text: string | undefined): { mode?: number } {
  if (text === undefined) return {};
  if (!/^0*[0-7]{1,3}$/.test(text)) {
    throw new CliError(`--unix-mode takes octal rights from 0 to 777, not "${text}"`);
  }
  return { mode: Number.parseInt(text, 8) };
}

/** A manager's sockets are for the process that it starts: behind npm or a shell that is another one. */
function inheritedByThis(): ReturnType<typeof inheritedSockets> {
  const { LISTEN_PID, LISTEN_FDS } = process.env;
  const inherited = inheritedSockets();
  if (inherited.length === 0 && LISTEN_FDS !== undefined && LISTEN_PID !== undefined) {
    console.error(
      `warning: LISTEN_FDS is for process ${LISTEN_PID}, not for this one (${process.pid}): start node itself in the unit`,
    );
  }
  return inherited;
}
