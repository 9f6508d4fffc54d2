import * as abi from './abi.gen.ts';

// Of the module's own: compiled code has them as numbers. What is imported it loads each time, and checks.
const { KIND_SKIP, RECORD_ALIGN, RECORD_HEADER_KIND } = abi;

/**
 * The memory that an engine shares with its JS threads, as typed arrays. The engine owns it; it
 * stays mapped as long as the process lives, so that a late reader finds stale bytes, not a fault.
 */
export class Block {
  readonly u8: Buffer;
  readonly u16: Uint16Array;
  readonly i32: Int32Array;
  /** For what is not aligned. */
  readonly view: DataView;
  readonly workerCount: number;
  readonly threadCount: number;
  /** Of each ring, bytes. A power of two. */
  readonly ringBytes: number;
  /** Body bytes of one exchange that either side may send before the other grants more. */
  readonly creditBytes: number;
  /** Field lines of one response, bytes at most. */
  readonly responseFieldBytes: number;

  /** Throws an Error when the memory was laid out by an engine of another version. */
  constructor(memory: Uint8Array) {
    const { buffer, byteOffset, byteLength } = memory;
    this.u8 = Buffer.from(buffer as ArrayBuffer, byteOffset, byteLength);
    this.u16 = new Uint16Array(buffer, byteOffset, byteLength >> 1);
    this.i32 = new Int32Array(buffer, byteOffset, byteLength >> 2);
    this.view = new DataView(buffer, byteOffset, byteLength);
    if (this.word(abi.BLOCK_HEADER_MAGIC) !== abi.MAGIC) {
      throw new Error('the shared memory is not an engine block');
    }
    const version = this.word(abi.BLOCK_HEADER_VERSION);
    if (version !== abi.VERSION) {
      throw new Error(`the engine speaks ABI version ${version}, this code ${abi.VERSION}`);
    }
    this.workerCount = this.word(abi.BLOCK_HEADER_WORKER_COUNT);
    this.threadCount = this.word(abi.BLOCK_HEADER_THREAD_COUNT);
    this.ringBytes = this.word(abi.BLOCK_HEADER_RING_BYTES);
    this.creditBytes = this.word(abi.BLOCK_HEADER_CREDIT_BYTES);
    this.responseFieldBytes = this.word(abi.BLOCK_HEADER_RESPONSE_FIELD_BYTES);
  }

  private word(offset: number): number {
    return this.i32[offset >> 2] as number;
  }

  /** Byte offset of a lane's control words; its two rings follow them. */
  laneOffset(worker: number, thread: number): number {
    const index = worker * this.threadCount + thread;
    return (
      this.word(abi.BLOCK_HEADER_LANES_OFFSET) + index * this.word(abi.BLOCK_HEADER_LANE_STRIDE)
    );
  }

  workerOffset(worker: number): number {
    return this.word(abi.BLOCK_HEADER_WORKERS_OFFSET) + worker * abi.WORKER_LINE_BYTES;
  }

  threadOffset(thread: number): number {
    return this.word(abi.BLOCK_HEADER_THREADS_OFFSET) + thread * abi.THREAD_LINE_BYTES;
  }

  /** The number of what wakes a worker. After the engine's start. */
  bell(worker: number): number {
    return this.i32[(this.workerOffset(worker) + abi.WORKER_LINE_WAKE_FD) >> 2] as number;
  }

  /** What has become of the engine: STATE_STOPPED, and more for each listener that has failed. */
  get state(): number {
    return Atomics.load(this.i32, abi.BLOCK_HEADER_STATE >> 2);
  }
}

/**
 * The reading end of a ring. Positions are 32-bit counters that wrap. Records are read in place;
 * `release` gives them back to the writer.
 */
export class RingReader {
  /** Byte offset of the ring in the block. */
  readonly base: number;
  private readonly i32: Int32Array;
  private readonly u16: Uint16Array;
  private readonly mask: number;
  private readonly tailIndex: number;
  private readonly headIndex: number;
  private head: number;
  private released: number;
  private tailSeen: number;

  constructor(block: Block, base: number, tail: number, head: number) {
    this.i32 = block.i32;
    this.u16 = block.u16;
    this.base = base;
    this.mask = block.ringBytes - 1;
    this.tailIndex = tail >> 2;
    this.headIndex = head >> 2;
    this.head = Atomics.load(this.i32, this.headIndex);
    this.released = this.head;
    this.tailSeen = this.head;
  }

  /**
   * Byte offset in the block of the next record, or -1 when there is none. The record is not
   * consumed: `advance` does that.
   */
  peek(): number {
    for (;;) {
      if (this.head === this.tailSeen) {
        this.tailSeen = Atomics.load(this.i32, this.tailIndex);
        if (this.head === this.tailSeen) return -1;
      }
      const at = this.base + (this.head & this.mask);
      if (this.u16[(at + RECORD_HEADER_KIND) >> 1] !== KIND_SKIP) return at;
      this.head = (this.head + (this.i32[at >> 2] as number)) | 0;
    }
  }

  /** Consumes `size` bytes: one record, or several that lie behind one another. */
  advance(size: number): void {
    this.head = (this.head + size) | 0;
  }

  /** Published bytes from the current record on that lie behind one another without a break. */
  contiguous(): number {
    const published = (this.tailSeen - this.head) | 0;
    const toEnd = this.mask + 1 - (this.head & this.mask);
    return published < toEnd ? published : toEnd;
  }

  /** Shows the writer what was consumed. False when there was nothing new. */
  release(): boolean {
    if (this.head === this.released) return false;
    this.released = this.head;
    Atomics.store(this.i32, this.headIndex, this.head);
    return true;
  }

