// What tests/apps/engine_app.zig answers, by handlers in TypeScript; also /slow/N, answered after N ms, /late/N, which
// echoes a body that it begins to read after N ms, and /wait, answered when /release is asked for. Argument: options of
// serve(), as JSON, and `files`, the folder behind /files, with `openFiles` of it.
import { setTimeout } from 'node:timers/promises';
import { dir, type Request, Response, serve } from 'gyrfalcon';
import { describeSockets, sockets, upgrade } from './sockets.ts';

const { files, openFiles, websocket, ...options } = JSON.parse(process.argv[2] ?? '{}');

const staticBytes = 50 * 1024 * 1024;
const period = Buffer.from(Array.from({ length: 89 }, (_, index) => 33 + index));
let pattern = Buffer.alloc(0);

/** The first bytes of a pattern. Most of the programs that this is started as are asked for few. */
function patternOf(length: number): Buffer {
  const count = Math.min(length, staticBytes);
  if (pattern.length < count) pattern = Buffer.alloc(count, period);
  return pattern.subarray(0, count);
}

let calls = 0;

let release = (): void => {};
const released = new Promise<void>((resolve) => {
  release = resolve;
});

const numberOf = (request: { params: { n: string } }): number => Number(request.params.n);

function describe(request: Request, body: Uint8Array): Response {
  const url = new URL(request.url);
  return Response.json({
    method: request.method,
    target: url.pathname + url.search,
    path: url.pathname,
    query: url.search.slice(1),
    authority: url.host,
    bodyBytes: body.length,
    fields: [...request.headers],
  });
}

const server = serve({
  hostname: '127.0.0.1',
  port: 0,
  ...options,
  routes: {
    ...(files === undefined ? {} : { '/files/*': dir(files, { openFiles }) }),
    '/hello': new Response('Hello from the engine\n'),
    '/echo': async (request) => {
      const type = request.headers.get('content-type');
      const headers: Record<string, string> = type === null ? {} : { 'content-type': type };
      return new Response(await request.bytes(), { headers });
    },
    '/describe': async (request) => describe(request, await request.bytes()),
    '/size/:n': (request) => new Response(patternOf(numberOf(request))),
    '/static/:n': (request) => new Response(patternOf(numberOf(request))),
    '/file/:n': (request) => new Response(patternOf(numberOf(request))),
    '/borrowed/:n': (request) => new Response(Buffer.alloc(numberOf(request), 'abc'[calls++ % 3])),
    '/counters': () => {
      const { allocationsAfterStart: allocations, ...stats } = server.stats();
      return Response.json({ ...stats, allocations });
    },
    '/status/:n': (request) => {
      const status = numberOf(request);
      return new Response([204, 304].includes(status) ? null : String(status), { status });
    },
    '/field/:n': (request) =>
      new Response('long\n', { headers: { 'x-long': 'v'.repeat(numberOf(request)) } }),
    '/bad-header': () => {
      try {
        new Response('', { headers: { 'x-split': 'a\r\nX-Injected: b' } });
        return new Response('taken\n');
      } catch {
        return new Response('InvalidField');
      }
    },
    '/error': () => {
      new Response('the failed response', { headers: { 'x-secret': 'of the failed response' } });
      throw new Error('intended');
    },
    '/slow/:n': async (request) => {
      await setTimeout(numberOf(request));
      return new Response('slow\n');
    },
    '/wait': async () => {
      await released;
      return new Response('waited\n');
    },
    '/release': () => {
      release();
      return new Response('released\n');
    },
    '/late/:n': async (request) => {
      // A timer that outlives its client would keep the program from its end.
      await setTimeout(numberOf(request), undefined, { signal: request.signal });
      return new Response(await request.bytes());
    },
    '/trailers': async (request) => {
      const { length } = await request.bytes();
      const trailers = [...(await server.requestTrailers(request))];
      return Response.json({ bodyBytes: length, trailers });
    },
    '/with-trailers/:n': (request) => {
      const count = numberOf(request);
      server.responseTrailers(request, { 'X-Sum': String(count), 'X-Done': 'yes' });
      return new Response(patternOf(count));
    },
    '/early-hints': (request) => {
      server.earlyHints(request, [
        ['Link', '</style.css>; rel=preload; as=style'],
        ['Link', '</script.js>; rel=preload; as=script'],
      ]);
      return new Response('hinted\n');
    },
    '/push': (request) => {
      const lines = [...new URL(request.url).searchParams.keys()].map((target) => {
        try {
          const headers = { 'x-pushed': 'yes' };
          return server.push(request, target, { headers }) ? 'pushed' : 'PushNotAllowed';
        } catch (error) {
          return (error as { code?: string }).code;
        }
      });
      return new Response(`${lines.join('\n')}\n`);
    },
    '/framing': () =>
      new Response('framed\n', {
        headers: {
          'content-length': '3',
          'transfer-encoding': 'chunked',
          connection: 'X-Field',
          'keep-alive': 'timeout=100',
          te: 'trailers',
          trailer: 'X-Never',
          date: 'Thu, 01 Jan 1970 00:00:00 GMT',
          server: 'one',
        },
      }),
    '/reset': (request) => {
      server.responseTrailers(request, { 'X-Never': '1' });
      return new Response(null, { status: 205 });
    },
    '/head-alone': ({ method }) => new Response(method === 'HEAD' ? null : 'for GET\n'),
    '/upgrade': () => new Response('upgrade\n', { status: 426, headers: { upgrade: 'example/1' } }),
    '/socket': (request, own) => upgrade(request, own),
    '/sockets': () => Response.json(describeSockets()),
    '/close': () => new Response('closing\n', { headers: { connection: 'close' } }),
  },
  websocket: { ...sockets, ...websocket },
  fetch: ({ url }) =>
    url === 'http://tunnel:443/'
      ? new Response('no tunnel\n')
      : new Response('not here\n', { status: 404 }),
});

let isStopping = false;
for (const signal of ['SIGTERM', 'SIGINT'] as const) {
  process.on(signal, async () => {
    if (isStopping) return;
    isStopping = true;
    const { allocationsAfterStart } = server.stats();
    await server.stop();
    console.log(`STOPPED ${allocationsAfterStart}`);
  });
}
// Last: who reads it may send a signal at once.
console.log(`${server.url}`);
