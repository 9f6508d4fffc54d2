import type { Log } from '../core/log.ts';
import * as abi from './abi.gen.ts';
import type { App } from './app.ts';
import type { Background } from './background.ts';
import { Gathering } from './gathered.ts';
import type { Block } from './lane.ts';
import { type Outside, TopicCounts, topicName } from './outside.ts';
import { Published } from './published.ts';
import type { SocketOwner, SocketPort } from './socket_port.ts';
import type { SocketName } from './socket_record.ts';
import type { SocketHandlers, WebSocketData } from './websocket.ts';

/** Who publishes: a socket, which is left out, of a lane. */
interface Publisher {
  readonly port: SocketPort;
  readonly publisher: SocketName | null;
}

/** Who hears of what all sockets of a thread do. */
export interface SocketsHost {
  /** Once, before `stopped`: the engine has stopped, and handlers hear of what it has left. */
  stopping?(): void;
  /** Other processes, where there are such. */
  readonly outside?: Outside | undefined;
}

/** What the WebSockets of a thread share, on all of its lanes. */
export class ThreadSockets implements SocketOwner {
  readonly log: Log;
  readonly gathering: Gathering;
  readonly topics: TopicCounts | null;
  private readonly block: Block;
  private readonly host: SocketsHost;
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
    host: SocketsHost,
    log: Log,
  ) {
    this.block = block;
    this.host = host;
    this.topics = host.outside === undefined ? null : new TopicCounts(host.outside);
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

  /** To all who have subscribed, in other processes too, but to who publishes. As `Server.publish`. */
  publish(topic: string, data: WebSocketData, compress?: boolean, from?: Publisher): number {
    const { outside } = this.host;
    if (this.current === null && outside === undefined) return 0;
    const message = new Published(topic, data, this.ports.length, compress);
    outside?.publish(topicName(topic), message);
    if (this.current === null) return 0; // to nobody here
    this.fanOut(message, from);
    return message.status;
  }

  /**
   * The same of what was published elsewhere, to those of this process alone. It is never dropped, and
   * who gives it sees to it that what waits has a bound, by `whenWritten`.
   */
  deliver(
    topic: string,
    data: WebSocketData,
    compress: boolean | undefined,
    whenWritten: () => void,
  ): void {
    if (this.current === null) {
      whenWritten(); // to nobody
      return;
    }
    this.fanOut(new Published(topic, data, this.ports.length, compress, whenWritten));
  }

  private fanOut(message: Published, from?: Publisher): void {
    for (const port of this.ports) {
      port.publishHere(port === from?.port ? from.publisher : null, message);
    }
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
