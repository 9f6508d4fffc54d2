// What an idle connection costs: opens many keep-alive connections, makes one request on each, and
// compares the server's memory, and the kernel's. `node bench/idle.mjs [zig] [--connections 10000] [--smoke]`; those of
// the group tls are asked over TLS, those of the group h2 over HTTP/2 with the fields of a browser, those of the group ws
// become WebSockets and have a message come back.
import { readFileSync } from 'node:fs';
import { main } from '../scripts/lib/setup.mjs';
import { prepareFiles } from './contenders/data.mjs';
import { choose, startEntrant } from './lib/entrant.mjs';
import { frame, PREFACE } from './lib/http2.mjs';
import { chooseLoad, load } from './lib/load.mjs';
import { checkCores, checkDescriptors } from './lib/machine.mjs';
import { readOptions } from './lib/options.mjs';
import { residentBytes, stop, tree } from './lib/process.mjs';
import { open, verify } from './lib/verify.mjs';
import { openEcho } from './lib/websocket.mjs';

/** Connections that are being opened at a time: fewer than any listen queue. */
const OPENING_MAX = 100;
/** What the servers are told to take. */
const CONNECTIONS_MAX = 24_000;
/** The goal, per connection: what is added to it over TLS is keys. */
const BYTES_MAX = 2048;
const TLS_BYTES_MAX = 6 * 1024;
const HTTP2_BYTES_MAX = 6 * 1024;
/** Of the group tls, those that are ours. */
const ownOverTls = new Set(['zig-tls', 'handler-tls', 'dir-tls']);
/** Of the group h2: in clear text, so that TLS is not counted. */
const ownOverHttp2 = new Set(['zig-h2']);
/** Of the group ws: in TypeScript each has objects of its own besides. */
const ownOverWebSocket = new Set(['zig-ws']);
/** How a message is made to come back, of each WebSocket. */
const echoes = new Map();

/** The preface, and SETTINGS; the server's are acknowledged by the next of the same kind. */
const GREETING = Buffer.concat([PREFACE, frame(4, 0, 0), frame(4, 1, 0)]);
const browserFields = [
  [
    'user-agent',
    'Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 Chrome/150.0.0.0 Safari/537.36',
  ],
  [
    'accept',
    'text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8',
  ],
  ['accept-language', 'en-US,en;q=0.9'],
  ['accept-encoding', 'gzip, deflate, br, zstd'],
  ['sec-fetch-site', 'none'],
  ['sec-fetch-mode', 'navigate'],
  ['sec-fetch-dest', 'document'],
  ['upgrade-insecure-requests', '1'],
];
/** The last stream of each socket. */
const streams = new Map();

const words = process.argv.slice(2);
const name = words[0] === undefined || words[0].startsWith('-') ? 'zig' : words.shift();
const options = readOptions(['--connections', '10000', ...words], CONNECTIONS_MAX);
const [row] = choose([name]);
const count = options.connections;
checkDescriptors(count, '--connections');
const sockets = [];

await main(async () => {
  checkCores(options);
  await prepareFiles();
  await chooseLoad(options);
  const entrant = await startEntrant(row, options, { idle: true });
  try {
    await measure(entrant);
  } finally {
    for (const socket of sockets) socket.destroy();
    await stop(entrant.server);
  }
});

async function measure(entrant) {
  // Load of 64 connections first: what the server allocates once is not counted as per connection.
  const { port, responseBytes, expected } = entrant;
  await load({ ...expected, port, responseBytes }, { ...options, connections: 64, seconds: 1 });
  const pids = tree(entrant.server.pid);
  const before = residentBytes(pids);
  const kernelBefore = slabBytes();
  await openAll(entrant);
  const after = residentBytes(pids);
  const kernel = (slabBytes() - kernelBefore) / 2 / count;
  const lost = sockets.filter((socket) => socket.closed || socket.destroyed).length;
  // The held connections have to answer still, and a new one to be accepted.
  const held = sockets.filter((socket) => !socket.closed && !socket.destroyed);
  for (let i = 0; i < held.length; i += 97) await ask(held[i], entrant);
  await verify(entrant.port, entrant.expected);

  const each = (after - before) / count;
  const mib = (bytes) => `${(bytes / 2 ** 20).toFixed(1)} MiB`;
  const over = { tls: ' over TLS', h2: ' over HTTP/2' }[row.group] ?? '';
  const what =
    row.group === 'ws'
      ? 'WebSockets, each after one message'
      : `keep-alive connections${over}, each after one request`;
  console.log(`${name}: ${count} idle ${what}`);
  console.log(`resident memory: ${mib(before)} before, ${mib(after)} with them`);
  console.log(`per connection:  ${each.toFixed(0)} bytes (kernel socket memory is not in it)`);
  console.log(
    `the kernel:      ${kernel.toFixed(0)} bytes for each end, by what its slabs have grown`,
  );
  console.log(`closed by the server: ${lost}`);
  if (options.smoke) {
    console.log('a smoke run: the memory of so few connections means nothing');
    if (lost > 0) process.exitCode = 1;
  } else if (isOwn()) {
    const most = { tls: TLS_BYTES_MAX, h2: HTTP2_BYTES_MAX }[row.group] ?? BYTES_MAX;
    const reached = lost === 0 && each <= most;
    console.log(`${reached ? 'reached' : 'MISSED'}: at most ${most} bytes each, none lost`);
    if (!reached) process.exitCode = 1;
  }
  const said = entrant.server.output.trim();
  if (said !== '') console.log(`\nthe server's own account:\n${said}`);
}

