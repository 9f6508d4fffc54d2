import type { Test } from 'uvu';
import * as assert from 'uvu/assert';
import { connect, type RawClient } from '../../support/socket.ts';
import { patternOf } from '../../support/target.ts';

const withLength = (body: Buffer, fields = ''): Buffer =>
  Buffer.concat([
    Buffer.from(
      `POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: ${body.length}\r\n${fields}\r\n`,
    ),
    body,
  ]);

function chunked(body: Buffer, chunkBytes: number): Buffer {
  const parts: Buffer[] = [
    Buffer.from('POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n'),
  ];
  for (let at = 0; at < body.length; at += chunkBytes) {
    const chunk = body.subarray(at, at + chunkBytes);
    parts.push(Buffer.from(`${chunk.length.toString(16)}\r\n`), chunk, Buffer.from('\r\n'));
  }
  parts.push(Buffer.from('0\r\n\r\n'));
  return Buffer.concat(parts);
}

async function expectEcho(client: RawClient, body: Buffer, note: string): Promise<void> {
  const response = await client.response();
  assert.is(response.status, 200, note);
  assert.is(response.body.length, body.length, note);
  assert.ok(response.body.equals(body), `${note}: other bytes`);
}

/** Request bodies: framing, sizes, arrival. */
export function bodies(test: Test, port: () => number): void {
  const sizes = [0, 1, 100, 4095, 4096, 4097, 65_535, 65_536, 70_000, 262_144, 1_000_003];

  test('bodies with Content-Length come back whole, small and large, one after the other', async () => {
    const client = await connect(port());
    for (const size of sizes) {
      const body = patternOf(size);
      await client.send(withLength(body));
      await expectEcho(client, body, `${size} bytes`);
    }
    client.destroy();
  });

  test('chunked bodies come back whole, whatever the size of their chunks', async () => {
    const client = await connect(port());
    for (const [size, chunkBytes] of [
      [0, 1],
      [1, 1],
      [1000, 1],
      [5000, 7],
      [70_000, 4096],
      [300_000, 65_536],
      [300_000, 1000],
      [1_000_003, 300_000],
    ] as const) {
      const body = patternOf(size);
      await client.send(chunked(body, chunkBytes));
      await expectEcho(client, body, `${size} bytes in chunks of ${chunkBytes}`);
    }
    client.destroy();
  });

  test('bodies of several megabytes come back whole, in one go and in fragments', async () => {
    const body = patternOf(5_000_000);
    for (const [message, note] of [
      [withLength(body), 'Content-Length'],
      [chunked(body, 100_000), 'chunked'],
    ] as const) {
      for (const pieces of [undefined, 33_333]) {
        const client = await connect(port());
        const sent = client.send(message, pieces);
        await expectEcho(client, body, `${note}, pieces of ${pieces}`);
        await sent;
        client.destroy();
      }
    }
  });

  test('large and small bodies on many connections at once stay apart', async () => {
    await Promise.all(
      Array.from({ length: 40 }, async (_, index) => {
        const client = await connect(port());
        const bodies = [index, index * 1000, index * 7].map((size) =>
          Buffer.alloc(size, `<${index}>`),
        );
        const sent = client.send(
          Buffer.concat(
            bodies.map((body, at) => (at % 2 === 0 ? withLength(body) : chunked(body, 999))),
          ),
          5000,
        );
        for (const body of bodies) await expectEcho(client, body, `connection ${index}`);
        await sent;
        client.destroy();
      }),
    );
  });

  test('chunk extensions and trailers are taken and dropped', async () => {
    const client = await connect(port());
    await client.send(
      'POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n' +
        '3;a=b;c="d;e\\""\r\nabc\r\n000\r\nX-One: 1\r\nX-Two: 2\r\n\r\n' +
        'GET /hello HTTP/1.1\r\nHost: a\r\n\r\n',
    );
    assert.is((await client.response()).body.toString(), 'abc');
    assert.is((await client.response()).status, 200);
    client.destroy();
  });

  test('a body that a handler does not look at is skipped', async () => {
    const client = await connect(port());
    const body = patternOf(20_000);
    const request = withLength(body).toString('latin1').replace('/echo', '/hello');
    await client.send(request + request);
    assert.is((await client.response()).status, 200);
    assert.is((await client.response()).status, 200);
    client.destroy();
  });

  test('a client that waits for 100 (Continue) is told to go on', async () => {
    const client = await connect(port());
    for (const framing of ['Content-Length: 5', 'Transfer-Encoding: chunked']) {
      await client.send(
        `POST /echo HTTP/1.1\r\nHost: a\r\nExpect: 100-Continue\r\n${framing}\r\n\r\n`,
      );
      const interim = await client.response();
      assert.is(interim.status, 100);
      assert.is(interim.head, 'HTTP/1.1 100 Continue\r\n\r\n');
      await client.send(framing.startsWith('C') ? 'hello' : '5\r\nhello\r\n0\r\n\r\n');
      const response = await client.response();
      assert.is(response.status, 200);
      assert.is(response.body.toString(), 'hello');
    }
    client.destroy();
  });

  test('a client that does not wait for 100 (Continue) gets its response all the same', async () => {
    const client = await connect(port());
    await client.send(
      'POST /echo HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\nhello',
    );
    let response = await client.response();
    if (response.status === 100) response = await client.response();
    assert.is(response.body.toString(), 'hello');
    client.destroy();
  });

  test('Expect: 100-continue with a body that is too large is refused with 413 at once', async () => {
    const client = await connect(port());
    await client.send(
      'POST /echo HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 99999999999\r\n\r\n',
    );
    assert.is((await client.response()).status, 413);
    assert.is((await client.readToEnd()).length, 0);
  });

  test('another expectation is refused with 417', async () => {
    const client = await connect(port());
    await client.send('GET /hello HTTP/1.1\r\nHost: a\r\nExpect: a-miracle\r\n\r\n');
    assert.is((await client.response()).status, 417);
    assert.is((await client.readToEnd()).length, 0);
  });

  test('an HTTP/1.0 client is never sent 100 (Continue)', async () => {
    const client = await connect(port());
    await client.send('POST /echo HTTP/1.0\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n');
    await client.send('ok');
    const response = await client.response();
    assert.is(response.status, 200);
    assert.is(response.body.toString(), 'ok');
    client.destroy();
  });
}
