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
