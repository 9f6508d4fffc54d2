/** What `gyrfalcon explain` says of an app: where each request is answered, and what JavaScript is told of it. */
import {
  CHUNK_BYTES_MAX,
  CREDIT_BYTES_DEFAULT,
  REQUEST_INLINE_BYTES_MAX,
} from '../bridge/abi.gen.ts';
import type { Engine, RouteSurvey } from '../bridge/engine.ts';
import type { DirOptions, DirRoute } from '../server/dir.ts';
import { chooseMode } from '../server/mode.ts';
import { checkTableOptions, engineConfig, type ServeOptions } from '../server/options.ts';
import { type CompiledTable, compileTable } from '../server/routes.ts';
import { type FunctionSource, sourcesOf } from './source_location.ts';

/** What `gyrfalcon explain --json` prints. What there is not is null. */
export interface Explanation {
  /** Another number where a member has gone or come to mean something else; new ones leave it. */
  readonly version: 1;
  /** The app's file, as it was given. */
  readonly app: string;
  /** Where the engine's workers would run on this machine. */
  readonly mode: 'inline' | 'threads';
  readonly modeReason: string;
  /** Threads that handlers run in; 0: the main one. */
  readonly threads: number;
  /** The entries of `routes`, one for each pattern and method, in their order. */
  readonly routes: readonly ExplainedRoute[];
  /** Answers what no route takes. Null: the engine, with 404. */
  readonly fetch: ExplainedHandler | null;
  /** What asks for no path. */
  readonly unusual: Readonly<Record<'TRACE' | 'CONNECT' | 'OPTIONS *', ExplainedAnswer>>;
  /** What is likely to be a mistake, a sentence each: routes that nothing comes to, and the like. */
  readonly warnings: readonly string[];
}

/** One pattern and method. */
export interface ExplainedRoute {
  /** As the app has it. */
  readonly pattern: string;
  /** What it is compared as. */
  readonly canonical: string;
  /** Null: every method. */
  readonly method: string | null;
  readonly target: ExplainedTarget;
  /** Why no request comes to it; null: some do. */
  readonly unreachable: string | null;
  /** Patterns that take some of the requests which it would answer without them. */
  readonly yieldsTo: readonly string[];
  /** A path that is left to this pattern as far as can be: `/users/x` of `/users/:id`. */
  readonly path: string;
  /** Who answers each method there. 'other' is any method without a name of its own. */
  readonly methods: Readonly<Record<string, ExplainedAnswer>>;
}

/** What answers a request: a route, by its index in `routes`; `fetch`; or the engine, with a status. */
export type ExplainedAnswer =
  | { readonly by: 'route'; readonly route: number }
  | { readonly by: 'fetch' }
  | { readonly by: 'engine'; readonly status: number; readonly allow: string | null };

export type ExplainedTarget = ExplainedConstant | ExplainedFiles | ExplainedHandler;

/** A `Response` of the table: the engine answers it, JavaScript is not asked. */
export interface ExplainedConstant {
  readonly kind: 'constant';
  readonly status: number;
  /** Length of the content, bytes. HEAD is told so, and gets none. */
  readonly bytes: number;
  readonly contentType: string | null;
  /** The app's own. */
  readonly etag: string | null;
  /** Whether If-None-Match and the like are looked at, so that 304 can be answered. */
  readonly conditions: false;
  /** Whether Range is looked at, so that 206 can be answered. */
  readonly ranges: false;
}

/** A `dir()`: the engine answers from files, JavaScript is not asked. */
export interface ExplainedFiles {
  readonly kind: 'files';
  /** Absolute path. */
  readonly folder: string;
  /** Files that stand for a folder. */
  readonly index: readonly string[];
  /** The methods that are answered; others get 405. */
  readonly allow: string;
  /** By ETag and Last-Modified. */
  readonly conditions: true;
  /** One range of bytes. */
  readonly ranges: true;
  /** Whether `file.br` and the like are looked for. */
  readonly precompressed: false;
  /** Memory for small files, bytes; 0: none is kept. */
  readonly cacheBytes: number;
  /** Cache-Control: max-age, seconds. */
  readonly maxAge: number | null;
  readonly dotfiles: boolean;
  /** Whether a folder's path without its last slash is sent to the one with it. */
  readonly redirect: boolean;
}

