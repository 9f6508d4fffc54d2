/**
 * `WebSocketServer` and `WebSocket` in the shape of the package ws, over the engine's sockets:
 * `import { WebSocketServer, websocket } from 'gyrfalcon/ws'`. docs/WEBSOCKET.md has an example.
 */
import '../core/node_checked.ts';

import { delegating } from '../bridge/delegate.ts';
import type { WebSocketHandler } from '../bridge/websocket.ts';
import { WebSocketServer } from './server.ts';
import { WebSocket } from './websocket.ts';

/** The option `websocket` of serve(): sockets are those of a `WebSocketServer`. */
export const websocket: WebSocketHandler = delegating();

/**
 * The same with limits (`{ maxPayloadLength, perMessageDeflate, … }`), and with handlers for sockets that
 * `server.upgrade()` makes.
 */
export const withOptions: <Data>(
  options: Partial<WebSocketHandler<Data>>,
) => WebSocketHandler<Data> = delegating;

export type { SocketEvent, SocketListener } from './events.ts';
export type { ClientInfo, VerifyClient, WebSocketServerOptions } from './server.ts';
export type { SendOptions } from './websocket.ts';
export { WebSocket, WebSocketServer, WebSocketServer as Server };
export default WebSocket;
