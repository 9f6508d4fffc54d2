// WebSocket as far as the benches speak it (RFC 6455): a connection, and messages that are echoed.
import { randomBytes } from 'node:crypto';
import { connect } from 'node:net';

const HOST = '127.0.0.1';

/** A binary message as a client sends it. */
function masked(payload) {
  const length = payload.length;
  const head = Buffer.alloc(length < 126 ? 2 : 4);
  head[0] = 0x82;
  head[1] = 0x80 | Math.min(length, 126);
  if (head.length === 4) head.writeUInt16BE(length, 2);
  const key = randomBytes(4);
  return Buffer.concat([head, key, payload.map((byte, i) => byte ^ key[i % 4])]);
}

/**
 * Connects, sends two messages of `bytes` (below 64 KiB), and throws an Error that says what was wrong with what came back.
 * @returns {Promise<{ responseBytes: number, head: string }>} size on the wire of an answer
 */
export async function verifyEcho(port, path, bytes) {
  const { socket, echo } = await openEcho(port, path);
  try {
    await echo(bytes);
    const responseBytes = await echo(bytes);
    return { responseBytes, head: '' };
  } finally {
    socket.destroy();
  }
}

/**
 * A WebSocket, and what sends a message of so many bytes over it (below 64 KiB) and waits until it is back. That throws an
 * Error where something else comes, and resolves to the size on the wire of what has come.
 * @returns {Promise<{ socket: import('node:net').Socket, echo: (bytes: number) => Promise<number> }>}
 */
export async function openEcho(port, path) {
  const socket = connect({ port, host: HOST, noDelay: true });
  const read = reader(socket);
  try {
    await shakeHands(socket, read, port, path);
  } catch (error) {
    socket.destroy();
    throw error;
  }
  const echo = async (bytes) => {
    const headBytes = bytes < 126 ? 2 : 4;
    const payload = randomBytes(bytes);
    socket.write(masked(payload));
    const frame = await read(({ length }) =>
      length < headBytes + bytes ? null : headBytes + bytes,
    );
    if (frame[0] !== 0x82 || frame[1] !== Math.min(bytes, 126)) {
      const head = frame.subarray(0, 4).toString('hex');
      throw new Error(`${path}: a message came back in another form: ${head}`);
    }
    if (!frame.subarray(headBytes).equals(payload))
      throw new Error(`${path}: another message came back`);
    return headBytes + bytes;
  };
  return { socket, echo };
}

async function shakeHands(socket, read, port, path) {
  const key = randomBytes(16).toString('base64');
  socket.write(
    `GET ${path} HTTP/1.1\r\nHost: ${HOST}:${port}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n` +
      `Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: ${key}\r\n\r\n`,
  );
  const head = await read((received) => {
    const end = received.indexOf('\r\n\r\n');
    return end < 0 ? null : end + 4;
  });
  if (!head.toString('latin1').startsWith('HTTP/1.1 101 '))
    throw new Error(`${path} is no WebSocket\n${head.toString('latin1')}`);
}

/** Reads as far as a function of what has been received says, which says null while that is not there. */
function reader(socket) {
  let received = Buffer.alloc(0);
  let wake = () => {};
  let failure = null;
  const fail = (error) => {
    failure ??= error;
    wake();
  };
  socket.on('data', (bytes) => {
    received = Buffer.concat([received, bytes]);
    wake();
  });
  socket.on('error', fail);
  socket.on('close', () => fail(new Error('the server closed the connection')));
  socket.on('timeout', () => fail(new Error('no answer within 5 s')));
  return async (lengthIn) => {
    socket.setTimeout(5000);
    for (;;) {
      const length = lengthIn(received);
      if (length !== null) {
        socket.setTimeout(0); // it may be held for as long as it likes
        const part = received.subarray(0, length);
        received = received.subarray(length);
        return part;
      }
      if (failure !== null) throw failure;
      await new Promise((resolve) => {
        wake = resolve;
      });
    }
  };
}
