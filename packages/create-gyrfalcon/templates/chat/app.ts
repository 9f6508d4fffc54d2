import { readFileSync } from 'node:fs';
import { defineApp } from 'gyrfalcon';

const page = readFileSync(new URL('./page.html', import.meta.url));

export default defineApp({
  routes: {
    '/': new Response(page, { headers: { 'content-type': 'text/html; charset=utf-8' } }),
    '/chat': (req, server) => {
      const name = new URL(req.url).searchParams.get('name') ?? 'somebody';
      if (server.upgrade(req, { data: { name } })) return undefined;
      return new Response('Here is a WebSocket\n', { status: 426 });
    },
  },
  websocket: {
    data: {} as { name: string },
    maxPayloadLength: 4096,
    open(ws) {
      ws.subscribe('chat');
      ws.publish('chat', `${ws.data.name} has come`);
    },
    // All who are there hear it, whatever thread of the server has their sockets.
    message(ws, message) {
      if (typeof message !== 'string') return ws.close(1003, 'text, please');
      const line = `${ws.data.name}: ${message}`;
      ws.publish('chat', line);
      ws.send(line);
    },
    close(ws) {
      ws.publish('chat', `${ws.data.name} has gone`);
    },
  },
});
