/**
 * Room that many share: nobody takes more than he leaves free. So one alone has half of it, two have a
 * third each, and who comes late finds some.
 */
export class Shares {
  private free: number;
  private readonly held = new Map<string, number>();

  /** `bytes`: all there is. */
  constructor(bytes: number) {
    this.free = bytes;
  }

  /** False, and nothing is taken, where it is too much. */
  take(key: string, bytes: number): boolean {
    const held = (this.held.get(key) ?? 0) + bytes;
    if (held > this.free) return false;
    this.held.set(key, held);
    this.free -= bytes;
    return true;
  }

  give(key: string, bytes: number): void {
    const held = (this.held.get(key) ?? 0) - bytes;
    if (held > 0) this.held.set(key, held);
    else this.held.delete(key);
    this.free += bytes;
  }
}
