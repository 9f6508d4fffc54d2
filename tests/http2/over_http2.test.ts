import { Response, type ServeOptions } from 'gyrfalcon';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { overHttp2 } from '../support/over_http2.ts';
import { serversOf } from '../support/servers.ts';
import { testUnless } from '../support/skip.ts';
import { exchange } from '../support/socket.ts';

// That the stage http2 speaks HTTP/2: a server without it does not understand what it is sent.
const test = suite('over HTTP/2');
const { open } = serversOf(test);
const other = overHttp2 ? undefined : 'the stage http2 of npm test runs this';

const options: ServeOptions = {
  fetch: async (request) =>
    new Response(`${request.method} ${request.headers.get('x')} ${(await request.bytes()).length}`),
};
const get = 'GET / HTTP/1.1\r\nHost: a\r\nX: y\r\n\r\n';

testUnless(test, other, 'exchange() and fetch() speak HTTP/2', async () => {
  const server = open(options);
  assert.is((await exchange(server.port, get)).body.toString(), 'GET y 0');
  const chunked = get.replace('GET', 'POST').replace('X:', 'Transfer-Encoding: chunked\r\nX:');
  const message = `${chunked}3\r\nabc\r\n2\r\nde\r\n0\r\nX-Sum: 5\r\n\r\n`;
  assert.is((await exchange(server.port, message)).body.toString(), 'POST y 5');
  assert.is(await (await fetch(server.url, { headers: { x: 'y' } })).text(), 'GET y 0');
  const without = open({ ...options, http2: false });
  for (const ask of [() => exchange(without.port, get), () => fetch(without.url)]) {
    assert.ok(
      await ask().then(
        () => false,
        () => true,
      ),
      'it was HTTP/1',
    );
  }
});

testUnless(test, other, 'what HTTP/2 cannot say goes as it is written', async () => {
  const server = open(options);
  assert.match((await exchange(server.port, get.replace('1.1', '1.0'))).head, /connection: close/i);
  assert.is((await exchange(server.port, get.replace('Host', 'H(st'))).status, 400);
});

test.run();