function isOwn() {
  return (
    row.group === 'gyrfalcon' ||
    [ownOverTls, ownOverHttp2, ownOverWebSocket].some((names) => names.has(name))
  );
}

/** What the kernel has for its own objects: sockets, their files, and epoll's entries among them. */
function slabBytes() {
  return Number(/^Slab:\s+(\d+) kB/m.exec(readFileSync('/proc/meminfo', 'latin1'))?.[1]) * 1024;
}

async function openAll(entrant) {
  let next = 0;
  const lane = async () => {
    while (next < count) {
      next += 1;
      if (entrant.expected.socket) {
        const { socket, echo } = await openEcho(entrant.port, entrant.expected.path);
        sockets.push(socket);
        echoes.set(socket, echo);
        await ask(socket, entrant);
        continue;
      }
      const socket = await open(entrant.port, entrant.expected.isSecured);
      sockets.push(socket.on('error', () => {}));
      if (entrant.expected.isHttp2) socket.write(GREETING);
      await ask(socket, entrant);
    }
  };
  await Promise.all(Array.from({ length: OPENING_MAX }, lane));
}

/** One request; resolves when as many bytes have come as one response has. Of a WebSocket: one message. */
function ask(socket, { expected, responseBytes }) {
  if (expected.socket) return echoes.get(socket)(expected.socket.bytes);
  if (expected.isHttp2) return askHttp2(socket, expected.path);
  return new Promise((resolve, reject) => {
    let missing = responseBytes;
    const closed = () => reject(new Error('the server closed a connection that should be kept'));
    const data = (bytes) => {
      missing -= bytes.length;
      if (missing > 0) return;
      socket.off('data', data).off('close', closed);
      resolve();
    };
    socket.on('data', data).on('close', closed);
    socket.write(`GET ${expected.path} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n`);
  });
}

/** One stream, to its end. */
function askHttp2(socket, path) {
  const stream = (streams.get(socket) ?? -1) + 2;
  streams.set(socket, stream);
  return new Promise((resolve, reject) => {
    let rest = Buffer.alloc(0);
    const closed = () => reject(new Error('the server closed a connection that should be kept'));
    const data = (bytes) => {
      rest = Buffer.concat([rest, bytes]);
      for (let at = 0; rest.length - at >= 9; at += 9 + rest.readUIntBE(at, 3)) {
        const isEnd = rest[at + 3] <= 1 && (rest[at + 4] & 1) === 1;
        if (!isEnd || rest.readUInt32BE(at + 5) !== stream) continue;
        socket.off('data', data).off('close', closed);
        resolve();
        return;
      }
    };
    socket.on('data', data).on('close', closed);
    // The fields are kept by the table when they come first, and told by their index then.
    const first = stream === 1 ? browserFields.map(kept) : [];
    socket.write(frame(1, 5, stream, Buffer.concat([requestLine(path), ...first])));
  });
}

/** GET, http, a path and an authority: the authority is kept. */
function requestLine(path) {
  const text = Buffer.from(path);
  const authority = Buffer.from([0x41, 9, ...Buffer.from('127.0.0.1')]);
  return Buffer.concat([Buffer.from([0x82, 0x86, 0x04, text.length]), text, authority]);
}

/** A field that the server's table keeps (RFC 7541 §6.2.1). */
function kept([name, value]) {
  const text = (string) => Buffer.from([string.length, ...Buffer.from(string)]);
  return Buffer.concat([Buffer.from([0x40]), text(name), text(value)]);
}
