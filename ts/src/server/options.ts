import { inspect } from 'node:util';
import type { Broker } from '../broker/broker.ts';
import { GyrfalconError } from '../core/errors.ts';
import { LOG_LEVELS, type LogLevel } from '../core/log.ts';
import { checkFormOptions } from '../fetch/multipart.ts';
import { checkBroker } from './broker.ts';
import { invalid } from './invalid.ts';
import { enginePlaces, type ListenPlace } from './listen.ts';
import { checkMode } from './mode.ts';
import type { HandlerOptions, Server } from './server.ts';
import { type EngineTls, type TlsOption, TlsSets } from './tls.ts';
import { unknownOption } from './unknown_option.ts';
import { checkWebSocket } from './websocket.ts';

/** Options of `serve()`. Times are milliseconds, sizes bytes. */
export interface ServeOptions<Path extends string = string, Data = unknown>
  extends HandlerOptions<Path, Data> {
  /** 0: the system picks a free one. @default 3000 */
  port?: number;
  /**
   * Name or address to listen on; a name stands for all addresses that it leads to.
   *
   * @default every interface, IPv6 and IPv4
   */
  hostname?: string;
  /**
   * Path of a unix socket to listen at, in the place of hostname and port: 107 bytes at most; an
   * abstract name begins with `@`. A socket that is left behind by a process that is gone is
   * replaced; the file is removed when the server stops.
   */
  unix?: string;
  /** Rights of that socket: who may write may connect. @default what the umask leaves */
  unixMode?: number;
  /**
   * Where to listen, in the place of all of these: `{ hostname, port }`, `{ unix, mode }`, or
   * `{ fd }`, a listening socket that the process was started with; or several of them, 16 sockets at
   * most. See `inheritedSockets()`.
   */
  listen?: ListenPlace | readonly ListenPlace[];
  /**
   * Certificates: HTTP goes over TLS. `{ cert, key }` has PEM, or paths of its files; further
   * certificates, client certificates, 0-RTT and so on are described in docs/TLS.md. With `listen`,
   * each place may have its own, or `tls: false`.
   */
  tls?: TlsOption;
  /**
   * Handshakes that an engine thread has under way at a time; for more, those that have taken longest
   * end.
   *
   * @default 1024
   */
  maxHandshakes?: number;
  /**
   * Let other processes of this user listen on the same port (SO_REUSEPORT), each with this option;
   * the system spreads connections over them. A unix socket that another server listens at is taken
   * over.
   *
   * @default false
   */
  reusePort?: boolean;
  /**
   * Run the handlers in this many worker threads; each imports `module`. 0: on the calling thread.
   * @default 0
   */
  threads?: number;
  /**
   * URL of the module that `threads` import; its default export has `routes`, `fetch`, `error`,
   * `websocket`, `onProtocolError`.
   */
  module?: string | URL;
  /**
   * What carries published messages to servers in other processes, and theirs to the WebSockets of this
   * one: docs/BROKERS.md. `redisBroker()` and `natsBroker()` give one. reload() leaves it as it is.
   */
  broker?: Broker;
  /**
   * Threads of the engine; 0: one for each CPU that the process may use, its container's quota
   * counted.
   *
   * @default 0
   */
  workers?: number;
  /**
   * Where the engine's workers run. 'inline': one, on the thread of the handlers, in Node.js's own loop, or with
   * `threads` one on each of them: no thread is woken for a request or its answer, and a handler that blocks holds up
   * every connection of its thread (docs/MODES.md). Linux alone. 'threads': each on a thread of its own. 'auto': inline
   * where there are handlers, no `threads`, and the process may use one CPU, its container's quota counted; threads
   * elsewhere.
   *
   * @default 'auto'
   */
  mode?: 'auto' | 'inline' | 'threads';
  /** Pin engine thread n to the n-th of the CPUs that the process may run on. @default false */
  pin?: boolean;
  /**
   * How connections are waited for: 'epoll' or 'io_uring' on Linux, 'kqueue' on macOS and FreeBSD. What another system
   * has is refused.
   *
   * @default 'auto'
   */
  io?: 'auto' | 'epoll' | 'io_uring' | 'kqueue' | 'iocp';
  /**
   * io_uring: what a socket is full of goes out from where it lies, without a copy, in pieces of 32 KiB and more.
   * @default false
   */
  zeroCopy?: boolean;
  /**
   * Linux: the engine's pools lie in huge pages, of 2 MiB, where the system gives them (transparent huge pages, by
   * madvise). Many connections cost less CPU time then, and a server more memory from its start.
   * @default false
   */
  hugePages?: boolean;
  /**
   * For how many microseconds a thread of the engine looks for events before it sleeps, 10000 at most.
   * @default 0
   */
  busyPollMicros?: number;
  /** Connections that the system holds until they are accepted. @default 2048 */
  backlog?: number;
  /**
   * Open connections; more wait in the backlog. A lower limit of open files (`ulimit -n`) lowers it.
   *
   * @default 10000
   */
  maxConnections?: number;
  /** Open connections of one IPv4 address or IPv6 /64; more are closed. 0: no such limit. @default 0 */
  maxConnectionsPerAddress?: number;
  /** Send small responses at once (TCP_NODELAY). @default true */
  nodelay?: boolean;
  /**
   * A client of whom nothing has come for so long is asked whether it is still there (TCP
   * keep-alive, in whole seconds). It is gone when twice that, or `writeTimeout` if that is longer,
   * has passed without an answer. 0: never.
   *
   * @default 15000
   */
  tcpKeepAlive?: number;
  /** From a request's first byte to the end of its head. @default 10000 */
  headerTimeout?: number;
  /** Between two reads of a request body. @default 30000 */
  bodyTimeout?: number;
  /**
   * Between a response and the next request. Clients that ask are told, in whole seconds; the
   * connection is closed a second later. @default 5000
   */
  keepAliveTimeout?: number;
  /** Between two successful writes. @default 30000 */
  writeTimeout?: number;
  /** Bytes a second that a request body must bring; 0: no such limit. @default 240 */
  minBodyRate?: number;
  /** Bytes a second that a client must take of a response; 0: no such limit. @default 240 */
  minResponseRate?: number;
  /** How long a body or a response may be slower than its rate. @default 5000 */
  rateGrace?: number;
  /** How long a request waits for a thread that takes it before it gets a 503. @default 10000 */
  dispatchTimeout?: number;
  /**
   * How long a streamed response may pause once its client has ended its own side, which is how most
   * clients that have gone look. Above it the stream is cancelled. 0: such a client may wait for
   * ever. @default 5000
   */
  halfCloseTimeout?: number;
  /** What `stop()` grants to requests in flight. @default 10000 */
  shutdownTimeout?: number;
  /** A larger body is refused with 413. @default 128 MiB */
  maxRequestBodySize?: number;
  /** A longer request target is refused with 414. @default 8192 */
  maxUrlBytes?: number;
  /** A larger request head is refused with 431. @default 32768 */
  maxHeaderBytes?: number;
  /** More request fields are refused with 431. @default 100 */
  maxHeaderCount?: number;
  /**
   * A response whose field lines are larger is a 500 (GYR_RESPONSE_HEAD_TOO_LARGE). Clients and
   * proxies have limits too, often of 8 to 64 KiB. @default 16384
   */
  maxResponseHeaderBytes?: number;
  /** What one receive may bring. @default 65536 */
  receiveBufferBytes?: number;
  /** Pool memory of one worker for what cannot be sent at once. @default 128 MiB */
  bufferMemoryBytes?: number;
  /** Pool memory that one connection may hold; above it, it is refused. @default 64 MiB */
  maxConnectionMemory?: number;
  /** Unsent response bytes of one connection above which its next requests wait. @default 262144 */
  outputHighWaterBytes?: number;
  /**
   * Speak HTTP/2: with clients that begin with its preface, and over TLS with those that ask for it
   * (ALPN).
   *
   * @default true
   */
  http2?: boolean;
  /** Streams of one connection of HTTP/2 that are under way at a time. @default 100 */
  maxStreams?: number;
  /**
   * Responses of one connection of HTTP/2 that may be pushed at a time by `server.push()`, to clients
   * that let them.
   *
   * @default 0
   */
  maxPushes?: number;
  /**
   * What a client may send of a stream of HTTP/2 before any of it is taken, when the stream begins,
   * bytes: SETTINGS_INITIAL_WINDOW_SIZE (RFC 9113 §6.9.2).
   *
   * @default 65535
   */
  streamWindow?: number;
  /**
   * What that may become, of a stream and of a connection, where it holds a fast client up, bytes.
   *
   * @default 16 MiB
   */
  maxStreamWindow?: number;
  /** Payload of a frame of HTTP/2 that a client may send, bytes. @default 16384 */
  maxFrameBytes?: number;
  /** Requests of one connection that are answered at the same time. @default 64 */
  pipelineDepth?: number;
  /**
   * Requests of a worker that are under way beyond the first of each of its connections: pipelines,
   * and streams of HTTP/2. No connection has more than half of what is left of them. Memory is used
   * for those that come to be.
   *
   * @default 16384
   */
  spareRequests?: number;
  /**
   * Each ring between engine and handlers; a power of two. From 131072, or from 262144 where
   * `maxHeaderBytes` is above 46 KiB. Where there are so many workers and threads that rings of
   * 262144 would take more than 512 MiB, the smallest is the default.
   *
   * @default 262144
   */
  ringBytes?: number;
  /** Bytes of one body that wait between engine and handler, each way. @default 262144 */
  creditBytes?: number;
  /**
   * Answer TRACE with the request as it was received, but for fields that are likely to hold
   * secrets; else 501.
   *
   * @default false
   */
  trace?: boolean;
  /**
   * Let CONNECT requests come to `fetch`, with a URL of `http://host:port/` (without the port when it
   * is 80); else 501. There is no tunnel: a response of success is replaced by 501.
   *
   * @default false
   */
  connect?: boolean;
  /** Value of the Server field; '' sends none. @default 'gyrfalcon' */
  serverName?: string;
  /**
   * Put the light Request, Response and Headers in the place of the global ones, until the last server
   * has ended. Without, handlers get light requests all the same.
   *
   * @default true
   */
  globals?: boolean;
  /** Stops the server when it is aborted. */
  signal?: AbortSignal;
  /**
   * Hears of what befalls the server itself while it runs, with a code: GYR_LISTENER_FAILED when a
   * socket that it listens on fails. `server.addresses` has what is left; when that is nothing, what
   * is in flight is still served, and nobody else can come.
   */
  onError?: (error: GyrfalconError, server: Server) => void;
  /**
   * How much the server tells on stderr: each level has the lines of those before it. What handlers
   * throw is 'error', a response that says wrong things of its framing 'warn', the line at the start
   * 'info'.
   *
   * @default 'info'
   */
  log?: LogLevel;
  /**
   * Called once the server accepts connections, in the place of the line at the start. What it
   * throws, `serve()` throws, and the server is stopped.
   */
  onListen?: (listening: ListenInfo, server: Server) => void;
}

