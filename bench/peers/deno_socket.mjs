// Deno.serve over WebSocket: at /echo what comes goes back, at /cast everybody else is sent it.
const all = new Set();
Deno.serve({ port: Number(Deno.args[0]), hostname: '127.0.0.1' }, (request) => {
  // bench/ws_load.zig reads no PINGs.
  const { socket, response } = Deno.upgradeWebSocket(request, { idleTimeout: 0 });
  socket.binaryType = 'arraybuffer';
  if (new URL(request.url).pathname === '/cast') {
    socket.onopen = () => all.add(socket);
    socket.onclose = () => all.delete(socket);
    socket.onmessage = ({ data }) => {
      for (const other of all) if (other !== socket) other.send(data);
    };
  } else {
    socket.onmessage = ({ data }) => socket.send(data);
  }
  return response;
});
