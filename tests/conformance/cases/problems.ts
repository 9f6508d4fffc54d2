import type { Test } from 'uvu';
import * as assert from 'uvu/assert';
import { connect, exchange, type RawResponse } from '../../support/socket.ts';

const get = (path: string, fields: string): string =>
  `GET ${path} HTTP/1.1\r\nHost: a\r\n${fields}`;
const chunked = 'POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n';

/** What is answered by the engine itself: the bytes before and behind the Accept line. */
const table: readonly [before: string, after: string, status: number, code: string][] = [
  // Heads that cannot be decoded: Accept is looked for in the raw bytes.
  ['GET / HTTP/1.1\r\n', '\r\n', 400, 'missing_host'],
  ['GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n', '\r\n', 400, 'duplicate_host'],
  ['GET / HTTP/1.1\r\n', 'Host: a\r\nX: \x01\r\n\r\n', 400, 'invalid_field_value'],
  ['G(T / HTTP/1.1\r\nHost: a\r\n', '\r\n', 400, 'invalid_method'],
  ['GET / HTTP/1.1\nHost: a\r\n', '\r\n', 400, 'bare_line_feed'],
  ['GET / HTTP/3.0\r\nHost: a\r\n', '\r\n', 505, 'version_not_supported'],
  [`GET /${'a'.repeat(10_000)} HTTP/1.1\r\nHost: a\r\n`, '\r\n', 414, 'uri_too_long'],
  [get('/', ''), 'Expect: gold\r\n\r\n', 417, 'expectation_failed'],
  // Heads that can.
  ['TRACE / HTTP/1.1\r\nHost: a\r\n', '\r\n', 501, 'method_not_implemented'],
  [get('/%zz', ''), '\r\n', 400, 'invalid_percent_encoding'],
  [get('/hello', ''), 'Content-Length: 999999999999\r\n\r\n', 413, 'body_too_large'],
  // Bodies.
  [chunked, '\r\nnonsense\r\n', 400, 'invalid_chunk_size'],
  [chunked, '\r\n1\r\nab\r\n', 400, 'missing_chunk_end'],
  // Handlers.
  [get('/error', ''), '\r\n', 500, 'internal_error'],
];

function assertPage(response: RawResponse, format: string, status: number, code: string): void {
  assert.is(response.status, status, code);
  assert.is(response.headers.get('vary'), 'Accept', code);
  const body = response.body.toString();
  if (format === 'text') {
    assert.is(response.headers.get('content-type'), 'text/plain; charset=utf-8', code);
    assert.match(body, new RegExp(`^${status} [^:\\n]+: ${code}\\n[A-Z][^\\n]+\\.\\n$`));
  } else {
    assert.is(response.headers.get('content-type'), 'application/problem+json', code);
    const { type, title, detail, ...rest } = JSON.parse(body);
    assert.is(type, 'about:blank');
    assert.match(detail, /^[A-Z].*\.$/);
    assert.ok(response.head.startsWith(`HTTP/1.1 ${status} ${title}\r\n`));
    assert.equal(rest, { status, code });
  }
}

/** Pages for what the engine answers by itself: RFC 9110 §12.5.1, RFC 9457. */
export function problems(test: Test, port: () => number): void {
  for (const [before, after, status, code] of table) {
    test(`${code} is told as text, and as JSON to who prefers that`, async () => {
      for (const [accept, format] of [
        ['', 'text'],
        ['Accept: */*\r\n', 'text'],
        ['Accept: application/json\r\n', 'json'],
        ['accept: text/plain;q=0.5\r\nAccept: application/problem+json\r\n', 'json'],
        ['Accept: application/json;q=0.5, text/*\r\n', 'text'],
        ['Accept: application/json;q=x\r\n', 'text'],
      ] as const) {
        assertPage(await exchange(port(), before + accept + after), format, status, code);
      }
    });
  }

  test('nothing of a refused request is in the page', async () => {
    const secret = 'Sec-Ret';
    const response = await exchange(
      port(),
      `GET /${secret} HTTP/1.1\r\n${secret}: ${secret}\r\nAccept: application/json;${secret}=1\r\n\r\n`,
    );
    assertPage(response, 'json', 400, 'missing_host');
    assert.not.match(response.head + response.body, secret);
  });

  test('HEAD gets the head of the page alone, and the end where GET would get it', async () => {
    for (const [request, closes] of [
      ['HEAD / HTTP/1.1\r\nAccept: application/json\r\n\r\n', true],
      ['HEAD /error HTTP/1.1\r\nHost: a\r\nAccept: application/json\r\n\r\n', false],
    ] as const) {
      const client = await connect(port());
      await client.send(request);
      const response = await client.response('HEAD');
      assert.is(response.headers.get('content-type'), 'application/problem+json');
      assert.ok(Number(response.headers.get('content-length')) > 50);
      if (!closes) {
        await client.send('GET /hello HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n');
        assert.is((await client.response()).status, 200);
      }
      assert.is((await client.readToEnd()).length, 0);
    }
  });

  test('each of several pipelined requests has its own format', async () => {
    const client = await connect(port());
    const json = 'Accept: application/json\r\n\r\n';
    const parts = [get('/error', json), get('/error', '\r\n'), get('/hello', json)];
    await client.send(`${parts.join('')}${get('/error', json)}GET / HTTP/1.1\r\n\r\n`);
    assertPage(await client.response(), 'json', 500, 'internal_error');
    assertPage(await client.response(), 'text', 500, 'internal_error');
    assert.is((await client.response()).status, 200);
    assertPage(await client.response(), 'json', 500, 'internal_error');
    assertPage(await client.response(), 'text', 400, 'missing_host');
    assert.is((await client.readToEnd()).length, 0);
  });

  test('what the head preferred holds for an error in a body that comes later', async () => {
    for (const [accept, format] of [
      ['', 'text'],
      ['Accept: application/json\r\n', 'json'],
    ] as const) {
      const client = await connect(port());
      await client.send(`${chunked}${accept}\r\n1\r\na\r\n`);
      // Another exchange, so that the worker has read the first part and another head since.
      assert.is((await exchange(port(), get('/hello', '\r\n'))).status, 200);
      await client.send('x\r\n');
      assertPage(await client.response(), format, 400, 'invalid_chunk_size');
      assert.is((await client.readToEnd()).length, 0);
    }
  });
}
