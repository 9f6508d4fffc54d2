import * as assert from 'uvu/assert';
import { type RunningServer, stopAll } from '../support/process.ts';
import { sideBySide } from '../support/side_by_side.ts';
import { connect, type RawClient } from '../support/socket.ts';
import {
  countersOf,
  engine,
  patternOf,
  serveApp,
  startEngine,
  stopEngine,
} from '../support/target.ts';
import { until } from '../support/wait.ts';

// The graceful stop: what is under way is finished, what is idle ends at once, and a deadline ends the rest.
const test = sideBySide('stop');
const hello = 'GET /hello HTTP/1.1\r\nHost: a\r\n\r\n';

test.after(stopAll);

/** Fails unless connections are refused. */
async function refused(port: number): Promise<void> {
  try {
    (await connect(port)).destroy();
  } catch (error) {
    assert.is((error as NodeJS.ErrnoException).code, 'ECONNREFUSED');
    return;
  }
  assert.unreachable('a connection was accepted after the stop');
}

/** Sends the signal and returns when the server no longer listens. */
async function beginStop(server: RunningServer, signal: NodeJS.Signals = 'SIGTERM'): Promise<void> {
  server.child.kill(signal);
  await until(async () => {
    try {
      (await connect(server.port)).destroy();
      return false;
    } catch {
      return true;
    }
  }, 'the listener to close');
}

/** The server is at its end: nothing more is to be sent to it. */
async function hasEnded(server: RunningServer): Promise<void> {
  const { code, signal } = await server.ended;
  assert.equal([code, signal], [0, null], server.stderr());
  assert.match(server.stdout(), /"allocations":0,"bufferBytes":0|STOPPED 0/);
  await refused(server.port);
}

test.alone('SIGTERM and SIGINT end an idle server with exit code 0', async () => {
  for (const signal of ['SIGTERM', 'SIGINT'] as const) {
    const server = await startEngine();
    const begun = performance.now();
    const { code } = await server.stop(signal);
    assert.is(code, 0);
    assert.ok(performance.now() - begun < 2000, 'at once');
    await refused(server.port);
  }
});

test.alone('idle connections, used and unused, are closed at once', async () => {
  const server = await startEngine({ idle_timeout_ms: 60_000, header_timeout_ms: 60_000 });
  const used = await Promise.all(Array.from({ length: 50 }, () => connect(server.port)));
  const unused = await Promise.all(Array.from({ length: 50 }, () => connect(server.port)));
  for (const client of used) {
    await client.send(hello);
    await client.response();
  }
  const begun = performance.now();
  server.child.kill('SIGTERM');
  for (const client of [...used, ...unused]) {
    await client.closed();
    assert.is(client.error, undefined);
    assert.is(client.received.length, 0);
  }
  await hasEnded(server);
  assert.ok(performance.now() - begun < 2000, 'at once');
});

test('a request that is half there is read to its end and answered, and the response says close', async () => {
  const server = await startEngine({ workers: 1 });
  const halves = [
    ['GET /hel', 'lo HTTP/1.1\r\nHost: a\r\n\r\n', 22],
    ['POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 6\r\n\r\nabc', 'def', 6],
    [
      'POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n',
      '0\r\n\r\n',
      3,
    ],
  ] as const;
  const clients = await Promise.all(halves.map(() => connect(server.port)));
  for (const [index, client] of clients.entries()) await client.send(halves[index]?.[0] ?? '');
  await countersOf(server); // its one worker has seen them by now
  const idle = await connect(server.port);
  await beginStop(server);
  await idle.closed(); // the worker itself knows of the stop, which it learns after the listener has closed
  for (const [index, client] of clients.entries()) {
    assert.is(client.ended, false);
    await client.send(halves[index]?.[1] ?? '');
    const response = await client.response();
    assert.is(response.status, 200);
    assert.is(response.headers.get('connection'), 'close');
    assert.is(response.body.length, halves[index]?.[2]);
    assert.is((await client.readToEnd()).length, 0);
  }
  await hasEnded(server);
});

test('a response that is being read is finished, however slowly', async () => {
  const server = await startEngine({ workers: 1 });
  const client = await connect(server.port);
  client.socket.pause();
  await client.send('GET /size/20000000 HTTP/1.1\r\nHost: a\r\n\r\n');
  await until(async () => (await countersOf(server)).bufferBytes > 0, 'unsent bytes');
  await beginStop(server);
  client.socket.resume();
  const response = await client.response();
  assert.ok(response.body.equals(patternOf(20_000_000)));
  assert.is((await client.readToEnd()).length, 0);
  await hasEnded(server);
});

