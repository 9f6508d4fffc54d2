import type { Test } from 'uvu';
import * as assert from 'uvu/assert';
import { connect, exchange } from '../../support/socket.ts';

const get = (path: string, method = 'GET'): string =>
  `${method} ${path} HTTP/1.1\r\nHost: a\r\n\r\n`;
const hello = get('/hello');

function count(head: string, name: string): number {
  return head.match(new RegExp(`^${name}:`, 'gim'))?.length ?? 0;
}

/** A handler cannot break how its response is framed, whatever it does. */
export function framing(test: Test, port: () => number): void {
  test('framing fields of a handler do not reach the response', async () => {
    const client = await connect(port());
    await client.send(get('/framing') + hello);
    const response = await client.response();
    assert.is(response.body.toString(), 'framed\n');
    assert.is(response.headers.get('content-length'), '7');
    for (const name of ['transfer-encoding', 'connection', 'keep-alive', 'te', 'trailer']) {
      assert.is(response.headers.get(name), undefined, name);
    }
    assert.is(count(response.head, 'date'), 1);
    assert.is(count(response.head, 'server'), 1);
    assert.is((await client.response()).body.toString(), 'Hello from the engine\n');
    client.destroy();
  });

  test('a body given with 204 or 304 is left out, and the connection goes on', async () => {
    const client = await connect(port());
    for (const status of [204, 304]) {
      await client.send(get(`/status/${status}`) + hello);
      const response = await client.response();
      assert.is(response.status, status);
      assert.is(response.headers.get('content-length'), undefined);
      assert.is(response.headers.get('transfer-encoding'), undefined);
      assert.is((await client.response()).body.toString(), 'Hello from the engine\n');
    }
    client.destroy();
  });

  test('205 says that it has no content, to GET and to HEAD', async () => {
    const client = await connect(port());
    for (const method of ['GET', 'HEAD']) {
      await client.send(get('/reset', method) + hello);
      const response = await client.response(method);
      assert.is(response.status, 205);
      assert.is(response.headers.get('content-length'), '0');
      assert.is(response.headers.get('trailer'), undefined);
      assert.is((await client.response()).body.toString(), 'Hello from the engine\n');
    }
    client.destroy();
  });

  test('an Upgrade that the server does not offer is ignored', async () => {
    const client = await connect(port());
    const fields = 'Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c, websocket\r\n';
    await client.send(hello.replace('\r\n\r\n', `\r\n${fields}HTTP2-Settings: AAMAAABk\r\n\r\n`));
    const response = await client.response();
    assert.is(response.status, 200);
    assert.is(response.headers.get('upgrade'), undefined);
    assert.is(response.headers.get('connection'), undefined);
    await client.send(hello);
    assert.is((await client.response()).status, 200);
    client.destroy();
  });

  test('an Upgrade field of a handler brings its connection option, but not to HTTP/1.0', async () => {
    const client = await connect(port()); // HTTP/2 has no Upgrade
    await client.send(get('/upgrade'));
    const response = await client.response();
    client.destroy();
    assert.is(response.status, 426);
    assert.is(response.headers.get('upgrade'), 'example/1');
    assert.is(response.headers.get('connection'), 'upgrade');
    const old = await exchange(port(), get('/upgrade').replace('1.1', '1.0'));
    assert.is(old.headers.get('upgrade'), undefined);
    assert.is(old.headers.get('connection'), 'close');
  });

  test('the connection options of a request are a list, over all its lines', async () => {
    const table: [fields: string, version: string, kept: boolean][] = [
      ['Connection: x, close', '1.1', false],
      ['Connection: x\r\nConnection: ,CLOSE ,', '1.1', false],
      ['Connection: xclose, close-x', '1.1', true],
      ['Connection: keep-alive, close', '1.0', false],
      ['Connection: x\r\nConnection: Keep-Alive', '1.0', true],
      ['Connection: keep-alives', '1.0', false],
      ['X: keep-alive', '1.0', false],
    ];
    for (const [fields, version, kept] of table) {
      const client = await connect(port());
      await client.send(`GET /hello HTTP/${version}\r\nHost: a\r\n${fields}\r\n\r\n`);
      const { headers } = await client.response();
      const answer = kept ? (version === '1.0' ? 'keep-alive' : undefined) : 'close';
      assert.is(headers.get('connection'), answer, fields);
      if (!kept) assert.is((await client.readToEnd()).length, 0, fields);
      client.destroy();
    }
  });

  test('a client that has begun its body is not told to begin it', async () => {
    const client = await connect(port());
    const head =
      'POST /echo HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\n';
    await client.send(`${head}ab`);
    await client.send('cd');
    let response = await client.response();
    if (response.status === 100) response = await client.response();
    assert.is(response.body.toString(), 'abcd');
    assert.is(client.received.length, 0);
    client.destroy();
  });
}

/** For targets that answer /hello before its body has come. */
export function earlyAnswers(test: Test, port: () => number): void {
  const head = 'POST /hello HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n';

  test('an early answer to a chunked body keeps the connection, however the body comes', async () => {
    const rest = `3\r\nabc\r\n5\r\nd\r\ne\n\r\n0\r\nX: y\r\n\r\n`;
    for (const pieces of [undefined, head.length, [head.length + 4], [head.length + 9]]) {
      const client = await connect(port());
      await client.send(head + rest + hello, pieces);
      assert.is((await client.response()).headers.get('connection'), undefined);
      assert.is((await client.response()).status, 200);
      client.destroy();
    }
  });

  test('an early answer to more of a body than is worth reading ends the connection', async () => {
    const client = await connect(port());
    const body = `10000\r\n${'x'.repeat(65_536)}\r\n`.repeat(8);
    const sent = client.send(`${head}${body}0\r\n\r\n${hello}`).catch(() => {});
    assert.is((await client.response()).status, 200);
    assert.is((await client.readToEnd()).length, 0);
    await sent;
  });
}
