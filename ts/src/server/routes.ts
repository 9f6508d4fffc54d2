import { inspect } from 'node:util';
import type { CompiledRoute } from '../bridge/app.ts';
import type { WebSocketHandler } from '../bridge/websocket.ts';
import { GyrfalconError } from '../core/errors.ts';
import { type Log, standardLog } from '../core/log.ts';
import { PlatformResponse } from '../fetch/originals.ts';
import { Response } from '../fetch/response.ts';
import { type ResponseParts, responseParts } from '../fetch/response_parts.ts';
import { DirRoute } from './dir.ts';
import { isProfiled, withName } from './profiled.ts';
import type { AnyResponse } from './server.ts';
import { type EngineWebSocket, engineWebSocket } from './websocket.ts';

/** The route table as the engine takes it: JSON. */
export interface EngineTable {
  entries: { pattern: string; method: string | null; target: number }[];
  targets: EngineTarget[];
  /** Target of what no pattern matches; null: 404. */
  fallback: number | null;
  /** Whether the program wants to hear of messages that are refused. */
  protocol_errors: boolean;
  /** Null: requests do not become WebSockets. */
  websocket: EngineWebSocket | null;
}

type EngineTarget =
  | { kind: 'lane'; route: number }
  | { kind: 'constant'; status: number; fields: string[]; body: string }
  | ({ kind: 'dir'; root: string } & Record<string, unknown>);

/** The part of serve()'s options that reload() replaces. */
export interface TableOptions {
  routes?: Record<string, unknown> | undefined;
  fetch?: unknown;
  onProtocolError?: unknown;
  websocket?: WebSocketHandler | undefined;
}

/** A table that was compiled: one half for the engine, the other for the channel. */
export interface CompiledTable {
  table: EngineTable;
  /** By route number; the numbers below `firstRoute` are holes. */
  routes: (CompiledRoute | undefined)[];
  /**
   * Resolves when constants whose bytes had to be waited for (the platform's own Response gives
   * them in no other way) have taken their place in `table`; null when there are none.
   */
  late: Promise<unknown> | null;
}

const profiled = isProfiled(process.execArgv, process.env.NODE_OPTIONS);

const methods: readonly string[] = [
  'GET',
  'HEAD',
  'POST',
  'PUT',
  'DELETE',
  'CONNECT',
  'OPTIONS',
  'TRACE',
  'PATCH',
];

/**
 * Compiles the table of patterns. Route numbers begin at `firstRoute`, so that requests which an
 * older table sent on their way are not taken for others.
 */
export function compileTable(
  options: TableOptions,
  firstRoute: number,
  log: Log = standardLog,
): CompiledTable {
  const compiler = new TableCompiler(firstRoute, log);
  for (const [pattern, value] of Object.entries(options.routes ?? {})) {
    compiler.addRoute(pattern, value);
  }
  compiler.addFetch(options.fetch);
  compiler.table.protocol_errors = options.onProtocolError !== undefined;
  compiler.table.websocket = engineWebSocket(options.websocket);
  if (compiler.waiting.length > 0) compiler.late = Promise.all(compiler.waiting);
  return compiler;
}

/** Whether requests get to functions, and not to constants and folders alone, which need no JavaScript. */
export function hasHandlers({
  routes = {},
  fetch,
}: Pick<TableOptions, 'routes' | 'fetch'>): boolean {
  const isFunction = (value: unknown): boolean => typeof value === 'function';
  if (isFunction(fetch)) return true;
  return Object.values(routes).some(
    (value) => isFunction(value) || (isMethodTable(value) && Object.values(value).some(isFunction)),
  );
}

class TableCompiler implements CompiledTable {
  readonly table: EngineTable = {
    entries: [],
    targets: [],
    fallback: null,
    protocol_errors: false,
    websocket: null,
  };
  readonly routes: (CompiledRoute | undefined)[];
  readonly waiting: Promise<void>[] = [];
  private readonly log: Log;
  late: Promise<unknown> | null = null;

  constructor(firstRoute: number, log: Log) {
    this.log = log;
    this.routes = new Array<CompiledRoute | undefined>(firstRoute).fill(undefined);
  }

  addRoute(pattern: string, value: unknown): void {
    if (!pattern.startsWith('/')) {
      const hint = `write "/${pattern}"`;
      throw new GyrfalconError(
        'GYR_ROUTE_PATTERN',
        `Route "${pattern}" does not begin with "/"`,
        hint,
      );
    }
    if (isMethodTable(value)) {
      const entries = Object.entries(value);
      if (entries.length === 0) throw routeValueError(pattern, value);
      for (const [method, target] of entries) {
        if (target === undefined) continue;
        this.addEntry(pattern, checkMethod(pattern, method), target);
      }
    } else {
      this.addEntry(pattern, null, value);
    }
  }

  addFetch(fetch: unknown): void {
    if (fetch === undefined || fetch === null) return;
    this.table.fallback = this.addLane(fetch as CompiledRoute['handler'], null, null);
  }

