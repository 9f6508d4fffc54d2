/** Where a worker thread of `serve({ threads })` begins. */
import '../loader/register.ts';
import { parentPort, workerData } from 'node:worker_threads';
import * as abi from '../bridge/abi.gen.ts';
import type { SocketAddress } from '../bridge/address.ts';
import type { App } from '../bridge/app.ts';
import { Channel } from '../bridge/channel.ts';
import { InlineDoorbell, openDoorbell, openInlineDoorbell } from '../bridge/doorbell.ts';
import { type EngineId, loadEngine } from '../bridge/engine.ts';
import { Block } from '../bridge/lane.ts';
import type { WebSocketData } from '../bridge/websocket.ts';
import { ThreadSide } from '../broker/thread_side.ts';
import { GyrfalconError } from '../core/errors.ts';
import { Log } from '../core/log.ts';
import { installGlobals } from '../fetch/globals.ts';
import { forgetModule } from '../loader/commonjs.ts';
import type { Whereabouts } from './listen.ts';
import { checkTableOptions, isHandlerOption, stopDeadline } from './options.ts';
import { RequestServer } from './request_server.ts';
import { compileTable, type EngineTable } from './routes.ts';
import { appOf, authorityOf } from './serve.ts';
import type { HandlerOptions, Server, ServerStats, StopOptions } from './server.ts';
import { ignoredLine, type Refuse, shapeOf } from './shapes.ts';
import type { ThreadData, ThreadOrder, ThreadReport } from './threads.ts';

const data = workerData as ThreadData;
const log = new Log(data.log);

/** What handlers in this thread see of the server. */
class ThreadServer extends RequestServer implements Server {
  id: EngineId = -1;
  channel: Channel | null = null;
  where: Whereabouts = { url: 'http://localhost/', hostname: '', port: 0, addresses: [] };
  private readonly engine = loadEngine();
  private resolveEnded!: () => void;
  private readonly ended = new Promise<void>((resolve) => {
    this.resolveEnded = resolve;
  });

  get url(): URL {
    return new URL(this.where.url);
  }

  get hostname(): string {
    return this.where.hostname;
  }

  get port(): number {
    return this.where.port;
  }

  get addresses(): readonly SocketAddress[] {
    return this.where.addresses;
  }

  async stop(closeActive?: boolean | StopOptions): Promise<void> {
    const deadline = stopDeadline(closeActive, data.shutdownTimeout);
    this.channel?.background.limit(deadline);
    this.engine.requestStop(this.id, deadline);
    await this.ended;
  }

  publish(topic: string, data: WebSocketData, compress?: boolean): number {
    return this.channel?.publish(topic, data, compress) ?? 0;
  }

  reload(): Promise<void> {
    const hint = 'call it on the server that serve() returned';
    return Promise.reject(new GyrfalconError('GYR_RELOAD', 'A worker thread cannot reload', hint));
  }

  stats(): ServerStats {
    return this.engine.stats(this.id);
  }

  /** Threads live as long as the server; its ref() and unref() are on the main thread. */
  ref(): void {}
  unref(): void {}

  [Symbol.asyncDispose](): Promise<void> {
    return this.stop();
  }

  end(): void {
    this.resolveEnded();
  }
}

/** The life of this thread: prepare, attach, serve, and reload on order. */
class ThreadProgram {
  private readonly server = new ThreadServer();
  private app: App | null = null;
  private before: App | null = null;
  private channel: Channel | null = null;
  private published = 0;
  private takeWorker: (() => void) | null = null;
  /** Other processes, where there are such. */
  readonly outside: ThreadSide | undefined =
    data.outside === null ? undefined : new ThreadSide(data.outside, report);

  async prepare(version: number, firstRoute: number): Promise<EngineTable> {
    const handlers = { forms: data.forms ?? {}, ...(await importHandlers(version)) };
    checkTableOptions(handlers);
    const compiled = compileTable(handlers, firstRoute, log);
    await compiled.late;
    this.app = appOf(handlers, compiled);
    this.before = this.channel?.addApp(this.app) ?? null;
    return compiled.table;
  }

