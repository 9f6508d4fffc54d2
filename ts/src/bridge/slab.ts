import { allocOutside } from '../core/young.ts';

/** Records of one turn are copied to slabs of this size; one that is larger gets its own. Bytes. */
export const slabBytes = 32 * 1024;

/**
 * Private memory that records are copied to before their place in the ring is given back, many
 * records to a slab. It lives as long as an exchange that has a record in it.
 */
export class Slab {
  readonly u8: Buffer;
  readonly u16: Uint16Array;
  readonly i32: Int32Array;
  private used = 0;

  constructor(bytes: number) {
    this.u8 = allocOutside(bytes);
    this.u16 = new Uint16Array(this.u8.buffer, 0, bytes >> 1);
    this.i32 = new Int32Array(this.u8.buffer, 0, bytes >> 2);
  }

  /** Whether `bytes` more fit. */
  fits(bytes: number): boolean {
    return this.used + bytes <= this.u8.length;
  }

  /** Copies `bytes` bytes of `from` that begin at `at`; returns where they are in this slab. */
  take(from: Buffer, at: number, bytes: number): number {
    const base = this.used;
    from.copy(this.u8, base, at, at + bytes);
    this.used = base + bytes;
    return base;
  }
}

/** The slabs of a thread, one after the other. */
export class Slabs {
  private current = new Slab(slabBytes);

  /** One that so many bytes fit into. */
  for(bytes: number): Slab {
    if (bytes > slabBytes) return new Slab(bytes);
    if (!this.current.fits(bytes)) this.current = new Slab(slabBytes);
    return this.current;
  }
}
