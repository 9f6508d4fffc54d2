import { inspect } from 'node:util';
import type { SocketAddress } from '../bridge/address.ts';
import type { App } from '../bridge/app.ts';
import { Channel } from '../bridge/channel.ts';
import {
  type Doorbell,
  InlineDoorbell,
  openDoorbell,
  openInlineDoorbell,
} from '../bridge/doorbell.ts';
import { type Engine, type EngineId, type EngineInfo, loadEngine } from '../bridge/engine.ts';
import { Block } from '../bridge/lane.ts';
import { topicName } from '../bridge/outside.ts';
import { Published } from '../bridge/published.ts';
import type { WebSocketData } from '../bridge/websocket.ts';
import { type Deliver, Hub } from '../broker/hub.ts';
import { GyrfalconError } from '../core/errors.ts';
import { Log } from '../core/log.ts';
import { installGlobals } from '../fetch/globals.ts';
import { Listening } from './listen.ts';
import { type ChosenMode, chooseMode } from './mode.ts';
import {
  checkReloadOptions,
  checkTableOptions,
  type EngineConfig,
  engineConfig,
  isHandlerOption,
  type ListenInfo,
  reloadedTls,
  type ServeOptions,
  stopDeadline,
} from './options.ts';
import { RequestServer } from './request_server.ts';
import { type CompiledTable, compileTable, type EngineTable } from './routes.ts';
import type { HandlerOptions, ReloadOptions, Server, ServerStats, StopOptions } from './server.ts';
import { ThreadPool } from './threads.ts';

/** What waits for the broker when the server has stopped has so long to leave, ms. */
const flushTimeMax = 1000;

/**
 * Starts a server. Handlers run on this thread, and the server is listening when the call returns;
 * with `threads` they run in worker threads, and a promise is returned. `await` suits both.
 *
 * Throws (or rejects with) a GyrfalconError, whose `code` tells what is wrong.
 *
 * @example
 * const server = serve({ port: 3000, fetch: () => new Response('Hello') });
 * console.log(`${server.url}`);
 */
export function serve<const Path extends string = string, Data = unknown>(
  options: ServeOptions<Path, Data> & { threads?: 0 },
): Server<Data>;
export function serve<Data = unknown>(
  options: ServeOptions<string, Data> & { threads: number },
): Promise<Server<Data>>;
export function serve(options: ServeOptions): Server | Promise<Server>;
export function serve(options: ServeOptions): Server | Promise<Server> {
  const config = engineConfig(options);
  if (config.threads > 0) return serveInThreads(options, config);
  checkTableOptions(options);
  const running = new LocalServer(options, config);
  running.listen();
  return running;
}

async function serveInThreads(options: ServeOptions, config: EngineConfig): Promise<Server> {
  if (options.module === undefined) {
    const hint = 'module: import.meta.url, or the URL of the module that exports the handlers';
    throw new GyrfalconError('GYR_OPTION_INVALID', 'Option threads needs option module', hint);
  }
  if (!URL.canParse(String(options.module))) {
    const message = `Option module is ${inspect(options.module)}`;
    throw new GyrfalconError('GYR_OPTION_INVALID', message, 'it must be a URL: import.meta.url');
  }
  const running = new ThreadedServer(options, config, options.module);
  await running.listen();
  return running;
}

/** What a server is, wherever its handlers run. */
abstract class BaseServer extends RequestServer implements Server {
  protected readonly engine: Engine;
  protected readonly options: ServeOptions;
  protected readonly config: EngineConfig;
  protected readonly log: Log;
  protected readonly chosen: ChosenMode;
  /** Servers of other processes; null without a broker. */
  protected readonly hub: Hub | null;
  protected id: EngineId = -1;
  private info: EngineInfo | null = null;
  private listening: Listening | null = null;
  private ended: Promise<void>;
  private resolveEnded!: () => void;
  private isEnded = false;
  /** What waits for the broker at the end has so long, ms. */
  private flushTime = flushTimeMax;
  private uninstallGlobals = () => {};
  private readonly onAbort = () => {
    void this.stop();
  };

