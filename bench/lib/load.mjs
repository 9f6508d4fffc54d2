// The load generators on one core: wrk with one thread, its findings as JSON by bench/wrk.lua, oha
// with one thread, and bench/load.zig; for HTTP/2 h2load, for handshakes openssl, for WebSocket bench/ws_load.zig, for
// events bench/sse_load.zig.
import { execFile } from 'node:child_process';
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { MissingError } from '../../scripts/lib/project.mjs';
import { h2load, home, libraryEnv, oha, onPath, root, wrk, zigProgram } from './tools.mjs';
import { requestOf } from './verify.mjs';

/**
 * @typedef {object} LoadResult
 * @property {number} requests    completed
 * @property {number} seconds     that they took
 * @property {number} p50_us      median latency; NaN where the generator does not tell
 * @property {number} p99_us
 * @property {number} p999_us
 * @property {number} [max_us]    the longest
 * @property {number} [unanswered]  at a rate: requests that were due and had no answer at the end
 * @property {number} errors      refused, broken or timed-out requests and statuses above 399
 */

/** What a browser sends with a navigation, beside Host. */
const typicalFields = [
  'User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0',
  'Accept: text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8',
  'Accept-Language: en-GB,en;q=0.5',
  'Accept-Encoding: gzip, deflate, br, zstd',
  'Cookie: session=0123456789abcdef0123456789abcdef; theme=dark',
  'Upgrade-Insecure-Requests: 1',
  'Sec-Fetch-Dest: document',
  'Sec-Fetch-Mode: navigate',
  'Priority: u=0, i',
];

/** Clients that do one handshake after the other, at a time. */
const handshakers = 8;

/** Over HTTP/2: connections, and streams of each that are under way at a time. */
const http2 = { connections: 16, streams: 32 };

/** Shapes of load for which wrk is taken, or the least client, whatever was asked for. */
const isShaped = ({ send, paths, pipelined }) => Boolean(send ?? paths ?? pipelined);

/**
 * What is asked for. `handshakes`: a connection for each request; `socket`: messages over WebSocket, so many of a connection
 * at a time; the rest as of a contender
 * @typedef {Pick<import('../contenders.mjs').Contender, 'path' | 'paths' | 'send' | 'pipelined' | 'each' | 'events' |
 *   'handshakes' | 'socket'> & { port: number, responseBytes: number, isSecured: boolean, isHttp2: boolean }} Target
 */

/**
 * Loads 127.0.0.1:`port` for `seconds` over keep-alive connections.
 * @param {Target} target  the least client tells responses apart by their size on the wire
 * @param {import('./options.mjs').Options & { rate?: number }} options  `rate`: requests that are due each second; without,
 *   a connection asks as soon as it has its answer
 * @returns {Promise<LoadResult>}
 */
export async function load(target, options) {
  const { seconds, loadCore, nice } = options;
  const command = ['taskset', '-c', String(loadCore)];
  if (nice !== 0) command.push('nice', '-n', String(nice));
  const generator = generatorFor(target, options);
  command.push(...(await generator.command(target, options)));
  const began = performance.now();
  const env = generator.env?.(target) ?? {};
  const runs = Array.from({ length: generator.processes ?? 1 }, () =>
    execute(command, env, (seconds + 20) * 1000),
  );
  const printed = await Promise.all(runs);
  return generator.read(printed, (performance.now() - began) / 1000, target);
}

/** `--load` chooses of those that it takes. */
function generatorFor(target, options) {
  if (target.handshakes !== undefined) return ofHandshakes;
  if (target.socket !== undefined) return overWebSocket;
  if (target.events) return ofEvents;
  if (target.isHttp2) return overHttp2;
  // Neither of the others ends connections after some requests, nor keeps to a rate.
  if (target.each !== undefined || options.rate !== undefined) return generators.least;
  return generators[options.load === 'oha' && isShaped(target) ? 'wrk' : options.load];
}

const generators = {
  wrk: { command: wrkWithReport, read: readReport, env: wrkEnvironment },
  oha: { command: ohaWithReport, read: readOha },
  least: { command: least, read: readReport },
};

