// A contender that has been started and has answered correctly.
import { MissingError } from '../../scripts/lib/project.mjs';
import { environment, hello } from '../contenders/data.mjs';
import { asked, contenders } from '../contenders.mjs';
import { descriptorsAllowed } from './machine.mjs';
import { freePort, residentBytes, start, stop, tree } from './process.mjs';
import { verifyWhenReady } from './verify.mjs';

/** Size that the floor answers with when the contender that it should resemble is not there. */
const RESPONSE_BYTES_DEFAULT = 150;

/**
 * @typedef {object} Entrant
 * @property {import('../contenders.mjs').Contender} row
 * @property {number} port
 * @property {import('./verify.mjs').Expectation} expected
 * @property {ReturnType<typeof start>} server
 * @property {number} responseBytes  size on the wire of one response
 * @property {number} restBytes  resident memory before any load
 */

/**
 * @param {string[]} only  names and groups, and `all`; empty: all but those that have to be asked for
 * @returns {import('../contenders.mjs').Contender[]} exits when there is no such contender
 */
export function choose(only) {
  const known = new Set(['all', ...contenders.flatMap(({ name, group }) => [name, group])]);
  const unknown = only.filter((word) => !known.has(word));
  if (unknown.length > 0) {
    console.error(`no such contender: ${unknown.join(', ')} (node bench/race.mjs --list)`);
    process.exit(2);
  }
  const wanted = ({ name, group }) =>
    only.length === 0
      ? !asked.has(group)
      : [name, group, 'all'].some((word) => only.includes(word));
  return contenders.filter(wanted);
}

/**
 * Builds what the contender needs, starts it pinned and verifies its answers.
 * @param {import('../contenders.mjs').Contender} row
 * @param {import('./options.mjs').Options} options
 * @param {{ responseBytes?: number, idle?: boolean, wrap?: string[],
 *   env?: Record<string, string>, readyMs?: number }} [how]  `wrap` is a command that runs the server's command, `readyMs`
 *   how long it may take to answer, 20,000 unless told
 * @returns {Promise<Entrant>}
 */
export async function startEntrant(row, options, how = {}) {
  const { responseBytes = RESPONSE_BYTES_DEFAULT, idle = false, wrap = [], env, readyMs } = how;
  const port = await freePort();
  const expected = {
    path: row.path ?? '/',
    paths: row.paths,
    send: row.send,
    events: row.events,
    body: row.body ?? hello,
    type: row.type ?? /^text\/plain/,
    isSecured: row.isSecured ?? row.group === 'tls',
    isHttp2: row.group === 'h2',
    handshakes: row.handshakes,
    socket: row.socket,
    pipelined: row.pipelined,
    each: row.each,
  };
  const connections = row.connections ?? 0;
  if (connections > descriptorsAllowed())
    throw new MissingError(`${connections} connections need more descriptors (ulimit -n)`);
  const plain = wrap.length > 0;
  const { serverCore: core, loadCore, nice } = options;
  const command = await row.command({ port, responseBytes, idle, plain, loadCore });
  const server = start([...wrap, ...command], {
    core,
    nice,
    env: { ...environment, ...row.env, ...env },
  });
  try {
    const verified = await verifyWhenReady(port, expected, server, readyMs);
    const restBytes = residentBytes(tree(server.pid));
    return { row, port, expected, server, responseBytes: verified.responseBytes, restBytes };
  } catch (error) {
    await stop(server);
    throw error;
  }
}
