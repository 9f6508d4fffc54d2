import { writeSync } from 'node:fs';
import { Socket } from 'node:net';

/** Wakes this thread when the engine has something for it, and wakes the engine. */
export interface Doorbell {
  /** `ring` is called soon after the engine rang, once for any number of rings. */
  open(ring: () => void): void;
  /** Wakes the worker behind descriptor `fd`. */
  wake(fd: number): void;
  close(): void;
  /** Whether the doorbell alone keeps the process running. */
  ref(): void;
  unref(): void;
}

/** An eventfd takes a count of eight bytes. */
const one = new Uint8Array(new BigUint64Array([1n]).buffer);

/** The reading end of a pipe that the engine writes to. It takes the descriptor over. */
export class PipeDoorbell implements Doorbell {
  private readonly fd: number;
  private socket: Socket | null = null;

  constructor(fd: number) {
    this.fd = fd;
  }

  open(ring: () => void): void {
    const buffer = Buffer.allocUnsafe(64);
    const onread = {
      buffer,
      callback: () => {
        ring();
        return true;
      },
    };
    // `onread` belongs to connect()'s options in the types; the constructor takes it as well.
    const options = { fd: this.fd, readable: true, writable: false, onread };
    this.socket = new Socket(options as ConstructorParameters<typeof Socket>[0]);
    // The engine closes its end when the thread is detached: nothing more will come.
    this.socket.on('error', () => this.close());
    this.socket.resume();
  }

  wake(fd: number): void {
    writeSync(fd, one);
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