/** What a server is like that has started. */
export interface ListenInfo {
  /** Where it can be reached from this machine. */
  url: URL;
  /** Of the first place: a name as it was given, or the address; '' of a unix socket. */
  hostname: string;
  /** The one that the system picked when 0 was asked for. */
  port: number;
  /** How connections are waited for: 'epoll', 'io_uring' or 'kqueue'. */
  backend: string;
  /** Why that backend runs, in a few words. */
  backendReason: string;
  /** Threads of the engine. */
  workers: number;
  /** Where the workers run: on the thread of the handlers, or each on its own. */
  mode: 'inline' | 'threads';
  /** Why they run there, in a few words. */
  modeReason: string;
  /** Threads that handlers run in; 0: on the one that called `serve()`. */
  threads: number;
  /**
   * Connections that are served at a time: the option, or as many as the limit of open files leaves.
   */
  maxConnections: number;
  /** Pool and ring memory reserved, bytes of address space. */
  memoryBytes: number;
}

/** What a number option may be, and its name in the engine. */
interface NumberRule {
  min: number;
  max: number;
  engine: string;
}

/** Of all systems: the engine knows which of them its own has. */
const backends: readonly unknown[] = ['auto', 'epoll', 'io_uring', 'kqueue', 'iocp'];

const timeMax = 2 ** 31 - 1;
const time = (engine: string, min = 1): NumberRule => ({ min, max: timeMax, engine });
const bytes = (engine: string, min: number, max: number): NumberRule => ({ min, max, engine });