/** A function: it is called for each request. */
export interface ExplainedHandler {
  readonly kind: 'javascript';
  readonly name: string | null;
  /** Absolute path. */
  readonly file: string | null;
  /** From 1. */
  readonly line: number | null;
  /** From 1. */
  readonly column: number | null;
  /** Why JavaScript is asked. */
  readonly why: string;
  /** What of a request goes to JavaScript. */
  readonly crosses: readonly ExplainedCrossing[];
  /** Whether it can make WebSockets of requests, by `server.upgrade()`. */
  readonly upgrades: boolean;
}

/** A part of a request that goes through the ring. */
export interface ExplainedCrossing {
  readonly part: 'head' | 'path' | 'query' | 'parameters' | 'body' | 'client' | 'tls' | 'upgrade';
  /** In which form, and how much of it. */
  readonly what: string;
  readonly why: string;
}

/** What is asked of an engine. */
export type ExplainingEngine = Pick<Engine, 'cpuCount' | 'inlineLack' | 'survey'>;

/** The app, as the command has loaded it. */
export interface ExplainedApp {
  /** Its file, for people. */
  readonly name: string;
  readonly options: Readonly<Record<string, unknown>>;
  /** `fetch` as its author wrote it. */
  readonly written: unknown;
}

/** How long constants may take whose bytes have to be waited for, ms. */
const patience = 1000;

const isFunction = 'a function answers it';
const isFetch = 'no route takes it, and fetch is a function';
const isUnfinished = `a Response whose body has not ended in ${patience} ms: handed out by a function until it has`;
const filesAllow = 'GET, HEAD';

/**
 * Explains an app without listening. Throws the GyrfalconError that `serve()` would throw for its options
 * and its table.
 */
export async function explain(app: ExplainedApp, engine: ExplainingEngine): Promise<Explanation> {
  const options = app.options as ServeOptions;
  const { server, threads } = engineConfig(options);
  checkTableOptions(options);
  const { mode, reason } = chooseMode(options, engine);
  const compiled = compileTable(options, 0);
  const survey = engine.survey(compiled.table);
  await settled(compiled.late);
  const explainer = new Explainer(app, compiled, survey, server.tls !== undefined);
  return {
    version: 1,
    app: app.name,
    mode,
    modeReason: reason,
    threads,
    ...explainer.explain(),
  };
}

/** A body that does not end is no reason to wait for ever. */
async function settled(late: Promise<unknown> | null): Promise<void> {
  if (late === null) return;
  let timer: NodeJS.Timeout | undefined;
  const patient = new Promise<void>((resolve) => {
    timer = setTimeout(resolve, patience);
  });
  await Promise.race([late.catch(() => {}), patient]);
  clearTimeout(timer);
}

class Explainer {
  private readonly app: ExplainedApp;
  private readonly options: ServeOptions;
  private readonly compiled: CompiledTable;
  private readonly survey: RouteSurvey;
  private readonly isSecured: boolean;
  private readonly sources: Map<unknown, FunctionSource>;
  /** By shape. */
  private readonly patterns = new Map<number, string>();

  constructor(app: ExplainedApp, compiled: CompiledTable, survey: RouteSurvey, isSecured: boolean) {
    this.app = app;
    this.options = app.options as ServeOptions;
    this.compiled = compiled;
    this.survey = survey;
    this.isSecured = isSecured;
    const { entries } = compiled.table;
    for (const [index, { shape }] of survey.rows.entries()) {
      if (!this.patterns.has(shape)) this.patterns.set(shape, entries[index]?.pattern as string);
    }
    const functions = [...entries.map((_, i) => this.valueOf(i)), app.written].filter(
      (value) => typeof value === 'function',
    );
    const sources = sourcesOf(functions);
    this.sources = new Map(functions.map((one, i) => [one, sources[i] as FunctionSource]));
  }

