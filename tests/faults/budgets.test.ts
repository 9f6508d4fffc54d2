import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import * as assert from 'uvu/assert';
import { type RunningServer, stopAll } from '../support/process.ts';
import { sideBySide } from '../support/side_by_side.ts';
import { testUnless } from '../support/skip.ts';
import { connect, exchange, type RawClient } from '../support/socket.ts';
import {
  countersOf,
  engine,
  limitDescriptors,
  limitsAreFixed,
  memoryOf,
  patternOf,
  serveApp,
  startEngine,
  stopEngine,
} from '../support/target.ts';
import { until } from '../support/wait.ts';

// One client that wants more than its share, of connections, memory, answers or descriptors: it is bounded, others go
// on, and everything is given back.
const test = sideBySide('budgets');
const MiB = 1024 * 1024;
const get = (path: string): string => `GET ${path} HTTP/1.1\r\nHost: a\r\n\r\n`;
const hello = get('/hello');

test.after(stopAll);

/** Waits until the connection that asks is the only one and no buffer is in use. */
async function settled(server: RunningServer): Promise<void> {
  await until(async () => {
    const { connections, bufferBytes } = await countersOf(server);
    return connections <= 1 && bufferBytes === 0;
  }, 'the end of all connections and the return of their buffers');
}

const logged = (server: RunningServer, text: RegExp): number =>
  [...(server.stdout() + server.stderr()).matchAll(new RegExp(text, 'g'))].length;

for (const target of [engine, serveApp]) {
  test.alone(
    `${target.name}: an address that has its connections open gets no more until one ends; other addresses do`,
    async () => {
      const server = await target.start({
        ...target.patient,
        [target === engine ? 'connections_per_address_max' : 'maxConnectionsPerAddress']: 3,
        workers: 2,
      });
      const clients = await Promise.all([1, 2, 3].map(() => connect(server.port)));
      for (const client of clients) {
        await client.send(hello);
        assert.is((await client.response()).status, 200);
      }
      const begun = performance.now();
      for (let round = 0; round < 30; round += 1) {
        const refused = await connect(server.port);
        await refused.closed();
        assert.is(refused.received.length, 0);
      }
      // Another address of this machine has a limit of its own.
      const other = await connect(server.port, '127.0.0.1', '127.0.0.2').catch(() => undefined);
      if (other !== undefined) {
        await other.send(hello);
        assert.is((await other.response()).status, 200);
        other.destroy();
      }
      clients[0]?.destroy();
      const response = await until(
        () => exchange(server.port, hello).catch(() => undefined),
        'room for another connection',
      );
      assert.is(response.status, 200);
      for (const client of clients) client.destroy();
      const seconds = 1 + Math.floor((performance.now() - begun) / 1000);
      const lines = logged(server, /127\.0\.0\.1 has 3 connections open/);
      assert.ok(
        lines > 0 && lines <= 20 * seconds + 1,
        `${lines} lines: told, and not more than 20 a second`,
      );
      await target.stop(server);
    },
  );

  test(`${target.name}: ten thousand small requests in one go are answered in order, in bounded memory`, async () => {
    const server = await target.start({ ...target.patient, workers: 1 });
    await exchange(server.port, hello);
    const before = await memoryOf(server);
    const client = await connect(server.port);
    const count = 10_000;
    const sent = client.send(get('/status/200').repeat(count - 1) + get('/status/404'));
    const one = /HTTP\/1\.1 200 OK\r\n/g;
    const all = await client.readUntil((got) => got.subarray(-400).includes(' 404 '), 30_000);
    await sent;
    assert.is(all.toString('latin1').match(one)?.length, count - 1);
    client.destroy();
    const grown = (await memoryOf(server)) - before;
    if (target === engine) assert.ok(grown < 4 * MiB, `${grown} bytes`);
    await settled(server);
    await target.stop(server);
  });
}

test.alone(
  'a pipeline whose answers nobody reads ends with the write timeout, and gives everything back',
  async () => {
    const server = await startEngine({ workers: 1, write_timeout_ms: 400 });
    for (const path of ['/size/100000', '/static/300000', '/file/100000', '/borrowed/200000']) {
      const client = await connect(server.port);
      client.socket.pause();
      await client.send(get(path).repeat(5000)).catch(() => {});
      await until(async () => (await countersOf(server)).connections === 2, 'the connection');
      const { bufferBytes } = await countersOf(server);
      assert.ok(bufferBytes < 2 * MiB, `${path}: ${bufferBytes} bytes of buffers`);
      await settled(server);
      client.destroy();
    }
    const { timeouts } = await stopEngine(server);
    assert.is(timeouts, 4);
  },
);

