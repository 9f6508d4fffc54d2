import { AsyncResource } from 'node:async_hooks';
import { EventEmitter } from 'node:events';
import { GyrfalconError } from '../core/errors.ts';
import type { HeaderList } from '../fetch/headers.ts';
import type { RequestRuntime } from '../fetch/request.ts';
import type { SocketAddress } from './address.ts';
import { hintFields } from './trailers.ts';

/** What this needs of an exchange. */
export interface RuntimeExchange {
  readonly method: string;
  readonly target: string;
  readonly httpVersion: string;
  readonly ip: string | undefined;
  /** The connection is one over TLS. */
  readonly isSecure: boolean;
  /** A response has been given. */
  readonly isAnswered: boolean;
  /** All of it has been handed to the engine. */
  readonly isDone: boolean;
  /** The client has gone, or the engine has given it up. */
  readonly isAborted: boolean;
  peer(): SocketAddress | null;
  header(lowerName: string): string | null;
  headerPairs(): [string, string][];
  /** Sends an interim response; false when it went nowhere. */
  hint(fields: HeaderList): boolean;
}

/** Values as Node.js's `writeEarlyHints` takes them. */
type Hints = Record<string, string | readonly string[]>;

/** What frameworks find that look for Node.js's objects beside a Fetch request. */
export class NodeRuntime implements RequestRuntime {
  readonly name = 'gyrfalcon';
  readonly node: RequestRuntime['node'];
  private readonly response: NodeResponseView;

  constructor(exchange: RuntimeExchange) {
    this.response = new NodeResponseView(exchange);
    const views = { req: new NodeRequestView(exchange), res: this.response };
    this.node = views as unknown as RequestRuntime['node']; // the part of them that is looked at
  }

  /** The exchange has ended. */
  close(): void {
    this.response.announceClose();
  }
}

/** The head of a request, as node:http shows it. */
class NodeRequestView {
  readonly method: string;
  /** The target; frameworks assign to it. */
  url: string;
  readonly httpVersion: string;
  readonly socket: { remoteAddress: string | undefined; remotePort: number; encrypted: boolean };
  private readonly exchange: RuntimeExchange;

  constructor(exchange: RuntimeExchange) {
    this.exchange = exchange;
    this.method = exchange.method;
    this.url = exchange.target;
    this.httpVersion = exchange.httpVersion;
    const { ip, isSecure } = exchange;
    const remotePort = exchange.peer()?.port ?? 0;
    this.socket = { remoteAddress: ip, remotePort, encrypted: isSecure };
  }

  get headers(): Record<string, string> {
    const headers: Record<string, string> = {};
    for (const [name] of this.exchange.headerPairs()) {
      headers[name] = this.exchange.header(name) as string;
    }
    return headers;
  }
}

/** Hints, and the end of a response. Answers are the handler's to return. */
class NodeResponseView extends EventEmitter {
  private readonly exchange: RuntimeExchange;
  private readonly scope = new AsyncResource('GYRFALCON_RUNTIME');

  constructor(exchange: RuntimeExchange) {
    super();
    this.exchange = exchange;
  }

  writeEarlyHints(hints: Hints, callback?: () => void): void {
    const pairs: [string, string][] = [];
    for (const [name, value] of Object.entries(hints)) {
      for (const one of typeof value === 'string' ? [value] : value) pairs.push([name, one]);
    }
    this.exchange.hint(hintFields(pairs));
    if (callback !== undefined) process.nextTick(callback);
  }

  get closed(): boolean {
    return this.exchange.isDone || this.exchange.isAborted;
  }

  get destroyed(): boolean {
    return this.closed;
  }

  get writableEnded(): boolean {
    return this.exchange.isDone;
  }

  get writableFinished(): boolean {
    return this.writableEnded;
  }

  get headersSent(): boolean {
    return this.exchange.isAnswered;
  }

  get errored(): Error | null {
    return this.exchange.isAborted ? new Error('The client has gone away') : null;
  }

  setHeader(): never {
    throw noAnswer();
  }

  writeHead(): never {
    throw noAnswer();
  }

  write(): never {
    throw noAnswer();
  }

  end(): never {
    throw noAnswer();
  }

  /** Calls those who listen for the end, behind what runs now and in a context of its own. */
  announceClose(): void {
    setImmediate(() => this.scope.runInAsyncScope(this.emit, this, 'close'));
  }
}

function noAnswer(): GyrfalconError {
  const hint = 'what is written for node:http runs by nodeHandler() of gyrfalcon/node';
  const message = "A request was answered through Node.js's response, which is not there";
  return new GyrfalconError('GYR_NODE_RESPONSE', message, hint);
}
