import type { Test } from 'uvu';
import * as assert from 'uvu/assert';
import { overTls } from '../../support/over_tls.ts';
import { connect, exchange } from '../../support/socket.ts';
import { patternOf } from '../../support/target.ts';

const hello = 'Hello from the engine\n';
const get = (path: string, fields = ''): string =>
  `GET ${path} HTTP/1.1\r\nHost: a\r\n${fields}\r\n`;
const post = (path: string, body: string): string =>
  `POST ${path} HTTP/1.1\r\nHost: a\r\nContent-Length: ${body.length}\r\n\r\n${body}`;

/** Requests and responses on a connection: order, persistence, versions, methods. */
export function messages(test: Test, port: () => number): void {
  test('a connection is kept and carries one request after the other', async () => {
    const client = await connect(port());
    for (let round = 0; round < 5; round += 1) {
      await client.send(get('/hello'));
      const response = await client.response();
      assert.is(response.status, 200);
      assert.is(response.body.toString(), hello);
      assert.is(response.headers.get('connection'), undefined);
      await client.send(post('/echo', `round ${round}`));
      assert.is((await client.response()).body.toString(), `round ${round}`);
    }
    assert.is(client.ended, false);
    client.destroy();
  });

  test('a response has Date, Server and Content-Length', async () => {
    const { headers } = await exchange(port(), get('/hello'));
    assert.ok(Math.abs(Date.parse(headers.get('date') ?? '') - Date.now()) < 5000);
    assert.is(headers.get('server'), 'gyrfalcon');
    assert.is(headers.get('content-length'), String(hello.length));
  });

  test('pipelined requests are answered in their order, whatever their sizes and kinds', async () => {
    const sizes = [0, 1, 2047, 2048, 2049, 16_384, 70_000, 3, 300_000, 65_536, 5];
    const requests = sizes.map((size) => get(`/size/${size}`) + post('/echo', `after ${size}`));
    const client = await connect(port());
    await client.send(requests.join('') + get('/status/404') + get('/static/100000'));
    for (const size of sizes) {
      const response = await client.response();
      assert.ok(response.body.equals(patternOf(size)), `size ${size}`);
      assert.is((await client.response()).body.toString(), `after ${size}`);
    }
    assert.is((await client.response()).status, 404);
    assert.ok((await client.response()).body.equals(patternOf(100_000)));
    client.destroy();
  });

  test('more pipelined requests than may be outstanding are all answered, in order', async () => {
    const count = 1000;
    const client = await connect(port());
    const bodies = Array.from({ length: count }, (_, index) => `number ${index}`);
    await client.send(bodies.map((body) => post('/echo', body)).join(''));
    for (const body of bodies) assert.is((await client.response()).body.toString(), body);
    client.destroy();
  });

  test('a HEAD response has the fields of GET and no body', async () => {
    const client = await connect(port());
    for (const path of ['/hello', '/size/100000', '/static/50000', '/status/404']) {
      await client.send(get(path).replace('GET', 'HEAD') + get(path));
      const head = await client.response('HEAD');
      const whole = await client.response();
      assert.is(head.status, whole.status);
      assert.is(head.headers.get('content-length'), String(whole.body.length), path);
    }
    client.destroy();
  });

  test('204 and 304 have no body and no Content-Length, and the next response follows', async () => {
    const client = await connect(port());
    for (const status of [204, 304]) {
      await client.send(get(`/status/${status}`) + get('/hello'));
      const response = await client.response();
      assert.is(response.status, status);
      assert.is(response.headers.get('content-length'), undefined);
      assert.is(response.headers.get('transfer-encoding'), undefined);
      assert.is((await client.response()).body.toString(), hello);
    }
    client.destroy();
  });

  test('"Connection: close" is answered in kind, and nothing after it is served', async () => {
    const client = await connect(port());
    await client.send(get('/hello', 'Connection: close\r\n') + get('/hello'));
    const response = await client.response();
    assert.is(response.headers.get('connection'), 'close');
    assert.is(response.body.toString(), hello);
    assert.is((await client.readToEnd()).length, 0);
  });

  test('an HTTP/1.0 request is answered and the connection closed', async () => {
    const client = await connect(port());
    await client.send('GET /hello HTTP/1.0\r\n\r\n');
    const response = await client.response();
    assert.is(response.status, 200);
    assert.is(response.body.toString(), hello);
    assert.is((await client.readToEnd()).length, 0);
  });

  test('HTTP/1.0 with keep-alive keeps the connection and says so', async () => {
    const client = await connect(port());
    for (let round = 0; round < 3; round += 1) {
      await client.send('GET /size/5000 HTTP/1.0\r\nConnection: keep-alive\r\n\r\n');
      const response = await client.response();
      assert.is(response.headers.get('connection'), 'keep-alive');
      assert.ok(response.body.equals(patternOf(5000)));
    }
    client.destroy();
  });

  test('empty lines before a request are skipped', async () => {
    const client = await connect(port());
    await client.send(`\r\n${get('/hello')}\r\n\r\n${get('/hello')}`);
    assert.is((await client.response()).status, 200);
    assert.is((await client.response()).status, 200);
    client.destroy();
  });

  test('the request reaches the handler as it was sent', async () => {
    const request =
      'PATCH /describe?x=1&y=%20 HTTP/1.1\r\nhOST: example.com:81\r\nX-Empty:\r\n' +
      'X-Twice: one\r\nX-Space:  \t in  side \t \r\nx-twice: two\r\nContent-Length: 2\r\n\r\nok';
    const { body } = await exchange(port(), request);
    const seen = JSON.parse(body.toString());
    assert.is(seen.method, 'PATCH');
    assert.is(seen.path, '/describe');
    assert.is(seen.query, 'x=1&y=%20');
    assert.is(seen.authority, 'example.com:81');
    assert.is(seen.bodyBytes, 2);
    const fields = new Map(
      seen.fields.map(([name, value]: [string, string]) => [name.toLowerCase(), value]),
    );
    assert.is(fields.get('x-empty'), '');
    assert.is(fields.get('x-space'), 'in  side');
  });

  test('a method that the server does not know reaches the handler', async () => {
    const { body } = await exchange(port(), get('/describe').replace('GET', 'PURGE'));
    assert.is(JSON.parse(body.toString()).method, 'PURGE');
  });

  test('CONNECT and TRACE are refused with 501', async () => {
    const connectRequest = 'CONNECT a:80 HTTP/1.1\r\nHost: a:80\r\n\r\n';
    assert.is((await exchange(port(), connectRequest)).status, 501);
    assert.is((await exchange(port(), get('/hello').replace('GET', 'TRACE'))).status, 501);
  });

  test('an absolute target names path and authority; the Host field gives way', async () => {
    const scheme = overTls ? 'https' : 'http';
    const request = `GET ${scheme}://other/describe?q HTTP/1.1\r\nHost: a\r\n\r\n`;
    const seen = JSON.parse((await exchange(port(), request)).body.toString());
    assert.is(seen.path, '/describe');
    assert.is(seen.query, 'q');
    assert.is(seen.authority, 'other');
  });

  test('a handler that fails is answered with 500, nothing of its response is sent, and the connection goes on', async () => {
    const client = await connect(port());
    await client.send(get('/error') + get('/hello'));
    const response = await client.response();
    assert.is(response.status, 500);
    assert.not.match(response.head, /secret/i);
    assert.not.match(response.body.toString(), 'failed response');
    assert.is((await client.response()).body.toString(), hello);
    client.destroy();
  });

  test('a handler cannot put CR LF into a field', async () => {
    const response = await exchange(port(), get('/bad-header'));
    assert.not.match(response.head, /injected/i);
    assert.is(response.body.toString(), 'InvalidField');
  });

  test('a status that cannot be is answered with 500', async () => {
    for (const status of [0, 99, 100, 101, 600, 1000]) {
      const response = await exchange(port(), get(`/status/${status}`));
      assert.is(response.status, 500, String(status));
    }
  });
}

/** For targets whose handlers may close. */
export function closing(test: Test, port: () => number): void {
  test('a handler that asks for it closes the connection behind its response', async () => {
    const client = await connect(port());
    await client.send(get('/close') + get('/hello'));
    const response = await client.response();
    assert.is(response.headers.get('connection'), 'close');
    assert.is((await client.readToEnd()).length, 0);
  });
}
