import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { type RunningServer, stopAll } from '../support/process.ts';
import { connect, type RawClient } from '../support/socket.ts';
import { countersOf, engine, patternOf, serveApp } from '../support/target.ts';
import { until } from '../support/wait.ts';

// Random clients against a server that is short of everything. GYRFALCON_SEED repeats a run.
const test = suite('storm');
const seed = Number(process.env.GYRFALCON_SEED ?? Math.floor(Math.random() * 1e9));
const MiB = 1024 * 1024;

test.after(stopAll);

/** A small generator of its own for each client, so that a seed names the same clients again. */
class Random {
  #state: number;
  constructor(start: number) {
    this.#state = start >>> 0;
  }
  below(bound: number): number {
    // xorshift, made non-zero.
    let x = this.#state || 1;
    x ^= x << 13;
    x ^= x >>> 17;
    x ^= x << 5;
    this.#state = x >>> 0;
    return this.#state % bound;
  }
  pick<T>(items: readonly T[]): T {
    return items[this.below(items.length)]!;
  }
  /** Small numbers more often than large ones. */
  size(bound: number): number {
    return this.below(1 + this.below(1 + this.below(bound)));
  }
}

/** A request and what its response must be. */
interface Question {
  bytes: Buffer;
  method: string;
  status: number;
  isRight: (body: Buffer) => boolean;
}

const headOf = (method: string, path: string, fields = ''): Buffer =>
  Buffer.from(`${method} ${path} HTTP/1.1\r\nHost: a\r\n${fields}\r\n`);

function question(random: Random): Question {
  const size = random.size(500_000);
  const whole = (body: Buffer): boolean => body.equals(patternOf(size));
  const plain = { method: 'GET', status: 200 };
  switch (random.below(8)) {
    case 0:
      return { ...plain, bytes: headOf('GET', `/size/${size}`), isRight: whole };
    case 1:
      return { ...plain, bytes: headOf('GET', `/static/${size}`), isRight: whole };
    case 2:
      return { ...plain, bytes: headOf('GET', `/file/${size}`), isRight: whole };
    case 3: {
      const length = Math.min(size, 262_144);
      return {
        ...plain,
        bytes: headOf('GET', `/borrowed/${length}`),
        isRight: (body) => body.length === length && body.every((byte) => byte === body[0]),
      };
    }
    case 4:
      return {
        method: 'HEAD',
        status: 200,
        bytes: headOf('HEAD', `/size/${size}`),
        isRight: (body) => body.length === 0,
      };
    case 5: {
      const fields = `Content-Length: ${size}\r\n`;
      const bytes = Buffer.concat([headOf('POST', '/echo', fields), patternOf(size)]);
      return { method: 'POST', status: 200, bytes, isRight: whole };
    }
    case 6: {
      const parts: Buffer[] = [headOf('POST', '/echo', 'Transfer-Encoding: chunked\r\n')];
      for (let at = 0; at < size; ) {
        const length = Math.min(size - at, 1 + random.size(70_000));
        parts.push(Buffer.from(`${length.toString(16)}\r\n`));
        parts.push(patternOf(size).subarray(at, at + length), Buffer.from('\r\n'));
        at += length;
      }
      parts.push(Buffer.from('0\r\n\r\n'));
      return { method: 'POST', status: 200, bytes: Buffer.concat(parts), isRight: whole };
    }
    default:
      return {
        ...plain,
        status: 500,
        bytes: headOf('GET', '/error'),
        isRight: (body) =>
          body.toString().startsWith('500 Internal Server Error: internal_error\n'),
      };
  }
}

class Client {
  asked = 0;
  answered = 0;
  /** Answers that say that the server has no room. */
  refused = 0;
  wrong: string[] = [];
  readonly #random: Random;
  readonly #port: number;

  constructor(port: number, number: number) {
    this.#port = port;
    this.#random = new Random(seed + number * 7919);
  }

