import { createHash, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { Response, type ServeOptions, type Server } from 'gyrfalcon';
import { Agent, request as undiciRequest } from 'undici';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { serversOf } from '../support/servers.ts';
import { testUnless } from '../support/skip.ts';
import { until, within } from '../support/wait.ts';
import { type Answer, ask, FrameClient, frame, get, session } from './client.ts';
import { head, literal } from './hpack.ts';
import { type Way, ways } from './ways.ts';

// node:http2 and undici as clients of handlers in this process: what each side sees of the other.
const test = suite('HTTP/2 of Node.js');
const servers = serversOf(test);

const open = (way: Way, options: ServeOptions): Server =>
  servers.open({ ...way.options, ...options });
const urlOf = (way: Way, { port }: Server): string => `${way.scheme}://127.0.0.1:${port}`;
const hash = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex');

/** The same test in clear text and over TLS. */
function both(name: string, run: (way: Way) => Promise<void>): void {
  for (const way of ways) testUnless(test, way.lack, `${name}, ${way.name}`, () => run(way));
}

/** A body of so many bytes in pieces of 16 KiB, made as they are asked for. */
function source(bytes: number, onCancel?: (reason: unknown) => void): ReadableStream<Uint8Array> {
  let left = bytes;
  return new ReadableStream<Uint8Array>({
    pull(controller) {
      const piece = new Uint8Array(Math.min(left, 16_384)).fill(0x61);
      left -= piece.length;
      controller.enqueue(piece);
      if (left === 0) controller.close();
    },
    cancel: (reason) => onCancel?.(reason),
  });
}

both('a session serves request after request', async (way) => {
  const connections = new Set<string>();
  const server = open(way, {
    fetch: (request, it) => {
      const from = it.requestIP(request);
      connections.add(`${from?.port}`);
      return new Response(new URL(request.url).pathname);
    },
  });
  const client = await session(urlOf(way, server));
  for (let n = 0; n < 300; n += 1) {
    const { status, body } = await ask(client, `/${n}`);
    assert.equal([status, body.toString()], [200, `/${n}`]);
  }
  assert.is(connections.size, 1);
  client.close();
});

both('a hundred streams at once are answered, in whatever order', async (way) => {
  const release: (() => void)[] = [];
  let begun = 0;
  const server = open(way, {
    fetch: async (request) => {
      const n = Number(new URL(request.url).pathname.slice(1));
      const released = new Promise<void>((resolve) => {
        release[n] = resolve;
      });
      begun += 1;
      if (begun === 100) release[99]?.();
      await released;
      return new Response(`${n}`);
    },
  });
  const client = await session(urlOf(way, server));
  const order: number[] = [];
  await Promise.all(
    Array.from({ length: 100 }, async (_, n) => {
      assert.is((await ask(client, `/${n}`)).body.toString(), `${n}`);
      order.push(n);
      // Each is answered while those before it still wait.
      release[n - 1]?.();
    }),
  );
  assert.equal(
    order,
    Array.from({ length: 100 }, (_, n) => 99 - n),
  );
  client.close();
});

both('a thousand streams are asked for at once: those above the bound wait', async (way) => {
  const server = open(way, { fetch: () => new Response('x') });
  const client = await session(urlOf(way, server));
  const answers = await Promise.all(Array.from({ length: 1000 }, () => ask(client, '/')));
  assert.ok(answers.every(({ status, code }) => status === 200 && code === 0));
  client.close();
});

both('uploads and downloads of many streams are interleaved, byte for byte', async (way) => {
  const server = open(way, {
    maxRequestBodySize: 2 ** 30,
    routes: {
      '/echo': (request) => new Response(request.body),
      '/whole': async (request) => new Response(await request.bytes()),
    },
  });
  const client = await session(urlOf(way, server));
  await Promise.all(
    Array.from({ length: 30 }, async (_, n) => {
      const bytes = randomBytes([0, 1, 16_384, 65_535, 65_536, 1_500_007][n % 6] as number);
      const path = n % 2 === 0 ? '/echo' : '/whole';
      const answer = await ask(client, path, { ':method': 'POST' }, bytes);
      assert.equal([answer.status, answer.code], [200, 0]);
      assert.is(hash(answer.body), hash(bytes), `${path} of ${bytes.length} bytes`);
    }),
  );
  client.close();
});

both('an echo goes both ways at the same time, piece by piece', async (way) => {
  const server = open(way, { fetch: (request) => new Response(request.body) });
  const client = await session(urlOf(way, server));
  const stream = client.request({ ':method': 'POST', ':path': '/' });
  await within(once(stream, 'response'), 'a head ahead of the body');
  for (let n = 0; n < 50; n += 1) {
    stream.write(`ping ${n}`);
    const [piece] = (await within(once(stream, 'data'), `echo ${n}`)) as [Buffer];
    assert.is(piece.toString(), `ping ${n}`);
  }
  stream.end();
  await within(once(stream, 'close'), 'the end');
  assert.is(stream.rstCode, 0);
  client.close();
});

both('trailers go both ways', async (way) => {
  const server = open(way, {
    fetch: async (request, it) => {
      const { length } = await request.bytes();
      const trailers = await it.requestTrailers(request);
      it.responseTrailers(request, { 'x-sum': `${trailers.get('x-sum')}!` });
      return new Response(`${length} bytes`);
    },
  });
  const client = await session(urlOf(way, server));
  const headers = { ':method': 'POST', ':path': '/', te: 'trailers' };
  const stream = client.request(headers, { waitForTrailers: true } as object);
  stream.on('wantTrailers', () => stream.sendTrailers({ 'x-sum': '17' }));
  const trailers = once(stream, 'trailers') as Promise<[Record<string, string>]>;
  const pieces: Buffer[] = [];
  stream.on('data', (piece: Buffer) => pieces.push(piece));
  stream.end('some text');
  const [fields] = await within(trailers, 'trailers');
  assert.is(fields['x-sum'], '17!');
  await within(once(stream, 'close'), 'the end');
  assert.is(Buffer.concat(pieces).toString(), '9 bytes');
  client.close();
});

both('trailers follow a streamed body, and an empty one', async (way) => {
  const server = open(way, {
    routes: {
      '/empty': (request, it) => {
        it.responseTrailers(request, { 'x-at': 'the end' });
        return new Response(null);
      },
      '/stream': (request, it) => {
        it.responseTrailers(request, () => ({ 'x-at': 'the end' }));
        return new Response(source(100_000));
      },
    },
  });
  const client = await session(urlOf(way, server));
  for (const [path, length] of [
    ['/empty', 0],
    ['/stream', 100_000],
  ] as const) {
    const { status, body, trailers, code } = await ask(client, path);
    assert.equal(
      [status, body.length, trailers?.['x-at'], code],
      [200, length, 'the end', 0],
      path,
    );
  }
  client.close();
});

both('a reset aborts the signal of a request that waits', async (way) => {
  const aborted: string[] = [];
  let begun = 0;
  const server = open(way, {
    fetch: (request) => {
      begun += 1;
      return new Promise<Response>((_, reject) => {
        request.signal.addEventListener('abort', () => {
          aborted.push(new URL(request.url).pathname);
          reject(request.signal.reason);
        });
      });
    },
  });
  const client = await session(urlOf(way, server));
  const streams = ['/a', '/b', '/c'].map((path) => client.request({ ':path': path }));
  for (const stream of streams) stream.on('error', () => {});
  await until(() => begun === 3, 'the handlers');
  streams[1]?.close(8);
  await until(() => aborted.length === 1, 'the abort');
  assert.equal(aborted, ['/b']);
  // The connection's end takes the others along.
  client.destroy();
  await until(() => aborted.length === 3, 'the other aborts');
});

both('a reset cancels a body that is being streamed', async (way) => {
  let cancelled = 0;
  const server = open(way, {
    routes: {
      '/endless': () => new Response(source(2 ** 40, () => (cancelled += 1))),
      '/other': () => new Response('fine'),
    },
  });
  const client = await session(urlOf(way, server));
  const stream = client.request({ ':path': '/endless' });
  stream.on('error', () => {});
  await within(once(stream, 'data'), 'the first piece');
  stream.close(8);
  await until(() => cancelled === 1, 'cancel()');
  assert.is((await ask(client, '/other')).body.toString(), 'fine');
  client.close();
});

both('a reset fails the body that a handler reads', async (way) => {
  const failures: string[] = [];
  let begun = false;
  const server = open(way, {
    fetch: async (request) => {
      begun = true;
      try {
        await request.bytes();
      } catch (error) {
        failures.push((error as Error).name);
      }
      return new Response();
    },
  });
  const client = await session(urlOf(way, server));
  const stream = client.request({ ':method': 'POST', ':path': '/' });
  stream.on('error', () => {});
  stream.write('the beginning');
  await until(() => begun, 'the handler');
  // close() would end the body first.
  stream.destroy(new Error('the client has lost interest'));
  await until(() => failures.length === 1, 'the failure');
  assert.equal(failures, ['AbortError']);
  client.close();
});

both('a large upload waits for a handler that is slow to read', async (way) => {
  let release = (): void => {};
  const released = new Promise<void>((resolve) => {
    release = resolve;
  });
  const server = open(way, {
    maxRequestBodySize: 2 ** 30,
    routes: {
      '/slow': async (request) => {
        await released;
        let bytes = 0;
        for await (const piece of request.body ?? []) bytes += piece.length;
        return new Response(`${bytes}`);
      },
      '/other': async (request) => new Response(`${(await request.bytes()).length}`),
    },
  });
  // Node.js counts what it has not sent yet.
  const client = await session(urlOf(way, server), { maxSessionMemory: 100 });
  const bytes = 20 * 2 ** 20;
  const upload = ask(client, '/slow', { ':method': 'POST' }, Buffer.alloc(bytes, 'x'));
  // Nobody else on the connection is held up by it, uploads neither.
  const other = await ask(client, '/other', { ':method': 'POST' }, Buffer.alloc(1_000_000));
  assert.is(other.body.toString(), '1000000');
  assert.ok((server.stats().bufferBytes ?? 0) < 2 * 2 ** 20, 'the upload waits with its client');
  release();
  assert.is((await upload).body.toString(), `${bytes}`);
  client.close();
});

both('a client that does not read stops the source, and others have theirs', async (way) => {
  let made = 0;
  const server = open(way, {
    routes: {
      '/endless': () =>
        new Response(
          new ReadableStream<Uint8Array>({
            pull(controller) {
              made += 65_536;
              controller.enqueue(new Uint8Array(65_536));
            },
          }),
        ),
      '/other': () => new Response(source(1_000_000)),
    },
  });
  const client = await session(urlOf(way, server));
  client.setLocalWindowSize(2 ** 24);
  const stream = client.request({ ':path': '/endless' });
  stream.on('error', () => {});
  await within(once(stream, 'response'), 'a head');
  // Nobody holds these up, nor would they the source, which has had turns enough to make as much as they are.
  for (let n = 0; n < 6; n += 1) {
    assert.is((await ask(client, '/other')).body.length, 1_000_000);
  }
  assert.ok(made < 2 ** 21, `${made} bytes`);
  stream.close(8);
  client.close();
});

both('a stop finishes what is in flight, and refuses what comes later', async (way) => {
  let release = (): void => {};
  const released = new Promise<void>((resolve) => {
    release = resolve;
  });
  let begun = 0;
  const server = open(way, {
    fetch: async () => {
      begun += 1;
      await released;
      return new Response(source(200_000));
    },
  });
  const client = await session(urlOf(way, server));
  const told = once(client, 'goaway') as Promise<[number, number]>;
  const answers = Array.from({ length: 5 }, () => ask(client, '/'));
  await until(() => begun === 5, 'the handlers');
  const stopped = server.stop();
  const [code] = await within(told, 'GOAWAY');
  assert.is(code, 0);
  release();
  for (const { status, body } of await Promise.all(answers)) {
    assert.equal([status, body.length], [200, 200_000]);
  }
  await within(stopped, 'the end of the server');
  await until(() => client.closed || client.destroyed, 'the end of the session');
});

both('an idle session ends with its server', async (way) => {
  const server = open(way, { fetch: () => new Response('x') });
  const client = await session(urlOf(way, server));
  assert.is((await ask(client, '/')).status, 200);
  const closed = once(client, 'close');
  await within(server.stop(), 'the end of the server');
  await within(closed, 'the end of the session');
});

both('early hints come ahead of the response', async (way) => {
  const server = open(way, {
    fetch: (request, it) => {
      it.earlyHints(request, { link: '</style.css>; rel=preload; as=style' });
      return new Response('hinted');
    },
  });
  const client = await session(urlOf(way, server));
  const stream = client.request({ ':path': '/' });
  const hints = once(stream, 'headers') as Promise<[Record<string, string>]>;
  const [fields] = await within(hints, 'hints');
  assert.equal([fields[':status'], fields.link], [103, '</style.css>; rel=preload; as=style']);
  stream.resume();
  await within(once(stream, 'close'), 'the end');
  client.close();
});

both('Expect: 100-continue is answered when the handler reads', async (way) => {
  const server = open(way, {
    fetch: async (request) => new Response(`${(await request.bytes()).length}`),
  });
  const client = await session(urlOf(way, server));
  const stream = client.request({ ':method': 'POST', ':path': '/', expect: '100-continue' });
  await within(once(stream, 'continue'), '100');
  stream.end(Buffer.alloc(100_000));
  const [piece] = (await within(once(stream, 'data'), 'the answer')) as [Buffer];
  assert.is(piece.toString(), '100000');
  client.close();
});

both('an answer ahead of a large upload tells the client to spare itself that', async (way) => {
  const server = open(way, { fetch: () => new Response('no', { status: 403 }) });
  const client = await session(urlOf(way, server));
  const body = Buffer.alloc(5_000_000);
  const answer = await ask(client, '/', { ':method': 'POST' }, body);
  assert.equal([answer.status, answer.body.toString(), answer.code], [403, 'no', 0], 'NO_ERROR');
  assert.is((await ask(client, '/')).status, 403);
  client.close();
});

// The client's window takes 64 KiB, which is less than what is read for nobody: nothing more has to come.
test('an upload that is known to be large is not waited for behind its response', async () => {
  const server = servers.open({ fetch: () => new Response('no', { status: 403 }) });
  const client = await FrameClient.open(server.port);
  const block = Buffer.concat([head('/', 'POST'), literal('content-length', '10000000')]);
  client.send(frame(1, 4, 1, block), frame(0, 0, 1, Buffer.alloc(16_384)));
  const reset = await until(() => client.frames.find(({ type }) => type === 3), 'RST_STREAM');
  assert.is(reset.payload.readUInt32BE(), 0, 'NO_ERROR');
  const end = client.frames.find(({ type, flags }) => type === 0 && (flags & 1) === 1);
  assert.is(end?.payload.toString(), 'no', 'the response is whole');
  client.send(get(3));
  await until(() => client.frames.find(({ stream }) => stream === 3), 'the next response');
  client.socket.destroy();
});

both('a handler that fails is one response of 500', async (way) => {
  const server = open(way, {
    routes: {
      '/fails': () => {
        throw new Error('intended');
      },
      '/breaks': () =>
        new Response(
          new ReadableStream({
            start(controller) {
              controller.enqueue(new Uint8Array(10));
            },
            pull(controller) {
              controller.error(new Error('intended'));
            },
          }),
        ),
      '/fine': () => new Response('fine'),
    },
  });
  const client = await session(urlOf(way, server));
  assert.is((await ask(client, '/fails')).status, 500);
  const broken: Answer = await ask(client, '/breaks');
  assert.equal([broken.status, broken.code], [200, 2], 'INTERNAL_ERROR: it must not look whole');
  assert.is((await ask(client, '/fine')).body.toString(), 'fine');
  client.close();
});

both('undici with allowH2', async (way) => {
  if (way.scheme === 'http') return; // it learns of HTTP/2 by ALPN alone
  const versions = new Set<string>();
  const server = open(way, {
    routes: {
      '/echo': (request) => new Response(request.body),
      '/whole': async (request) => new Response(await request.bytes()),
      '/json': ({ tls }) => {
        versions.add(`${tls?.alpn}`);
        return Response.json({ ok: true });
      },
    },
  });
  const dispatcher = new Agent({ allowH2: true, connect: { rejectUnauthorized: false } });
  const base = urlOf(way, server);
  const { body, statusCode } = await undiciRequest(`${base}/json`, { dispatcher });
  assert.equal([statusCode, await body.json()], [200, { ok: true }]);
  assert.equal([...versions], ['h2']);
  await Promise.all(
    Array.from({ length: 60 }, async (_, n) => {
      const bytes = randomBytes((n + 1) * 10_007);
      const path = n % 2 === 0 ? '/echo' : '/whole';
      const sent = { dispatcher, method: 'POST', body: bytes } as const;
      const answer = await undiciRequest(base + path, sent);
      assert.is(hash(await answer.body.bytes()), hash(bytes), `${path} ${bytes.length}`);
    }),
  );
  await dispatcher.close();
});

test.run();
