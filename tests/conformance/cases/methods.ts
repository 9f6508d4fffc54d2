import type { Test } from 'uvu';
import * as assert from 'uvu/assert';
import type { RunningServer } from '../../support/process.ts';
import { connect, exchange } from '../../support/socket.ts';
import type { Target } from '../../support/target.ts';
import { until } from '../../support/wait.ts';

const get = (path: string, method = 'GET'): string =>
  `${method} ${path} HTTP/1.1\r\nHost: a\r\n\r\n`;

/** HEAD where the handler says little, and TRACE and CONNECT where they are configured. */
export function methods(test: Test, target: Target): void {
  let server: RunningServer;
  const port = (): number => server.port;
  test.before(async () => {
    server = await target.start({ workers: 1, trace: true, connect: true });
  });

  test('a handler that gives no body to HEAD leaves its length unsaid', async () => {
    const client = await connect(port());
    await client.send(get('/head-alone', 'HEAD') + get('/head-alone'));
    const response = await client.response('HEAD');
    assert.is(response.headers.get('content-length'), undefined);
    assert.is(response.headers.get('transfer-encoding'), undefined);
    assert.is((await client.response()).body.toString(), 'for GET\n');
    client.destroy();
  });

  test('TRACE is answered with the request as it came, without its secrets', async () => {
    const client = await connect(port());
    const head = 'TRACE /a?b HTTP/1.1\r\nHost: a\r\nX-One:  two \r\n';
    const secrets = 'Cookie: c\r\nauthorization: d\r\nProxy-Authorization: e\r\nX-Api-Key: f\r\n';
    await client.send(`${head}${secrets}Accept: */*\r\n\r\n${get('/hello')}`);
    const response = await client.response();
    assert.is(response.status, 200);
    assert.is(response.headers.get('content-type'), 'message/http');
    assert.is(response.body.toString('latin1'), `${head}Accept: */*\r\n\r\n`);
    assert.is((await client.response()).body.toString(), 'Hello from the engine\n');
    client.destroy();
  });

  test('TRACE and CONNECT with content are refused with 400 and the connection closes', async () => {
    for (const start of [
      'TRACE / HTTP/1.1\r\nHost: a\r\n',
      'CONNECT a:1 HTTP/1.1\r\nHost: a:1\r\n',
    ]) {
      for (const rest of [
        'Content-Length: 1\r\n\r\nx',
        'Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n',
      ]) {
        const client = await connect(port());
        await client.send(start + rest + get('/hello'));
        const response = await client.response();
        assert.is(response.status, 400);
        assert.match(response.body.toString(), /(trace|connect)_with_body/);
        assert.is((await client.readToEnd()).length, 0);
      }
      const none = await exchange(port(), `${start}Content-Length: 0\r\n\r\n`);
      assert.is.not(none.status, 400);
    }
  });

  test('CONNECT reaches the handler, makes no tunnel and ends the connection', async () => {
    const client = await connect(port());
    await client.send(`CONNECT a:1 HTTP/1.1\r\nHost: a:1\r\n\r\n${get('/hello')}`);
    const response = await client.response();
    assert.is(response.status, 404, 'its path is empty');
    assert.is(response.headers.get('connection'), 'close');
    assert.is((await client.readToEnd()).length, 0);
  });

  test('a success for CONNECT would be a tunnel: it is answered with 501', async () => {
    const client = await connect(port());
    await client.send(`CONNECT tunnel:443 HTTP/1.1\r\nHost: tunnel:443\r\n\r\n${get('/hello')}`);
    const response = await client.response();
    assert.is(response.status, 501);
    assert.is(response.headers.get('connection'), 'close');
    assert.is((await client.readToEnd()).length, 0);
    const line = 'a handler set status 200 for CONNECT: answered with 501';
    await until(() => server.stderr().includes(line), line);
  });

  test('the server of the methods ends in order', () => target.stop(server));
}
