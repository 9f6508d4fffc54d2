import type { Test } from 'uvu';
import * as assert from 'uvu/assert';
import { connect, exchange, type RawClient, type RawResponse } from '../../support/socket.ts';
import { patternOf } from '../../support/target.ts';

const chunkedTo = (path: string, rest: string): string =>
  `POST ${path} HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n${rest}`;
const get = (path: string, version = '1.1'): string =>
  `GET ${path} HTTP/${version}\r\nHost: a\r\n\r\n`;
const hello = get('/hello');

/** What the handler saw: values by lower-case name; of several with one name, joined by ", ". */
function seen(response: RawResponse): Record<string, string> {
  assert.is(response.status, 200, response.body.toString());
  const { trailers } = JSON.parse(response.body.toString()) as { trailers: [string, string][] };
  const fields: Record<string, string> = {};
  for (const [name, value] of trailers) {
    const key = name.toLowerCase();
    fields[key] = key in fields ? `${fields[key]}, ${value}` : value;
  }
  return fields;
}

async function expectHello(client: RawClient): Promise<void> {
  await client.send(hello);
  assert.is((await client.response()).body.toString(), 'Hello from the engine\n');
}

/** Trailers both ways (RFC 9110 §6.5, RFC 9112 §7.1.2) and interim responses (RFC 9110 §15.2, RFC 8297). */
export function trailers(test: Test, port: () => number): void {
  const section = 'X-Sum: 12\r\nX-Empty:\r\nx-sum:\t a: b \r\n';
  const expected = { 'x-sum': '12, a: b', 'x-empty': '' };

  test('a handler sees the trailers of a request, and never those of another', async () => {
    const client = await connect(port());
    await client.send(chunkedTo('/trailers', `3\r\nabc\r\n0\r\n${section}\r\n`));
    const first = await client.response();
    assert.equal(seen(first), expected);
    assert.is(JSON.parse(first.body.toString()).bodyBytes, 3);
    await client.send(chunkedTo('/trailers', '0\r\n\r\n'));
    assert.equal(seen(await client.response()), {});
    await client.send(chunkedTo('/trailers', `0\r\nX-Only: t\r\n\r\n`));
    assert.equal(seen(await client.response()), { 'x-only': 't' });
    await client.send(
      'POST /trailers HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nX-Sum: 1\r\n\r\nabc',
    );
    assert.equal(seen(await client.response()), {});
    await expectHello(client);
    client.destroy();
  });

  test('trailers may be cut in two at every byte', async () => {
    const message = chunkedTo('/trailers', `3\r\nabc\r\n0\r\n${section}\r\n`);
    const from = message.indexOf('\r\n\r\n') + 4;
    const offsets = Array.from({ length: message.length - from }, (_, index) => from + index);
    await Promise.all(
      offsets.map(async (offset) => {
        const client = await connect(port());
        await client.send(message + hello, [offset]);
        assert.equal(seen(await client.response()), expected, `cut at ${offset}`);
        assert.is((await client.response()).status, 200, `cut at ${offset}`);
        client.destroy();
      }),
    );
  });

  test('trailers behind a body of many pieces come to the handler', async () => {
    const client = await connect(port());
    for (const count of [1, 63, 64, 65, 300]) {
      const chunks = '64\r\n'.concat('x'.repeat(100), '\r\n').repeat(count);
      await client.send(chunkedTo('/trailers', `${chunks}0\r\n${section}\r\n`), 997);
      const response = await client.response();
      assert.equal(seen(response), expected, `${count} chunks`);
      assert.is(JSON.parse(response.body.toString()).bodyBytes, 100 * count);
    }
    await expectHello(client);
    client.destroy();
  });

  test('64 trailers and 8 KiB of them are taken, more are refused with 431', async () => {
    const client = await connect(port());
    const many = Array.from({ length: 64 }, (_, index) => `X${index}: y\r\n`).join('');
    await client.send(chunkedTo('/trailers', `0\r\n${many}\r\n`));
    assert.is(Object.keys(seen(await client.response())).length, 64);
    const long = `X: ${'v'.repeat(8192 - 'X: \r\n'.length)}\r\n`;
    await client.send(chunkedTo('/trailers', `0\r\n${long}\r\n`));
    assert.is(seen(await client.response()).x?.length, 8192 - 'X: \r\n'.length);
    client.destroy();
    for (const lines of ['X: y\r\n'.repeat(65), `X${long}`]) {
      const refused = await connect(port());
      await refused.send(chunkedTo('/trailers', `0\r\n${lines}\r\n${hello}`));
      assert.is((await refused.response()).status, 431);
      assert.is((await refused.readToEnd()).length, 0);
    }
  });

  const forbidden =
    'Age Authorization Cache-Control Connection Content-Encoding Content-Length Content-Range ' +
    'Content-Type Cookie Date Expect Expires Host If-Match If-Modified-Since If-None-Match ' +
    'If-Range If-Unmodified-Since Keep-Alive Location Max-Forwards Pragma Proxy-Authorization ' +
    'Range Retry-After Set-Cookie TE Trailer Transfer-Encoding Upgrade Vary WWW-Authenticate';
  test('trailers that belong in the header section are refused with 400 and the connection closes', async () => {
    await Promise.all(
      forbidden.split(' ').map(async (name) => {
        const client = await connect(port());
        const lines = `0\r\nX: y\r\n${name.toUpperCase()}: 1\r\n\r\n`;
        await client.send(chunkedTo('/trailers', lines) + hello);
        const response = await client.response();
        assert.is(response.status, 400, name);
        assert.match(response.body.toString(), 'forbidden_trailer');
        assert.is((await client.readToEnd()).length, 0, name);
      }),
    );
  });

  test('malformed trailers are refused with 400 and the connection closes', async () => {
    const table = [
      'X: a\r\n b\r\n',
      'X: a\n',
      'X: a\rY: b\r\n',
      'X: a\0b\r\n',
      'X : a\r\n',
      'X\r\n',
      ': a\r\n',
      'GET / HTTP/1.1\r\n',
    ];
    await Promise.all(
      table.map(async (lines) => {
        const client = await connect(port());
        await client.send(chunkedTo('/trailers', `0\r\n${lines}\r\n`) + hello);
        assert.is((await client.response()).status, 400, JSON.stringify(lines));
        assert.is((await client.readToEnd()).length, 0, JSON.stringify(lines));
      }),
    );
  });

  test('a response with trailers is sent in chunks, and its Trailer field names them', async () => {
    const client = await connect(port());
    for (const size of [0, 1, 1000, 20_000, 300_000]) {
      await client.send(get(`/with-trailers/${size}`));
      const response = await client.response();
      assert.is(response.headers.get('transfer-encoding'), 'chunked');
      assert.is(response.headers.get('content-length'), undefined);
      const names = response.headers.get('trailer')?.toLowerCase().split(/, */);
      assert.equal(names, ['x-sum', 'x-done']);
      assert.ok(response.body.equals(patternOf(size)), `${size} bytes`);
      const fields = Object.fromEntries(response.trailers);
      assert.equal(fields, { 'x-sum': String(size), 'x-done': 'yes' });
    }
    await expectHello(client);
    client.destroy();
  });

  test('responses with trailers keep their order in a pipeline', async () => {
    const client = await connect(port());
    await client.send(get('/with-trailers/5000').repeat(3) + hello + get('/with-trailers/0'));
    for (const size of [5000, 5000, 5000]) {
      const response = await client.response();
      assert.ok(response.body.equals(patternOf(size)));
      assert.is(response.trailers.get('x-sum'), String(size));
    }
    assert.is((await client.response()).body.toString(), 'Hello from the engine\n');
    assert.is((await client.response()).trailers.get('x-sum'), '0');
    client.destroy();
  });

  test('an HTTP/1.0 client gets the body without trailers', async () => {
    const client = await connect(port());
    await client.send(get('/with-trailers/1000', '1.0'));
    const response = await client.response();
    assert.is(response.headers.get('transfer-encoding'), undefined);
    assert.is(response.headers.get('trailer'), undefined);
    assert.ok(response.body.equals(patternOf(1000)));
    assert.is((await client.readToEnd()).length, 0);
  });

  test('the answer to HEAD has no trailers', async () => {
    const client = await connect(port());
    await client.send(get('/with-trailers/1000').replace('GET', 'HEAD') + hello);
    const response = await client.response('HEAD');
    assert.is(response.status, 200);
    assert.is(response.headers.get('trailer'), undefined);
    assert.is((await client.response()).body.toString(), 'Hello from the engine\n');
    client.destroy();
  });

  test('early hints come as a 103 ahead of the response, with nothing but what they are', async () => {
    const client = await connect(port());
    await client.send(hello + get('/early-hints') + hello);
    assert.is((await client.response()).status, 200);
    const interim = await client.response();
    assert.is(interim.status, 103);
    assert.match(interim.head, 'HTTP/1.1 103 Early Hints\r\n');
    assert.equal(
      [...interim.headers],
      [['link', '</style.css>; rel=preload; as=style, </script.js>; rel=preload; as=script']],
    );
    const response = await client.response();
    assert.is(response.status, 200);
    assert.is(response.headers.get('link'), undefined);
    assert.is(response.body.toString(), 'hinted\n');
    assert.is((await client.response()).body.toString(), 'Hello from the engine\n');
    client.destroy();
  });

  test('an HTTP/1.0 client gets no early hints', async () => {
    const response = await exchange(port(), get('/early-hints', '1.0'));
    assert.is(response.status, 200);
    assert.is(response.body.toString(), 'hinted\n');
  });
}