  constructor(options: ServeOptions, config: EngineConfig) {
    super();
    this.options = options;
    this.config = config;
    this.log = new Log(options.log);
    const { broker } = options;
    const deliver: Deliver = (...message) => this.deliver(...message);
    this.hub = broker === undefined ? null : new Hub(broker, this.log, deliver);
    this.engine = loadEngine();
    this.chosen = chooseMode(options, this.engine);
    this.ended = new Promise((resolve) => {
      this.resolveEnded = resolve;
    });
  }

  get url(): URL {
    return this.where.url;
  }

  get port(): number {
    return this.where.port;
  }

  get hostname(): string {
    return this.where.hostname;
  }

  get addresses(): readonly SocketAddress[] {
    return this.where.addresses;
  }

  /** After `start`. */
  get where(): Listening {
    return this.listening as Listening;
  }

  stop(closeActive?: boolean | StopOptions): Promise<void> {
    try {
      const deadline = stopDeadline(closeActive, this.options.shutdownTimeout);
      this.flushTime = Math.min(this.flushTime, deadline);
      if (!this.isEnded) this.requestStop(deadline);
    } catch (error) {
      return Promise.reject(error);
    }
    return this.ended;
  }

  abstract publish(topic: string, data: WebSocketData, compress?: boolean): number;
  /** What other processes publish goes to the sockets of this one. */
  protected abstract deliver(...message: Parameters<Deliver>): void;
  abstract reload(options?: ReloadOptions): Promise<void>;
  abstract ref(): void;
  abstract unref(): void;

  /** What the engine is to do about certificates in a reload. */
  protected tlsChange(options: ReloadOptions): object {
    if (!this.isSecured) {
      if (options.tls === undefined) return {};
      const message = 'Option tls of reload() replaces certificates, and this server has none';
      throw new GyrfalconError('GYR_OPTION_INVALID', message, 'give tls to serve()');
    }
    const tls = reloadedTls(options);
    return { reloads_tls: true, ...(tls === undefined ? {} : { tls }) };
  }

  /** Some connections are over TLS. */
  protected get isSecured(): boolean {
    return this.config.server.tls !== undefined;
  }

  stats(): ServerStats {
    this.checkRunning();
    return { ...this.engine.stats(this.id), ...this.hub?.stats() };
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.stop();
  }

  protected get isRunning(): boolean {
    return !this.isEnded;
  }

  protected checkRunning(): void {
    if (!this.isEnded) return;
    throw new GyrfalconError('GYR_SERVER_STOPPED', 'The server has been stopped');
  }

  protected requestStop(deadline: number): void {
    this.engine.requestStop(this.id, deadline);
  }

  protected create(table: EngineTable): void {
    const { mode, reason } = this.chosen;
    this.id = this.engine.create({
      ...this.config,
      ...(mode === 'inline' ? { is_inline: true } : {}),
      ...(mode === 'inline' && this.config.threads > 0 ? { lends: true } : {}),
      mode_reason: reason,
      threads: Math.max(1, this.config.threads),
      table,
    });
  }

  /** Opens what is to be listened on. When that fails, nothing is left behind. */
  protected start(): void {
    this.info = this.engine.start(this.id);
    this.listening = new Listening(this.options, this.info.listeners);
    if (this.options.globals !== false) this.uninstallGlobals = installGlobals();
    const { signal } = this.options;
    if (signal?.aborted) this.onAbort();
    else signal?.addEventListener('abort', this.onAbort, { once: true });
  }

  /** One or more listeners have failed. */
  protected listenerLost(): void {
    if (this.isEnded) return;
    for (const error of this.where.lose(this.engine.listeners(this.id))) {
      try {
        this.options.onError?.(error, this);
      } catch (failure) {
        this.log.error('gyrfalcon: onError failed:', failure);
      }
    }
  }

  protected tellListening(): void {
    this.hub?.open();
    try {
      this.options.onListen?.(this.listenInfo(), this);
    } catch (error) {
      // Nobody will get this server to stop it.
      void this.stop(true);
      throw error;
    }
  }

