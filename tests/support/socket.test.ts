import { once } from 'node:events';
import { createServer, type Server, type Socket } from 'node:net';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { connect, type RawClient } from './socket.ts';

const test = suite<{ server: Server }>('raw client', { server: createServer() });

test.before(async ({ server }) => {
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
});
test.after(({ server }) => {
  server.close();
});

async function pair(server: Server): Promise<{ client: RawClient; peer: Socket }> {
  const accepted = once(server, 'connection') as Promise<[Socket]>;
  const client = await connect((server.address() as { port: number }).port);
  const [peer] = await accepted;
  return { client, peer };
}

test('bytes arrive whole, whatever the pieces', async ({ server }) => {
  for (const pieces of [undefined, 1, 3, [2, 1], [100]]) {
    const { client, peer } = await pair(server);
    const got: Buffer[] = [];
    peer.on('data', (bytes: Buffer) => got.push(bytes));
    await client.send('0123456789', pieces);
    client.end();
    await once(peer, 'end');
    assert.is(Buffer.concat(got).toString(), '0123456789');
    peer.end();
    await client.closed();
  }
});

test('responses are read one after another: by length, chunked, without body, to the end', async ({
  server,
}) => {
  const { client, peer } = await pair(server);
  peer.end(
    [
      'HTTP/1.1 200 OK\r\nContent-Length: 3\r\nA: 1\r\na: 2\r\n\r\nabc',
      'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n1\r\nc\r\n0\r\nT: x\r\n\r\n',
      'HTTP/1.1 304 Not Modified\r\nContent-Length: 9\r\n\r\n',
      'HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n',
      'HTTP/1.1 200 OK\r\n\r\nthe rest',
    ].join(''),
  );
  const first = await client.response();
  assert.equal([first.status, first.body.toString(), first.headers.get('a')], [200, 'abc', '1, 2']);
  assert.is((await client.response()).body.toString(), 'abc');
  assert.is((await client.response()).status, 304);
  assert.is((await client.response('HEAD')).body.length, 0);
  assert.is((await client.response()).body.toString(), 'the rest');
  client.destroy();
});

test('a connection that ends within a response is told as such', async ({ server }) => {
  const { client, peer } = await pair(server);
  peer.end('HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nab');
  const error = await client.response().then(
    () => undefined,
    (reason: Error) => reason,
  );
  assert.match(error?.message ?? '', 'ended before 5 bytes came; received "ab"');
  client.destroy();
});

test('what does not come within the deadline is named', async ({ server }) => {
  const { client, peer } = await pair(server);
  const error = await client.read(1, 20).then(
    () => undefined,
    (reason: Error) => reason,
  );
  assert.match(error?.message ?? '', '1 bytes: nothing within 20 ms');
  client.destroy();
  peer.destroy();
});

test.run();
