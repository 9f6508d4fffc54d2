import { Worker } from 'node:worker_threads';
import * as abi from '../bridge/abi.gen.ts';
import type { ChannelHost } from '../bridge/channel.ts';
import type { Engine, EngineId } from '../bridge/engine.ts';
import { publishedBytes, publishWaitingMax } from '../bridge/published.ts';
import { topicBytes } from '../bridge/socket.ts';
import type { WebSocketData } from '../bridge/websocket.ts';
import {
  type OutsideReport,
  type ThreadSideData,
  ThreadSideEnd,
  type ThreadSideHub,
} from '../broker/thread_side.ts';
import { type ErrorCode, GyrfalconError } from '../core/errors.ts';
import { Fifo } from '../core/fifo.ts';
import { Log, type LogLevel } from '../core/log.ts';
import type { FormOptions } from '../fetch/multipart.ts';
import type { Whereabouts } from './listen.ts';
import type { EngineTable } from './routes.ts';

/** What a worker thread is started with. */
export interface ThreadData {
  module: string;
  thread: number;
  /** A worker of the engine runs on the thread. */
  isInline: boolean;
  globals: boolean;
  shutdownTimeout: number | undefined;
  forms: FormOptions | undefined;
  log: LogLevel | undefined;
  /** Null without a broker. */
  outside: ThreadSideData | null;
  /** How often the module was imported anew. */
  version: number;
  /** Where the route numbers begin. */
  firstRoute: number;
}

/** To a worker thread. */
export type ThreadOrder =
  | { kind: 'attach'; id: EngineId; where: Whereabouts | null }
  | { kind: 'listening'; where: Whereabouts }
  | { kind: 'watch' }
  | {
      kind: 'publish';
      topic: string;
      data: string | Uint8Array;
      compress: boolean | undefined;
      cost: number;
    }
  | { kind: 'topics-taken' }
  | { kind: 'prepare-reload'; version: number; firstRoute: number }
  | { kind: 'finish-reload'; keep: boolean };

/** From a worker thread. */
export type ThreadReport =
  | OutsideReport
  | { kind: 'prepared'; table: EngineTable }
  | { kind: 'attached' }
  /** Its worker cannot run on it, and goes on on a thread of the engine. */
  | { kind: 'not-watching'; message: string }
  /** So much of what it was given to publish is on its way, with what each message costs. */
  | { kind: 'published'; bytes: number }
  | { kind: 'stopped' }
  /** The engine has stopped, and handlers are called yet, or have asked to wait for something. */
  | { kind: 'lingering' }
  | { kind: 'listener-lost' }
  | { kind: 'failed'; code: ErrorCode; message: string; hint: string };

export interface ThreadPoolOptions {
  /** URL of the module with the handlers. */
  module: string;
  count: number;
  /** Each has a worker of the engine in its loop. */
  isInline: boolean;
  globals: boolean;
  shutdownTimeout: number | undefined;
  forms: FormOptions | undefined;
  log: LogLevel | undefined;
  /** What threads tell other processes by; null without a broker. */
  hub: ThreadSideHub | null;
}

/** A message that a thread was given to publish. */
interface Posted {
  readonly cost: number;
  /** What calls that counts it; null: it is counted here. */
  readonly whenWritten: (() => void) | null;
}

interface TableOrigin {
  version: number;
  firstRoute: number;
}

/** First wait before a thread that died is started anew, ms; doubles up to the longest. */
const restartWaitMin = 50;
const restartWaitMax = 5_000;
/** A thread that has lived this long starts with the shortest wait again, ms. */
const longLife = 10_000;
/** How long a thread may take to end once the engine has stopped, ms. */
const stopGrace = 500;
/** The option shutdownTimeout, where it is not given, ms. */
const shutdownTimeoutDefault = 10_000;
/** Between two looks at whether the engine has stopped, ms. */
const stopWatch = 50;

