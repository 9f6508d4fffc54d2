import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createServer, type Server as HttpServer } from 'node:http';
import { type AddressInfo, connect as connectSocket, type Socket } from 'node:net';
import { Readable } from 'node:stream';
import { type Request, Response, type ServeOptions } from 'gyrfalcon';
import { Hono } from 'hono';
import { streamSSE } from 'hono/streaming';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { serversOf } from '../support/servers.ts';
import { connect, type RawClient } from '../support/socket.ts';
import { until, within } from '../support/wait.ts';

// A client that has ended its own side may still read, or be gone. The first gets its response; the second does not
// keep a connection, a source of bytes or a stop waiting.
const test = suite('half-close');
const servers = serversOf(test);
const get = 'GET / HTTP/1.1\r\nHost: a\r\n\r\n';
const crowd = 20;
/** Of the option, ms: short, and still longer than anything takes on a slow machine that is to come before it. */
const short = 700;

type Fetch = NonNullable<ServeOptions['fetch']>;

/** A kind of response that begins and then has nothing to say. */
interface Source {
  name: string;
  /** `ended` is to be called for each of its sources that ends. */
  make(ended: () => void): Fetch | Promise<Fetch>;
  close?(): void;
}

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);

let upstream: HttpServer | undefined;
const children = new Set<ReturnType<typeof spawn>>();

const sources: Source[] = [
  {
    name: 'a ReadableStream',
    make: (ended) => () =>
      new Response(
        new ReadableStream({
          start: (controller) => controller.enqueue(bytes('begun')),
          cancel: ended,
        }),
      ),
  },
  {
    name: 'a stream of Node.js',
    make: (ended) => () => {
      const stream = new Readable({ read() {} });
      stream.push('begun');
      stream.on('close', ended);
      return new Response(stream);
    },
  },
  {
    name: 'the output of a child process',
    make: (ended) => () => {
      const child = spawn('sh', ['-c', 'echo begun; exec sleep 600'], {
        stdio: ['ignore', 'pipe', 'ignore'],
      });
      children.add(child);
      child.stdout.on('close', () => {
        child.kill();
        ended();
      });
      return new Response(child.stdout);
    },
    close: () => {
      for (const child of children) child.kill();
    },
  },
  {
    name: 'an async generator that looks at request.signal',
    make: (ended) => (request) =>
      new Response(
        (async function* () {
          try {
            yield 'begun';
            if (!request.signal.aborted) await once(request.signal, 'abort');
          } finally {
            ended();
          }
        })(),
      ),
  },
  {
    name: 'an async generator that nothing can end',
    make: (ended) => () =>
      new Response(
        (async function* () {
          yield 'begun';
          ended(); // as far as that goes
          await new Promise(() => {});
        })(),
      ),
  },
  {
    name: 'a proxied fetch()',
    make: async (ended) => {
      upstream = createServer((_request, response) => {
        response.write('begun');
        response.on('close', ended);
      });
      upstream.listen(0, '127.0.0.1');
      await once(upstream, 'listening');
      const { port } = upstream.address() as AddressInfo;
      return async () => {
        const { body } = await fetch(`http://127.0.0.1:${port}/`);
        return new Response(body);
      };
    },
    close: () => {
      upstream?.closeAllConnections();
      upstream?.close();
    },
  },
  {
    name: 'server-sent events of Hono',
    make: (ended) => {
      const app = new Hono();
      app.get('/', (context) =>
        streamSSE(context, async (stream) => {
          await stream.writeSSE({ data: 'begun' });
          await new Promise<void>((resolve) => stream.onAbort(resolve));
          ended();
        }),
      );
      return (request) => app.fetch(request as unknown as globalThis.Request) as never;
    },
  },
];

/** As many clients as may connect, each with the beginning of its response. */
async function fill(port: number, request = get): Promise<RawClient[]> {
  const clients = await Promise.all(Array.from({ length: crowd }, () => connect(port)));
  for (const client of clients) await client.send(request);
  for (const client of clients) await client.readUntil((got) => got.includes('begun'));
  return clients;
}

async function isAnswered(port: number): Promise<void> {
  const client = await connect(port);
  await client.send(get);
  await client.readUntil((got) => got.includes('begun'));
  assert.not(client.ended);
  client.destroy();
}

