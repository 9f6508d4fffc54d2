// A contender that has been started and has answered correctly.
import { contenders, hello } from '../contenders.mjs';
import { freePort, start, stop } from './process.mjs';
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
 */

/** Groups that race when they are asked for. */
const asked = new Set(['framework', 'tls', 'h2', 'ws', 'modes']);

/**
 * @param {string[]} only  names and groups; empty: all but those that have to be asked for
 * @returns {import('../contenders.mjs').Contender[]} exits when there is no such contender
 */
export function choose(only) {
  const known = new Set(contenders.flatMap(({ name, group }) => [name, group]));
  const unknown = only.filter((word) => !known.has(word));
  if (unknown.length > 0) {
    console.error(`no such contender: ${unknown.join(', ')} (node bench/race.mjs --list)`);
    process.exit(2);
  }
  const wanted = ({ name, group }) =>
    only.length === 0 ? !asked.has(group) : only.includes(name) || only.includes(group);
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
    body: row.body ?? hello,
    type: row.type ?? /^text\/plain/,
    isSecured: row.isSecured ?? row.group === 'tls',
    isHttp2: row.group === 'h2',
    handshakes: row.handshakes,
    socket: row.socket,
  };
  const plain = wrap.length > 0;
  const command = await row.command({ port, responseBytes, idle, plain });
  const { serverCore: core, nice } = options;
  const server = start([...wrap, ...command], { core, nice, env: { ...row.env, ...env } });
  try {
    const verified = await verifyWhenReady(port, expected, server, readyMs);
    return { row, port, expected, server, responseBytes: verified.responseBytes };
  } catch (error) {
    await stop(server);
    throw error;
  }
}
