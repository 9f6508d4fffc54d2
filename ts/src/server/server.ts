/**
 * What a program gives a server, and the server that its handlers are given: these types name each
 * other, so they stand in one file.
 */
import type { SocketAddress } from '../bridge/address.ts';
import type { ExecutionContext } from '../bridge/background.ts';
import type { ProtocolError } from '../bridge/protocol_error.ts';
import type { PushInit } from '../bridge/push.ts';
import type { TrailersInit } from '../bridge/trailers.ts';
import type { UpgradeOptions, WebSocketData, WebSocketHandler } from '../bridge/websocket.ts';
import type { Headers, HeadersInit } from '../fetch/headers.ts';
import type { FormOptions } from '../fetch/multipart.ts';
import type { Params, Request } from '../fetch/request.ts';
import type { Response } from '../fetch/response.ts';
import type { DirRoute } from './dir.ts';
import type { ListenPlace } from './listen.ts';
import type { TlsOption } from './tls.ts';

type Awaitable<T> = T | Promise<T>;
/** A light response, or one of the platform's. */
export type AnyResponse = Response | globalThis.Response;

type ParamNames<Path extends string> = Path extends `${infer Segment}/${infer Rest}`
  ? ParamNames<Segment> | ParamNames<Rest>
  : Path extends `:${infer Name}`
    ? Name
    : Path extends '*'
      ? '*'
      : never;

/** The parameters of a route pattern: `RouteParams<'/users/:id'>` is `{ id: string }`. */
export type RouteParams<Path extends string> = string extends Path
  ? Params
  : { [Name in ParamNames<Path>]: string };

/** Answers the requests of a route. What it throws, or rejects with, goes to `error`. */
export type Handler<Path extends string = string> = (
  request: Request<RouteParams<Path>>,
  server: Server,
  context: ExecutionContext,
) => Awaitable<HandlerAnswer>;

/** Nothing, where `server.upgrade()` has answered. */
// biome-ignore lint/suspicious/noConfusingVoidType: a handler may say just "return"
export type HandlerAnswer = AnyResponse | undefined | void;

/**
 * Methods that a route can tell apart. GET answers HEAD too, unless HEAD is there. TRACE and CONNECT ask no
 * route: they have the options `trace` and `connect`.
 */
export type RouteMethod = 'GET' | 'HEAD' | 'POST' | 'PUT' | 'DELETE' | 'OPTIONS' | 'PATCH';

/** A handler, a constant response that the engine answers by itself, or a directory. */
export type RouteTarget<Path extends string = string> = Handler<Path> | AnyResponse | DirRoute;

/** What stands beside a pattern: one target for every method, or a table of methods. */
export type RouteValue<Path extends string = string> =
  | RouteTarget<Path>
  | { [Method in RouteMethod]?: RouteTarget<Path> };

/** Patterns and what answers them: '/', '/users/:id', '/files/*'. */
export type Routes<Path extends string = string> = { [P in Path]: RouteValue<P> };

/** The options that handle: what reload() replaces, and what a module of `threads` exports. */
export interface HandlerOptions<Path extends string = string, Data = unknown> {
  /** Patterns and what answers them. */
  routes?: Routes<Path>;
  /** Answers what no route matches. @default 404 */
  fetch?: (
    request: Request,
    server: Server<Data>,
    context: ExecutionContext,
  ) => Awaitable<HandlerAnswer>;
  /**
   * WebSockets, of the requests that `server.upgrade()` was given: docs/WEBSOCKET.md. reload() takes
   * other handlers; limits stay as they were at the start.
   */
  websocket?: WebSocketHandler<Data>;
  /** Answers for a handler that threw. @default 500 and a line in the log */
  error?: (error: Error, request: Request) => Awaitable<AnyResponse>;
  /**
   * What `request.url` has of the path: its canonical form, which the router saw, or 'raw', what was
   * received, for proxies. Routes and parameters are of the canonical form always.
   *
   * @default 'canonical'
   */
  paths?: 'canonical' | 'raw';
  /**
   * Hears of messages that the engine refused by itself; not awaited. Under a flood it hears of some
   * of them, and how many it missed.
   */
  onProtocolError?: (error: ProtocolError) => unknown;
  /**
   * Limits of forms, and how their files are kept, where a call of `formData()` or `multipart()` says
   * nothing else. @default [as below](#forms)
   */
  forms?: FormOptions;
}

/** What `reload()` takes. */
export interface ReloadOptions extends HandlerOptions {
  /**
   * Other certificates, in the place of those that the server was given as `tls`, and what goes with
   * them. Without `ticketKeys` sessions are resumed as before.
   */
  tls?: TlsOption;
  /** Where places have certificates of their own: the same places, with the other ones. */
  listen?: ListenPlace | readonly ListenPlace[];
}

/** Counters of a running server since its start, and its present state. */
export type ServerStats = Readonly<Record<string, number>>;

/** How `stop` treats what is in flight. */
export interface StopOptions {
  /** Milliseconds that exchanges in flight get. @default the option shutdownTimeout */
  deadline?: number;
}

