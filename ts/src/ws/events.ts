import type { EventEmitter } from 'node:events';

/** What listeners of `addEventListener` and `onmessage` get. */
export interface SocketEvent {
  readonly type: 'open' | 'message' | 'close' | 'error';
  readonly target: EventEmitter;
  /** Of a message: a string, or what `binaryType` asks for. */
  readonly data?: unknown;
  /** Of the end. */
  readonly code?: number;
  readonly reason?: string;
  readonly wasClean?: boolean;
  /** Of an error. */
  readonly error?: Error;
  readonly message?: string;
}

export type SocketListener = (event: SocketEvent) => unknown;
type AnyListener = SocketListener | { handleEvent: SocketListener };
type EventName = SocketEvent['type'];

const names: readonly string[] = ['open', 'message', 'close', 'error'];

interface Wrapped {
  (...args: never[]): void;
  /** Not `listener`: emitters look for that. */
  inner: AnyListener;
  isAttribute: boolean;
}

/** Listeners in the shape of the DOM, on an emitter in that of Node.js: ws has both. */
export function addListener(
  ws: EventEmitter,
  type: string,
  listener: AnyListener,
  { once = false, isAttribute = false } = {},
): void {
  if (!names.includes(type) || find(ws, type, listener, isAttribute) !== undefined) return;
  const wrapped = Object.assign(
    (...args: unknown[]) => {
      const event = eventOf(ws, type as EventName, args);
      if (typeof listener === 'function') listener.call(ws, event);
      else listener.handleEvent(event);
    },
    { inner: listener, isAttribute },
  );
  if (once) ws.once(type, wrapped);
  else ws.on(type, wrapped);
}

export function removeListener(ws: EventEmitter, type: string, listener: AnyListener): void {
  const found = find(ws, type, listener, false);
  if (found !== undefined) ws.removeListener(type, found as never);
}

/** What `ws.onmessage` and its like are. */
export function attribute(ws: EventEmitter, type: string): SocketListener | null {
  const found = ws.listeners(type).find((one) => (one as unknown as Wrapped).isAttribute);
  return ((found as unknown as Wrapped | undefined)?.inner as SocketListener) ?? null;
}

export function setAttribute(
  ws: EventEmitter,
  type: string,
  listener: SocketListener | null,
): void {
  for (const one of ws.listeners(type)) {
    if ((one as unknown as Wrapped).isAttribute) ws.removeListener(type, one as never);
  }
  if (typeof listener === 'function') addListener(ws, type, listener, { isAttribute: true });
}

function find(
  ws: EventEmitter,
  type: string,
  listener: AnyListener,
  isAttribute: boolean,
): unknown {
  return ws.rawListeners(type).find((raw) => {
    // That of `once` has what it calls as its `listener`.
    const one = ((raw as { listener?: unknown }).listener ?? raw) as Partial<Wrapped>;
    return one.inner === listener && one.isAttribute === isAttribute;
  });
}

function eventOf(target: EventEmitter, type: EventName, args: unknown[]): SocketEvent {
  if (type === 'message') {
    const [data, isBinary] = args as [Buffer, boolean];
    return { type, target, data: isBinary ? data : data.toString() };
  }
  if (type === 'close') {
    const [code, reason] = args as [number, Buffer];
    return { type, target, code, reason: reason.toString(), wasClean: code !== 1006 };
  }
  if (type === 'error') {
    const [error] = args as [Error];
    return { type, target, error, message: error.message };
  }
  return { type, target };
}