  explain(): Pick<Explanation, 'routes' | 'fetch' | 'unusual' | 'warnings'> {
    const targets = this.compiled.table.entries.map((_, i) => this.targetOf(i));
    const routes = targets.map((target, i) => this.routeOf(i, target, targets));
    const fetch =
      this.compiled.table.fallback === null
        ? null
        : this.handler(this.app.written ?? this.options.fetch, [], isFetch);
    return { routes, fetch, unusual: this.unusual(), warnings: routes.flatMap(warningsOf) };
  }

  /** What the app has in the place of entry `index`. */
  private valueOf(index: number): unknown {
    const { pattern, method } = this.compiled.table.entries[index] as {
      pattern: string;
      method: string | null;
    };
    const value = (this.options.routes as Record<string, unknown>)[pattern];
    return method === null ? value : (value as Record<string, unknown>)[method];
  }

  private routeOf(
    index: number,
    target: ExplainedTarget,
    targets: readonly ExplainedTarget[],
  ): ExplainedRoute {
    const { pattern, method } = this.compiled.table.entries[index] as {
      pattern: string;
      method: string | null;
    };
    const row = this.survey.rows[index] as RouteSurvey['rows'][number];
    const yieldsTo = row.after.map((shape) => this.patternOf(shape));
    return {
      pattern,
      canonical: row.pattern,
      method,
      target,
      unreachable: row.reachable ? null : unreachable(method, yieldsTo),
      yieldsTo,
      path: this.survey.shapes[row.shape]?.path as string,
      methods: this.methodsOf(row.shape, targets),
    };
  }

  /** The first that the app has of a shape. */
  private patternOf(shape: number): string {
    return this.patterns.get(shape) as string;
  }

  private methodsOf(
    shape: number,
    targets: readonly ExplainedTarget[],
  ): Record<string, ExplainedAnswer> {
    const { methods, shapes } = this.survey;
    const { answers, allow } = shapes[shape] as RouteSurvey['shapes'][number];
    const answerOf = (method: string, route: number | null): ExplainedAnswer => {
      if (route === null) return this.unrouted(405, allow);
      const isRefused =
        targets[route]?.kind === 'files' && !filesAllow.split(', ').includes(method);
      if (isRefused) return { by: 'engine', status: 405, allow: filesAllow };
      return { by: 'route', route };
    };
    return Object.fromEntries(
      methods.map((method, i) => [method, answerOf(method, answers[i] ?? null)]),
    );
  }

  private unrouted(status: number, allow: string | null): ExplainedAnswer {
    const { fallback } = this.compiled.table;
    return fallback === null ? { by: 'engine', status, allow } : { by: 'fetch' };
  }

  private unusual(): Explanation['unusual'] {
    const { trace, connect } = this.options;
    return {
      TRACE: { by: 'engine', status: trace === true ? 200 : 501, allow: null },
      CONNECT:
        connect === true ? this.unrouted(404, null) : { by: 'engine', status: 501, allow: null },
      'OPTIONS *': this.unrouted(404, null),
    };
  }

  private targetOf(index: number): ExplainedTarget {
    const { table, routes } = this.compiled;
    const target = table.targets[table.entries[index]?.target as number];
    if (target?.kind === 'constant') return constant(target);
    const value = this.valueOf(index);
    if (target?.kind === 'dir') return files(value as DirRoute);
    const names = routes[target?.route as number]?.names ?? [];
    const isOwn = typeof value === 'function';
    return this.handler(isOwn ? value : undefined, names, isOwn ? isFunction : isUnfinished);
  }

