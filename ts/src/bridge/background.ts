import type { Log } from '../core/log.ts';

const noProps = Object.freeze({});

/** What a handler gets as its third argument: the context of Workers' handlers. */
export class ExecutionContext {
  readonly #background: Background;

  constructor(background: Background) {
    this.#background = background;
  }

  /** As `request.waitUntil`. */
  waitUntil(promise: PromiseLike<unknown>): void {
    this.#background.add(promise);
  }

  /** What Workers are configured with; nothing here. */
  get props(): object {
    return noProps;
  }

  /** There is no origin to pass through to: what is thrown is an error as ever. */
  passThroughOnException(): void {}
}

/** Work that handlers have left behind their responses, and that a stop waits for. */
export class Background {
  private readonly pending = new Set<Promise<void>>();
  private readonly log: Log;
  /** When nobody waits any longer, by `performance.now()`. */
  private deadline = Number.POSITIVE_INFINITY;
  private timer: NodeJS.Timeout | undefined;
  private resolve: (() => void) | null = null;

  constructor(log: Log) {
    this.log = log;
  }

  /** Whether something is going on. */
  get isBusy(): boolean {
    return this.pending.size > 0;
  }

  /** What it rejects with is told in the log. */
  add(promise: PromiseLike<unknown>): void {
    const work = Promise.resolve(promise)
      .then(
        () => {},
        (error: unknown) => this.log.error('gyrfalcon: waitUntil() failed:', error),
      )
      .then(() => {
        this.pending.delete(work);
        if (!this.isBusy) this.end();
      });
    this.pending.add(work);
  }

  /** Nobody is to wait for more than `ms` from now on; a later call can only shorten that. */
  limit(ms: number): void {
    this.deadline = Math.min(this.deadline, performance.now() + ms);
    if (this.resolve !== null) this.setTimer();
  }

  /**
   * Resolves when nothing is going on any more, what is added meanwhile counted, or when the time is
   * over. One waits at a time.
   */
  settled(): Promise<void> {
    return new Promise((resolve) => {
      this.resolve = resolve;
      if (this.isBusy) this.setTimer();
      else this.end();
    });
  }

  private setTimer(): void {
    clearTimeout(this.timer);
    const left = this.deadline - performance.now();
    if (left <= 0) this.end();
    else if (left < Number.POSITIVE_INFINITY) this.timer = setTimeout(() => this.end(), left);
  }

  private end(): void {
    clearTimeout(this.timer);
    this.resolve?.();
    this.resolve = null;
  }
}