/** The worker threads of one server, each with its own lanes. */
export class ThreadPool {
  private readonly options: ThreadPoolOptions;
  private readonly engine: Engine;
  private readonly host: ChannelHost;
  private readonly members: Member[] = [];
  private id: EngineId | null = null;
  /** Null before the server listens. */
  private where: Whereabouts | null = null;
  /** What the threads have agreed on, and where it came from. */
  private table = '';
  private tableEnd = 0;
  private hasSockets = false;
  /** Which thread was given what was published last. */
  private lastPublisher: Member | undefined;
  private origin: TableOrigin = { version: 0, firstRoute: 0 };
  private working: Promise<void> = Promise.resolve();
  private closed: Promise<void> | null = null;
  private watch: NodeJS.Timeout | null = null;
  /** When a stop is to be over, by `performance.now()`. */
  private stopBy = Number.POSITIVE_INFINITY;
  private referenced = true;

  constructor(options: ThreadPoolOptions, engine: Engine, host: ChannelHost) {
    this.options = options;
    this.engine = engine;
    this.host = host;
  }

  /** Starts the threads and imports the module in each; gives the table that they agree on. */
  async prepare(): Promise<EngineTable> {
    for (let thread = 0; thread < this.options.count; thread++) {
      const member = new Member(this.options, thread, {
        died: (dead) => this.onDeath(dead),
        listenerLost: () => this.host.listenerLost(),
        notWatching: ({ thread }, message) =>
          this.tell(`worker thread ${thread} is served from another thread: ${message}`),
      });
      this.members.push(member);
      member.start(this.origin);
    }
    const tables = await Promise.all(this.members.map((member) => member.prepared()));
    return this.agreed(tables);
  }

  /** Gives every thread its lanes. */
  async attach(id: EngineId): Promise<void> {
    this.id = id;
    await Promise.all(this.members.map((member) => this.attachMember(member, id)));
  }

  listening(where: Whereabouts): void {
    this.where = where;
    for (const member of this.members) member.order({ kind: 'listening', where });
  }

  /**
   * After the engine's start: every thread is to have its worker, where there are such. None is waited for: handlers are
   * called already, and may take long. One that is not there is given it when it is.
   */
  takeWorkers(): void {
    if (!this.options.isInline) return;
    for (const member of this.members) if (member.serving) member.order({ kind: 'watch' });
  }

  /** Publishes a message by way of a thread that serves. As `Server.publish`. */
  publish(topic: string, data: WebSocketData, compress?: boolean): number {
    topicBytes(topic); // what is wrong is to show here
    const bytes = publishedBytes(data);
    const member = this.publisher;
    if (member === undefined) return 0;
    const cost = bytes.length + abi.SOCKET_MESSAGE_COST;
    if (member.publishing + cost > publishWaitingMax) return 0;
    member.publish(topic, data, bytes, compress, null);
    return bytes.length;
  }

  /** The same of what was published elsewhere. Who gives it bounds what waits, by `whenWritten`. */
  deliver(
    topic: string,
    data: WebSocketData,
    compress: boolean | undefined,
    whenWritten: () => void,
  ): void {
    const member = this.publisher;
    if (member === undefined)
      whenWritten(); // to nobody
    else member.publish(topic, data, publishedBytes(data), compress, whenWritten);
  }

  /** Brings what threads count by themselves up to date. */
  countDropped(): void {
    for (const { outside } of this.members) outside?.countDropped();
  }

  /** One and the same for as long as it serves: what another is given might overtake. */
  private get publisher(): Member | undefined {
    if (!this.hasSockets) return undefined;
    if (!this.lastPublisher?.serving) {
      this.lastPublisher = this.members.find(({ serving }) => serving);
    }
    return this.lastPublisher;
  }

  /**
   * Imports the module anew in every thread; `swap` puts the new table in place. A thread that is
   * being restarted follows when it comes back.
   */
  reload(swap: (table: EngineTable) => void): Promise<void> {
    return this.exclusively(() => this.reloadServing(swap));
  }

