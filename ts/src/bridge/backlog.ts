import { noteOutside } from '../core/young.ts';
import { unfilled } from '../fetch/chunks.ts';

/** Memory for what comes next, bytes: no less, and no more unless one piece is larger. */
const blockBytesMin = 512;
const blockBytesMax = 64 * 1024;
/** Blocks whose bytes have been copied to their reader, and that are kept for what comes next. */
const sparesMax = 3;
/** Where fewer bytes come to nothing than these, no more are expected to come at once. */
const trickleBytes = 4 * 1024;

/**
 * Bytes that have come and were not taken yet, in order, in memory of its own: few pieces, however many they came in, and
 * less than twice their bytes besides one block, which grows to what comes at once, 64 KiB at most. Each byte is copied
 * once, on its way in, as long as the pieces that are taken are at least half full: every copy is memory outside of V8's
 * heap, which it answers with whole collections. A reader with memory of its own gets by with the same few blocks.
 */
export class Backlog {
  /** How many bytes there are. */
  length = 0;
  private readonly pieces: Uint8Array[] = [];
  /** Memory of the last piece and of what may be added to it. */
  private block: Uint8Array<ArrayBuffer> | null = null;
  /** Blocks of 64 KiB that nothing is in. */
  private spares: Uint8Array<ArrayBuffer>[] | null = null;
  /** The first piece is another's memory. */
  private isBorrowed = false;
  /** The most that there was at once since there was nothing. */
  private most = 0;
  /** What that came to the last time: memory for the next that come. */
  private usual = blockBytesMin;

  /** Keeps `bytes`, the first there are, without a copy: memory that another owns, and that stays as it is for long enough. */
  borrow(bytes: Uint8Array): void {
    if (bytes.length === 0) return;
    this.pieces.push(bytes);
    this.length = bytes.length;
    this.isBorrowed = true;
  }

  /** Copies `bytes` behind those that are there. */
  add(bytes: Uint8Array): void {
    if (this.length === 0 && bytes.length < trickleBytes) this.spares = null;
    let from = 0;
    if (this.block !== null) from = this.fill(this.block, bytes);
    if (from < bytes.length) this.begin(bytes, from);
    this.length += bytes.length;
    if (this.length > this.most) this.most = this.length;
  }

  /** What there is room for in the block, behind its piece, which is the last; how much that was. */
  private fill(block: Uint8Array, bytes: Uint8Array): number {
    const { pieces } = this;
    const last = pieces.pop();
    const begin = last?.byteOffset ?? 0;
    const filled = begin + (last?.length ?? 0);
    const count = Math.min(block.length - filled, bytes.length);
    block.set(count === bytes.length ? bytes : bytes.subarray(0, count), filled);
    pieces.push(block.subarray(begin, filled + count));
    return count;
  }

  /** A block for the bytes from `from` on. */
  private begin(bytes: Uint8Array, from: number): void {
    const rest = from === 0 ? bytes : bytes.subarray(from);
    const grown = this.block === null ? this.usual : 2 * this.block.length;
    const size = Math.max(rest.length, Math.min(grown, blockBytesMax));
    this.block = (size === blockBytesMax ? this.spares?.pop() : undefined) ?? unfilled(size);
    this.block.set(rest);
    this.pieces.push(this.block.subarray(0, rest.length));
  }

  /** The first piece, in memory that nobody else has. There must be one. */
  take(): Uint8Array<ArrayBuffer> {
    const piece = this.pieces.shift() as Uint8Array;
    this.length -= piece.length;
    if (this.pieces.length === 0) this.block = null;
    this.noteEmpty();
    return this.own(piece);
  }

  /** Copies the first bytes to `target`, as many as there are and it has room for; how many those are. */
  takeInto(target: Uint8Array): number {
    const { pieces } = this;
    let count = 0;
    while (count < target.length && pieces.length > 0) {
      const piece = pieces[0] as Uint8Array;
      const taken = Math.min(piece.length, target.length - count);
      target.set(taken === piece.length ? piece : piece.subarray(0, taken), count);
      count += taken;
      if (taken < piece.length) {
        pieces[0] = piece.subarray(taken);
      } else {
        pieces.shift(); // its block stays, for what comes next
        if (!this.isBorrowed) this.spare(piece.buffer as ArrayBuffer);
        this.isBorrowed = false;
      }
    }
    this.length -= count;
    this.noteEmpty();
    return count;
  }

  /** Nothing is left in a block: it is kept, unless it is the last one, which is filled on. */
  private spare(block: ArrayBuffer): void {
    if (block === this.block?.buffer || block.byteLength !== blockBytesMax) return;
    this.spares ??= [];
    const { spares } = this;
    if (spares.length < sparesMax) spares.push(new Uint8Array(block));
  }

  private noteEmpty(): void {
    if (this.length > 0) return;
    this.usual = Math.max(blockBytesMin, Math.min(this.most, blockBytesMax));
    this.most = 0;
  }

  /** All of it, as a view that is good as long as what was borrowed. */
  join(): Uint8Array {
    const { pieces } = this;
    if (pieces.length === 1) return pieces[0] as Uint8Array;
    const whole = unfilled(this.length);
    let at = 0;
    for (const piece of pieces) {
      whole.set(piece, at);
      at += piece.length;
    }
    this.drop();
    return whole;
  }

  /** All of it, in memory that nobody else has. */
  takeAll(): Uint8Array<ArrayBuffer> {
    const whole = this.own(this.join());
    this.drop();
    return whole;
  }

  drop(): void {
    this.pieces.length = 0;
    this.length = 0;
    this.block = null;
    this.spares = null;
    this.isBorrowed = false;
  }

  private own(piece: Uint8Array): Uint8Array<ArrayBuffer> {
    const isMine = !this.isBorrowed && 2 * piece.length >= piece.buffer.byteLength;
    this.isBorrowed = false;
    if (isMine) return piece as Uint8Array<ArrayBuffer>;
    noteOutside(piece.length);
    return new Uint8Array(piece);
  }
}