test.alone('the deadline cuts what does not end, and the exit code is 0', async () => {
  const server = await startEngine({ shutdown_timeout_ms: 400 });
  const stuck = await connect(server.port);
  await stuck.send('POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nabc');
  const unread = await connect(server.port);
  unread.socket.pause();
  await unread.send('GET /static/50000000 HTTP/1.1\r\nHost: a\r\n\r\n');
  await until(async () => (await countersOf(server)).requests >= 2, 'the requests');
  const begun = performance.now();
  const { code } = await server.stop();
  const took = performance.now() - begun;
  assert.is(code, 0);
  assert.ok(took >= 390 && took < 3000, `${took} ms`);
  await stuck.closed();
  assert.is(stuck.received.length, 0);
  unread.destroy();
});

test('a second signal ends what is in flight', async () => {
  const server = await startEngine({ shutdown_timeout_ms: 60_000 });
  const stuck = await connect(server.port);
  await stuck.send('POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nabc');
  await until(async () => (await countersOf(server)).requests >= 1, 'the request');
  await beginStop(server);
  assert.is(stuck.ended, false);
  server.child.kill('SIGTERM');
  await stuck.closed();
  await hasEnded(server);
});

for (const target of [engine, serveApp]) {
  test(`${target.name}: requests that are with the server when it is told to stop are all answered, on many connections`, async () => {
    for (const workers of [1, 2]) {
      const server = await target.start({ workers, ...target.patient });
      const clients = await Promise.all(Array.from({ length: 700 }, () => connect(server.port)));
      for (const client of clients) {
        await client.send(hello);
        await client.response();
      }
      // The signal and the requests arrive while the server is held: it finds all of it at once.
      server.child.kill('SIGSTOP');
      await Promise.all(clients.map((client) => client.send(hello.repeat(3))));
      server.child.kill('SIGTERM');
      server.child.kill('SIGCONT');
      await expectAll(clients, 3);
      await hasEnded(server);
    }
  });
}

test('connections that wait to be accepted when it is told to stop are served', async () => {
  for (const workers of [1, 2]) {
    const server = await startEngine({ workers });
    server.child.kill('SIGSTOP');
    const clients = await Promise.all(Array.from({ length: 300 }, () => connect(server.port)));
    await Promise.all(clients.map((client) => client.send(hello)));
    server.child.kill('SIGTERM');
    server.child.kill('SIGCONT');
    await expectAll(clients, 1);
    await hasEnded(server);
  }
});

async function expectAll(clients: readonly RawClient[], count: number): Promise<void> {
  let lost = 0;
  for (const client of clients) {
    for (let index = 0; index < count; index += 1) {
      const response = await client.response().catch(() => undefined);
      if (response?.status !== 200) lost += 1;
    }
    client.destroy();
  }
  assert.is(lost, 0, `${lost} of ${clients.length * count} requests were lost`);
}

for (const target of [engine, serveApp]) {
  test(`${target.name}: a stop under load loses no request that was sent before it`, async () => {
    for (let round = 0; round < 3; round += 1) {
      const server = await target.start({ workers: 2 });
      const load = Array.from({ length: 64 }, (_, index) => new Load(server.port, index));
      const running = load.map((one) => one.run());
      await until(() => load.every((one) => one.answered > 20), 'the load');
      server.child.kill('SIGTERM');
      const stopped = performance.now();
      for (const one of load) one.stoppedAt = stopped;
      await Promise.all(running);
      assert.equal(
        load.flatMap((one) => one.lost),
        [],
      );
      await hasEnded(server);
    }
  });
}

/** One connection that asks, waits for the whole answer, and asks again, until the server closes. */
class Load {
  answered = 0;
  stoppedAt = Number.POSITIVE_INFINITY;
  /** What went wrong. */
  lost: string[] = [];
  readonly #port: number;
  readonly #size: number;

  constructor(port: number, index: number) {
    this.#port = port;
    this.#size = [0, 10, 3000, 100_000][index % 4] ?? 0;
  }

  async run(): Promise<void> {
    const client = await connect(this.#port);

    for (;;) {
      const sentAt = performance.now();
      await client.send(`GET /size/${this.#size} HTTP/1.1\r\nHost: a\r\n\r\n`).catch(() => {});
      const begun = (): boolean => client.received.length > 0;
      const response = await client.response().catch(() => undefined);
      if (response === undefined) {
        // Closed without a byte is the answer to a request that came after the stop; a client may send it again.
        if (begun()) this.lost.push('a response was cut off');
        else if (sentAt < this.stoppedAt) this.lost.push('a request before the stop was dropped');
        break;
      }
      if (!response.body.equals(patternOf(this.#size))) this.lost.push('another body');
      this.answered += 1;
      if (response.headers.get('connection') === 'close') break;
    }
    client.end();
    await client.closed();
  }
}

test('a stop right after the start is as good as any', async () => {
  for (let round = 0; round < 10; round += 1) {
    const server = await startEngine();
    await stopEngine(server);
  }
});

test.run();
