// A server is measured only if it answers correctly: checked on a raw socket, twice per connection;
// over HTTP/2 by node:http2. (WebSockets: websocket.mjs.)
import { connect as connectHttp2 } from 'node:http2';
import { connect } from 'node:net';
import { connect as connectTls } from 'node:tls';
import { mixedBody } from '../contenders/data.mjs';
import { verifyEvents } from './events.mjs';
import { verifyEcho } from './websocket.mjs';

const HOST = '127.0.0.1';

/**
 * @typedef {object} Expectation
 * @property {string} path         request target
 * @property {string[]} [paths]     more of them, whose bodies are as long as their names say
 * @property {{ body: Buffer }} [send]  what is posted
 * @property {boolean} [events]     `path` is a stream of events
 * @property {Buffer} body         the exact body
 * @property {RegExp} type         what Content-Type has to match
 * @property {boolean} [isSecured]  over TLS, by whatever certificate
 * @property {boolean} [isHttp2]    by ALPN, or by prior knowledge
 * @property {{ bytes: number }} [socket]  a WebSocket that echoes messages of that size
 */

/**
 * Asks for `path` twice on one connection, for each of `paths` once, and throws an Error that says what was wrong.
 * @param {number} port
 * @param {Expectation} expected
 * @returns {Promise<{ responseBytes: number, head: string }>} size on the wire of one response
 */
export async function verify(port, expected) {
  if (expected.isHttp2) return verifyHttp2(port, expected);
  if (expected.socket) return verifyEcho(port, expected.path, expected.socket.bytes);
  if (expected.events) return verifyEvents(port);
  const socket = await open(port, expected.isSecured);
  try {
    const first = await exchange(socket, port, expected);
    await exchange(socket, port, expected);
    for (const path of expected.paths ?? []) {
      const body = mixedBody(Number(/(\d+)\.txt$/.exec(path)?.[1]));
      await exchange(socket, port, { ...expected, path, body });
    }
    return first;
  } finally {
    socket.destroy();
  }
}

/** Tries verify() until it succeeds, the server exits, or `limit_ms` have passed. */
export async function verifyWhenReady(port, expected, server, limit_ms = 20_000) {
  const deadline = Date.now() + limit_ms;
  for (;;) {
    try {
      return await verify(port, expected);
    } catch (error) {
      const refused = error.code === 'ECONNREFUSED' && server.exited === null;
      if (!refused || Date.now() > deadline) {
        const said = server.output.trim();
        const how = server.exited === null ? '' : ` (${server.exited})`;
        throw new Error(`${error.message}${how}${said ? `; it said: ${said}` : ''}`);
      }
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  }
}

/** Twice on one connection too. `responseBytes` is the content alone. */
async function verifyHttp2(port, { path, body, type, isSecured }) {
  const url = `http${isSecured ? 's' : ''}://${HOST}:${port}`;
  const session = connectHttp2(url, { rejectUnauthorized: false });
  const ask = () =>
    new Promise((resolve, reject) => {
      session.once('error', reject);
      const stream = session.request({ ':path': path });
      const pieces = [];
      let headers = {};
      stream.once('response', (given) => {
        headers = given;
      });
      stream.on('data', (piece) => pieces.push(piece));
      // A connection that was refused is the cause of the stream's error.
      stream.once('error', (error) => reject(error.cause ?? error));
      stream.once('end', () => resolve({ headers, body: Buffer.concat(pieces) }));
      stream.setTimeout(5000, () => reject(new Error('no answer within 5 s')));
    });
  const fail = (what) => {
    throw new Error(`GET ${path} over HTTP/2: ${what}`);
  };
  try {
    for (let count = 0; count < 2; count += 1) {
      const answer = await ask();
      const { ':status': status, 'content-type': given = '' } = answer.headers;
      if (status !== 200) fail(`the status is ${status}`);
      if (!type.test(given)) fail(`Content-Type does not match ${type}: ${given}`);
      if (!answer.body.equals(body)) fail(`the body is not the expected ${body.length} bytes`);
    }
    return { responseBytes: body.length, head: '' };
  } finally {
    session.destroy();
  }
}

/**
 * A connection, over TLS if `isSecured`, whose handshakes are over.
 * @returns {Promise<import('node:net').Socket>}
 */
export function open(port, isSecured) {
  return new Promise((resolve, reject) => {
    const place = { port, host: HOST, noDelay: true };
    const socket = isSecured ? connectTls({ ...place, rejectUnauthorized: false }) : connect(place);
    socket.once(isSecured ? 'secureConnect' : 'connect', () => resolve(socket));
    socket.once('error', reject);
  });
}

/** The head of a request as the least client sends it, with what is posted behind it. */
export function requestOf(port, { path, send }, fields = []) {
  const posted = send && [
    'Content-Type: application/octet-stream',
    `Content-Length: ${send.body.length}`,
  ];
  const method = send ? 'POST' : 'GET';
  const lines = [
    `${method} ${path} HTTP/1.1`,
    `Host: ${HOST}:${port}`,
    ...(posted ?? []),
    ...fields,
  ];
  const head = Buffer.from(`${lines.join('\r\n')}\r\n\r\n`);
  return send ? Buffer.concat([head, send.body]) : head;
}

async function exchange(socket, port, expected) {
  const { path, body, type } = expected;
  socket.write(requestOf(port, expected));
  const received = await readResponse(socket);
  const { head, rest } = received;
  const fail = (what) => {
    throw new Error(`${expected.send ? 'POST' : 'GET'} ${path}: ${what}\n${head}`);
  };
  if (!/^HTTP\/1\.1 200( |\r\n|$)/.test(head)) fail('the status is not 200');
  if (!type.test(field(head, 'content-type') ?? '')) fail(`Content-Type does not match ${type}`);
  if (/\bclose\b/i.test(field(head, 'connection') ?? '')) fail('the connection would be closed');
  if (!rest.equals(body)) fail(`the body is not the expected ${body.length} bytes`);
  return { head, responseBytes: Buffer.byteLength(head, 'latin1') + 4 + rest.length };
}

function field(head, name) {
  return new RegExp(`^${name}:[ \\t]*(.*?)[ \\t]*$`, 'im').exec(head)?.[1];
}

/** Reads one head and the body that its Content-Length promises; more than that is an error. */
function readResponse(socket) {
  return new Promise((resolve, reject) => {
    let bytes = Buffer.alloc(0);
    const settle = (action, value) => {
      socket.removeAllListeners('data').removeAllListeners('error').removeAllListeners('close');
      socket.setTimeout(0);
      action(value);
    };
    socket.on('error', (error) => settle(reject, error));
    socket.on('close', () => settle(reject, new Error('the server closed the connection')));
    socket.setTimeout(5000, () => settle(reject, new Error('no answer within 5 s')));
    socket.on('data', (data) => {
      bytes = Buffer.concat([bytes, data]);
      const end = bytes.indexOf('\r\n\r\n');
      if (end < 0) return;
      const head = bytes.toString('latin1', 0, end);
      const length = field(head, 'content-length');
      if (length === undefined) return settle(reject, new Error(`no Content-Length\n${head}`));
      const rest = bytes.subarray(end + 4);
      if (rest.length > Number(length)) return settle(reject, new Error('bytes after the body'));
      if (rest.length === Number(length)) settle(resolve, { head, rest });
    });
  });
}
