// What tests/apps/sockets.zig does with WebSockets, in TypeScript: messages are sent back, and text that begins with '!' asks
// for more, as is told there.
import {
  type Request,
  Response,
  type Server,
  type ServerWebSocket,
  type WebSocketHandler,
} from 'gyrfalcon';

const open = new Set<ServerWebSocket>();
const told = { opened: 0, ended: 0, drained: 0, dropped: 0, code: 0, reason: '' };

export const sockets: WebSocketHandler = {
  protocols: ['echo', 'chat'],
  open(ws) {
    told.opened += 1;
    open.add(ws);
  },
  message(ws, message) {
    if (typeof message === 'string' && message.startsWith('!')) obey(ws, message.slice(1));
    else ws.send(message);
  },
  drain() {
    told.drained += 1;
  },
  close(ws, code, reason) {
    told.ended += 1;
    told.code = code;
    told.reason = reason;
    open.delete(ws);
  },
};

/** What became of them. */
export const describeSockets = (): object => ({ open: open.size, ...told });

export function upgrade(request: Request, server: Server): Response | undefined {
  const one = new URL(request.url).search.replace(/^\?origin=/, '');
  const origins = one === '' ? 'same' : one === 'any' ? 'any' : [one];
  if (server.upgrade(request, { origins, headers: { 'X-Socket': 'yes' } })) return undefined;
  return new Response('A WebSocket\n', {
    status: 426,
    headers: { upgrade: 'websocket', 'sec-websocket-version': '13' },
  });
}

function obey(ws: ServerWebSocket, text: string): void {
  const [, command, number = '', rest = ''] = /^(\S+) ?(\S*) ?(.*)$/s.exec(text) ?? [];
  const all = text.slice((command ?? '').length + 1);
  if (command === 'terminate') ws.terminate();
  else if (command === 'ping') ws.ping(all);
  else if (command === 'all') for (const each of open) each.send(all);
  else if (command === 'large') ws.send(Buffer.alloc(Number(number), '!'));
  else if (command === 'close') close(ws, Number(number), rest);
  else if (command === 'flood') {
    const bytes = Buffer.alloc(16 * 1024, '!');
    for (let n = 0; n < Number(number); n += 1) {
      if (ws.send(bytes) === 0) told.dropped += 1;
    }
  } else if (command === 'subscribe') ws.subscribe(all);
  else if (command === 'unsubscribe') ws.unsubscribe(all);
  else if (command === 'publish') ws.publish(number, rest);
  else if (command === 'throw') throw new Error('intended');
}

function close(ws: ServerWebSocket, code: number, reason: string): void {
  try {
    ws.close(code, reason);
  } catch {
    ws.send('invalid');
  }
}
