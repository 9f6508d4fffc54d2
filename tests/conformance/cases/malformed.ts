import { once } from 'node:events';
import type { Test } from 'uvu';
import * as assert from 'uvu/assert';
import { connect, openSocket, RawClient } from '../../support/socket.ts';

const line = 'GET /hello HTTP/1.1\r\n';
const chunkedHead = 'POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n';
const post = (fields: string): string => `POST /echo HTTP/1.1\r\nHost: a\r\n${fields}\r\n\r\nbody`;

/** What is refused, how, and where it is written that it must be. */
const table: readonly [what: string, request: string, status: number][] = [
  // Request line: RFC 9112 §3.
  ['a space before the method', ' GET / HTTP/1.1\r\nHost: a\r\n\r\n', 400],
  ['a method that is no token', 'GE(T / HTTP/1.1\r\nHost: a\r\n\r\n', 400],
  ['a method longer than any', `${'M'.repeat(100)} / HTTP/1.1\r\nHost: a\r\n\r\n`, 501],
  ['no target', 'GET HTTP/1.1\r\nHost: a\r\n\r\n', 400],
  ['two spaces before the target', 'GET  / HTTP/1.1\r\nHost: a\r\n\r\n', 400],
  ['a tab in place of a space', 'GET\t/ HTTP/1.1\r\nHost: a\r\n\r\n', 400],
  ['a control character in the target', 'GET /\x01 HTTP/1.1\r\nHost: a\r\n\r\n', 400],
  ['a NUL in the target', 'GET /\0 HTTP/1.1\r\nHost: a\r\n\r\n', 400],
  ['a target without a slash', 'GET hello HTTP/1.1\r\nHost: a\r\n\r\n', 400],
  ['"*" with GET', 'GET * HTTP/1.1\r\nHost: a\r\n\r\n', 400],
  ['no version', 'GET /\r\nHost: a\r\n\r\n', 400],
  ['a version in small letters', 'GET / http/1.1\r\nHost: a\r\n\r\n', 400],
  ['a version of two digits', 'GET / HTTP/1.10\r\nHost: a\r\n\r\n', 400],
  ['something after the version', 'GET / HTTP/1.1 x\r\nHost: a\r\n\r\n', 400],
  ['HTTP/2.0 in a request line', 'GET / HTTP/2.0\r\nHost: a\r\n\r\n', 505],
  ['HTTP/0.9 in a request line', 'GET / HTTP/0.9\r\nHost: a\r\n\r\n', 505],
  ['a bare LF after the request line', 'GET / HTTP/1.1\nHost: a\r\n\r\n', 400],
  ['TLS in place of HTTP', '\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03', 400],
  ['half the preface of HTTP/2', 'PRI * HTTP/2.0\r\n\r\nXX\r\n\r\n', 505],
  // Fields: RFC 9112 §5, RFC 9110 §5.5.
  ['a bare LF after a field', `${line}Host: a\nX: b\r\n\r\n`, 400],
  ['a bare LF for an end', `${line}Host: a\r\n\n`, 400],
  ['a bare CR in a value', `${line}Host: a\r\nX: a\rb\r\n\r\n`, 400],
  ['a NUL in a value', `${line}Host: a\r\nX: a\0b\r\n\r\n`, 400],
  ['a control character in a value', `${line}Host: a\r\nX: a\x01b\r\n\r\n`, 400],
  ['a folded line', `${line}Host: a\r\nX: a\r\n b\r\n\r\n`, 400],
  ['white space before the first field', `${line} Host: a\r\n\r\n`, 400],
  ['a space before a colon', `${line}Host : a\r\n\r\n`, 400],
  ['a tab before a colon', `${line}Host: a\r\nX\t: a\r\n\r\n`, 400],
  ['a field without a colon', `${line}Host: a\r\nnonsense\r\n\r\n`, 400],
  ['a field without a name', `${line}Host: a\r\n: b\r\n\r\n`, 400],
  ['a field name that is no token', `${line}Host: a\r\nX(: b\r\n\r\n`, 400],
  ['a field name beyond ASCII', `${line}Host: a\r\nX\xe4: b\r\n\r\n`, 400],
  // Host: RFC 9112 §3.2.
  ['no Host', `${line}\r\n`, 400],
  ['two Hosts', `${line}Host: a\r\nHost: a\r\n\r\n`, 400],
  ['a Host that is none', `${line}Host: a b\r\n\r\n`, 400],
  ['a Host with a path', `${line}Host: a/b\r\n\r\n`, 400],
  ['a Host with user data', `${line}Host: u@a\r\n\r\n`, 400],
  // Framing: RFC 9112 §6.
  [
    'Content-Length and Transfer-Encoding',
    post('Content-Length: 4\r\nTransfer-Encoding: chunked'),
    400,
  ],
  [
    'Transfer-Encoding and Content-Length',
    post('Transfer-Encoding: chunked\r\nContent-Length: 4'),
    400,
  ],
  ['two Content-Lengths that differ', post('Content-Length: 4\r\nContent-Length: 5'), 400],
  ['two Content-Lengths that agree', post('Content-Length: 4\r\nContent-Length: 4'), 400],
  ['a list of Content-Lengths', post('Content-Length: 4, 4'), 400],
  ['a Content-Length with a sign', post('Content-Length: +4'), 400],
  ['a negative Content-Length', post('Content-Length: -4'), 400],
  ['a hexadecimal Content-Length', post('Content-Length: 0x4'), 400],
  ['an empty Content-Length', post('Content-Length: '), 400],
  ['a Content-Length with a space inside', post('Content-Length: 1 0'), 400],
  ['a Content-Length beyond 64 bits', post('Content-Length: 18446744073709551620'), 400],
  ['a Content-Length of 2^64 - 1', post('Content-Length: 18446744073709551615'), 400],
  ['a transfer coding that is not chunked', post('Transfer-Encoding: identity'), 400],
  ['chunked not last', post('Transfer-Encoding: chunked, gzip'), 400],
  ['chunked twice', post('Transfer-Encoding: chunked, chunked'), 400],
  ['a coding before chunked', post('Transfer-Encoding: gzip, chunked'), 501],
  ['a vertical tab before chunked', post('Transfer-Encoding: \x0bchunked'), 400],
  ['Transfer-Encoding in HTTP/1.0', post('Transfer-Encoding: chunked').replace('1.1', '1.0'), 400],
  // Chunks: RFC 9112 §7.1.
  ['a chunk size that is no number', `${chunkedHead}xyz\r\n`, 400],
  ['a negative chunk size', `${chunkedHead}-1\r\n`, 400],
  ['a chunk size with 0x', `${chunkedHead}0x3\r\nabc\r\n0\r\n\r\n`, 400],
  ['a chunk size with a space before it', `${chunkedHead} 3\r\nabc\r\n0\r\n\r\n`, 400],
  ['an empty chunk size', `${chunkedHead}\r\nabc\r\n`, 400],
  ['a chunk size beyond 63 bits', `${chunkedHead}8000000000000000\r\nabc`, 413],
  ['a chunk size of too many digits', `${chunkedHead}${'0'.repeat(17)}3\r\nabc\r\n0\r\n\r\n`, 413],
  ['a chunk longer than its size', `${chunkedHead}3\r\nabcd\r\n0\r\n\r\n`, 400],
  ['a bare LF after a chunk size', `${chunkedHead}3\nabc\r\n0\r\n\r\n`, 400],
  ['a bare LF after a chunk', `${chunkedHead}3\r\nabc\n0\r\n\r\n`, 400],
  ['a bare CR after a chunk size', `${chunkedHead}3\rabc\r\n0\r\n\r\n`, 400],
  ['a chunk extension with a control character', `${chunkedHead}3;a\x01\r\nabc\r\n0\r\n\r\n`, 400],
  ['a trailer without a colon', `${chunkedHead}0\r\nnonsense\r\n\r\n`, 400],
  ['a trailer that frames', `${chunkedHead}0\r\nContent-Length: 3\r\n\r\n`, 400],
  ['a chunk extension without end', `${chunkedHead}3;${'e'.repeat(5000)}\r\nabc\r\n0\r\n\r\n`, 413],
  ['trailers without end', `${chunkedHead}0\r\nX: ${'t'.repeat(9000)}\r\n\r\n`, 431],
];