  private listenInfo(): ListenInfo {
    const { url, hostname, port, config } = this;
    const { listeners: _, ...engine } = this.info as EngineInfo;
    const { mode, reason: modeReason } = this.chosen;
    return { url, hostname, port, ...engine, mode, modeReason, threads: config.threads };
  }

  /** Undoes what `create` and `start` have done of their work. */
  protected release(): void {
    this.options.signal?.removeEventListener('abort', this.onAbort);
    this.uninstallGlobals();
    this.uninstallGlobals = () => {};
    if (this.id !== -1) this.engine.destroy(this.id);
  }

  /** The engine has stopped by itself or on request. */
  protected end(): void {
    if (this.isEnded) return;
    this.isEnded = true;
    this.release();
    if (this.hub === null) this.resolveEnded();
    else void this.hub.close(this.flushTime).then(() => this.resolveEnded());
  }
}

/** Handlers on the thread that called `serve`. */
class LocalServer extends BaseServer {
  private channel: Channel | null = null;
  private doorbell: Doorbell | null = null;
  /** The next route number: numbers are never used twice. */
  private nextRoute = 0;
  private compiled: CompiledTable | null = null;

  listen(): void {
    const { app, compiled } = this.compile(this.options);
    this.create(compiled.table);
    try {
      const block = new Block(this.engine.memory(this.id));
      const { engine, id } = this;
      const isInline = this.chosen.mode === 'inline';
      this.doorbell = isInline ? openInlineDoorbell(engine, id, 0) : openDoorbell(engine, id, 0);
      const host = {
        stopped: () => this.end(),
        listenerLost: () => this.listenerLost(),
        outside: this.hub ?? undefined,
      };
      this.channel = new Channel(block, 0, this.doorbell, app, this, host, this.log);
      this.start();
      if (this.doorbell instanceof InlineDoorbell) this.doorbell.watch(engine, id, block, 0);
      this.channel.authority = authorityOf(this.url);
    } catch (error) {
      this.channel?.close();
      this.release();
      throw error;
    }
    this.completeLater(compiled);
    this.tellListening();
  }

  async reload(options: ReloadOptions = {}): Promise<void> {
    this.checkRunning();
    checkReloadOptions(options);
    const change = this.tlsChange(options);
    const given = Object.entries(options).filter(([, value]) => value !== undefined);
    if (this.isSecured && !given.some(([name]) => isHandlerOption(name))) {
      this.engine.reload(this.id, change);
      return;
    }
    checkTableOptions(options);
    const { app, compiled } = this.compile(options);
    const channel = this.channel as Channel;
    // The new handlers first: from the engine's answer on, requests carry the new numbers.
    const before = channel.addApp(app);
    try {
      this.engine.reload(this.id, { table: compiled.table, ...change });
    } catch (error) {
      channel.setApp(before);
      throw error;
    }
    this.completeLater(compiled);
    await channel.dropOldRoutes(app);
  }

  publish(topic: string, data: WebSocketData, compress?: boolean): number {
    return this.channel?.publish(topic, data, compress) ?? 0;
  }

  protected deliver(...message: Parameters<Deliver>): void {
    this.channel?.sockets.deliver(...message);
  }

  protected override requestStop(deadline: number): void {
    this.channel?.background.limit(deadline);
    super.requestStop(deadline);
  }

  protected override end(): void {
    const { background } = this.channel as Channel;
    if (!background.isBusy) {
      super.end();
      return;
    }
    background.limit(stopDeadline(false, this.options.shutdownTimeout));
    void background.settled().then(() => super.end());
  }

  ref(): void {
    this.doorbell?.ref();
  }

  unref(): void {
    this.doorbell?.unref();
  }

  private compile(options: HandlerOptions): {
    app: App;
    compiled: CompiledTable;
  } {
    const compiled = compileTable(options, this.nextRoute, this.log);
    this.nextRoute = compiled.routes.length;
    this.compiled = compiled;
    return { app: appOf(options, compiled), compiled };
  }