  /** Whether the writer has published something that was not consumed. */
  hasMore(): boolean {
    return Atomics.load(this.i32, this.tailIndex) !== this.head;
  }
}

/** The writing end of a ring. Nothing is visible to the reader until `publish`. */
export class RingWriter {
  private readonly i32: Int32Array;
  private readonly base: number;
  private readonly capacity: number;
  private readonly mask: number;
  private readonly tailIndex: number;
  private readonly headIndex: number;
  private readonly wantedIndex: number;
  private tail: number;
  private published: number;
  private headSeen: number;
  /** The reader's position when a record last found no room. */
  private headWhenFull: number;

  constructor(block: Block, base: number, tail: number, head: number, wanted: number) {
    this.i32 = block.i32;
    this.base = base;
    this.capacity = block.ringBytes;
    this.mask = block.ringBytes - 1;
    this.tailIndex = tail >> 2;
    this.headIndex = head >> 2;
    this.wantedIndex = wanted >> 2;
    this.tail = Atomics.load(this.i32, this.tailIndex);
    this.published = this.tail;
    this.headSeen = Atomics.load(this.i32, this.headIndex);
    this.headWhenFull = this.headSeen;
  }

  /**
   * Byte offset in the block of room for one record of up to `size` bytes (a multiple of 8), or -1
   * when the ring is full: then the reader is asked to wake this thread once it has made room.
   */
  reserve(size: number): number {
    const offset = this.tail & this.mask;
    const toEnd = this.capacity - offset;
    const skip = toEnd < size ? toEnd : 0;
    if (
      this.capacity - ((this.tail - this.headSeen) | 0) < skip + size &&
      !this.room(skip + size)
    ) {
      return -1;
    }
    if (skip === 0) return this.base + offset;
    const at = (this.base + offset) >> 2;
    this.i32[at] = skip;
    this.i32[at + 1] = KIND_SKIP;
    this.tail = (this.tail + skip) | 0;
    return this.base;
  }

  /** Ends the record; `size` may be less than was reserved. */
  commit(size: number): void {
    this.tail = (this.tail + size) | 0;
  }

  /** Shows the reader everything committed. False when there was nothing new. */
  publish(): boolean {
    if (this.tail === this.published) return false;
    this.published = this.tail;
    Atomics.store(this.i32, this.tailIndex, this.tail);
    return true;
  }

  /**
   * Whether the reader has consumed something since the ring was last found full: the look before
   * sleep of who waits for room. The wish is stated anew, since the reader may have taken it down
   * for room that turned out too small, and found nobody asleep.
   */
  hasRoomOrWishes(): boolean {
    Atomics.store(this.i32, this.wantedIndex, 1);
    // Not `headSeen`: a record that was written since, and found room, has moved that on.
    return Atomics.load(this.i32, this.headIndex) !== this.headWhenFull;
  }

  private room(need: number): boolean {
    this.headSeen = Atomics.load(this.i32, this.headIndex);
    if (this.free() >= need) return true;
    // First the wish, then another look: the reader looks at the wish after it has made room.
    Atomics.store(this.i32, this.wantedIndex, 1);
    this.headSeen = Atomics.load(this.i32, this.headIndex);
    this.headWhenFull = this.headSeen;
    return this.free() >= need;
  }

  private free(): number {
    return this.capacity - ((this.tail - this.headSeen) | 0);
  }
}

/** Rounds a record's size up to the record grid. */
export function recordSize(bytes: number): number {
  return (bytes + (RECORD_ALIGN - 1)) & -RECORD_ALIGN;
}

/** Both rings between one engine worker and this JS thread. */
export class Lane {
  readonly block: Block;
  readonly requests: RingReader;
  readonly responses: RingWriter;
  private readonly i32: Int32Array;
  private readonly requestWanted: number;
  private readonly workerAsleep: number;
  private readonly workerLine: number;

  constructor(block: Block, worker: number, thread: number) {
    const at = block.laneOffset(worker, thread);
    const requestRing = at + abi.LANE_CONTROL_BYTES;
    this.block = block;
    this.i32 = block.i32;
    this.requests = new RingReader(
      block,
      requestRing,
      at + abi.LANE_CONTROL_REQUEST_TAIL,
      at + abi.LANE_CONTROL_REQUEST_HEAD,
    );
    this.responses = new RingWriter(
      block,
      requestRing + block.ringBytes,
      at + abi.LANE_CONTROL_RESPONSE_TAIL,
      at + abi.LANE_CONTROL_RESPONSE_HEAD,
      at + abi.LANE_CONTROL_RESPONSE_WANTED,
    );
    this.requestWanted = (at + abi.LANE_CONTROL_REQUEST_WANTED) >> 2;
    this.workerLine = block.workerOffset(worker);
    this.workerAsleep = (this.workerLine + abi.WORKER_LINE_ASLEEP) >> 2;
  }

  /** The descriptor that wakes the worker. */
  get wakeFd(): number {
    return this.i32[(this.workerLine + abi.WORKER_LINE_WAKE_FD) >> 2] as number;
  }

  /**
   * Publishes what was written and read since the last time. True when the worker sleeps and the
   * caller has to wake it: its flag was taken down here, so nobody else will.
   */
  flush(): boolean {
    let wake = this.responses.publish();
    if (this.requests.release() && Atomics.load(this.i32, this.requestWanted) === 1) {
      Atomics.store(this.i32, this.requestWanted, 0);
      wake = true;
    }
    return (
      wake &&
      Atomics.load(this.i32, this.workerAsleep) === 1 &&
      Atomics.exchange(this.i32, this.workerAsleep, 0) === 1
    );
  }
}
