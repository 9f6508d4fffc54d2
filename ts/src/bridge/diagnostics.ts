/**
 * What a program, or a tool that watches it, may hear of its requests by `node:diagnostics_channel`. Where nobody listens
 * that costs a look at a flag for each event. docs/DIAGNOSTICS.md names the channels for their users.
 */
import { channel, tracingChannel } from 'node:diagnostics_channel';
import { isThenable } from '../core/thenable.ts';
import type { Request } from '../fetch/request.ts';
import { Response } from '../fetch/response.ts';
import type { CompiledRoute } from './app.ts';
import type { ExecutionContext } from './background.ts';
import type { ServerWebSocket } from './websocket.ts';

/** What is told of a request on any channel. `request` is the same object in everything that is told of it. */
export interface RequestMessage {
  /** As the handler has it. */
  readonly request: Request;
  /** The server, as the handler has it. */
  readonly server: unknown;
  /** The pattern of the route that handles it; null: `fetch` does. */
  readonly route: string | null;
}

/** What is told of the call of a handler: one object for all events of `tracing:gyrfalcon.request`. */
export interface HandlerMessage extends RequestMessage {
  /** What the handler has given, or what its promise has; absent before that, and where it failed. */
  result?: unknown;
  /** What the handler has thrown, or its promise was rejected with. */
  error?: unknown;
}

/** What `gyrfalcon.response.start` tells. */
export interface ResponseStartMessage extends RequestMessage {
  /** 500 where the engine answers with its own page. */
  readonly status: number;
}

/** What `gyrfalcon.response.finish` tells. */
export interface ResponseFinishMessage extends RequestMessage {
  /** False: the body's stream failed, and the client is told that the response is cut. */
  readonly complete: boolean;
}

/** What `gyrfalcon.websocket.open` tells. */
export interface SocketMessage {
  readonly socket: ServerWebSocket<unknown>;
}

/** What `gyrfalcon.websocket.close` tells. */
export interface SocketCloseMessage extends SocketMessage {
  /** RFC 6455 §7.4; 1006: the connection was lost. */
  readonly code: number;
  readonly reason: string;
}

/** What is looked at of an exchange. */
interface ToldOf {
  /** Null: only a defect could have brought it. Nothing is told of it. */
  readonly request: Request | null;
  readonly channel: { readonly server: unknown };
  readonly route: CompiledRoute;
}

const handling = tracingChannel<unknown, HandlerMessage>('gyrfalcon.request');
const responseStart = channel('gyrfalcon.response.start');
const responseFinish = channel('gyrfalcon.response.finish');
const requestAbort = channel('gyrfalcon.request.abort');
const socketOpen = channel('gyrfalcon.websocket.open');
const socketClose = channel('gyrfalcon.websocket.close');

/** Whether somebody hears how handlers are called. */
export function isTraced(): boolean {
  const { start, end, asyncStart, asyncEnd, error } = handling;
  return (
    start.hasSubscribers ||
    end.hasSubscribers ||
    asyncStart.hasSubscribers ||
    asyncEnd.hasSubscribers ||
    error.hasSubscribers
  );
}

/** Calls a handler and tells of it, in the order of `TracingChannel.tracePromise`; a Response is not made a promise. */
export function trace(exchange: ToldOf, request: Request, context: ExecutionContext): unknown {
  const { start, end, asyncStart, asyncEnd, error } = handling;
  const message: HandlerMessage = messageOf(exchange);
  const failed = (cause: unknown): never => {
    message.error = cause;
    error.publish(message);
    throw cause;
  };
  const settled = (): void => {
    asyncStart.publish(message);
    asyncEnd.publish(message);
  };
  const call = (): unknown => {
    const result = exchange.route.handler(request, exchange.channel.server, context);
    if (result instanceof Response || !isThenable(result)) {
      message.result = result;
      return result;
    }
    return Promise.resolve(result)
      .then((value) => {
        message.result = value;
        return value;
      }, failed)
      .finally(settled);
  };
  return start.runStores(message, () => {
    try {
      return call();
    } catch (cause) {
      return failed(cause);
    } finally {
      end.publish(message);
    }
  });
}

/** The head of a response has been handed to the engine, with this status. */
export function tellResponse(exchange: ToldOf, status: number): void {
  if (!responseStart.hasSubscribers || exchange.request === null) return;
  responseStart.publish({ ...messageOf(exchange), status } satisfies ResponseStartMessage);
}

/** All of a response has been handed to the engine, or as much of it as there will be. */
export function tellFinish(exchange: ToldOf, complete: boolean): void {
  if (!responseFinish.hasSubscribers || exchange.request === null) return;
  responseFinish.publish({ ...messageOf(exchange), complete } satisfies ResponseFinishMessage);
}

/** The client has gone, or the engine has given the request up, before the response was handed over. */
export function tellAbort(exchange: ToldOf): void {
  if (requestAbort.hasSubscribers && exchange.request !== null)
    requestAbort.publish(messageOf(exchange));
}

export function tellSocketOpen(socket: ServerWebSocket<unknown>): void {
  if (socketOpen.hasSubscribers) socketOpen.publish({ socket } satisfies SocketMessage);
}

export function tellSocketClose(
  socket: ServerWebSocket<unknown>,
  code: number,
  reason: string,
): void {
  if (!socketClose.hasSubscribers) return;
  socketClose.publish({ socket, code, reason } satisfies SocketCloseMessage);
}

function messageOf({ request, channel: { server }, route }: ToldOf): RequestMessage {
  return { request: request as Request, server, route: route.pattern };
}
