// crossws by its own adapter for Node.js, and h3's WebSocket handlers by that.
import type { Server as HttpServer, IncomingMessage } from 'node:http';
import type { Duplex } from 'node:stream';
import { getWebSocketHooks } from 'crossws';
import nodeAdapter from 'crossws/adapters/node';
import { defineWebSocketHandler, H3 } from 'h3';

/** `wss`: a `WebSocketServer` without a server. Returns what has been told. */
export function attach(http: HttpServer, wss: unknown): string[] {
  const told: string[] = [];
  const app = new H3({ silent: true });
  app.get(
    '/chat',
    defineWebSocketHandler({
      upgrade: (request) => {
        if (new URL(request.url).searchParams.has('refused')) {
          return new Response('refused', { status: 403, headers: { 'x-why': 'asked' } });
        }
        return { headers: { 'x-upgraded': 'yes' }, context: { name: 'h3' } };
      },
      open: (peer) => {
        peer.subscribe('news');
        peer.send(`welcome ${peer.context.name} from ${peer.remoteAddress}`);
      },
      message: (peer, message) => {
        const text = message.text();
        if (text === 'bytes') peer.send(new Uint8Array([1, 2, 3]));
        else if (text === 'close') peer.close(4003, 'asked');
        else if (text.startsWith('tell ')) peer.publish('news', text.slice(5));
        else peer.send({ text });
      },
      close: (_peer, { code, reason }) => void told.push(`${code} ${reason}`),
    }),
  );
  const adapter = nodeAdapter({
    wss: wss as never,
    resolve: async (request) => {
      await app.fetch(request as never);
      return getWebSocketHooks(request as never) ?? {};
    },
  });
  http.on('upgrade', (req: IncomingMessage, socket: Duplex, head: Buffer) => {
    void adapter.handleUpgrade(req, socket, head);
  });
  return told;
}