  private handler(value: unknown, names: readonly string[], why: string): ExplainedHandler {
    const source = this.sources.get(value);
    const upgrades = this.options.websocket !== undefined;
    const { file = null, line = null, column = null } = source?.location ?? {};
    const crosses = this.crossings(names, upgrades);
    const name = source?.name ?? null;
    return { kind: 'javascript', name, file, line, column, why, crosses, upgrades };
  }

  private crossings(names: readonly string[], upgrades: boolean): ExplainedCrossing[] {
    const unknown = 'what of it the handler reads is not known before it runs';
    const credit = this.options.creditBytes ?? CREDIT_BYTES_DEFAULT;
    const all: (ExplainedCrossing | false)[] = [
      { part: 'head', what: 'the request line and every field, as received', why: unknown },
      {
        part: 'path',
        what: 'in its canonical form, and as received where that is another one',
        why: 'request.url has the one, server.rawTarget() the other',
      },
      { part: 'query', what: 'where in the head it is', why: unknown },
      names.length > 0 && {
        part: 'parameters',
        what: `where in the path they are: ${names.join(', ')}`,
        why: 'the router has found them, and request.params has them',
      },
      {
        part: 'body',
        what: `up to ${REQUEST_INLINE_BYTES_MAX} bytes with the head, else in pieces of up to ${CHUNK_BYTES_MAX}; ${credit} wait at most`,
        why: unknown,
      },
      { part: 'client', what: 'address and port', why: 'server.requestIP() tells them' },
      this.isSecured && {
        part: 'tls',
        what: 'version, cipher, protocol, server name, and the certificate of the client',
        why: 'over TLS: request.tls has them',
      },
      upgrades && {
        part: 'upgrade',
        what: 'whether it asks for a WebSocket',
        why: 'the app has websocket: server.upgrade() may be called',
      },
    ];
    return all.filter((one) => one !== false);
  }
}

function constant(target: {
  status: number;
  fields: readonly string[];
  body: string;
}): ExplainedConstant {
  const fieldOf = (name: string): string | null => {
    const at = target.fields.findIndex((text, i) => i % 2 === 0 && text === name);
    return at === -1 ? null : (target.fields[at + 1] as string);
  };
  return {
    kind: 'constant',
    status: target.status,
    bytes: Buffer.from(target.body, 'base64').length,
    contentType: fieldOf('content-type'),
    etag: fieldOf('etag'),
    conditions: false,
    ranges: false,
  };
}

/** What dir() does where nothing else is said: DirOptions. */
const dirDefaults = {
  index: ['index.html'],
  cache: true,
  cacheBytes: 16 * 1024 * 1024,
  dotfiles: false,
  redirect: true,
} satisfies DirOptions;

function files({ root, options }: DirRoute): ExplainedFiles {
  const given = Object.entries(options).filter(([, value]) => value !== undefined);
  const {
    index,
    cache,
    cacheBytes,
    dotfiles,
    redirect,
    maxAge = null,
  } = {
    ...dirDefaults,
    ...(Object.fromEntries(given) as DirOptions),
  };
  return {
    kind: 'files',
    folder: root,
    index,
    allow: filesAllow,
    conditions: true,
    ranges: true,
    precompressed: false,
    cacheBytes: cache ? cacheBytes : 0,
    maxAge,
    dotfiles,
    redirect,
  };
}

function unreachable(method: string | null, yieldsTo: readonly string[]): string {
  if (method === 'TRACE') return 'TRACE is answered by the engine';
  if (method === 'CONNECT') return 'CONNECT asks for no path';
  return `${yieldsTo.join(', ')} take${yieldsTo.length === 1 ? 's' : ''} all that it would answer`;
}

function warningsOf({ pattern, method, target, unreachable }: ExplainedRoute): string[] {
  const name = `${method ?? 'every method'} of ${pattern}`;
  if (unreachable !== null) return [`${name} is never reached: ${unreachable}`];
  if (target.kind === 'files' && method !== null && !filesAllow.split(', ').includes(method)) {
    return [`${name} answers 405 always: files are there for ${filesAllow}`];
  }
  return [];
}
