/** WebSockets, as those of bench/apps/zig_socket.zig: at /echo what comes goes back, at /cast everybody else is sent it. */
import type { ServeOptions } from 'gyrfalcon';

interface Data {
  casts: boolean;
}

export default {
  maxConnections: 24_000,
  fetch(request, server) {
    const casts = new URL(request.url).pathname === '/cast';
    if (server.upgrade(request, { data: { casts } })) return undefined;
    return new Response('no', { status: 400 });
  },
  websocket: {
    // bench/ws_load.zig reads no PINGs.
    idleTimeout: 0,
    sendPings: false,
    open(ws) {
      if (ws.data.casts) ws.subscribe('all');
    },
    message(ws, message) {
      if (ws.data.casts) ws.publish('all', message);
      else ws.send(message);
    },
  },
} satisfies ServeOptions<string, Data>;