  attach(id: EngineId, where: Whereabouts | null): void {
    this.server.id = id;
    if (where !== null) this.server.where = where;
    const engine = loadEngine();
    const block = new Block(engine.memory(id));
    const { thread } = data;
    const doorbell = data.isInline
      ? openInlineDoorbell(engine, id, thread)
      : openDoorbell(engine, id, thread);
    const app = this.app as App;
    const host = {
      stopping: () => report({ kind: 'lingering' }),
      stopped: () => void this.end(),
      listenerLost: () => report({ kind: 'listener-lost' }),
      outside: this.outside,
    };
    this.channel = new Channel(block, thread, doorbell, app, this.server, host, log);
    this.channel.authority = authorityOf(this.server.url);
    this.server.channel = this.channel;
    if (doorbell instanceof InlineDoorbell)
      this.takeWorker = () => doorbell.watch(engine, id, block, thread);
  }

  /** After the engine's start, where it runs inline: this thread has a worker in its loop. Else the engine's has it. */
  watch(): void {
    try {
      this.takeWorker?.();
    } catch (error) {
      report({ kind: 'not-watching', message: messageOf(error) });
    }
  }

  listening(where: Whereabouts): void {
    this.server.where = where;
    if (this.channel !== null) this.channel.authority = authorityOf(this.server.url);
  }

  /** Of the main thread, which counts what is not reported: it drops what is too much. */
  publish(topic: string, data: WebSocketData, compress: boolean | undefined, cost: number): void {
    this.channel?.sockets.deliver(topic, data, compress, () => {
      this.published += cost;
      if (this.published < abi.SOCKET_ACK_BYTES) return;
      report({ kind: 'published', bytes: this.published });
      this.published = 0;
    });
  }

  finishReload(keep: boolean): void {
    if (keep) void this.channel?.dropOldRoutes(this.app as App);
    else if (this.before !== null) this.channel?.setApp(this.before);
  }

  private async end(): Promise<void> {
    const { background } = this.channel as Channel;
    if (background.isBusy) {
      background.limit(stopDeadline(false, data.shutdownTimeout));
      await background.settled();
    }
    this.server.end();
    report({ kind: 'stopped' });
    setImmediate(() => process.exit(0));
  }
}

async function importHandlers(version: number): Promise<HandlerOptions> {
  const url = new URL(data.module);
  if (version > 0) {
    url.searchParams.set('gyrfalcon', String(version));
    forgetModule(url);
  }
  let exported: Record<string, unknown>;
  try {
    exported = await import(url.href);
  } catch (cause) {
    const text = cause instanceof Error ? (cause.stack ?? cause.message) : String(cause);
    throw new GyrfalconError('GYR_MODULE', `Module ${data.module} cannot be imported: ${text}`);
  }
  const shape = shapeOf(exported, data.module, refuse);
  const line = ignoredLine(data.module, shape);
  if (line !== null && data.thread === 0 && log.shows('warn')) console.error(line);
  return Object.fromEntries(
    Object.entries(shape.options).filter(([name]) => isHandlerOption(name)),
  ) as HandlerOptions;
}

const refuse: Refuse = (message, hint) => new GyrfalconError('GYR_MODULE', message, hint);

function report(message: ThreadReport, transfer: ArrayBuffer[] = []): void {
  parentPort?.postMessage(message, transfer);
}

function fail(error: unknown): void {
  const { code = 'GYR_THREAD', hint = '' } = error as Partial<GyrfalconError>;
  report({ kind: 'failed', code, message: messageOf(error), hint });
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

async function obey(program: ThreadProgram, order: ThreadOrder): Promise<void> {
  switch (order.kind) {
    case 'attach':
      program.attach(order.id, order.where);
      report({ kind: 'attached' });
      return;
    case 'listening':
      program.listening(order.where);
      return;
    case 'watch':
      program.watch();
      return;
    case 'publish':
      program.publish(order.topic, order.data, order.compress, order.cost);
      return;
    case 'topics-taken':
      program.outside?.taken();
      return;
    case 'prepare-reload':
      report({ kind: 'prepared', table: await program.prepare(order.version, order.firstRoute) });
      return;
    case 'finish-reload':
      program.finishReload(order.keep);
      return;
  }
}

if (data.globals) installGlobals();
try {
  const program = new ThreadProgram();
  report({ kind: 'prepared', table: await program.prepare(data.version, data.firstRoute) });
  parentPort?.on('message', (order: ThreadOrder) => {
    obey(program, order).catch(fail);
  });
} catch (error) {
  fail(error);
}
