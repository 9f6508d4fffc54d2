import type { Log } from '../core/log.ts';
import * as abi from './abi.gen.ts';
import type { App } from './app.ts';
import type { Background } from './background.ts';
import { Gathering } from './gathered.ts';
import type { Block } from './lane.ts';
import { Published } from './published.ts';
import type { SocketOwner, SocketPort } from './socket_port.ts';
import type { SocketName } from './socket_record.ts';
import type { SocketHandlers, WebSocketData } from './websocket.ts';

/** What the WebSockets of a thread share, on all of its lanes. */
export class ThreadSockets implements SocketOwner {
  readonly log: Log;
  readonly gathering: Gathering;
  private readonly block: Block;
  private readonly host: { stopping?(): void };
  private isStopping = false;
  private readonly ports: readonly SocketPort[];
  private readonly background: Background;
  /** Those that sockets are handled by; null where there are none. */
  private current: SocketHandlers | null;
  /** What sockets were handled by with each program that has been here: a reload that fails brings one back. */
  private readonly inEffect = new WeakMap<App, SocketHandlers>();

  constructor(
    block: Block,
    ports: readonly SocketPort[],
    app: App,
    background: Background,
    host: { stopping?(): void },
    log: Log,
  ) {
    this.block = block;
    this.host = host;
    this.ports = ports;
    this.current = app.sockets;
    this.gathering = new Gathering(app.sockets ?? {});
    this.setApp(app);
    this.background = background;
    this.log = log;
  }

  get handlers(): SocketHandlers {
    return this.current as SocketHandlers; // there are sockets
  }

  /**
   * Another program handles them now. Those that are open outlive one that has none; and without some
   * at the start there are none.
   */
  setApp(app: App): void {
    if (this.current === null) return;
    this.current = this.inEffect.get(app) ?? app.sockets ?? this.current;
    this.inEffect.set(app, this.current);
  }

  /**
   * To all who have subscribed. As `Server.publish`; with `whenWritten` it is never dropped, and who
   * gives that sees to it that what waits has a bound.
   */
  publish(
    topic: string,
    data: WebSocketData,
    compress?: boolean,
    whenWritten: (() => void) | null = null,
  ): number {
    if (this.current === null) {
      whenWritten?.(); // to nobody
      return 0;
    }
    const message = new Published(topic, data, this.ports.length, compress, whenWritten);
    for (const port of this.ports) port.publishHere(null, message);
    return message.status;
  }

  publishFrom(
    from: SocketPort,
    publisher: SocketName | null,
    topic: string,
    data: WebSocketData,
    compress?: boolean,
  ): number {
    const message = new Published(topic, data, this.ports.length, compress);
    for (const port of this.ports) port.publishHere(port === from ? publisher : null, message);
    return message.status;
  }

  noteStop(): void {
    if (this.isStopping || (this.block.state & abi.STATE_STOPPED) === 0) return;
    this.isStopping = true;
    this.host.stopping?.();
  }

  awaitAtStop(work: Promise<unknown>): void {
    this.background.add(work);
  }
}
