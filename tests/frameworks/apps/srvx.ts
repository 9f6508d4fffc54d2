/** srvx, the server that handlers of Fetch are compared on. */
import { type FetchHandler, serve } from 'srvx';
import type { Running } from '../compare.ts';

export async function onSrvx(fetch: FetchHandler): Promise<Running> {
  const server = serve({
    fetch,
    port: 0,
    hostname: '127.0.0.1',
    silent: true,
    gracefulShutdown: false,
  });
  await server.ready();
  return { port: Number(new URL(server.url as string).port), close: () => server.close(true) };
}