  private addEntry(pattern: string, method: string | null, value: unknown): void {
    const target = this.addTarget(pattern, method, value);
    this.table.entries.push({ pattern, method, target });
  }

  private addTarget(pattern: string, method: string | null, value: unknown): number {
    if (typeof value === 'function') {
      return this.addLane(value as CompiledRoute['handler'], pattern, method);
    }
    if (value instanceof DirRoute) return this.push(directory(pattern, value));
    if (isResponse(value))
      return this.addConstant(pattern, partsOfConstant(pattern, value, this.log));
    throw routeValueError(pattern, value);
  }

  private addConstant(pattern: string, parts: ResponseParts): number {
    const { body } = parts;
    if (body === null) return this.push(constant(parts, new Uint8Array(0)));
    if (typeof body === 'string') return this.push(constant(parts, Buffer.from(body)));
    if (body instanceof Uint8Array) return this.push(constant(parts, body));
    const bytes = new Response(body).bytes();
    const headers: [string, string][] = [];
    for (let i = 0; i < parts.fields.length; i += 2) {
      headers.push([parts.fields[i] as string, parts.fields[i + 1] as string]);
    }
    const handler = async () => new Response(await bytes, { status: parts.status, headers });
    const target = this.addLane(handler, pattern, null);
    const settled = bytes.then((whole) => {
      this.table.targets[target] = constant(parts, whole);
    });
    settled.catch(() => {}); // the handler tells it with each request
    this.waiting.push(settled);
    return target;
  }

  private addLane(
    handler: CompiledRoute['handler'],
    pattern: string | null,
    method: string | null,
  ): number {
    const names = pattern === null ? [] : paramNames(pattern);
    this.routes.push({ handler: named(handler, pattern, method), names, pattern });
    return this.push({ kind: 'lane', route: this.routes.length - 1 });
  }

  private push(target: EngineTarget): number {
    return this.table.targets.push(target) - 1;
  }
}

/** The handler, by a name that tells its route where Node.js makes profiles. */
function named(
  handler: CompiledRoute['handler'],
  pattern: string | null,
  method: string | null,
): CompiledRoute['handler'] {
  if (!profiled) return handler;
  return withName(handler, [method, pattern ?? 'fetch'].filter((part) => part !== null).join(' '));
}

function paramNames(pattern: string): readonly string[] {
  const names: string[] = [];
  for (const segment of pattern.split('/')) {
    if (segment.startsWith(':')) names.push(segment.slice(1));
    else if (segment === '*') names.push('*');
  }
  return names;
}

function isResponse(value: unknown): value is AnyResponse {
  return value instanceof Response || value instanceof PlatformResponse;
}

function isMethodTable(value: unknown): value is Record<string, unknown> {
  return (
    typeof value === 'object' &&
    value !== null &&
    !(value instanceof DirRoute) &&
    !isResponse(value)
  );
}

function checkMethod(pattern: string, method: string): string {
  if (methods.includes(method)) return method;
  const upper = method.toUpperCase();
  const hint = methods.includes(upper) ? `write ${upper}` : `methods are ${methods.join(', ')}`;
  const message = `Route "${pattern}" has an entry for "${method}", which is no method`;
  throw new GyrfalconError('GYR_ROUTE_VALUE', message, hint);
}

function routeValueError(pattern: string, value: unknown): GyrfalconError {
  return new GyrfalconError(
    'GYR_ROUTE_VALUE',
    `Route "${pattern}" is ${inspect(value, { depth: 0 })}`,
    'a route is a handler function, a Response, dir(…), or an object of these by method',
  );
}

function directory(pattern: string, { root, options }: DirRoute): EngineTarget {
  if (!pattern.endsWith('/*')) {
    const message = `Route "${pattern}" is a directory, but its pattern has no room for a path`;
    throw new GyrfalconError('GYR_ROUTE_PATTERN', message, 'end the pattern in "/*"');
  }
  const { index, cache, cacheBytes, openFiles, cacheTime, dotfiles, maxAge, redirect } = options;
  return {
    kind: 'dir',
    root,
    ...defined({
      index,
      cache,
      cache_bytes: cacheBytes,
      open_files: openFiles,
      cache_ms: cacheTime,
      dotfiles,
      max_age_s: maxAge,
      redirect,
    }),
  };
}

function defined(values: Record<string, unknown>): Record<string, unknown> {
  return Object.fromEntries(Object.entries(values).filter(([, value]) => value !== undefined));
}

function constant({ status, fields }: ResponseParts, bytes: Uint8Array): EngineTarget {
  const body = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString('base64');
  return { kind: 'constant', status, fields: [...fields], body };
}

/** The response itself stays unused: a later table may hold it again. */
function partsOfConstant(pattern: string, response: AnyResponse, log: Log): ResponseParts {
  try {
    return responseParts(response.clone() as Response, log);
  } catch (cause) {
    const message = `Route "${pattern}" is a Response that cannot be sent: ${(cause as Error).message}`;
    throw new GyrfalconError('GYR_ROUTE_CONSTANT', message, '', { cause });
  }
}
