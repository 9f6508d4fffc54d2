/** From so many places before the first on, an array is cut. */
const spentMax = 1024;

/** What waits, first come first served. Taking from it does not move what is behind. */
export class Fifo<T> {
  private items: (T | undefined)[] = [];
  private at = 0;

  get length(): number {
    return this.items.length - this.at;
  }

  get first(): T | undefined {
    return this.items[this.at];
  }

  push(item: T): void {
    this.items.push(item);
  }

  /** Takes the first out. */
  shift(): void {
    if (this.at === this.items.length) return;
    this.items[this.at] = undefined;
    this.at += 1;
    if (this.at === this.items.length) {
      this.items = [];
      this.at = 0;
    } else if (this.at >= spentMax && this.at * 2 >= this.items.length) {
      this.items = this.items.slice(this.at);
      this.at = 0;
    }
  }
}
