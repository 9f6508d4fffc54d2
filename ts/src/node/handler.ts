import type { IncomingMessage, ServerResponse } from 'node:http';
import { inspect } from 'node:util';
import { Exchange } from '../bridge/exchange.ts';
import { GyrfalconError } from '../core/errors.ts';
import { type Request, sourceOf } from '../fetch/request.ts';
import type { Response } from '../fetch/response.ts';
import { isThenable, Reply, type ReplyErrorHandler } from './reply.ts';
import { UpgradeReply, upgradeListeners } from './upgrade.ts';

/** What takes requests of node:http: an Express or connect application is one. */
export type NodeListener = (req: IncomingMessage, res: ServerResponse) => unknown;

/**
 * A program for node:http: a function of `req` and `res` (Express, connect, `koa.callback()`), a
 * Fastify instance, a Koa or Nest application, or an `http.Server`, whose 'request' listeners are
 * called.
 */
export type NodeApp =
  | NodeListener
  | { emit(event: 'request', req: IncomingMessage, res: ServerResponse): boolean; listen: unknown }
  | { routing: NodeListener; ready(): unknown }
  | { callback(): NodeListener }
  | { getHttpAdapter(): { getInstance(): unknown }; init(): Promise<unknown> };

/** The second argument of `nodeHandler`. */
export interface NodeHandlerOptions {
  /**
   * Hears of what the program throws or rejects with, and may answer by `res`.
   *
   * @default it goes to the option error of serve(), else to a 500 and a line in the log
   */
  onError?: (error: unknown, req: IncomingMessage, res: ServerResponse) => unknown;
}

/** Answers requests as `fetch` and routes of serve() do. */
export type NodeHandler = (
  request: Request | globalThis.Request,
  ...rest: unknown[]
) => Response | Promise<Response | undefined>;

/**
 * A fetch handler that runs a program for node:http as it is. `req` and `res` are Node's own
 * `IncomingMessage` and `ServerResponse`; what they send goes to the engine. `req.socket` tells of the
 * client and can be destroyed; it carries no bytes.
 *
 * A request that asks for a WebSocket goes to 'upgrade' listeners, where an `http.Server` has some, or the
 * one of Fastify or Nest: `WebSocketServer` of 'gyrfalcon/ws' is one.
 *
 * Throws a GyrfalconError with GYR_NODE_APP for what is no such program.
 *
 * @example
 * import express from 'express';
 * import { serve } from 'gyrfalcon';
 * import { nodeHandler } from 'gyrfalcon/node';
 *
 * const app = express();
 * app.get('/', (req, res) => res.send('Hello'));
 * serve({ port: 3000, fetch: nodeHandler(app) });
 */
export function nodeHandler(app: NodeApp, options: NodeHandlerOptions = {}): NodeHandler {
  const onError = (options.onError ?? null) as ReplyErrorHandler | null;
  if (onError !== null && typeof onError !== 'function') {
    throw new GyrfalconError('GYR_NODE_APP', `Option onError is ${inspect(onError)}`, 'a function');
  }
  const prepared = prepare(app);
  if (typeof prepared === 'function') {
    return (request) => upgraded(app, request) ?? run(prepared, request, onError);
  }
  let listener: NodeListener | null = null;
  const ready = prepared.then((found) => {
    listener = found;
  });
  ready.catch(() => {}); // each request tells it
  return (request) => {
    if (listener !== null) return upgraded(app, request) ?? run(listener, request, onError);
    return ready.then(
      () => upgraded(app, request) ?? run(listener as NodeListener, request, onError),
    );
  };
}

/** As Node.js: who asks for an upgrade goes to the listeners for that, where there are any. */
function upgraded(
  app: NodeApp,
  request: Request | globalThis.Request,
): Promise<Response | undefined> | null {
  const source = sourceOf(request);
  if (!(source instanceof Exchange) || !source.asksUpgrade) return null;
  const listeners = upgradeListeners(app);
  return listeners === null ? null : new UpgradeReply(request, source).answer(listeners);
}

function run(
  listener: NodeListener,
  request: Request | globalThis.Request,
  onError: ReplyErrorHandler | null,
): Response | Promise<Response> {
  const source = sourceOf(request);
  const reply = new Reply(request, source instanceof Exchange ? source : null, onError);
  try {
    const result = listener(reply.req, reply.res);
    if (isThenable(result)) result.then(undefined, (error: unknown) => reply.fail(error));
  } catch (error) {
    reply.fail(error);
  }
  return reply.answer();
}

/** The listener of a program; of one that has to be made ready, when it is. */
function prepare(app: unknown): NodeListener | Promise<NodeListener> {
  if (typeof app === 'function') return app as NodeListener;
  const given = (app ?? {}) as Record<
    'routing' | 'callback' | 'getHttpAdapter' | 'emit' | 'listen',
    unknown
  >;
  // Nest's is a proxy that shows the methods of its adapter too.
  if (typeof given.getHttpAdapter === 'function') return readyNest(app as Nest);
  if (typeof given.routing === 'function') return readyFastify(app as Fastify);
  if (typeof given.callback === 'function') return given.callback.call(app) as NodeListener;
  if (typeof given.emit === 'function' && typeof given.listen === 'function') {
    return listenerOfServer(app as HttpServer);
  }
  const hint = 'a function (req, res), an http.Server, or an application of Fastify, Koa or Nest';
  throw new GyrfalconError(
    'GYR_NODE_APP',
    `nodeHandler() was given ${inspect(app, { depth: 0 })}`,
    hint,
  );
}

type Fastify = Extract<NodeApp, { routing: unknown }>;
type Nest = Extract<NodeApp, { init: unknown }>;
interface HttpServer {
  emit(event: string, req: IncomingMessage, res: ServerResponse): boolean;
  listenerCount(event: string): number;
}

async function readyFastify(app: Fastify): Promise<NodeListener> {
  await app.ready();
  return app.routing;
}

async function readyNest(app: Nest): Promise<NodeListener> {
  await app.init();
  return prepare(app.getHttpAdapter().getInstance());
}

/** As Node.js: who listens for 'checkContinue' decides of requests that expect it (RFC 9110 §10.1.1). */
function listenerOfServer(server: HttpServer): NodeListener {
  return (req, res) => {
    const expects = req.headers.expect !== undefined && /^100-continue$/i.test(req.headers.expect);
    const event =
      expects && server.listenerCount('checkContinue') > 0 ? 'checkContinue' : 'request';
    if (server.emit(event, req, res)) return;
    res.statusCode = 404;
    res.end();
  };
}