/** A running server. `Data`: what its WebSockets have as `ws.data`. */
export interface Server<Data = unknown> {
  /**
   * Where it can be reached from this machine: the first place, when it listens in several.
   * `localhost` stands for every interface. An address of one link is told without its interface,
   * which a URL cannot hold. A unix socket is `unix:///run/app.sock` or `unix:@name`.
   */
  readonly url: URL;
  /** Of the first place; 0 of a unix socket. */
  readonly port: number;
  /** Of the first place: a name as it was given, or the address; '' of a unix socket. */
  readonly hostname: string;
  /** All addresses that are listened on; those that have failed are not among them. */
  readonly addresses: readonly SocketAddress[];
  /**
   * Stops accepting, finishes what is in flight and closes what is idle. Resolves when the engine
   * has ended. `true` does not wait for what is in flight. A second call can only shorten the wait.
   */
  stop(closeActive?: boolean | StopOptions): Promise<void>;
  /**
   * Replaces routes, fetch and error while serving; requests that are being handled are not touched.
   * With `threads` the module is imported anew instead, and only `tls` and `listen` are taken.
   * Certificates are read anew, or replaced by `tls`; of a server that has some, `reload()` without
   * handlers does nothing else.
   */
  reload(options?: ReloadOptions): Promise<void>;
  /** Address of the client, or null when the request did not come from this server. */
  requestIP(request: Request | globalThis.Request): SocketAddress | null;
  /**
   * The request target as it was received (RFC 9112 §3.2), where `request.url` has the path's
   * canonical form: for signatures that are made over it. Throws GYR_REQUEST_FOREIGN.
   */
  rawTarget(request: Request | globalThis.Request): string;
  /**
   * Sends a 103 (Early Hints) response with these fields ahead of the response (RFC 8297):
   * `{ link: '</style.css>; rel=preload; as=style' }`. May be called more than once. False when
   * nothing was sent: the client speaks HTTP/1.0 or has left, the response has begun, or so much is
   * under way that hints would be in its way. Throws a TypeError for what is no field,
   * GYR_FIELD_FORBIDDEN for fields that frame a message, GYR_REQUEST_FOREIGN.
   */
  earlyHints(request: Request | globalThis.Request, fields: HeadersInit): boolean;
  /**
   * HTTP/2 server push (RFC 9113 §8.4): has a request answered that the client has not made yet, by
   * whatever answers such requests here, and the answer sent beside that of `request`. `target` is a
   * path, or a URL of the same origin. To be called before the response is complete; clients are told
   * of the push ahead of what is sent behind the call.
   *
   * True: it is on its way to the engine. False, and nothing is sent: the option `maxPushes` is 0, the
   * client speaks HTTP/1, allows no pushes or has as many as it takes, keeps refusing them, or has
   * left; `request` has had `maxPushes` beside it; `request` was pushed itself; or its response is complete. Browsers allow none: use
   * `earlyHints()` for them. `stats()` counts `pushes` and `pushesRefused`.
   *
   * Throws GYR_PUSH_INVALID for a target of another origin, another method than GET and HEAD, and
   * what is too large; a TypeError for what is no field, GYR_FIELD_FORBIDDEN for fields that frame a
   * message, GYR_REQUEST_FOREIGN.
   */
  push(request: Request | globalThis.Request, target: string | URL, init?: PushInit): boolean;
  /**
   * The trailers of the request (RFC 9110 §6.5), once its body has arrived; empty when it has none.
   * Read the body first, or have it being read: else this reads it to its end and drops it, and
   * `request.bodyUsed` is true. Rejects with an AbortError when the client leaves, with
   * GYR_BODY_UNREAD when the response is sent before, with GYR_REQUEST_FOREIGN.
   */
  requestTrailers(request: Request | globalThis.Request): Promise<Headers>;
  /**
   * Adds trailers to the response that will be given to this request: fields, or a function that is
   * called when the last byte of the body has been sent. The response then goes in chunks. They are
   * dropped, and the function is not called, where there is no place for them: for HTTP/1.0, for
   * HEAD, for status 204, 205 and 304. Throws a TypeError for what is no field, GYR_FIELD_FORBIDDEN
   * for fields that must not be trailers (RFC 9110 §6.5.1), GYR_TRAILERS_LATE, GYR_REQUEST_FOREIGN.
   * A function that fails closes the connection: the client must not take the response for whole.
   */
  responseTrailers(request: Request | globalThis.Request, fields: TrailersInit): void;
  /**
   * Makes a WebSocket of the connection that the request came over; the handler answers nothing then.
   * What is wrong with such a request (RFC 6455 §4.2), and whose page it is, the engine sees to.
   *
   * True: the request is answered, with a WebSocket of which `websocket.open` is told next, or with
   * what is wrong: 400, 403, 426. False: it does not ask for a WebSocket, came over HTTP/2, or its client has
   * left: the handler answers it.
   *
   * Throws GYR_UPGRADE_UNCONFIGURED without the option `websocket`, GYR_UPGRADE_LATE when the request
   * has been answered, GYR_WEBSOCKET_INVALID for a subprotocol that is none, a TypeError for what is no
   * field, GYR_REQUEST_FOREIGN.
   */
  upgrade(request: Request | globalThis.Request, options?: UpgradeOptions<Data>): boolean;
  /**
   * Sends a message to all WebSockets that have subscribed to `topic`, those of other threads too. At
   * most 1 MB. Who does not take what it is sent misses it.
   *
   * Its length in bytes: it is on its way. -1: so it is, behind others that wait. 0: it is not, or not
   * to all, as 4 MB wait, or as the server has stopped. What a thread publishes, and says to sockets,
   * comes in the order of the calls.
   *
   * Throws GYR_WEBSOCKET_INVALID for a topic that is no name of 1 to 128 bytes, and for more than 1 MB.
   */
  publish(topic: string, data: WebSocketData, compress?: boolean): number;
  /** Throws GYR_SERVER_STOPPED after the end. */
  stats(): ServerStats;
  /** Keeps the process running while the server does. The default. */
  ref(): void;
  /** Lets the process end although the server runs. */
  unref(): void;
  [Symbol.asyncDispose](): Promise<void>;
}
