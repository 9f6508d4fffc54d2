/** Requests that are answered when they are told to be: what bench/streams.mjs holds. Argument: the port. */
import { Response, type Server, serve } from 'gyrfalcon';

const connections = Number(process.argv[3]);
const streams = Number(process.argv[4]);

let release = (): void => {};
let released = new Promise<void>((resolve) => {
  release = resolve;
});

const server: Server = serve({
  hostname: '127.0.0.1',
  port: Number(process.argv[2]),
  workers: 1,
  maxConnections: connections + 64,
  maxStreams: streams,
  // The first request of a connection has its place; half of what is left is for one connection at most.
  spareRequests: connections * streams + streams,
  keepAliveTimeout: 3_600_000,
  headerTimeout: 3_600_000,
  routes: {
    '/held': async () => {
      await released;
      return new Response('held\n');
    },
    '/hello': () => new Response('hello\n'),
    '/release': () => {
      release();
      released = new Promise<void>((resolve) => {
        release = resolve;
      });
      return new Response('released\n');
    },
    // But for this one.
    '/pending': () => new Response(String(server.stats().pending - 1)),
    '/memory': () => {
      globalThis.gc?.();
      return Response.json({ ...process.memoryUsage(), ...server.stats() });
    },
  },
});
console.log(`${server.url}`);
for (const signal of ['SIGTERM', 'SIGINT'] as const) process.once(signal, () => server.stop(true));
