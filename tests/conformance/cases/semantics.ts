import type { Test } from 'uvu';
import * as assert from 'uvu/assert';
import { connect, exchange } from '../../support/socket.ts';

const get = (target: string, version = '1.1'): string =>
  `GET ${target} HTTP/${version}\r\nHost: a\r\nConnection: close\r\n\r\n`;

/** What every response has, and what every request may be. */
export function semantics(test: Test, port: () => number): void {
  test('a response says HTTP/1.1, whatever 1.x its request says', async () => {
    for (const version of ['1.0', '1.1', '1.2', '1.9']) {
      const { head, status } = await exchange(port(), get('/hello', version));
      assert.is(status, 200);
      assert.match(head, /^HTTP\/1\.1 200 OK\r\n/, version);
    }
    const { head } = await exchange(port(), 'GET / HTTP/1.0\r\nX(: y\r\n\r\n');
    assert.match(head, /^HTTP\/1\.1 400 /);
  });

  test('success, error and refusal have a Date, in the one format that is to be sent', async () => {
    const requests = [get('/hello'), get('/nowhere'), get('/error'), get('/%00'), 'nonsense\r\n'];
    for (const request of requests) {
      const date = (await exchange(port(), request)).headers.get('date') ?? '';
      assert.match(date, /^[A-Z][a-z]{2}, \d\d [A-Z][a-z]{2} \d{4} \d\d:\d\d:\d\d GMT$/, request);
      assert.ok(Math.abs(Date.parse(date) - Date.now()) < 5000, request);
    }
  });

  test('a request line of 8000 octets is taken without any configuration', async () => {
    const line = (length: number): string => `GET /hello?${'x'.repeat(length - 20)} HTTP/1.1`;
    assert.is(line(8000).length, 8000);
    const request = `${line(8000)}\r\nHost: a\r\n\r\n`;
    assert.is((await exchange(port(), request)).status, 200);
  });

  test('content is framed by its fields, whatever the method', async () => {
    for (const method of ['GET', 'DELETE', 'OPTIONS', 'PURGE']) {
      const client = await connect(port());
      const head = `${method} /echo HTTP/1.1\r\nHost: a\r\n`;
      await client.send(
        `${head}Content-Length: 4\r\n\r\nbody${head}Transfer-Encoding: chunked\r\n\r\n` +
          `3\r\nmor\r\n1\r\ne\r\n0\r\n\r\n${head}\r\n`,
      );
      for (const body of ['body', 'more', '']) {
        const response = await client.response(method);
        assert.is(response.status, 200, method);
        assert.is(response.body.toString(), body, method);
      }
      client.destroy();
    }
  });

  test('an error says what was wrong, except to HEAD', async () => {
    for (const target of ['/nowhere', '/%00']) {
      const asked = await exchange(port(), get(target));
      assert.ok(asked.status >= 400 && asked.body.length > 0, target);
      const client = await connect(port());
      await client.send(get(target).replace('GET', 'HEAD'));
      assert.is((await client.response('HEAD')).status, asked.status);
      assert.is((await client.readToEnd()).length, 0, target);
    }
  });

  test('an error page comes as text or as JSON by Accept, and says that it varies', async () => {
    for (const [accept, type] of [
      ['', 'text/plain; charset=utf-8'],
      ['Accept: */*\r\n', 'text/plain; charset=utf-8'],
      ['Accept: image/png\r\n', 'text/plain; charset=utf-8'],
      ['Accept: application/json\r\n', 'application/problem+json'],
      ['Accept: text/plain;q=0.5, application/problem+json\r\n', 'application/problem+json'],
    ] as const) {
      const request = get('/%00').replace('\r\n\r\n', `\r\n${accept}\r\n`);
      const { headers, body } = await exchange(port(), request);
      assert.is(headers.get('content-type'), type, accept);
      assert.is(headers.get('vary'), 'Accept', accept);
      assert.match(body.toString(), 'control_character_in_path');
    }
  });
}
