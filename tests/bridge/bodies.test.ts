/** Large bodies: both ways in bounded memory, whatever the speed of the other side. */

import { once } from 'node:events';
import { Response, type Server, serve } from 'gyrfalcon';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { connect } from '../support/socket.ts';
import { until } from '../support/wait.ts';

const test = suite('bodies');
const gigabyte = 2 ** 30;
/** What a body may take in memory on top of what was there, bytes: rings, pools, sockets and garbage. */
const slack = 160 * 2 ** 20;

let server: Server;

test.before(() => {
  server = serve({
    port: 0,
    hostname: '127.0.0.1',
    workers: 1,
    maxRequestBodySize: 4 * gigabyte,
    writeTimeout: 60_000,
    routes: {
      '/count': async (request) => {
        let bytes = 0;
        for await (const chunk of request.body ?? []) bytes += chunk.length;
        return new Response(String(bytes));
      },
      '/whole': async (request) => new Response(String((await request.bytes()).length)),
      '/refuse': () => new Response('no', { status: 403 }),
      '/never': () => new Promise<Response>(() => {}),
      '/download/:bytes': (request) => {
        let left = Number(request.params.bytes);
        const chunk = new Uint8Array(65_536).fill(0x61);
        return new Response(
          new ReadableStream({
            pull(controller) {
              const part = chunk.subarray(0, Math.min(left, chunk.length));
              left -= part.length;
              if (part.length > 0) controller.enqueue(part.slice());
              if (left === 0) controller.close();
            },
          }),
        );
      },
    },
  });
});

test.after(() => server.stop(true));

/** The most memory that the process took while `run` was running, above what it took before. */
async function growth(run: () => Promise<void>): Promise<number> {
  const before = process.memoryUsage().rss;
  let peak = before;
  const timer = setInterval(() => {
    peak = Math.max(peak, process.memoryUsage().rss);
  }, 10);
  try {
    await run();
  } finally {
    clearInterval(timer);
  }
  return peak - before;
}

async function upload(path: string, bytes: number, chunked: boolean): Promise<string> {
  const client = await connect(server.port);
  const framing = chunked ? 'Transfer-Encoding: chunked' : `Content-Length: ${bytes}`;
  const { socket } = client;
  socket.write(`POST ${path} HTTP/1.1\r\nHost: a\r\n${framing}\r\n\r\n`);
  const block = Buffer.alloc(2 ** 20, 'x');
  const framed = Buffer.concat([Buffer.from('100000\r\n'), block, Buffer.from('\r\n')]);
  for (let left = bytes; left > 0; left -= block.length) {
    if (!socket.write(chunked ? framed : block)) await once(socket, 'drain');
  }
  if (chunked) socket.write('0\r\n\r\n');
  const response = await client.response('POST', 60_000);
  client.destroy();
  return response.body.toString();
}

test('an upload of 1 GiB runs in bounded memory', async () => {
  const grown = await growth(async () => {
    assert.is(await upload('/count', gigabyte, false), String(gigabyte));
  });
  assert.ok(grown < slack, `${grown >> 20} MiB`);
});

test('an upload in chunks runs in bounded memory', async () => {
  const bytes = gigabyte / 4;
  const grown = await growth(async () => {
    assert.is(await upload('/count', bytes, true), String(bytes));
  });
  assert.ok(grown < slack, `${grown >> 20} MiB`);
});

test('a download of 1 GiB runs in bounded memory', async () => {
  const grown = await growth(async () => {
    const response = await fetch(new URL(`/download/${gigabyte}`, server.url));
    let bytes = 0;
    for await (const chunk of response.body ?? []) bytes += chunk.length;
    assert.is(bytes, gigabyte);
  });
  assert.ok(grown < slack, `${grown >> 20} MiB`);
});

test('a client that does not read stops the source of its download', async () => {
  const client = await connect(server.port);
  client.socket.pause();
  client.socket.write(`GET /download/${gigabyte} HTTP/1.1\r\nHost: a\r\n\r\n`);
  let last = -1;
  await until(async () => {
    const { bufferBytes = 0 } = server.stats();
    const steady = bufferBytes > 0 && bufferBytes === last;
    last = bufferBytes;
    await new Promise((resolve) => setTimeout(resolve, 20));
    return steady;
  }, 'the flow to stand still');
  assert.ok(last < 2 * 2 ** 20, `${last} bytes held by the engine`);
  client.destroy();
  await until(() => server.stats().pending === 0, 'the end of the exchange');
});

test('a body that the handler does not read stops its sender', async () => {
  const client = await connect(server.port);
  client.socket.write('POST /never HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000000\r\n\r\n');
  const block = Buffer.alloc(65_536, 'x');
  let sent = 0;
  let stalled = 0;
  await until(async () => {
    while (client.socket.writableLength < 2 ** 20) {
      client.socket.write(block);
      sent += block.length;
      stalled = 0;
    }
    return ++stalled > 20;
  }, 'the sender to stall');
  assert.ok(sent - client.socket.writableLength < 32 * 2 ** 20, `${sent} bytes were taken`);
  // A reset: an orderly close would wait behind the bytes that nobody takes.
  client.socket.resetAndDestroy();
  await until(() => server.stats().pending === 0, 'the end of the exchange');
});

test('a body of every size around the limits of records arrives whole', async () => {
  const sizes = [
    0, 1, 7, 8, 16_383, 16_384, 16_385, 32_767, 32_768, 32_769, 65_536, 262_144, 262_145, 1_000_000,
  ];
  for (const size of sizes) {
    const whole = await fetch(new URL('/whole', server.url), {
      method: 'POST',
      body: 'x'.repeat(size),
    });
    assert.is(await whole.text(), String(size));
    const down = await fetch(new URL(`/download/${size}`, server.url));
    assert.is((await down.arrayBuffer()).byteLength, size);
  }
});

test('a handler that answers before it has read the body is heard, and the next request too', async () => {
  const client = await connect(server.port);
  await client.send('POST /refuse HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n\r\n');
  assert.is((await client.response()).status, 403);
  await client.send('x'.repeat(100_000));
  await client.send('POST /whole HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc');
  assert.is((await client.response()).body.toString(), '3');
  client.destroy();
});

test('an answer to a large body that nobody reads announces that the connection ends', async () => {
  const client = await connect(server.port);
  await client.send('POST /refuse HTTP/1.1\r\nHost: a\r\nContent-Length: 2000000\r\n\r\n');
  const response = await client.response();
  assert.is(response.status, 403);
  assert.is(response.headers.get('connection'), 'close');
  assert.is((await client.readToEnd()).length, 0);
});

test('a body larger than the limit is refused with 413', async () => {
  const small = serve({
    port: 0,
    workers: 1,
    maxRequestBodySize: 1000,
    fetch: async (r) => new Response(await r.text()),
  });
  const url = new URL('/', small.url);
  assert.is((await fetch(url, { method: 'POST', body: 'x'.repeat(1000) })).status, 200);
  assert.is((await fetch(url, { method: 'POST', body: 'x'.repeat(1001) })).status, 413);
  await small.stop(true);
});

test.run();
