/**
 * Items as JSON, for 200 ms. Several processes have one cache between them: in Redis where REDIS_URL says which, else in the
 * primary process, which they ask by messages.
 */
import cluster, { type Worker } from 'node:cluster';
import { Redis } from 'ioredis';

const lifetime = 200; // ms

export interface Cache {
  /** An item, or null where it is not there, or no more. */
  get(id: number): Promise<string | null>;
  set(id: number, json: string): Promise<void>;
  delete(id: number): Promise<void>;
}

/** The one of this process, as the environment says. */
export function openCache(): Cache {
  const { REDIS_URL } = process.env;
  if (REDIS_URL !== undefined) return new RedisCache(REDIS_URL);
  return cluster.isWorker ? new PrimaryCache() : new MemoryCache();
}

class MemoryCache implements Cache {
  /** The oldest are in front. */
  readonly #entries = new Map<number, { json: string; until: number }>();

  async get(id: number): Promise<string | null> {
    const entry = this.#entries.get(id);
    return entry !== undefined && entry.until > performance.now() ? entry.json : null;
  }

  async set(id: number, json: string): Promise<void> {
    this.#dropOld();
    this.#entries.delete(id);
    this.#entries.set(id, { json, until: performance.now() + lifetime });
  }

  async delete(id: number): Promise<void> {
    this.#entries.delete(id);
  }

  #dropOld(): void {
    const now = performance.now();
    for (const [id, { until }] of this.#entries) {
      if (until > now) return;
      this.#entries.delete(id);
    }
  }
}

class RedisCache implements Cache {
  readonly #redis: Redis;

  constructor(url: string) {
    this.#redis = new Redis(url);
    this.#redis.on('error', (error) => console.error(`Redis: ${error.message}`));
  }

  get(id: number): Promise<string | null> {
    return this.#redis.get(`item:${id}`);
  }

  async set(id: number, json: string): Promise<void> {
    await this.#redis.set(`item:${id}`, json, 'PX', lifetime);
  }

  async delete(id: number): Promise<void> {
    await this.#redis.del(`item:${id}`);
  }
}

/** What a process asks of the primary; `call` comes back with the answer. */
interface Question {
  readonly cache: keyof Cache;
  readonly call: number;
  readonly id: number;
  readonly json?: string;
}

interface Answer {
  readonly call: number;
  readonly json: string | null;
}

class PrimaryCache implements Cache {
  readonly #calls = new Map<number, (json: string | null) => void>();
  #count = 0;

  constructor() {
    process.on('message', ({ call, json }: Answer) => {
      this.#calls.get(call)?.(json);
      this.#calls.delete(call);
    });
  }

  get(id: number): Promise<string | null> {
    return this.#ask('get', id);
  }

  async set(id: number, json: string): Promise<void> {
    await this.#ask('set', id, json);
  }

  async delete(id: number): Promise<void> {
    await this.#ask('delete', id);
  }

  #ask(cache: keyof Cache, id: number, json?: string): Promise<string | null> {
    this.#count += 1;
    const question: Question = { cache, call: this.#count, id, json };
    return new Promise((resolve) => {
      this.#calls.set(question.call, resolve);
      process.send?.(question);
    });
  }
}

const kept = new MemoryCache();

/** In the primary: keeps items for a process that has it do so. */
export function keepFor(worker: Worker): void {
  worker.on('message', async (message: Partial<Question>) => {
    if (message.cache === undefined) return;
    const { cache, call, id, json = '' } = message as Question;
    const found = cache === 'get' ? await kept.get(id) : null;
    if (cache === 'set') await kept.set(id, json);
    if (cache === 'delete') await kept.delete(id);
    if (worker.isConnected()) worker.send({ call, json: found } satisfies Answer);
  });
}