/** The others listen to no events. */
const ofEvents = { command: listeners, read: readReport };

/** The others do not speak HTTP/2. */
const overHttp2 = { command: h2loadWithReport, read: readH2load };

/** The others speak no WebSocket. */
const overWebSocket = { command: messages, read: readReport };

/** The others resume no sessions. */
const ofHandshakes = { command: handshake, read: readHandshakes, processes: handshakers };

/**
 * Settles which load generator is used where none was asked for: wrk, else, told, the one that is built here.
 * @param {import('./options.mjs').Options} options  its `load` is set
 */
export async function chooseLoad(options) {
  if (options.load !== null) return;
  try {
    await wrk();
    options.load = 'wrk';
  } catch (error) {
    if (!(error instanceof MissingError)) throw error;
    options.load = 'least';
    console.error(`${error.message}; the load comes from bench/load.zig instead`);
  }
}

/** What --load takes. */
export const loadNames = Object.keys(generators);

/** @returns {LoadResult} from the line that wrk.lua and load.zig print */
function readReport([printed]) {
  const line = /^GYR (\{.*\})$/m.exec(printed)?.[1];
  if (line === undefined) throw new Error(`the load generator did not report: ${printed}`);
  const found = JSON.parse(line);
  return {
    requests: found.requests,
    seconds: found.duration_us / 1e6,
    p50_us: found.p50,
    p99_us: found.p99,
    p999_us: found.p999,
    max_us: found.max,
    unanswered: found.unanswered,
    errors: Object.values(found.errors).reduce((sum, count) => sum + count, 0),
  };
}

const urlOf = ({ port, path, isSecured }) =>
  `http${isSecured ? 's' : ''}://127.0.0.1:${port}${path}`;

/** What bench/wrk.lua is told. */
function wrkEnvironment({ send, paths, pipelined }) {
  return {
    ...(send === undefined ? {} : { BENCH_BODY: send.file }),
    ...(paths === undefined ? {} : { BENCH_PATHS: paths.join(' ') }),
    ...(pipelined === undefined ? {} : { BENCH_PIPELINED: String(pipelined) }),
  };
}

async function wrkWithReport(target, { seconds, connections, typical }) {
  const command = [await wrk(), '-t1', `-c${connections}`, `-d${seconds}s`];
  if (typical) for (const line of typicalFields) command.push('-H', line);
  return [...command, '-s', join(root, 'bench/wrk.lua'), urlOf(target)];
}

async function ohaWithReport(target, { seconds, connections, typical }) {
  const report = ['--no-tui', '--output-format', 'json', '--wait-ongoing-requests-after-deadline'];
  const command = [await oha(), ...report, '-c', String(connections), '-z', `${seconds}s`];
  if (typical) for (const line of typicalFields) command.push('-H', line);
  return [...command, '--insecure', urlOf(target)];
}

/** @returns {LoadResult} from oha's JSON */
function readOha([printed]) {
  const found = JSON.parse(printed);
  const count = (distribution) => Object.values(distribution).reduce((sum, n) => sum + n, 0);
  const statuses = found.statusCodeDistribution;
  const bad = Object.keys(statuses).filter((status) => Number(status) > 399);
  return {
    requests: count(statuses),
    seconds: found.summary.total,
    p50_us: found.latencyPercentiles.p50 * 1e6,
    p99_us: found.latencyPercentiles.p99 * 1e6,
    p999_us: found.latencyPercentiles['p99.9'] * 1e6,
    errors: count(found.errorDistribution) + bad.reduce((sum, status) => sum + statuses[status], 0),
  };
}

async function h2loadWithReport(target, { seconds, typical }) {
  const { connections, streams } = http2;
  const command = [await h2load(), '-t1', `-c${connections}`, `-m${streams}`, `-D${seconds}`];
  if (typical) for (const line of typicalFields) command.push('-H', line);
  const { path, paths = [path] } = target;
  return [...command, ...paths.map((one) => urlOf({ ...target, path: one }))];
}

