import { execFileSync } from 'node:child_process';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { type RunningServer, stopAll } from '../support/process.ts';
import { testUnless } from '../support/skip.ts';
import { connect, type RawClient } from '../support/socket.ts';
import { countersOf, memoryOf, startEngine } from '../support/target.ts';
import { until } from '../support/wait.ts';

const test = suite('idle');
const count = 10_000;
/** The design's target, bytes of engine memory for each. */
const bytesEachMax = 2048;
const hello = 'GET /hello HTTP/1.1\r\nHost: a\r\n\r\n';

test.after(stopAll);

/** Why so many connections cannot be held here, or undefined when they can. */
function tooFew(): string | undefined {
  if (process.platform !== 'linux') return 'the memory of a process is read from /proc';
  const limit = execFileSync('sh', ['-c', 'ulimit -n'], { encoding: 'utf8' }).trim();
  if (limit === 'unlimited' || Number(limit) >= count + 200) return undefined;
  return `a process may open ${limit} files here, and ${count + 200} are needed`;
}

async function connectAll(server: RunningServer): Promise<RawClient[]> {
  const clients: RawClient[] = [];
  while (clients.length < count) {
    const batch = Math.min(250, count - clients.length);
    clients.push(...(await Promise.all(Array.from({ length: batch }, () => connect(server.port)))));
  }
  return clients;
}

/** Each asks once, and is answered. */
async function askAll(clients: readonly RawClient[]): Promise<void> {
  for (let at = 0; at < clients.length; at += 500) {
    await Promise.all(
      clients.slice(at, at + 500).map(async (client) => {
        await client.send(hello);
        assert.is((await client.response()).status, 200);
      }),
    );
  }
}

testUnless(
  test,
  tooFew(),
  '10,000 idle connections are held, each at no more than 2 KiB',
  async () => {
    const server = await startEngine({
      connections_max: count + 10,
      workers: 2,
      idle_timeout_ms: 600_000,
      header_timeout_ms: 600_000,
    });
    await countersOf(server);
    const before = await memoryOf(server);
    const clients = await connectAll(server);
    await until(async () => (await countersOf(server)).connections > count, 'all connections');
    await askAll(clients);
    const counters = await countersOf(server);
    assert.is(counters.connections, count + 1);
    assert.is(counters.bufferBytes, 0, 'an idle connection holds no buffer');
    const each = ((await memoryOf(server)) - before) / count;
    console.log(`${count} idle connections: ${Math.round(each)} bytes of memory each`);
    assert.ok(each <= bytesEachMax, `${each} bytes each`);

    // They are as good as new, and a stop ends all of them.
    await askAll(clients.slice(0, 1000));
    const begun = performance.now();
    const { code } = await server.stop();
    assert.is(code, 0);
    assert.ok(performance.now() - begun < 5000, 'at once');
    await until(() => clients.every((client) => client.ended), 'the end of all connections');
    for (const client of clients) client.destroy();
  },
);

test.run();