  private async reloadServing(swap: (table: EngineTable) => void): Promise<void> {
    const members = this.members.filter(({ serving }) => serving);
    if (members.length === 0) {
      throw new GyrfalconError('GYR_RELOAD', 'No worker thread is running now', 'try again');
    }
    const origin = { version: this.origin.version + 1, firstRoute: this.tableEnd };
    const before = this.table;
    let keep = false;
    try {
      for (const member of members) member.order({ kind: 'prepare-reload', ...origin });
      const tables = await Promise.all(members.map((member) => member.prepared()));
      swap(this.agreed(tables));
      this.origin = origin;
      keep = true;
    } catch (error) {
      this.table = before;
      throw error;
    } finally {
      for (const member of members) member.order({ kind: 'finish-reload', keep });
    }
  }

  ref(): void {
    this.referenced = true;
    this.watch?.ref();
    for (const { worker } of this.members) worker.ref();
  }

  unref(): void {
    this.referenced = false;
    this.watch?.unref();
    for (const { worker } of this.members) worker.unref();
  }

  /**
   * The engine is to stop, within `deadline` ms. A thread that is blocked does not notice: it is
   * ended from here. One that says that it has work to finish has until the deadline.
   */
  watchStop(deadline = this.options.shutdownTimeout ?? shutdownTimeoutDefault): void {
    this.stopBy = Math.min(this.stopBy, performance.now() + deadline);
    if (this.watch !== null || this.closing) return;
    let stoppedAt = 0;
    this.watch = setInterval(() => {
      if (this.id === null || !this.engine.isStopped(this.id)) return;
      const now = performance.now();
      stoppedAt ||= now;
      if (now - stoppedAt < stopGrace) return;
      if (now < this.stopBy && this.members.some(({ lingering }) => lingering)) return;
      clearInterval(this.watch ?? undefined);
      for (const member of this.members) member.wasStopped = true;
      this.host.stopped();
    }, stopWatch);
    if (!this.referenced) this.watch.unref();
  }

  /** Ends the threads. Called again it ends nothing anew: that of each thread may be the call. */
  close(): Promise<void> {
    this.closed ??= this.endAll();
    return this.closed;
  }

  private get closing(): boolean {
    return this.closed !== null;
  }

  private async endAll(): Promise<void> {
    clearInterval(this.watch ?? undefined);
    await Promise.all(this.members.map((member) => member.end()));
  }

  /** Runs `work` when earlier work is done: a thread's reports belong to one piece of work. */
  private exclusively(work: () => Promise<void>): Promise<void> {
    const result = this.working.then(work);
    this.working = result.catch(() => {}); // told to who asked for it
    return result;
  }

  /** Every thread must have compiled the same table: the engine has one. */
  private agreed(tables: EngineTable[]): EngineTable {
    const first = JSON.stringify(tables[0]);
    if (tables.some((table) => JSON.stringify(table) !== first)) {
      throw new GyrfalconError(
        'GYR_MODULE',
        'The module exports different routes in different threads',
        'routes must not depend on the thread, on time or on chance',
      );
    }
    this.table = first;
    this.hasSockets ||= (tables[0] as EngineTable).websocket !== null;
    this.tableEnd = routesEnd(tables[0] as EngineTable);
    return tables[0] as EngineTable;
  }

  private async attachMember(member: Member, id: EngineId): Promise<void> {
    member.order({ kind: 'attach', id, where: this.where });
    await member.attached();
    member.serving = true;
    if (this.options.isInline && this.where !== null) member.order({ kind: 'watch' });
  }

  private onDeath(member: Member): void {
    if (member.wasStopped) {
      if (this.members.every(({ wasStopped }) => wasStopped)) this.host.stopped();
      else this.watchStop();
      return;
    }
    if (this.id === null || this.closing) return;
    this.engine.detach(this.id, member.thread);
    this.tell(`worker thread ${member.thread} died: ${member.deathNote}`);
    const timer = setTimeout(() => this.restart(member), member.restartWait());
    if (!this.referenced) timer.unref();
  }

