import * as abi from './abi.gen.ts';
import { bytesOf, invalid, topicBytes } from './socket.ts';
import { mannerOf } from './socket_record.ts';
import type { WebSocketData } from './websocket.ts';

/** Bytes of messages that wait to be published; above that they are dropped. */
export const publishWaitingMax: number = 4 * abi.PUBLISH_BYTES_MAX;

/** What is published, as bytes. Throws GYR_WEBSOCKET_INVALID, and a TypeError for what is neither text nor bytes. */
export function publishedBytes(data: WebSocketData): Uint8Array {
  const bytes = typeof data === 'string' ? Buffer.from(data) : bytesOf(data);
  if (bytes.length <= abi.PUBLISH_BYTES_MAX) return bytes;
  throw invalid(`Publishing ${bytes.length} bytes`, `at most ${abi.PUBLISH_BYTES_MAX}`);
}

/**
 * A message on its way to the subscribers of every worker. It is written for each worker by itself:
 * there it stands behind all that the thread has said to that one before, and no worker waits for
 * another.
 */
export class Published {
  readonly topic: Uint8Array;
  /** As `Parts` has it. */
  readonly manner: number;
  /** The caller's until `publish` returns, unless it is text. */
  readonly bytes: Uint8Array;
  /** What waits of it counts against what may wait; or somebody else counts it. */
  readonly isBounded: boolean;
  private readonly whenWritten: (() => void) | null;
  private readonly isText: boolean;
  private copy: Uint8Array | null = null;
  private left: number;
  private isDropped = false;

  /**
   * `lanes`: as many as it is written to. `whenWritten` is called once that is done; it is dropped for
   * none of them then.
   */
  constructor(
    topic: string,
    data: WebSocketData,
    lanes: number,
    compress: boolean | undefined,
    whenWritten: (() => void) | null = null,
  ) {
    this.topic = topicBytes(topic);
    this.isText = typeof data === 'string';
    this.manner = mannerOf(this.isText, compress);
    this.bytes = publishedBytes(data);
    this.left = lanes;
    this.isBounded = whenWritten === null;
    this.whenWritten = whenWritten;
  }

  get length(): number {
    return this.bytes.length;
  }

  /** The bytes, as they are now, for as long as they are needed. One copy for all lanes. */
  kept(): Uint8Array {
    this.copy ??= this.isText ? this.bytes : Buffer.from(this.bytes);
    return this.copy;
  }

  written(): void {
    this.left -= 1;
    if (this.left === 0) this.whenWritten?.();
  }

  dropped(): void {
    this.isDropped = true;
    this.written();
  }

  /** What `publish` answers. */
  get status(): number {
    if (this.isDropped) return 0;
    return this.left > 0 ? -1 : this.length;
  }
}
