import { type ErrorCode, GyrfalconError } from '../core/errors.ts';
import { type EngineFiles, findEngine, isThere, permission } from './engine_files.ts';

/** What the engine tells after its start. */
export interface EngineInfo {
  /** What is listened on: one or more. */
  listeners: EngineListener[];
  /** Where connections come in: "epoll", … */
  backend: string;
  /** Why this backend runs. */
  backendReason: string;
  workers: number;
  /** Connections that are served at a time. */
  maxConnections: number;
  /** Pool and ring memory reserved, bytes of address space. */
  memoryBytes: number;
}

/** A socket that an engine listens on. */
export interface EngineListener {
  /** Index of the place that asked for it. */
  place: number;
  family: 'IPv4' | 'IPv6' | 'unix';
  /** As bound; a path as it was given. */
  address: string;
  /** 0 of a unix socket. */
  port: number;
  /** Why it was closed; null while it is open. */
  failure: string | null;
}

/** What a route table means, as the engine's router has it (zig/router/survey.zig). */
export interface RouteSurvey {
  /** The methods that `answers` is about; the last one, 'other', is any without a name of its own. */
  methods: string[];
  /** By the table's entries. */
  rows: {
    /** In its canonical form. */
    pattern: string;
    /** Index in `shapes`: '/a/:x' and '/a/:y' are one shape. */
    shape: number;
    /** Some request comes to it. */
    reachable: boolean;
    /** Shapes that take some of the requests which it would answer without them. */
    after: number[];
  }[];
  shapes: {
    /** A path that is left to this shape as far as can be. */
    path: string;
    /** By `methods`: the entry that answers there; null: none. */
    answers: (number | null)[];
    /** The Allow field of a 405 there. */
    allow: string;
  }[];
}

/** Where the engine rings: a pipe's reading end, or a pipe of Windows by its name. */
export type DoorbellEnd = { fd: number } | { path: string };

/** An engine that was created: a number in this process, good in every thread of it. */
export type EngineId = number;

/** The compiled engine: control plane only, each call costs microseconds. */
export interface Engine {
  /** Whether it has TLS in it: OpenSSL and picotls. */
  readonly hasTls: boolean;
  /** Whether it has zlib-ng in it, and can compress messages of WebSockets. */
  readonly hasDeflate: boolean;
  /** CPUs that threads of this process can run on at the same time. */
  readonly cpuCount: number;
  /** Why its worker cannot run in the loop of a JS thread here; null: it can. */
  readonly inlineLack: string | null;
  /** What a route table means, of no server. Throws a GyrfalconError when it would be refused. */
  survey(table: object): RouteSurvey;
  /** Throws a GyrfalconError when the configuration or the route table is refused. */
  create(config: object): EngineId;
  start(id: EngineId): EngineInfo;
  /** What is listened on now, in the order of EngineInfo. After `start`. */
  listeners(id: EngineId): EngineListener[];
  /** The shared block; stays mapped after `destroy`. */
  memory(id: EngineId): Uint8Array;
  /** Takes JS thread `thread` in. Returns the end of its doorbell, which the caller owns. */
  attach(id: EngineId, thread: number): DoorbellEnd;
  /**
   * Has a worker of an inline engine run in this thread's loop, from here on: its only one, 0, or that of this thread's
   * number. `turn` is called when it has something for JavaScript. Returns what is to be called when JavaScript has
   * something for the worker, which sleeps.
   */
  watch(id: EngineId, worker: number, turn: () => void): () => void;
  /** Wakes the worker whose bell has this number: where a bell is no descriptor. Any engine's of this process. */
  ring(bell: number): void;
  /** The thread is gone: its exchanges are answered with 503. */
  detach(id: EngineId, thread: number): void;
  /** Replaces the route table, `change.table`, and certificates (zig/bridge/instance.zig). */
  reload(id: EngineId, change: object): void;
  /** Stops accepting; exchanges in flight get `deadline` ms. */
  requestStop(id: EngineId, deadline: number): void;
  isStopped(id: EngineId): boolean;
  /** Ends what still runs, joins the threads and gives the id up. */
  destroy(id: EngineId): void;
  stats(id: EngineId): Record<string, number>;
}

/** The exports of zig/node.zig as node-zigar presents them. */
interface NativeModule {
  hasTls(): boolean;
  hasDeflate(): boolean;
  cpuCount(): number;
  keepLoaded(path: string): void;
  survey(table: string): NativeText;
  create(config: string): NativeText;
  start(id: number): NativeText;
  listeners(id: number): NativeText;
  memory(id: number): { typedArray: Uint8Array };
  attach(id: number, thread: number): NativeText;
  ring(bell: number): void;
  detach(id: number, thread: number): void;
  reload(id: number, change: string): NativeText;
  requestStop(id: number, deadline: number): void;
  isStopped(id: number): boolean;
  destroy(id: number): void;
  stats(id: number): NativeText;
}

/** node-zigar's addon: what of it brings a library's exports here. */
interface ZigarAddon {
  createEnvironment(): {
    loadModule(path: string): void;
    acquireStructures(options: object): void;
    useStructures(): NativeModule;
  };
}

