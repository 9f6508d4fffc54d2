// The table of the race. To add a contender, add a row to one of the files of bench/contenders.
import { overHttp2 } from './contenders/http2.mjs';
import { frameworkRows, inBothModes, plain } from './contenders/plain.mjs';
import { overTls } from './contenders/tls.mjs';
import { workloadRows } from './contenders/workloads.mjs';
import { overWebSocket } from './lib/sockets.mjs';

/**
 * @typedef {object} Contender
 * @property {string} name    unique; what --only takes and the report prints
 * @property {string} group   --only takes it too. Those of floor, gyrfalcon and peer race when nothing is said, others (`asked`)
 *   have to be asked for. h2 is loaded over HTTP/2
 * @property {string} [heat]  who runs beside each other; without one, those of tls, of h2, of ws, and all the rest
 * @property {'floor' | 'own' | 'peer'} [role]  by default what the group and `what` say (`roleOf`)
 * @property {boolean} [isSecured]  over TLS; so is the group tls
 * @property {'full' | 'resumed'} [handshakes]  a connection for each request, with such a handshake
 * @property {{ bytes: number, inFlight: number }} [socket]  a WebSocket that echoes messages of that size, so many at a time
 * @property {string} what    one line for the reader
 * @property {string} [path]  request target, by default '/'
 * @property {string[]} [paths]  targets that are asked for in turn; `path` is one of them. Each has a body as `body` is, as long
 *   as its name says
 * @property {{ file: string, body: Buffer }} [send]  what is posted: its file, and the same in memory
 * @property {number} [connections]  of the load, in the place of --connections
 * @property {number} [pipelined]  requests that a connection sends at once
 * @property {number} [each]  requests after which a client ends its connection
 * @property {boolean} [events]  `path` is a stream of events, which POST /publish sends; a request is an event that a listener has
 * @property {Buffer} [body]  the exact body expected, by default 'Hello, World!'
 * @property {RegExp} [type]  what Content-Type has to match, by default text/plain
 * @property {string} [likeSizeOf]  contender whose response size on the wire this one takes on
 * @property {Record<string, string>} [env]
 * @property {(at: Place) => Promise<string[]>} command  builds what is needed (never a debug
 *   build) and returns the command that serves 127.0.0.1:port
 */

/**
 * @typedef {object} Place
 * @property {number} port
 * @property {number} responseBytes  what a response of `likeSizeOf` has on the wire
 * @property {boolean} idle   it has to hold 10,000 connections for minutes
 * @property {boolean} plain  it will run under valgrind
 */

/** @type {Contender[]} */
export const contenders = [
  ...plain,
  ...workloadRows,
  ...overTls(),
  ...overHttp2(false),
  ...overHttp2(true),
  ...overWebSocket(),
  ...inBothModes(),
  ...frameworkRows,
];

/** What races when nothing is said: the small response. */
const unasked = new Set(['floor', 'gyrfalcon', 'peer']);

/** Groups that race when they are asked for, and `all` with them. */
export const asked = new Set(
  contenders.map(({ group }) => group).filter((group) => !unasked.has(group)),
);

/** @returns {'floor' | 'own' | 'peer'} */
export function roleOf({ role, group, what }) {
  if (role !== undefined) return role;
  if (group === 'floor') return 'floor';
  return what.startsWith('gyrfalcon') ? 'own' : 'peer';
}