const numberRules: Record<string, NumberRule> = {
  port: { min: 0, max: 65_535, engine: 'port' },
  tcpKeepAlive: bytes('tcp_keepalive_ms', 0, 32_767_000),
  workers: { min: 0, max: 256, engine: 'workers' },
  backlog: { min: 1, max: 2 ** 31 - 1, engine: 'backlog' },
  busyPollMicros: { min: 0, max: 10_000, engine: 'busy_poll_us' },
  maxConnections: { min: 1, max: 2 ** 24, engine: 'connections_max' },
  maxConnectionsPerAddress: { min: 0, max: 2 ** 24, engine: 'connections_per_address_max' },
  headerTimeout: time('header_timeout_ms'),
  bodyTimeout: time('body_timeout_ms'),
  keepAliveTimeout: time('idle_timeout_ms'),
  writeTimeout: time('write_timeout_ms'),
  minBodyRate: bytes('body_rate_min', 0, 2 ** 32 - 1),
  minResponseRate: bytes('write_rate_min', 0, 2 ** 32 - 1),
  rateGrace: time('rate_grace_ms'),
  dispatchTimeout: time('dispatch_timeout_ms'),
  halfCloseTimeout: time('half_close_timeout_ms', 0),
  shutdownTimeout: time('shutdown_timeout_ms', 0),
  maxRequestBodySize: bytes('body_bytes_max', 0, Number.MAX_SAFE_INTEGER),
  maxUrlBytes: bytes('target_bytes_max', 1, 65_535),
  maxHeaderBytes: bytes('head_bytes_max', 256, 65_535),
  maxHeaderCount: bytes('header_count_max', 1, 128),
  maxResponseHeaderBytes: bytes('response_head_bytes_max', 16_384, 49_152),
  receiveBufferBytes: bytes('receive_buffer_bytes', 4096, 2 ** 20),
  bufferMemoryBytes: bytes('buffer_memory_bytes', 2 ** 20, 2 ** 44),
  maxConnectionMemory: bytes('connection_memory_bytes_max', 2 ** 22, 2 ** 44),
  outputHighWaterBytes: bytes('output_high_water_bytes', 16_384, 2 ** 32 - 1),
  pipelineDepth: bytes('pipeline_depth_max', 1, 65_535),
  spareRequests: bytes('exchanges_spare', 0, 2 ** 24),
  maxStreams: bytes('http2_streams_max', 1, 65_535),
  maxPushes: bytes('http2_pushes_max', 0, 100),
  streamWindow: bytes('http2_stream_window_bytes', 65_535, 2 ** 30),
  maxStreamWindow: bytes('http2_window_bytes_max', 65_535, 2 ** 30),
  maxFrameBytes: bytes('http2_frame_bytes_max', 16_384, 2 ** 20),
  maxHandshakes: bytes('tls_handshakes_max', 1, 2 ** 24),
};

