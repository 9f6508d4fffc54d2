// What the clients of the soak do. Each takes a port and ends its connection; a Failure says that
// the server did something wrong.
import { setTimeout as sleep } from 'node:timers/promises';
import { Connection, Failure } from './client.mjs';

const patienceMs = 60_000;
const mebibyte = 'm'.repeat(2 ** 20);

const below = (n) => Math.floor(Math.random() * n);
const pick = (list) => list[below(list.length)];

const get = (path, fields = '') => `GET ${path} HTTP/1.1\r\nHost: soak\r\n${fields}\r\n`;
const post = (path, body, fields = '') =>
  `POST ${path} HTTP/1.1\r\nHost: soak\r\nContent-Length: ${body.length}\r\n${fields}\r\n${body}`;

/** Requests with a short answer, and what it is. */
const short = [
  [get('/constant'), 200],
  [get('/json/7'), 200],
  [get('/files/small.txt'), 200],
  [get('/files/small.txt', 'Range: bytes=1-3\r\n'), 206],
  [get('/files/none.txt'), 404],
  [get('/nowhere'), 404],
  [get('/late'), 200],
  [get('/fails'), 500],
  [get('/stream/2'), 200],
  [post('/digest', 'hello'), 200],
  [post('/echo', 'hello'), 200],
];

/** What is refused, with the connection closed. */
const malformed = [
  'GET / HTTP/1.1\r\n\r\n',
  'GET  / HTTP/1.1\r\nHost: a\r\n\r\n',
  'GET / HTTP/1.1\r\nHost: a\r\nX : y\r\n\r\n',
  'GET / HTTP/1.1\r\nHost: a\r\nX: y\r\n z\r\n\r\n',
  'GET / HTTP/1.1\nHost: a\n\n',
  'GET / HTTP/3.0\r\nHost: a\r\n\r\n',
  '\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n',
  'POST /digest HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n',
  'POST /digest HTTP/1.1\r\nHost: a\r\nContent-Length: x\r\n\r\n',
  'POST /digest HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n',
  `GET /${'a'.repeat(9000)} HTTP/1.1\r\nHost: a\r\n\r\n`,
  `GET / HTTP/1.1\r\nHost: a\r\n${'X: y\r\n'.repeat(200)}\r\n`,
];

function expect(response, status) {
  if (response.status !== status) throw new Failure(`status ${response.status}, not ${status}`);
}

function chunked(pieces, mark) {
  const chunks = pieces.map((piece) => `${piece.length.toString(16)}\r\n${piece}\r\n`).join('');
  const head =
    'POST /digest HTTP/1.1\r\nHost: soak\r\nTransfer-Encoding: chunked\r\nTrailer: X-Mark\r\n\r\n';
  return `${head}${chunks}0\r\nX-Mark: ${mark}\r\n\r\n`;
}

export const scenarios = {
  async churn(connection) {
    const [request, status] = pick(short);
    await connection.send(request.replace('\r\n\r\n', '\r\nConnection: close\r\n\r\n'));
    expect(await connection.response(), status);
    await connection.closed();
  },

  async keepAlive(connection) {
    for (let i = 0; i < 30; i++) {
      const [request, status] = pick(short);
      await connection.send(request);
      expect(await connection.response(), status);
    }
  },

  async pipeline(connection) {
    const batch = Array.from({ length: 2 + below(30) }, () => pick(short));
    const sending = connection.send(batch.map(([request]) => request).join(''));
    for (const [, status] of batch) expect(await connection.response(), status);
    await sending;
  },

  async upload(connection) {
    const body = mebibyte.slice(0, pick([100, 20_000, 300_000, 2 ** 20]));
    const sending = connection.send(post('/digest', body));
    const response = await connection.response();
    await sending;
    expect(response, 200);
    const { length } = JSON.parse(response.body.toString());
    if (length !== body.length) throw new Failure(`${length} bytes arrived of ${body.length}`);
  },

  async chunkedWithTrailers(connection) {
    const pieces = Array.from({ length: 1 + below(20) }, () =>
      mebibyte.slice(0, 1 + below(20_000)),
    );
    const mark = String(below(1e9));
    const sending = connection.send(chunked(pieces, mark));
    const response = await connection.response();
    await sending;
    expect(response, 200);
    if (!response.trailers.toLowerCase().includes(`x-mark: ${mark}\r\n`)) {
      throw new Failure(`trailers: ${JSON.stringify(response.trailers)}`);
    }
  },

  async echo(connection) {
    const body = mebibyte.slice(0, below(500_000));
    const sending = connection.send(post('/echo', body));
    const response = await connection.response();
    await sending;
    expect(response, 200);
    if (response.length !== body.length) throw new Failure(`${response.length} bytes came back`);
  },

  async download(connection) {
    const [path, length] = pick([
      ['/stream/64', 2 ** 20],
      ['/files/large.bin', 2 ** 20],
      ['/files/middle.bin', 65_536],
    ]);
    await connection.send(get(path));
    const response = await connection.response();
    expect(response, 200);
    if (response.length !== length) throw new Failure(`${response.length} bytes of ${path}`);
  },

  async abortUpload(connection) {
    const request = pick([
      post('/digest', mebibyte),
      chunked([mebibyte], 'x'),
      post('/echo', mebibyte),
    ]);
    await connection.send(request.slice(0, below(request.length)));
  },

  async abortDownload(connection) {
    await connection.send(get(pick(['/stream/64', '/files/large.bin', '/late', '/json/1'])));
    await sleep(below(20));
  },

  async slowReader(connection) {
    await connection.send(get(pick(['/stream/64', '/files/large.bin'])));
    connection.pause();
    for (let i = 0; i < 4; i++) {
      await sleep(100);
      connection.resume();
      await sleep(5);
      connection.pause();
    }
    connection.resume();
    const response = await connection.response();
    expect(response, 200);
    if (response.length !== 2 ** 20) throw new Failure(`${response.length} bytes, slowly`);
  },

  async slowWriter(connection) {
    const request = chunked(['hello', 'world'], 'slow');
    for (let i = 0; i < request.length; i += 16) {
      await connection.send(request.slice(i, i + 16));
      await sleep(20);
    }
    expect(await connection.response(), 200);
  },

  async malformed(connection) {
    await connection.send(pick(malformed));
    const response = await connection.response();
    if (response.status < 400) throw new Failure(`a malformed request got ${response.status}`);
    await connection.closed();
  },
};

/** How often which: those at the front more than those that take long. */
const order = [
  ...Array(6).fill('churn'),
  ...Array(4).fill('keepAlive'),
  ...Array(3).fill('pipeline'),
  'upload',
  'chunkedWithTrailers',
  'echo',
  'download',
  ...Array(2).fill('abortUpload'),
  ...Array(2).fill('abortDownload'),
  'slowReader',
  'slowWriter',
  ...Array(3).fill('malformed'),
];

/** Runs one, chosen by chance; resolves to its name and what went wrong. */
export async function runOne(port) {
  const name = pick(order);
  let connection;
  try {
    connection = await Connection.open(port, patienceMs);
    await scenarios[name](connection);
    return { name };
  } catch (error) {
    return { name, failure: error instanceof Failure ? error.message : String(error) };
  } finally {
    connection?.end(name.startsWith('abort') && below(2) === 0);
  }
}