test('serve: answers that wait behind a slow first one are bounded, in order and whole', async () => {
  const server = await serveApp.start({ workers: 1 });
  const client = await connect(server.port);
  const sizes = Array.from({ length: 150 }, (_, index) => (index * 7919) % 30_000);
  await client.send(get('/slow/400') + sizes.map((size) => get(`/size/${size}`)).join(''));
  let most = 0;
  const look = setInterval(() => {
    countersOf(server).then(
      ({ bufferBytes }) => {
        most = Math.max(most, bufferBytes);
      },
      () => {},
    );
  }, 20);
  assert.is((await client.response()).body.toString(), 'slow\n');
  for (const size of sizes) assert.ok((await client.response()).body.equals(patternOf(size)));
  clearInterval(look);
  // 64 requests at a time, and no more once 256 KiB wait.
  assert.ok(most < 3 * MiB, `${most} bytes`);
  client.destroy();
  await settled(server);
  await serveApp.stop(server);
});

test('serve: clients that pipeline slow requests in great number take no other client’s turn', async () => {
  const server = await serveApp.start({ workers: 1 });
  const greedy = await Promise.all(Array.from({ length: 180 }, () => connect(server.port)));
  for (const client of greedy) await client.send(get('/slow/4000').repeat(64));
  await until(async () => (await countersOf(server)).connections >= 180, 'all connections');
  for (const path of ['/hello', '/size/10', '/describe']) {
    assert.is((await exchange(server.port, get(path))).status, 200, path);
  }
  for (const client of greedy) client.destroy();
  await settled(server);
  await serveApp.stop(server);
});

test('serve: a connection above its memory is closed, and the others go on', async () => {
  const server = await serveApp.start({ workers: 1, maxConnectionMemory: 11 * MiB });
  const other = await connect(server.port);
  await other.send(get('/slow/1500'));
  const client = await connect(server.port);
  await client.send(get('/slow/1500') + get('/size/1000000').repeat(63));
  await client.closed();
  await until(() => logged(server, /connection_memory_bytes_max/) > 0, 'the line');
  assert.is((await other.response()).status, 200);
  other.destroy();
  await settled(server);
  await serveApp.stop(server);
});

test('a response above the memory of its connection is the handler’s error, and the option is named', async () => {
  const server = await startEngine({
    workers: 1,
    body_buffered_bytes_max: MiB,
    connection_memory_bytes_max: 4 * MiB,
  });
  assert.is((await exchange(server.port, get('/size/9000000'))).status, 500);
  await until(() => logged(server, /connection_memory_bytes_max/) === 1, 'the line');
  assert.is((await exchange(server.port, get('/size/1000000'))).status, 200);
  await stopEngine(server);
});

test('with the defaults one connection cannot take the whole pool of its worker', async () => {
  const server = await startEngine({ workers: 1 });
  // 100 MB is less than the pool and more than a connection's share.
  assert.is((await exchange(server.port, get('/size/100000000'))).status, 500);
  const client = await connect(server.port);
  client.socket.pause();
  await client.send(get('/size/60000000'));
  await until(async () => (await countersOf(server)).bufferBytes > 40 * MiB, 'the response');
  const upload = `POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 4000000\r\n\r\n`;
  const served = await exchange(server.port, upload + 'x'.repeat(4_000_000));
  assert.is(served.body.length, 4_000_000);
  client.destroy();
  await settled(server);
  await stopEngine(server);
});

const scarce = 'without a descriptor for a file the request is 503, and served when there is one';
testUnless(test, limitsAreFixed, scarce, async () => {
  const folder = mkdtempSync(join(tmpdir(), 'gyrfalcon-'));
  for (let index = 0; index < 3; index += 1) {
    writeFileSync(join(folder, `${index}.bin`), patternOf(200_000));
  }
  const server = await startEngine({ workers: 1, files: folder, idle_timeout_ms: 60_000 });
  limitDescriptors(server, 60);
  // More than there are descriptors: all are in use, and the next one that is free is taken.
  const clients = await Promise.all(Array.from({ length: 70 }, () => connect(server.port)));
  for (const client of clients) await client.send(hello);
  await until(() => logged(server, /out of descriptors/) > 0, 'the end of descriptors');
  const first = clients[0] as RawClient;
  await first.response();
  const ask = async (index: number): Promise<number> => {
    await first.send(get(`/files/${index}.bin`));
    return (await first.response()).status;
  };
  assert.is(await ask(0), 503);
  assert.is(await ask(1), 503);
  for (const client of clients.slice(1)) client.destroy();
  await until(async () => (await ask(2)) === 200, 'a descriptor');
  assert.is(await ask(0), 200);
  first.destroy();
  await stopEngine(server);
  rmSync(folder, { recursive: true });
});

test.run();
