import { isThenable } from '../core/thenable.ts';
import type { FormOptions } from '../fetch/multipart.ts';
import type { Request } from '../fetch/request.ts';
import { Response, responseState } from '../fetch/response.ts';
import type { ExecutionContext } from './background.ts';
import type { ProtocolError } from './protocol_error.ts';
import type { SocketHandlers } from './websocket.ts';

/** What a handler may give, and what the channel finds when it does not. */
export type HandlerResult = unknown;

/** Whether what a handler has given is still to come. A Response, which most are, is seen without a look for its `then`. */
export function isToCome(result: HandlerResult): result is PromiseLike<HandlerResult> {
  if (responseState(result) !== null) return false; // `instanceof` costs more, and is for those of the platform
  return !(result instanceof Response) && isThenable(result);
}

/** A handler with the names of its pattern's parameters. */
export interface CompiledRoute {
  readonly handler: (request: Request, server: unknown, context: ExecutionContext) => unknown;
  readonly names: readonly string[];
  /** As the program wrote it; null: it has none, as `fetch`. */
  readonly pattern: string | null;
}

/** Of a request whose route nobody knows. */
export const noRoute: CompiledRoute = { handler: () => null, names: [], pattern: null };

/** The program behind a channel: everything that reload may replace. */
export interface App {
  /** By the numbers of the route table; holes are numbers of older tables. */
  routes: readonly (CompiledRoute | undefined)[];
  /** Makes a response of what a handler threw; null: 500 and a line in the log. */
  error: ((error: unknown, request: Request) => HandlerResult) | null;
  /** Requests show the target as it was received, not the canonical path. */
  rawPaths: boolean;
  /** Hears of messages that were refused; null: nobody does. */
  protocolError: ((error: ProtocolError) => unknown) | null;
  /** What holds for forms where a handler says nothing else. */
  forms: FormOptions;
  /** Handles WebSockets; null: there are none. */
  sockets: SocketHandlers | null;
}