  /** Constants whose bytes had to be waited for are answered by handlers until they are here. */
  private completeLater(compiled: CompiledTable): void {
    compiled.late
      ?.then(() => {
        if (this.compiled === compiled && this.isRunning)
          this.engine.reload(this.id, { table: compiled.table });
      })
      .catch(() => {}); // the handler stays in its place and tells why
  }
}

/** Handlers in worker threads; this one starts them anew when they die. */
class ThreadedServer extends BaseServer {
  private readonly pool: ThreadPool;

  constructor(options: ServeOptions, config: EngineConfig, module: string | URL) {
    super(options, config);
    this.pool = new ThreadPool(
      {
        module: String(module),
        count: config.threads,
        isInline: this.chosen.mode === 'inline',
        globals: options.globals !== false,
        shutdownTimeout: options.shutdownTimeout,
        forms: options.forms,
        log: options.log,
        hub: this.hub,
      },
      this.engine,
      { stopped: () => this.end(), listenerLost: () => this.listenerLost() },
    );
  }

  async listen(): Promise<void> {
    try {
      const table = await this.pool.prepare();
      this.create(table);
      await this.pool.attach(this.id);
      this.start();
      this.pool.listening(this.where.whereabouts);
      this.pool.takeWorkers();
    } catch (error) {
      await this.pool.close();
      this.release();
      throw error;
    }
    this.tellListening();
  }

  async reload(options: ReloadOptions = {}): Promise<void> {
    this.checkRunning();
    if (Object.keys(options).some((name) => name !== 'tls' && name !== 'listen')) {
      const hint = 'call reload() without them: the module is imported anew';
      throw new GyrfalconError('GYR_RELOAD', 'With threads, handlers come from the module', hint);
    }
    const change = this.tlsChange(options);
    await this.pool.reload((table) => this.engine.reload(this.id, { table, ...change }));
  }

  publish(topic: string, data: WebSocketData, compress?: boolean): number {
    if (!this.isRunning) return 0;
    const status = this.pool.publish(topic, data, compress); // throws for what is wrong
    this.hub?.publish(topicName(topic), new Published(topic, data, 0, compress));
    return status;
  }

  protected deliver(...message: Parameters<Deliver>): void {
    this.pool.deliver(...message);
  }

  override stats(): ServerStats {
    this.pool.countDropped();
    return super.stats();
  }

  protected override listenerLost(): void {
    super.listenerLost();
    if (this.isRunning) this.pool.listening(this.where.whereabouts);
  }

  protected override requestStop(deadline: number): void {
    super.requestStop(deadline);
    this.pool.watchStop(deadline);
  }

  ref(): void {
    this.pool.ref();
  }

  unref(): void {
    this.pool.unref();
  }

  protected override end(): void {
    void this.pool.close().then(() => super.end());
  }
}

/** What a channel needs of the handlers and of the table that was made of them. */
export function appOf(options: HandlerOptions, { routes }: CompiledTable): App {
  return {
    routes,
    error: errorHandler(options.error),
    rawPaths: options.paths === 'raw',
    protocolError: options.onProtocolError ?? null,
    forms: options.forms ?? {},
    sockets: options.websocket ?? null,
  };
}

/** Gives the program's error handler an Error whatever was thrown. */
function errorHandler(handle: ServeOptions['error']): App['error'] {
  if (handle === undefined) return null;
  return (thrown, request) => handle(asError(thrown), request);
}

function asError(thrown: unknown): Error {
  return thrown instanceof Error ? thrown : new Error(textOf(thrown), { cause: thrown });
}

function textOf(thrown: unknown): string {
  try {
    return String(thrown);
  } catch {
    return inspect(thrown, { depth: 0 }); // an object without a prototype has no text
  }
}

/** The URL of each place that a server listens in, for people and programs to take. */
export function placeTexts(server: Server): string[] {
  return server instanceof BaseServer ? server.where.texts : [server.url.href];
}

/** The host of requests that name none. */
export function authorityOf(url: URL): string {
  return url.protocol === 'unix:' ? 'localhost' : url.host;
}
