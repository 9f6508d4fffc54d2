import { inspect } from 'node:util';
import type { ExecutionContext } from '../bridge/background.ts';
import { defaultExport } from '../loader/default_export.ts';

/** What a module gives to serve. */
export interface Shape {
  /** As `serve()` takes them. */
  readonly options: Readonly<Record<string, unknown>>;
  /** `fetch` as its author wrote it; undefined where there is none. */
  readonly written?: unknown;
  /** What the module says to another runtime, and nobody hears here: names with the runtime's. */
  readonly ignored: readonly string[];
}

/** Makes the error that says why a module cannot be served, and what would be right. */
export type Refuse = (message: string, hint: string) => Error;

const right = 'export default { fetch(request) { … } }, with routes beside it or in its place';

/** Members by which other runtimes are told something that does not bear on who is answered what. */
const foreign = new Map<string, string>();
for (const [runtime, names] of [
  ['Bun', 'idleTimeout development id static lowMemoryMode ipv6Only'],
  ['Workers', 'scheduled queue email tail tailStream trace test'],
  ['srvx', 'manual silent protocol gracefulShutdown trustProxy node bun deno serviceWorker'],
] as const) {
  for (const name of names.split(' ')) foreign.set(name, runtime);
}

/** Members without which the program would be open where its author has closed it. */
const refused: Readonly<Record<string, string>> = {
  plugins: 'plugins of srvx may guard the app: put what they do into its middleware',
};

type Fetch = (request: unknown, ...rest: unknown[]) => unknown;
type Middleware = (request: unknown, next: () => unknown) => unknown;

/**
 * What a module has to serve, in the shapes that other runtimes take: options (Bun, Deno, srvx), an
 * object of a class with a fetch method (Hono, h3), a function, one that has a fetch method (GraphQL
 * Yoga), handlers of Workers. A fetch that takes three arguments, or stands beside other handlers of
 * Workers, is called with the environment and a context; any other with the server and a context.
 *
 * @param name - what the module is called in messages
 */
export function shapeOf(
  exported: Readonly<Record<string, unknown>>,
  name: string,
  refuse: Refuse,
): Shape {
  const { onProtocolError } = exported;
  const shape = shapeOfDefault(defaultExport(exported), name, refuse);
  if (onProtocolError === undefined) return shape;
  return { ...shape, options: { onProtocolError, ...shape.options } };
}

/** The line that tells what is ignored; null when nothing is. */
export function ignoredLine(name: string, { ignored }: Shape): string | null {
  if (ignored.length === 0) return null;
  return `gyrfalcon: ${name}: ignored, as other runtimes' own: ${ignored.join(', ')}`;
}

function shapeOfDefault(app: unknown, name: string, refuse: Refuse): Shape {
  if (app === undefined) throw refuse(`${name} has no default export`, right);
  const isFunction = typeof app === 'function';
  if (!isFunction && (typeof app !== 'object' || app === null)) {
    throw refuse(`the default export of ${name} is ${inspect(app)}`, right);
  }
  const given = app as Readonly<Record<string, unknown>>;
  if (!isFunction && isPlain(given)) return shapeOfObject(given, name, refuse);
  if (typeof given.fetch === 'function') {
    return alone(given.fetch as Fetch, given);
  }
  if (isFunction && !isClass(app)) {
    return alone(app as Fetch, undefined);
  }
  const what = isFunction ? 'is a class' : 'has neither fetch nor routes';
  throw refuse(`the default export of ${name} ${what}`, right);
}

function alone(fetch: Fetch, app: unknown): Shape {
  return { options: { fetch: callable(fetch, app, false) }, written: fetch, ignored: [] };
}

function shapeOfObject(
  app: Readonly<Record<string, unknown>>,
  name: string,
  refuse: Refuse,
): Shape {
  const { fetch } = app;
  if (typeof fetch !== 'function' && app.routes === undefined) {
    throw refuse(`the default export of ${name} has neither fetch nor routes`, right);
  }
  const options: Record<string, unknown> = {};
  const ignored: string[] = [];
  let isWorkers = false;
  for (const [key, value] of Object.entries(app)) {
    const hint = refused[key];
    if (hint !== undefined && value !== undefined) {
      throw refuse(`the default export of ${name} has ${key}, which cannot be ignored`, hint);
    }
    const runtime = foreign.get(key);
    // TRACE is an option here, traces are a handler of Workers.
    if (runtime === undefined || (key === 'trace' && typeof value === 'boolean')) {
      options[key] = value;
    } else if (value !== undefined) {
      ignored.push(`${key} (${runtime})`);
      if (runtime === 'Workers') isWorkers = true;
    }
  }
  takePort(options);
  if (typeof fetch === 'function') options.fetch = callable(fetch as Fetch, app, isWorkers);
  takeMiddleware(options, name, refuse);
  return { options, ...(typeof fetch === 'function' ? { written: fetch } : {}), ignored };
}

/** Environment variables are text, and other runtimes take a port as such. */
function takePort(options: Record<string, unknown>): void {
  if (typeof options.port === 'string' && /^\d{1,5}$/.test(options.port)) {
    options.port = Number(options.port);
  }
}

/** Puts srvx's middleware around fetch. */
function takeMiddleware(options: Record<string, unknown>, name: string, refuse: Refuse): void {
  const { middleware, ...rest } = options;
  if (middleware === undefined) return;
  const isList = Array.isArray(middleware) && middleware.every((one) => typeof one === 'function');
  if (!isList) {
    const message = `middleware in the default export of ${name} is ${inspect(middleware)}`;
    throw refuse(message, 'it must be an array of functions (request, next) => Response');
  }
  if (rest.routes !== undefined || typeof rest.fetch !== 'function') {
    const message = `the default export of ${name} has middleware and not fetch alone`;
    throw refuse(message, 'middleware runs around fetch: routes would be answered without it');
  }
  options.fetch = around(middleware as Middleware[], rest.fetch as Fetch);
  delete options.middleware;
}

function around(middleware: readonly Middleware[], fetch: Fetch): Fetch {
  return (request, ...rest) => {
    const call = (i: number): unknown => {
      const one = middleware[i];
      return one === undefined ? fetch(request, ...rest) : one(request, () => call(i + 1));
    };
    return call(0);
  };
}

/** `fetch` with the `this` and the arguments that its author expects. */
function callable(fetch: Fetch, app: unknown, isWorkers: boolean): Fetch {
  if (!isWorkers && fetch.length < 3) return fetch.bind(app);
  return (request, _server, context) =>
    fetch.call(app, request, process.env, context as ExecutionContext);
}

function isPlain(value: object): boolean {
  const prototype: unknown = Object.getPrototypeOf(value);
  return prototype === Object.prototype || prototype === null;
}

function isClass(value: unknown): boolean {
  return /^class\b/.test(Function.prototype.toString.call(value));
}
