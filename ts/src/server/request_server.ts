import type { SocketAddress } from '../bridge/address.ts';
import { Exchange, PHASE_DONE } from '../bridge/exchange.ts';
import { type PushInit, pushRecord } from '../bridge/push.ts';
import { hintFields, type TrailersInit } from '../bridge/trailers.ts';
import { pendingSocket } from '../bridge/upgrade.ts';
import type { UpgradeOptions } from '../bridge/websocket.ts';
import { GyrfalconError } from '../core/errors.ts';
import type { Headers, HeadersInit } from '../fetch/headers.ts';
import { dropBody, type Request, sourceOf } from '../fetch/request.ts';

/** The parts of `Server` that concern one request, wherever its handlers run. */
export abstract class RequestServer {
  requestIP(request: Request | globalThis.Request): SocketAddress | null {
    const source = sourceOf(request);
    return source instanceof Exchange ? source.peer() : null;
  }

  upgrade(request: Request | globalThis.Request, options: UpgradeOptions = {}): boolean {
    const exchange = this.exchangeOf(request, 'upgrade');
    const handlers = exchange.channel.app.sockets;
    if (handlers === null) {
      const message = 'server.upgrade() was called, and there is no websocket';
      const hint = 'websocket: { message(ws, message) { … } } beside fetch';
      throw new GyrfalconError('GYR_UPGRADE_UNCONFIGURED', message, hint);
    }
    if (exchange.phase === PHASE_DONE || exchange.outgoing !== null) {
      const message = 'server.upgrade() was called for a request that has been answered';
      throw new GyrfalconError('GYR_UPGRADE_LATE', message, 'once, before the handler returns');
    }
    if (!exchange.asksUpgrade) return false;
    const pending = pendingSocket(exchange, handlers, options); // throws for what is wrong
    if (exchange.isAborted) return false;
    exchange.channel.upgrade(exchange, pending);
    return true;
  }

  rawTarget(request: Request | globalThis.Request): string {
    return this.exchangeOf(request, 'rawTarget').rawTarget;
  }

  earlyHints(request: Request | globalThis.Request, fields: HeadersInit): boolean {
    const exchange = this.exchangeOf(request, 'earlyHints');
    return exchange.channel.hint(exchange, hintFields(fields));
  }

  push(request: Request | globalThis.Request, target: string | URL, init: PushInit = {}): boolean {
    const exchange = this.exchangeOf(request, 'push');
    // Also where nothing can be pushed: what is wrong with it is to show with every client.
    const { url } = exchange.request as Request;
    const record = pushRecord(exchange, url, target, init);
    return record !== null && exchange.channel.promise(exchange, record);
  }

  requestTrailers(request: Request | globalThis.Request): Promise<Headers> {
    try {
      const exchange = this.exchangeOf(request, 'requestTrailers');
      dropBody(exchange.request as Request);
      return exchange.openTrailers().ofRequest;
    } catch (error) {
      const rejected = Promise.reject(error);
      rejected.catch(() => {}); // where nobody waits for it, that ends no process
      return rejected;
    }
  }

  responseTrailers(request: Request | globalThis.Request, fields: TrailersInit): void {
    const exchange = this.exchangeOf(request, 'responseTrailers');
    if (exchange.phase === PHASE_DONE || exchange.outgoing !== null) {
      const hint = 'declare them before the handler returns; a function makes them later';
      const message = 'Trailers were declared after the response had been given';
      throw new GyrfalconError('GYR_TRAILERS_LATE', message, hint);
    }
    // Also when the client has left: what is wrong with the fields is to show at once.
    exchange.openTrailers().declare(fields);
  }

  private exchangeOf(request: unknown, method: string): Exchange {
    const source = sourceOf(request);
    if (source instanceof Exchange && source.channel.server === this) return source;
    const hint = 'it takes the request that the handler got, no copy, on the server beside it';
    const message = `server.${method}() was given a request that did not come to this server`;
    throw new GyrfalconError('GYR_REQUEST_FOREIGN', message, hint);
  }
}
