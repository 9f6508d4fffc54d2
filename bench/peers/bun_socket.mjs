// Bun.serve over WebSocket: at /echo what comes goes back, at /cast everybody else is sent it.
Bun.serve({
  port: Number(process.argv[2]),
  hostname: '127.0.0.1',
  fetch(request, server) {
    const casts = new URL(request.url).pathname === '/cast';
    return server.upgrade(request, { data: { casts } })
      ? undefined
      : new Response('no', { status: 400 });
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
});