/** The exports of zig/bridge/inline.zig, by Node-API. */
interface InlineModule {
  watch(id: number, worker: number, turn: () => void): (() => void) | undefined;
}

interface NativeText {
  string: string;
}

interface Failure {
  code: ErrorCode;
  message: string;
  hint: string;
}

let loaded: Engine | null = null;

/** The engine of this process, loaded when first asked for. Throws GYR_ENGINE_MISSING, GYR_ENGINE_MISMATCH, GYR_ENGINE_DENIED. */
export function loadEngine(): Engine {
  if (loaded === null) {
    const files = findEngine();
    loaded = wrap(importNative(files), files.library);
  }
  return loaded;
}

function importNative({ name, library, addon, cure }: EngineFiles): NativeModule {
  for (const file of [library, addon]) {
    if (isThere(file)) continue;
    throw new GyrfalconError(
      'GYR_ENGINE_MISSING',
      `There is no engine for ${name} here: ${file} is missing`,
      cure,
    );
  }
  try {
    const module = { exports: {} };
    process.dlopen(module as NodeJS.Module, addon);
    const environment = (module.exports as ZigarAddon).createEnvironment();
    environment.loadModule(library);
    environment.acquireStructures({});
    const native = environment.useStructures();
    native.keepLoaded(library);
    native.keepLoaded(addon);
    return native;
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code === 'ERR_DLOPEN_DISABLED') throw addonsDenied(cause);
    const message = `The engine ${library} cannot be loaded: ${(cause as Error).message}`;
    throw new GyrfalconError('GYR_ENGINE_MISSING', message, cure, { cause });
  }
}

function addonsDenied(cause: unknown): GyrfalconError {
  const hint =
    permission === undefined
      ? 'start Node.js without --no-addons: the engine is an addon'
      : '--permission needs --allow-addons beside it: the engine is an addon';
  return new GyrfalconError('GYR_ENGINE_DENIED', 'Node.js may load no addons', hint, { cause });
}

/** The engine's library as a module of Node-API, or why there is none. It is loaded already: this finds it again. */
function inlineModule(library: string): InlineModule | string {
  if (process.platform !== 'linux') return 'it runs on Linux alone';
  const { bun, deno } = process.versions as { bun?: string; deno?: string };
  if (bun !== undefined || deno !== undefined) return 'it runs in Node.js alone';
  const module: { exports: Partial<InlineModule> } = { exports: {} };
  try {
    process.dlopen(module as NodeJS.Module, library);
  } catch (error) {
    return `Node.js cannot load the engine as a module: ${(error as Error).message}`;
  }
  const { watch } = module.exports;
  return watch === undefined ? 'this Node.js lacks functions of Node-API or libuv' : { watch };
}

function wrap(native: NativeModule, library: string): Engine {
  const created = new Set<EngineId>();
  let inlined: InlineModule | string | undefined;
  const loadInline = () => {
    inlined ??= inlineModule(library);
    return inlined;
  };
  // Node.js unloads the engine's code when it tears this thread down: its threads must not run then.
  const destroyAll = () => {
    for (const id of created) native.destroy(id);
  };
  return {
    hasTls: native.hasTls(),
    hasDeflate: native.hasDeflate(),
    get cpuCount() {
      return native.cpuCount();
    },
    get inlineLack() {
      const module = loadInline();
      return typeof module === 'string' ? module : null;
    },
    survey: (table) => answer(native.survey(JSON.stringify(table))) as RouteSurvey,
    create(config) {
      const { id } = answer(native.create(JSON.stringify(config))) as { id: number };
      if (created.size === 0) process.on('exit', destroyAll);
      created.add(id);
      return id;
    },
    start: (id) => answer(native.start(id)) as EngineInfo,
    listeners: (id) => answer(native.listeners(id)) as EngineListener[],
    memory: (id) => native.memory(id).typedArray,
    attach: (id, thread) => answer(native.attach(id, thread)) as DoorbellEnd,
    watch(id, worker, turn) {
      const module = loadInline();
      const answer = typeof module === 'string' ? undefined : module.watch(id, worker, turn);
      if (answer !== undefined) return answer;
      const message = "The engine's worker cannot run in this thread's loop";
      throw new GyrfalconError('GYR_MODE_UNAVAILABLE', message, "mode: 'threads'");
    },
    ring: (bell) => native.ring(bell),
    detach: (id, thread) => native.detach(id, thread),
    reload: (id, change) => {
      answer(native.reload(id, JSON.stringify(change)));
    },
    requestStop: (id, deadline) => native.requestStop(id, deadline),
    isStopped: (id) => native.isStopped(id),
    destroy(id) {
      native.destroy(id);
      created.delete(id);
      if (created.size === 0) process.off('exit', destroyAll);
    },
    stats: (id) => answer(native.stats(id)) as Record<string, number>,
  };
}

/** The engine answers in JSON; `error` in it becomes an exception. */
function answer(text: NativeText): unknown {
  const value = JSON.parse(text.string) as { error?: Failure };
  if (value.error === undefined) return value;
  const { code, message, hint } = value.error;
  throw new GyrfalconError(code, message, hint);
}
