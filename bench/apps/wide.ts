/** For bench/wide.mjs: a server with as many workers and threads as it is told, which reloads and stops when it is told to. */
import { createInterface } from 'node:readline';
import { isMainThread } from 'node:worker_threads';
import { serve } from 'gyrfalcon';

const handlers = { fetch: () => new Response('Hello, World!') };
export default handlers;

async function run([workers, threads, maxConnections]: number[]): Promise<void> {
  const say = (what: object): void => console.log(JSON.stringify(what));
  let memoryBytes = 0;
  let begun = performance.now();
  const since = (): number => performance.now() - begun;
  const server = await serve({
    ...handlers,
    ...(threads === 0 ? {} : { threads, module: import.meta.url }),
    port: 0,
    hostname: '127.0.0.1',
    mode: 'threads',
    workers,
    maxConnections,
    log: 'warn',
    onListen: (info) => {
      memoryBytes = info.memoryBytes;
    },
  });
  say({ startMs: since(), memoryBytes });
  for await (const order of createInterface({ input: process.stdin })) {
    begun = performance.now();
    if (order === 'reload') {
      await server.reload(threads === 0 ? handlers : undefined);
      say({ reloadMs: since() });
    } else {
      await server.stop();
      say({ stopMs: since() });
    }
  }
}

if (isMainThread) await run(process.argv.slice(2).map(Number));
