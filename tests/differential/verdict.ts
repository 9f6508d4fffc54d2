/** What a parser makes of the bytes of one connection. */

/** One request, as it was framed. Hashes are CRC-32. */
export interface Framed {
  readonly method: string;
  readonly target: string;
  /** Whether the body, with its trailers, came whole. */
  readonly complete: boolean;
  /** Bytes of the body. */
  readonly length: number;
  readonly body: number;
  /** Over "name:value\n" of each field. */
  readonly fields: number;
  readonly trailers: number;
  /** Where it ends in the bytes; only the engine tells. */
  readonly until?: number;
}

/**
 * How it ended: between messages, inside one, with a message that ends the connection, after CONNECT, or refused.
 * node:http does not tell the first two apart: it is `open` then.
 */
export type End = 'idle' | 'partial' | 'open' | 'closed' | 'connect' | 'err';

export interface Verdict {
  readonly requests: readonly Framed[];
  readonly end: End;
  /** The parser's code when it refused; else empty. */
  readonly code: string;
}