async function expectRefusal(client: RawClient, status: number): Promise<void> {
  const response = await client.response();
  assert.is(response.status, status, response.head);
  assert.is(response.headers.get('connection'), 'close');
  assert.ok(response.body.length > 0, 'the body says what was wrong');
  assert.is((await client.readToEnd()).toString(), '', 'nothing follows the refusal');
  assert.is(client.error, undefined, 'the connection ends in order');
}

/** What is refused: each gets its status, then the connection ends; what follows is not looked at. */
export function malformed(test: Test, port: () => number): void {
  for (const [what, request, status] of table) {
    test(`${what} is refused with ${status} and the connection closes`, async () => {
      const client = await connect(port());
      await client.send(`${request}GET /hello HTTP/1.1\r\nHost: a\r\n\r\n`);
      await expectRefusal(client, status);
    });
  }

  test('a request that is refused does not take the responses of those before it along', async () => {
    const good = 'GET /size/3000 HTTP/1.1\r\nHost: a\r\n\r\n';
    await Promise.all(
      table.map(async ([what, request, status]) => {
        const client = await connect(port());
        await client.send(good.repeat(3) + request);
        for (let index = 0; index < 3; index += 1) {
          assert.is((await client.response()).body.length, 3000, what);
        }
        await expectRefusal(client, status);
      }),
    );
  });

  test('a client that goes on sending after a refusal is not cut off before it has read it (RFC 9112 §9.6)', async () => {
    for (const [request, status] of [
      ['POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 99999999999\r\n\r\n', 413],
      ['GET / HTTP/1.1\r\nHost: a\r\nX(: b\r\n\r\n', 400],
      [`${chunkedHead}xyz\r\n`, 400],
      ['POST /hello HTTP/1.1\r\nHost: a\r\nExpect: a-miracle\r\n\r\n', 417],
    ] as const) {
      const client = new RawClient(openSocket(port(), '127.0.0.1', { allowHalfOpen: true }));
      await client.send(request);
      await client.closed();
      // The server has said its last word; what comes now must not be answered with a reset.
      for (let piece = 0; piece < 20; piece += 1) await client.send('x'.repeat(1000), 1000);
      assert.is((await client.response()).status, status);
      client.end();
      await once(client.socket, 'close');
      assert.is(client.error, undefined, `${status}`);
    }
  });
}
