import { AsyncResource } from 'node:async_hooks';
import { writeSync } from 'node:fs';
import { connect, Socket } from 'node:net';
import { GyrfalconError } from '../core/errors.ts';
import type { Engine, EngineId } from './engine.ts';
import type { Block } from './lane.ts';

/** Wakes this thread when the engine has something for it, and wakes the engine. */
export interface Doorbell {
  /** `ring` is called soon after the engine rang, once for any number of rings. */
  open(ring: () => void): void;
  /** Wakes the worker whose bell has this number. */
  wake(bell: number): void;
  close(): void;
  /** Whether the doorbell alone keeps the process running. */
  ref(): void;
  unref(): void;
}

/** The doorbell of a JS thread that a worker of an inline engine is to run on, which is attached here. */
export function openInlineDoorbell(engine: Engine, id: EngineId, thread: number): InlineDoorbell {
  const end = engine.attach(id, thread);
  if ('fd' in end) return new InlineDoorbell(end.fd);
  throw new GyrfalconError('GYR_ENGINE_FAILED', 'The engine runs inline, and has no descriptor');
}

/** The doorbell of a JS thread, which is attached to the engine here: of the kind that the system has. */
export function openDoorbell(engine: Engine, id: EngineId, thread: number): Doorbell {
  const end = engine.attach(id, thread);
  const ring = (bell: number) => engine.ring(bell);
  if (!('fd' in end)) return new NamedPipeDoorbell(end.path, ring);
  // Not by their globals, which programs may have for themselves.
  const { bun, deno } = process.versions as { bun?: string; deno?: string };
  if (bun !== undefined) {
    const { Bun: files } = globalThis as unknown as { Bun: BunFiles };
    return new BunDoorbell(files, end.fd, ring);
  }
  return deno === undefined ? new PipeDoorbell(end.fd) : new DenoDoorbell(end.fd, ring);
}

/** The end that is read. What the bytes are does not matter. */
abstract class SocketDoorbell {
  protected socket: Socket | null = null;

  /** The options of a socket that calls `ring` for whatever it reads, without an event or a buffer for each. */
  protected reading(ring: () => void): object {
    const callback = () => {
      ring();
      return true;
    };
    return { onread: { buffer: Buffer.allocUnsafe(64), callback } };
  }

  close(): void {
    this.socket?.destroy();
    this.socket = null;
  }

  ref(): void {
    this.socket?.ref();
  }

  unref(): void {
    this.socket?.unref();
  }
}

/** An eventfd takes a count of eight bytes; a pipe takes them as rings. */
const one = new Uint8Array(new BigUint64Array([1n]).buffer);

/** The reading end of a pipe that the engine writes to. It takes the descriptor over. Bells are descriptors too. */
export class PipeDoorbell extends SocketDoorbell implements Doorbell {
  private readonly fd: number;

  constructor(fd: number) {
    super();
    this.fd = fd;
  }

  open(ring: () => void): void {
    // `onread` belongs to connect()'s options in the types; the constructor takes it as well.
    const options = { fd: this.fd, readable: true, writable: false, ...this.reading(ring) };
    this.socket = new Socket(options as ConstructorParameters<typeof Socket>[0]);
    // The engine closes its end when the thread is detached: nothing more will come.
    this.socket.on('error', () => this.close());
    this.socket.resume();
  }

  wake(bell: number): void {
    writeSync(bell, one);
  }
}

/** The pipe's reading end in Deno, whose node:fs writes to no descriptor that it has not opened itself. */
export class DenoDoorbell extends PipeDoorbell {
  override readonly wake: (bell: number) => void;

  constructor(fd: number, wake: (bell: number) => void) {
    super(fd);
    this.wake = wake;
  }
}

/** What of Bun reads a pipe whose descriptor is at hand: its node:net does not. */
interface BunFiles {
  file(fd: number): { stream(): ReadableStream<Uint8Array> };
}

/** The pipe's reading end in Bun. */
export class BunDoorbell implements Doorbell {
  readonly wake: (bell: number) => void;
  private readonly reader: ReadableStreamDefaultReader<Uint8Array>;
  /** Bun waits for a timer, and for no stream of a descriptor's. */
  private readonly keeping: NodeJS.Timeout;

  constructor(bun: BunFiles, fd: number, wake: (bell: number) => void) {
    this.reader = bun.file(fd).stream().getReader();
    this.wake = wake;
    this.keeping = setInterval(() => {}, 2 ** 30);
  }

  open(ring: () => void): void {
    const next = (): void => {
      this.reader.read().then(
        ({ done }) => {
          if (done) return this.close();
          try {
            ring();
          } finally {
            next(); // what is thrown ends a turn, and not all of them
          }
        },
        () => this.close(), // nothing more will come
      );
    };
    next();
  }

  close(): void {
    clearInterval(this.keeping);
    this.reader.cancel().catch(() => {}); // it has ended by itself
  }

  ref(): void {
    this.keeping.ref();
  }

  unref(): void {
    this.keeping.unref();
  }
}

/**
 * Of a thread that a worker of the engine runs on too, once `watch` is called: neither wakes the other, they call one
 * another. The pipe stays, for what other threads of the engine tell, and to keep the process running.
 */
export class InlineDoorbell extends PipeDoorbell {
  private ring = () => {};
  private answer: (() => void) | null = null;
  /** Of the worker that runs here. */
  private ownBell = -1;

  override open(ring: () => void): void {
    super.open(ring);
    // As with the pipe: in the context that the channel was made in.
    const home = new AsyncResource('GYRFALCON_CHANNEL');
    this.ring = () => home.runInAsyncScope(ring);
  }

  /** After the engine's start: `worker` runs here from now on. */
  watch(engine: Engine, id: EngineId, block: Block, worker: number): void {
    this.ownBell = block.bell(worker);
    this.answer = engine.watch(id, worker, this.ring);
  }

  override wake(bell: number): void {
    if (this.answer === null || bell !== this.ownBell) super.wake(bell);
    else this.answer();
  }
}

/**
 * A named pipe of Windows, where descriptors belong to one C library of several in the process, and a bell is rung by a
 * call of the engine.
 */
export class NamedPipeDoorbell extends SocketDoorbell implements Doorbell {
  private readonly path: string;
  readonly wake: (bell: number) => void;

  constructor(path: string, wake: (bell: number) => void) {
    super();
    this.path = path;
    this.wake = wake;
  }

  open(ring: () => void): void {
    let connected = false;
    const options = { path: this.path, ...this.reading(ring) };
    this.socket = connect(options as Parameters<typeof connect>[0] & object);
    this.socket.on('connect', () => {
      connected = true;
      ring(); // what the engine rang for before went nowhere
    });
    // As above, but that a server whose engine cannot reach it must not seem to run.
    this.socket.on('error', (cause) => {
      this.close();
      if (!connected) throw unreachable(cause);
    });
  }
}

function unreachable(cause: Error): GyrfalconError {
  const message = 'The pipe by which the engine wakes this thread cannot be opened';
  return new GyrfalconError('GYR_THREAD', message, 'start the server anew', { cause });
}
