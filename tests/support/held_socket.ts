/** A listening socket that a program is started with, as by a service manager. */
import { spawnSync } from 'node:child_process';
import type { AddressInfo } from 'node:net';
import * as assert from 'uvu/assert';

/** A bound socket of Node.js's own, which it does not wait on. */
interface TcpHandle {
  readonly fd: number;
  bind(address: string, port: number): number;
  getsockname(out: object): number;
  close(): void;
}

/** Runs Python on a socket, as `s`. */
export function withPython(fd: number, script: string): void {
  const program = `import socket; s = socket.socket(fileno=3); ${script}`;
  const { status } = spawnSync('python3', ['-c', program], {
    stdio: ['ignore', 'inherit', 'inherit', fd],
  });
  assert.is(status, 0);
}

/** A listening socket on which this process does not accept. */
export function held(): { port: number; fd: number; close: () => void } {
  const { binding } = process as unknown as {
    binding(name: string): { TCP: new (type: number) => TcpHandle; constants: { SERVER: number } };
  };
  const { TCP, constants } = binding('tcp_wrap');
  const handle = new TCP(constants.SERVER);
  handle.bind('127.0.0.1', 0);
  const { fd } = handle;
  withPython(fd, 's.listen(512)');
  const address: Partial<AddressInfo> = {};
  handle.getsockname(address);
  return { port: address.port as number, fd, close: () => handle.close() };
}
