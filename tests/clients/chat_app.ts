// examples/09-chat, which prints over which version of HTTP each WebSocket came: over HTTP/2 its request has no key.
import type { Request, Server } from 'gyrfalcon';
import chat from '../../examples/09-chat/app.ts';

const { routes } = chat as { routes: Record<string, unknown> };
const enter = routes['/chat'] as (request: Request, server: Server) => unknown;

export default {
  ...chat,
  routes: {
    ...routes,
    '/chat': (request: Request, server: Server) => {
      console.log(`CHAT OVER ${request.headers.has('sec-websocket-key') ? 'HTTP/1' : 'HTTP/2'}`);
      return enter(request, server);
    },
  },
};