const bridgeRules: Record<string, NumberRule> = {
  threads: { min: 0, max: 256, engine: 'threads' },
  ringBytes: bytes('ring_bytes', 2 ** 17, 2 ** 26),
  creditBytes: bytes('credit_bytes', 2 ** 15, 2 ** 30),
};

const booleanRules: Record<string, string> = {
  pin: 'pin',
  zeroCopy: 'zero_copy',
  hugePages: 'huge_pages',
  nodelay: 'nodelay',
  reusePort: 'reuse_port',
  http2: 'http2',
  trace: 'trace',
  connect: 'connect',
  globals: '',
};
const textRules: Record<string, string> = { hostname: 'hostname', serverName: 'server_name' };
const functionNames = ['fetch', 'error', 'onProtocolError', 'onError', 'onListen'];
const otherNames = [
  'unix',
  'unixMode',
  'listen',
  'tls',
  'routes',
  'forms',
  'websocket',
  'broker',
  'paths',
  'module',
  'io',
  'mode',
  'log',
  'signal',
  ...functionNames,
];

const allNames = [
  ...Object.keys(numberRules),
  ...Object.keys(bridgeRules),
  ...Object.keys(booleanRules),
  ...Object.keys(textRules),
  ...otherNames,
];

/** The configuration as the engine takes it, but for the route table. */
export interface EngineConfig {
  server: Record<string, unknown>;
  threads: number;
  ring_bytes?: number;
  credit_bytes?: number;
  /** The engine is not to tell that it listens. */
  announce?: false;
  /** Its workers run where `Engine.watch` is called. */
  is_inline?: true;
  /** There is one for each of the threads, and not one on the thread that has made the engine. */
  lends?: true;
  mode_reason?: string;
}

