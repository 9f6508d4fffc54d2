import { defineWebSocketHelper, type UpgradeWebSocket, WSContext, type WSEvents } from 'hono/ws';
import { Delegate, delegating, upgradeTo } from '../bridge/delegate.ts';
import type { ServerWebSocket, UpgradeOptions, WebSocketHandler } from '../bridge/websocket.ts';
import { isThenable } from '../core/thenable.ts';

type Events = WSEvents<ServerWebSocket>;
type Opening = Parameters<NonNullable<Events['onOpen']>>[0];
type Message = Parameters<NonNullable<Events['onMessage']>>[0];
type Closing = Parameters<NonNullable<Events['onClose']>>[0];

/** What `upgradeWebSocket` takes beside the events. */
export type HonoUpgradeOptions = Pick<UpgradeOptions, 'headers' | 'origins' | 'perMessageDeflate'>;

/**
 * Hono's `upgradeWebSocket` for this server, made by Hono's own `defineWebSocketHelper`. What does not ask
 * for a WebSocket goes to the next handler. `ws.raw` is the server's own socket, with topics and all.
 * Binary messages are ArrayBuffers. What `onMessage` promises holds the client back until it is done.
 *
 * @example
 * import { upgradeWebSocket, websocket } from 'gyrfalcon/hono';
 * app.get('/ws', upgradeWebSocket(() => ({ onMessage: ({ data }, ws) => ws.send(data) })));
 * serve({ fetch: app.fetch, websocket });
 */
export const upgradeWebSocket: UpgradeWebSocket<ServerWebSocket, HonoUpgradeOptions> =
  defineWebSocketHelper<ServerWebSocket, HonoUpgradeOptions>((c, events, options = {}) => {
    const delegate = new HonoSocket(events, new URL(c.req.url));
    const offered = c.req.header('sec-websocket-protocol')?.split(',')[0]?.trim();
    const protocol = offered === undefined || offered === '' ? {} : { protocol: offered };
    // The answer is the engine's: what is returned goes nowhere.
    if (upgradeTo(c.req.raw, delegate, { ...options, ...protocol })) return new Response(null);
    return undefined;
  });

/** The option `websocket` of serve(): sockets are those of `upgradeWebSocket`. */
export const websocket: WebSocketHandler = delegating();

class HonoSocket extends Delegate {
  private readonly events: Events;
  private readonly url: URL;

  constructor(events: Events, url: URL) {
    super();
    this.events = events;
    this.url = url;
  }

  opened(ws: ServerWebSocket): void {
    const { onOpen } = this.events;
    if (onOpen !== undefined) {
      this.run(ws, () => onOpen(new Event('open') as Opening, this.contextOf(ws)));
    }
  }

  message(ws: ServerWebSocket, message: string | Buffer): unknown {
    const { onMessage } = this.events;
    if (onMessage === undefined) return undefined;
    // Bytes have memory of their own, and all of it.
    const data = typeof message === 'string' ? message : (message.buffer as ArrayBuffer);
    const event = new MessageEvent('message', { data }) as Message;
    return this.run(ws, () => onMessage(event, this.contextOf(ws)));
  }

  closed(ws: ServerWebSocket, code: number, reason: string): void {
    const { onClose } = this.events;
    if (onClose === undefined) return;
    const about = { code, reason, wasClean: code !== 1006 };
    const event = Object.assign(new Event('close'), about) as unknown as Closing;
    this.run(ws, () => onClose(event, this.contextOf(ws)));
  }

  /** As Hono has it: what fails goes to `onError`. Without that, a line in the log, and 1011. */
  private run(ws: ServerWebSocket, call: () => unknown): unknown {
    const { onError } = this.events;
    if (onError === undefined) return call();
    const failed = (error: unknown): void => {
      onError(Object.assign(new Event('error') as Opening, { error }), this.contextOf(ws));
    };
    try {
      const result = call();
      return isThenable(result) ? Promise.resolve(result).catch(failed) : result;
    } catch (error) {
      failed(error);
      return undefined;
    }
  }

  private contextOf(ws: ServerWebSocket): WSContext<ServerWebSocket> {
    return new WSContext<ServerWebSocket>({
      send: (data, { compress }) => {
        ws.send(data, compress);
      },
      close: (code, reason) => ws.close(code, reason),
      raw: ws,
      readyState: ws.readyState,
      url: this.url,
      protocol: ws.protocol,
    });
  }
}