  async run(ms: number): Promise<void> {
    const end = performance.now() + ms;
    while (performance.now() < end) {
      const client = await connect(this.#port);
      try {
        await this.#converse(client, end);
      } finally {
        if (this.#random.below(2) === 0) client.reset();
        else client.destroy();
      }
    }
  }

  async #converse(client: RawClient, end: number): Promise<void> {
    const random = this.#random;
    while (performance.now() < end && !client.ended) {
      const questions = Array.from({ length: 1 + random.size(6) }, () => question(random));
      const bytes = Buffer.concat(questions.map((one) => one.bytes));
      this.asked += questions.length;
      const fate = random.below(12);
      if (fate === 0) {
        // Leaves somewhere in the middle.
        await client.send(bytes.subarray(0, random.below(bytes.length + 1))).catch(() => {});
        if (random.below(2) === 0)
          await client.readUntil((got) => got.length > 0, 50).catch(() => {});
        return;
      }
      if (fate === 1) client.socket.pause();
      const pieces =
        random.below(3) === 0 ? [random.size(bytes.length), random.size(5000)] : undefined;
      const sent = client.send(bytes, pieces).catch(() => {});
      if (fate === 1) {
        await new Promise((resolve) => setTimeout(resolve, random.below(30)));
        client.socket.resume();
      }
      for (const one of questions) {
        if (!(await this.#check(client, one))) return;
      }
      await sent;
    }
  }

  /** False when the connection is at its end. */
  async #check(client: RawClient, one: Question): Promise<boolean> {
    const response = await client.response(one.method).catch((error: Error) => error);
    if (response instanceof Error) {
      // A server without room for the rest of a response can only cut it off.
      if (!/the connection ended/.test(response.message)) this.wrong.push(response.message);
      this.refused += 1;
      return false;
    }
    if (response.status === 503 || (response.status === 500 && one.status !== 500)) {
      this.refused += 1;
      return response.headers.get('connection') !== 'close';
    }
    const request = one.bytes.subarray(0, 40).toString('latin1');
    if (response.status !== one.status) this.wrong.push(`${request}: ${response.status}`);
    else if (!one.isRight(response.body)) this.wrong.push(`${request}: another body`);
    this.answered += 1;
    return true;
  }
}

async function storm(server: RunningServer, count: number, ms: number): Promise<Client[]> {
  const clients = Array.from({ length: count }, (_, number) => new Client(server.port, number));
  await Promise.all(clients.map((client) => client.run(ms)));
  const note = `GYRFALCON_SEED=${seed}`;
  assert.equal(
    clients.flatMap((client) => client.wrong),
    [],
    note,
  );
  await until(async () => {
    const { connections, bufferBytes } = await countersOf(server);
    return connections === 1 && bufferBytes === 0;
  }, `the end of all connections (${note})`);
  return clients;
}

const sumOf = (clients: Client[], key: 'asked' | 'answered' | 'refused'): number =>
  clients.reduce((sum, client) => sum + client[key], 0);

for (const target of [engine, serveApp]) {
  test(`${target.name}: random clients get the right answers from a server that has enough of everything`, async () => {
    const server = await target.start({ workers: 2 });
    const clients = await storm(server, 40, 2000);
    assert.is(sumOf(clients, 'refused'), 0, `GYRFALCON_SEED=${seed}`);
    assert.ok(sumOf(clients, 'answered') > 100);
    await target.stop(server);
  });
}

test('engine: random clients get the right answers or a refusal when it is short of everything', async () => {
  const server = await engine.start({
    workers: 2,
    connections_max: 20,
    exchanges_spare: 10,
    pipeline_depth_max: 3,
    receive_buffer_bytes: 4096,
    output_high_water_bytes: 16_384,
    buffer_memory_bytes: MiB,
    body_buffered_bytes_max: MiB / 2,
  });
  const clients = await storm(server, 40, 2000);
  assert.ok(sumOf(clients, 'answered') > 100, `GYRFALCON_SEED=${seed}`);
  await engine.stop(server);
});

test('serve: random clients get the right answers when rings, credit and pipelines are short', async () => {
  const server = await serveApp.start({
    workers: 2,
    maxConnections: 20,
    pipelineDepth: 3,
    receiveBufferBytes: 4096,
    outputHighWaterBytes: 16_384,
    ringBytes: 2 ** 18,
    creditBytes: 2 ** 15,
  });
  const clients = await storm(server, 40, 2000);
  assert.ok(sumOf(clients, 'answered') > 100, `GYRFALCON_SEED=${seed}`);
  await serveApp.stop(server);
});

test.run();