/** Checks every option and translates it. Throws GYR_OPTION_INVALID or GYR_OPTION_UNKNOWN. */
export function engineConfig(options: ServeOptions): EngineConfig {
  if (typeof options !== 'object' || options === null) {
    const message = `serve() needs an object of options, not ${inspect(options)}`;
    throw new GyrfalconError('GYR_OPTION_INVALID', message);
  }
  const given = options as Record<string, unknown>;
  for (const name of Object.keys(given)) {
    if (!allNames.includes(name)) throw unknownOption(name, 'serve()', allNames);
  }
  const server: Record<string, unknown> = {};
  const bridge: Record<string, unknown> = {};
  for (const [name, rule] of Object.entries(numberRules)) takeNumber(given, name, rule, server);
  for (const [name, rule] of Object.entries(bridgeRules)) takeNumber(given, name, rule, bridge);
  for (const [name, key] of Object.entries(booleanRules))
    takeTyped(given, name, 'boolean', key, server);
  for (const [name, key] of Object.entries(textRules))
    takeTyped(given, name, 'string', key, server);
  const sets = new TlsSets();
  const places = enginePlaces(given, sets);
  if (places !== undefined) server.listen = places;
  if (sets.sets.length > 0) server.tls = sets.sets;
  checkRing(given.ringBytes);
  takeIo(given.io, server);
  takeLog(given.log, server);
  checkMode(options);
  checkFunctions(given);
  checkForms(given.forms);
  checkWebSocket(given.websocket);
  checkBroker(given.broker);
  if (given.signal !== undefined && !(given.signal instanceof AbortSignal)) {
    throw invalid('signal', given.signal, 'an AbortSignal');
  }
  settleMemory(server);
  const announce = given.onListen === undefined ? {} : { announce: false as const };
  return { server, threads: 0, ...announce, ...bridge };
}

/**
 * Limits that were not set follow those that were: what one connection may hold has room for its
 * output, and bodies that are gathered fit both a connection and the pool. (Handlers here get theirs
 * in pieces.)
 */
function settleMemory(server: Record<string, unknown>): void {
  const {
    buffer_memory_bytes: pool = 2 ** 27,
    output_high_water_bytes: output = 2 ** 18,
    connection_memory_bytes_max: given,
  } = server as Record<string, number | undefined>;
  const blocks = 2 ** 21;
  const gathered = 2 ** 23;
  const connection = given ?? Math.max(2 ** 26, gathered + output + blocks);
  if (connection !== 2 ** 26) server.connection_memory_bytes_max = connection;
  const room = Math.max(0, connection - output - blocks);
  const limit = Math.min(gathered, Math.floor(pool / 2), room);
  if (limit < gathered) server.body_buffered_bytes_max = limit;
}

/** What reload() takes, and a module of `threads` exports. */
const handlerNames = ['routes', 'fetch', 'error', 'paths', 'forms', 'websocket', 'onProtocolError'];

export function isHandlerOption(name: string): boolean {
  return handlerNames.includes(name);
}

