// Socket.IO on a server of node:http, whose engine has sockets by the server that it is given.
import type { Server as HttpServer } from 'node:http';
import { Server } from 'socket.io';
import { io, type Socket } from 'socket.io-client';

/** Attaches to `http`. `wsEngine`: `WebSocketServer`. */
export function attach(http: HttpServer, wsEngine: unknown): Server {
  const options = { wsEngine } as unknown as ConstructorParameters<typeof Server>[1];
  const server = new Server(http, options);
  server.on('connection', (socket) => {
    socket.on('echo', (text: string, bytes: Buffer, done: (...args: unknown[]) => void) => {
      done(text, bytes, socket.conn.transport.name);
    });
    socket.on('join', (room: string, done: () => void) => {
      void socket.join(room);
      done();
    });
    socket.on('tell', (room: string, text: string) => socket.to(room).emit('told', text));
  });
  server.use((socket, next) => {
    const { token } = socket.handshake.auth;
    next(token === 'wrong' ? new Error('wrong token') : undefined);
  });
  return server;
}

export function connect(url: string, transports: string[], token = 'right'): Socket {
  return io(url, { transports, auth: { token }, forceNew: true, reconnection: false });
}