  private tell(line: string): void {
    if (new Log(this.options.log).shows('error')) console.error(`gyrfalcon: ${line}`);
  }

  private restart(member: Member): void {
    const { id } = this;
    if (this.closing || id === null) return;
    if (this.engine.isStopped(id)) {
      member.wasStopped = true;
      this.onDeath(member);
      return;
    }
    const rejoining = this.exclusively(() => this.rejoin(member, id));
    rejoining.catch((error: unknown) => {
      member.deathNote = String(error);
      void member.worker.terminate();
    });
  }

  private async rejoin(member: Member, id: EngineId): Promise<void> {
    if (this.closing) return;
    member.start(this.origin);
    if (!this.referenced) member.worker.unref();
    const table = await member.prepared();
    if (JSON.stringify(table) !== this.table) {
      throw new GyrfalconError(
        'GYR_MODULE',
        'The module now exports other routes',
        'call reload()',
      );
    }
    await this.attachMember(member, id);
  }
}

/** Who hears of a member. */
interface MemberHost {
  died(member: Member): void;
  /** Its engine has lost a listener; every member says so. */
  listenerLost(): void;
  /** It does not get its worker. */
  notWatching(member: Member, message: string): void;
}

/** One place in the pool; the thread in it may change. */
class Member {
  readonly thread: number;
  worker!: Worker;
  deathNote = '';
  /** It ended because the engine had stopped. */
  wasStopped = false;
  /** It has stopped and finishes what handlers have left behind. */
  lingering = false;
  /** It is attached to its lanes. */
  serving = false;
  /** What it was given to publish and has not told of, with what each message costs, bytes. */
  publishing = 0;
  /** Of those and of others that are counted elsewhere, the oldest first. */
  private posted = new Fifo<Posted>();
  /** What it has told of and is less than the oldest of them, bytes. */
  private told = 0;
  /** Other processes, as this life of the thread reaches them. */
  outside: ThreadSideEnd | null = null;
  private readonly options: ThreadPoolOptions;
  private readonly host: MemberHost;
  private bornAt = 0;
  private wait = restartWaitMin;
  private alive = false;
  private reports: ThreadReport[] = [];
  private waiting: ((report: ThreadReport) => void) | null = null;

  constructor(options: ThreadPoolOptions, thread: number, host: MemberHost) {
    this.options = options;
    this.thread = thread;
    this.host = host;
  }

  start(origin: TableOrigin): void {
    const { module, isInline, globals, shutdownTimeout, forms, log, hub } = this.options;
    const { thread } = this;
    this.outside = hub === null ? null : new ThreadSideEnd(hub);
    const workerData: ThreadData = {
      module,
      thread,
      isInline,
      globals,
      shutdownTimeout,
      forms,
      log,
      outside: this.outside?.data ?? null,
      ...origin,
    };
    this.worker = startWorker(workerData);
    this.bornAt = performance.now();
    this.alive = true;
    this.deathNote = '';
    this.reports = [];
    this.worker.on('message', (report: ThreadReport) => this.take(report));
    this.worker.on('error', (error) => {
      this.deathNote = error instanceof Error ? (error.stack ?? error.message) : String(error);
    });
    this.worker.on('exit', (code) => this.exited(code));
  }

  order(order: ThreadOrder): void {
    this.worker.postMessage(order);
  }

  /** `whenWritten`: as `Posted` has it. */
  publish(
    topic: string,
    data: WebSocketData,
    bytes: Uint8Array,
    compress: boolean | undefined,
    whenWritten: (() => void) | null,
  ): void {
    const cost = bytes.length + abi.SOCKET_MESSAGE_COST;
    if (whenWritten === null) this.publishing += cost;
    this.posted.push({ cost, whenWritten });
    // A copy: what is posted goes with all the memory that it is a part of.
    const own = typeof data === 'string' ? data : new Uint8Array(bytes);
    this.order({ kind: 'publish', topic, data: own, compress, cost });
  }