for (const source of sources) {
  test(`${source.name}: clients that have gone do not keep others out`, async () => {
    let ended = 0;
    const fetch = await source.make(() => ended++);
    const server = servers.open({ fetch, maxConnections: crowd, halfCloseTimeout: short });
    try {
      const clients = await fill(server.port);
      assert.is(server.stats().connections, crowd);
      for (const client of clients) client.destroy();
      await isAnswered(server.port);
      await until(() => ended >= crowd, 'the end of every source');
    } finally {
      source.close?.();
    }
  });

  test(`${source.name}: a stop does not wait for clients that have gone`, async () => {
    const fetch = await source.make(() => {});
    const server = servers.open({ fetch, maxConnections: crowd }); // with the default timeouts
    try {
      for (const client of await fill(server.port)) client.destroy();
      const begun = performance.now();
      await server.stop();
      const took = performance.now() - begun;
      assert.ok(took < 3000, `${took} ms`); // half a second, and what a busy machine takes
    } finally {
      source.close?.();
    }
  });
}

test('where the upload is not read, a client that has gone is noticed all the same', async () => {
  let aborted = 0;
  const server = servers.open({
    fetch: (request) => {
      request.signal.addEventListener('abort', () => aborted++);
      return new Promise(() => {}); // a long poll
    },
  });
  const client = await connect(server.port);
  // Part of it, and more than the handler is given while it does not read.
  const length = 2_000_000;
  await client.send(`POST / HTTP/1.1\r\nHost: a\r\nContent-Length: ${length}\r\n\r\n`);
  await client.send(Buffer.alloc(300_000));
  await until(() => server.stats().pending === 1, 'the request');
  client.destroy();
  await until(() => aborted === 1, 'the signal');
});

/** A bare connection whose sending side the client alone ends. */
async function halfOpen(port: number): Promise<{ socket: Socket; received: () => string }> {
  const socket = connectSocket({ port, host: '127.0.0.1', allowHalfOpen: true });
  await within(once(socket, 'connect'), 'a connection');
  let received = '';
  socket.setEncoding('latin1').on('data', (text: string) => {
    received += text;
  });
  return { socket, received: () => received };
}

const rest = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

test('a half-closed client that reads gets a response that is late, or slow, to its end', async () => {
  const server = servers.open({
    halfCloseTimeout: short,
    routes: {
      '/late': async () => {
        await rest(2 * short);
        return new Response('late, and whole');
      },
      '/slow': () =>
        new Response(
          (async function* () {
            for (let i = 0; i < 5; i += 1) {
              yield `piece ${i};`;
              await rest(short / 2);
            }
          })(),
        ),
      '/echo': (request: Request) => new Response(request.body),
    },
  });
  const late = await halfOpen(server.port);
  late.socket.end('GET /late HTTP/1.1\r\nHost: a\r\n\r\n');
  const slow = await halfOpen(server.port);
  slow.socket.end('GET /slow HTTP/1.1\r\nHost: a\r\n\r\n');
  const echo = await halfOpen(server.port);
  const upload = 'u'.repeat(3_000_000);
  echo.socket.write(`POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: ${upload.length}\r\n\r\n`);
  echo.socket.end(upload);
  await Promise.all(
    [late, slow, echo].map(({ socket }) => within(once(socket, 'end'), 'the response')),
  );
  assert.match(late.received(), /\r\n\r\nlate, and whole$/);
  assert.match(slow.received(), /piece 4;\r\n0\r\n\r\n$/);
  assert.match(echo.received(), /0\r\n\r\n$/);
  const [, echoed = ''] = echo.received().split(/\r\n\r\n(.*)/s);
  assert.is(echoed.split('u').length - 1, upload.length);
  for (const { socket } of [late, slow, echo]) socket.destroy();
});

test('without the timeout a silent stream is kept for a half-closed client, and a stop grants it its time', async () => {
  let cancelled = false;
  const server = servers.open({
    halfCloseTimeout: 0,
    fetch: () =>
      new Response(
        new ReadableStream({
          start: (controller) => controller.enqueue(bytes('begun')),
          cancel: () => {
            cancelled = true;
          },
        }),
      ),
  });
  const { socket, received } = await halfOpen(server.port);
  socket.end(get);
  await until(() => received().includes('begun'), 'the beginning');
  const begun = performance.now();
  await server.stop({ deadline: 1000 });
  assert.ok(performance.now() - begun >= 990);
  await until(() => cancelled, 'the cancellation');
  socket.destroy();
});

test.run();
