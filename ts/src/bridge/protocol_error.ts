import { AsyncResource } from 'node:async_hooks';
import type { Log } from '../core/log.ts';
import { isThenable } from '../core/thenable.ts';
import * as abi from './abi.gen.ts';
import { type SocketAddress, socketAddress } from './address.ts';
import type { Block } from './lane.ts';

/** A message that the engine refused by itself. Nothing that the client sent is in it. */
export interface ProtocolError {
  /** What the client was answered; 0: the connection was closed without an answer. */
  readonly status: number;
  /** What was wrong, stable: docs/ERRORS.md lists them. */
  readonly code: string;
  /** The same as a sentence. */
  readonly message: string;
  /** Of the client; null when it is not known. */
  readonly address: SocketAddress | null;
  /** How many more there were since the last one that could not be told, for want of room. */
  readonly dropped: number;
}

/** The ProtocolError record at `at`. */
export function protocolErrorOf({ u8, u16, i32 }: Block, at: number): ProtocolError {
  const number = u16[(at + abi.PROTOCOL_ERROR_CODE) >> 1] as number;
  const [code, message] = abi.PROTOCOL_ERRORS.get(number) ?? ['unknown', ''];
  const family = u8[at + abi.PROTOCOL_ERROR_PEER_FAMILY] as number;
  const port = u16[(at + abi.PROTOCOL_ERROR_PEER_PORT) >> 1] as number;
  return {
    status: u16[(at + abi.PROTOCOL_ERROR_STATUS) >> 1] as number,
    code,
    message,
    address: socketAddress(u8, family, at + abi.PROTOCOL_ERROR_PEER_ADDRESS, port),
    dropped: (i32[(at + abi.PROTOCOL_ERROR_DROPPED) >> 2] as number) >>> 0,
  };
}

/**
 * Tells `hook` of the ProtocolError record at `at`, in a scope of its own; null: reload() has taken it
 * away. What it throws is told in the log.
 */
export function tellProtocolError(
  hook: ((error: ProtocolError) => unknown) | null,
  block: Block,
  at: number,
  log: Log,
): void {
  if (hook === null) return;
  const told = protocolErrorOf(block, at);
  const failed = (error: unknown) => log.error('gyrfalcon: onProtocolError failed:', error);
  const tell = () => {
    try {
      const result = hook(told);
      if (isThenable(result)) Promise.resolve(result).catch(failed);
    } catch (error) {
      failed(error);
    }
  };
  new AsyncResource('GYRFALCON_PROTOCOL_ERROR').runInAsyncScope(tell);
}