/** @returns {LoadResult} from what h2load prints, which has no percentiles */
function readH2load([printed]) {
  const number = (pattern) => Number(pattern.exec(printed)?.[1]);
  const requests = number(/, (\d+) succeeded/);
  const perSecond = number(/ ([\d.]+) req\/s/);
  if (!(requests >= 0 && perSecond >= 0)) throw new Error(`h2load did not report: ${printed}`);
  const protocol = /^Application protocol: (.*)$/m.exec(printed)?.[1];
  if (!['h2', 'h2c'].includes(protocol)) throw new Error(`h2load spoke ${protocol ?? 'nothing'}`);
  return {
    requests,
    seconds: requests / perSecond,
    p50_us: Number.NaN,
    p99_us: Number.NaN,
    p999_us: Number.NaN,
    errors: number(/, (\d+) failed/) + number(/ (\d+) 4xx/) + number(/ (\d+) 5xx/),
  };
}

/** Its seconds begin and end with those of the clock: it takes up to one less. */
async function handshake({ port, path, handshakes }, { seconds }) {
  const openssl = onPath('openssl');
  if (openssl === null) throw new MissingError('openssl is not on PATH');
  const which = handshakes === 'full' ? '-new' : '-reuse';
  const place = ['-connect', `127.0.0.1:${port}`, '-www', path];
  return [openssl, 's_time', which, '-tls1_3', ...place, '-time', String(seconds + 1)];
}

/** @returns {LoadResult} from what `openssl s_time` prints: an r for each session that is resumed, else a star */
function readHandshakes(printed, seconds, { handshakes }) {
  let requests = 0;
  for (const one of printed) {
    const count = Number(/^(\d+) connections in \d+ real seconds/m.exec(one)?.[1]);
    if (!(count >= 0)) throw new Error(`openssl s_time did not report: ${one}`);
    requests += count;
    const resumed = [...one.matchAll(/^r+$/gm)].reduce((sum, [line]) => sum + line.length, 0);
    const wanted = handshakes === 'full' ? 0 : count;
    if (Math.abs(resumed - wanted) > 1)
      throw new Error(`${resumed} of ${count} sessions were resumed, not ${wanted}`);
  }
  const unknown = { p50_us: Number.NaN, p99_us: Number.NaN, p999_us: Number.NaN };
  return { requests, seconds, ...unknown, errors: 0 };
}

async function least(target, { seconds, connections, typical, rate }) {
  const { port, isSecured, paths, responseBytes, pipelined, each } = target;
  if (isSecured) throw new MissingError('bench/load.zig speaks no TLS: --load wrk or --load oha');
  if (paths) throw new MissingError('bench/load.zig asks for one path alone: --load wrk');
  const program = await zigProgram('load', ['-lc', 'bench/load.zig']);
  const request = join(home, 'requests', String(port));
  await mkdir(join(home, 'requests'), { recursive: true });
  await writeFile(request, requestOf(port, target, typical ? typicalFields : []));
  const numbers = [connections, seconds, responseBytes].map(String);
  const shape = Object.entries({ copies: pipelined, each, rate })
    .filter(([, number]) => number !== undefined)
    .map(([name, number]) => `${name}=${number}`);
  return [program, String(port), request, ...numbers, ...shape];
}

async function listeners({ port }, { seconds, connections }) {
  const program = await zigProgram('sse_load', ['-lc', 'bench/sse_load.zig']);
  return [program, ...[port, connections, seconds].map(String)];
}

async function messages({ port, path, socket }, { seconds, connections }) {
  const program = await zigProgram('ws_load', ['-lc', 'bench/ws_load.zig']);
  const numbers = [connections, seconds, socket.bytes, socket.inFlight].map(String);
  return [program, 'echo', String(port), path, ...numbers];
}

function execute([file, ...args], more, timeout) {
  const env = { ...process.env, ...libraryEnv, ...more };
  return new Promise((resolve, reject) => {
    execFile(file, args, { env, timeout, killSignal: 'SIGKILL' }, (error, stdout, stderr) => {
      if (error) reject(new Error(`${file}: ${stderr.trim() || error.message}`));
      else resolve(stdout);
    });
  });
}