/** Certificates that reload() was given, of all places; undefined: those that are there. */
export function reloadedTls(options: object): EngineTls[] | undefined {
  const given = options as Record<string, unknown>;
  if (given.tls === undefined && given.listen === undefined) return undefined;
  const sets = new TlsSets();
  enginePlaces({ tls: given.tls, listen: given.listen }, sets);
  return sets.sets;
}

/** Misspelt options are told; those of serve() that stay as they are may be there. */
export function checkReloadOptions(options: object): void {
  for (const name of Object.keys(options)) {
    if (!allNames.includes(name)) throw unknownOption(name, 'reload()', handlerNames);
  }
}

/** Checks what reload() takes as well. */
export function checkTableOptions(options: {
  routes?: unknown;
  fetch?: unknown;
  error?: unknown;
  paths?: unknown;
  onProtocolError?: unknown;
  forms?: unknown;
  websocket?: unknown;
}): void {
  const { routes, paths, forms, websocket } = options;
  if (paths !== undefined && paths !== 'canonical' && paths !== 'raw') {
    throw invalid('paths', paths, "'canonical' or 'raw'");
  }
  checkFunctions(options as Record<string, unknown>);
  checkForms(forms);
  checkWebSocket(websocket);
  const isTable = typeof routes === 'object' && routes !== null && !(Symbol.iterator in routes);
  if (routes !== undefined && !isTable) {
    throw invalid('routes', routes, 'an object of patterns');
  }
  if (options.fetch === undefined && routes === undefined) {
    const message = 'serve() was given neither routes nor fetch';
    throw new GyrfalconError('GYR_NO_HANDLER', message, 'fetch: (request) => new Response(…)');
  }
}

/** What `stop()` grants to requests in flight, ms. Throws GYR_OPTION_INVALID. */
export function stopDeadline(given: unknown, fallback = 10_000): number {
  if (given === true) return 0;
  if (given === false || given === undefined || given === null) return fallback;
  if (typeof given !== 'object') throw invalid('closeActive', given, 'true, false or an object');
  const { deadline = fallback } = given as { deadline?: unknown };
  if (typeof deadline !== 'number' || !(deadline >= 0)) {
    throw invalid('deadline', deadline, 'a number of milliseconds, 0 or more');
  }
  return Math.min(Math.ceil(deadline), timeMax);
}

function checkForms(forms: unknown): void {
  if (forms === undefined) return;
  if (typeof forms !== 'object' || forms === null) throw invalid('forms', forms, 'an object');
  checkFormOptions(forms);
}

function checkFunctions(given: Record<string, unknown>): void {
  for (const name of functionNames) {
    const value = given[name];
    if (value !== undefined && typeof value !== 'function')
      throw invalid(name, value, 'a function');
  }
}

function takeNumber(
  given: Record<string, unknown>,
  name: string,
  { min, max, engine }: NumberRule,
  into: Record<string, unknown>,
): void {
  const value = given[name];
  if (value === undefined) return;
  if (typeof value !== 'number' || !Number.isInteger(value) || value < min || value > max) {
    throw invalid(name, value, `an integer from ${min} to ${max}`);
  }
  into[engine] = value;
}

function takeTyped(
  given: Record<string, unknown>,
  name: string,
  type: 'boolean' | 'string',
  engine: string,
  into: Record<string, unknown>,
): void {
  const value = given[name];
  if (value === undefined) return;
  if (typeof value !== type) throw invalid(name, value, `a ${type}`);
  if (engine !== '') into[engine] = value;
}

function takeIo(value: unknown, into: Record<string, unknown>): void {
  if (value === undefined) return;
  if (!backends.includes(value))
    throw invalid('io', value, "'auto', 'epoll', 'io_uring', 'kqueue' or 'iocp'");
  into.io = value;
}

function takeLog(value: unknown, into: Record<string, unknown>): void {
  if (value === undefined) return;
  const isLevel = (LOG_LEVELS as readonly unknown[]).includes(value);
  if (!isLevel) throw invalid('log', value, `one of ${LOG_LEVELS.join(', ')}`);
  into.log = value;
}

function checkRing(value: unknown): void {
  if (typeof value === 'number' && (value & (value - 1)) !== 0) {
    throw invalid('ringBytes', value, 'a power of two');
  }
}
