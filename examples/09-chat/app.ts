/**
 * A chat with rooms: open it in two tabs. Whoever enters a room hears what is said in it, whatever
 * thread of the server has which socket.
 *
 *     npx gyrfalcon start examples/09-chat/app.ts
 *     npx gyrfalcon start examples/09-chat/app.ts --threads 2
 */
import { readFileSync } from 'node:fs';
import { defineApp, type ServerWebSocket } from 'gyrfalcon';

interface Person {
  name: string;
  room: string;
}

const page = readFileSync(new URL('./page.html', import.meta.url));

/** The engine sends it to all who are in the room, but to the one who says it. */
function tell(ws: ServerWebSocket<Person>, text: string): void {
  ws.publish(`room/${ws.data.room}`, text);
}

function enter(ws: ServerWebSocket<Person>, room: string): void {
  ws.data.room = room;
  ws.subscribe(`room/${room}`);
  tell(ws, `${ws.data.name} has come`);
  ws.send(`You are in ${room}`);
}

function leave(ws: ServerWebSocket<Person>): void {
  tell(ws, `${ws.data.name} has gone`);
  ws.unsubscribe(`room/${ws.data.room}`);
}

const namePattern = /^[\p{L}\p{N} _-]{1,32}$/u;

export default defineApp({
  routes: {
    '/': new Response(page, { headers: { 'content-type': 'text/html; charset=utf-8' } }),
    '/chat': (request, server) => {
      const { searchParams } = new URL(request.url);
      const name = searchParams.get('name') ?? '';
      const room = searchParams.get('room') ?? '';
      if (!namePattern.test(name) || !namePattern.test(room)) {
        return new Response('?name=…&room=…, of letters and digits\n', { status: 400 });
      }
      const data: Person = { name, room };
      if (server.upgrade(request, { data })) return undefined;
      return new Response('Here is a WebSocket\n', {
        status: 426,
        headers: { upgrade: 'websocket' },
      });
    },
  },
  websocket: {
    data: {} as Person,
    maxPayloadLength: 4096,
    open: (ws) => enter(ws, ws.data.room),
    message(ws, message) {
      if (typeof message !== 'string') return ws.close(1003, 'text, please');
      const [, room] = /^\/room (.+)$/.exec(message) ?? [];
      if (room === undefined) {
        tell(ws, `${ws.data.name}: ${message}`);
        ws.send(`You: ${message}`);
      } else if (namePattern.test(room)) {
        leave(ws);
        enter(ws, room);
      } else ws.send('A room has a name of letters and digits');
    },
    close: (ws) => tell(ws, `${ws.data.name} has gone`),
  },
});