  /** It tells of messages in the order in which it was given them. */
  private published(bytes: number): void {
    this.told += bytes;
    const { posted } = this;
    for (let one = posted.first; one !== undefined && one.cost <= this.told; one = posted.first) {
      posted.shift();
      this.told -= one.cost;
      if (one.whenWritten === null) this.publishing -= one.cost;
      else one.whenWritten();
    }
  }

  async prepared(): Promise<EngineTable> {
    const report = await this.next();
    if (report.kind === 'prepared') return report.table;
    throw failureOf(report);
  }

  async attached(): Promise<void> {
    const report = await this.next();
    if (report.kind !== 'attached') throw failureOf(report);
  }

  /** Ends the thread and waits for its end. */
  async end(): Promise<void> {
    if (this.alive) await this.worker.terminate();
  }

  /** How long to wait before the next start, ms. */
  restartWait(): number {
    if (performance.now() - this.bornAt > longLife) this.wait = restartWaitMin;
    const wait = this.wait;
    this.wait = Math.min(wait * 2, restartWaitMax);
    return wait;
  }

  private next(): Promise<ThreadReport> {
    const report = this.reports.shift();
    if (report !== undefined) return Promise.resolve(report);
    return new Promise((resolve) => {
      this.waiting = resolve;
    });
  }

  private take(report: ThreadReport): void {
    if (report.kind === 'stopped') {
      this.wasStopped = true;
      this.lingering = false;
    } else if (report.kind === 'lingering') {
      this.lingering = true;
    } else if (report.kind === 'published') {
      this.published(report.bytes);
    } else if (report.kind === 'outside') {
      this.outside?.take(report);
    } else if (report.kind === 'topics') {
      this.outside?.take(report);
      this.order({ kind: 'topics-taken' });
    } else if (report.kind === 'listener-lost') {
      this.host.listenerLost();
    } else if (report.kind === 'not-watching') {
      this.host.notWatching(this, report.message);
    } else if (this.waiting !== null) {
      const { waiting } = this;
      this.waiting = null;
      waiting(report);
    } else {
      this.reports.push(report);
    }
  }

  private exited(code: number): void {
    this.alive = false;
    this.serving = false;
    this.lingering = false;
    this.published(Number.POSITIVE_INFINITY); // nothing of it waits
    this.told = 0;
    this.outside?.ended();
    this.outside = null;
    if (this.deathNote === '') this.deathNote = `exit code ${code}`;
    const message = `Worker thread ${this.thread} ended: ${this.deathNote}`;
    if (this.waiting !== null) {
      this.take({ kind: 'failed', code: 'GYR_THREAD', message, hint: '' });
    }
    this.host.died(this);
  }
}

function failureOf(report: ThreadReport): GyrfalconError {
  if (report.kind === 'failed') return new GyrfalconError(report.code, report.message, report.hint);
  return new GyrfalconError('GYR_THREAD', `A worker thread said "${report.kind}" out of turn`);
}

function startWorker(workerData: ThreadData): Worker {
  try {
    return new Worker(entryUrl(), { workerData, name: `gyrfalcon ${workerData.thread}` });
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code !== 'ERR_ACCESS_DENIED') throw cause;
    const hint = '--permission needs --allow-worker for the option threads';
    throw new GyrfalconError('GYR_THREAD', 'Node.js may start no threads', hint, { cause });
  }
}

/** The threads' entry beside this file, compiled as this file is. */
function entryUrl(): URL {
  const name = import.meta.url.endsWith('.ts') ? './thread_entry.ts' : './thread_entry.js';
  return new URL(name, import.meta.url);
}

/** The first route number that `table` does not use. */
function routesEnd(table: EngineTable): number {
  let end = 0;
  for (const target of table.targets) {
    if (target.kind === 'lane') end = Math.max(end, target.route + 1);
  }
  return end;
}
