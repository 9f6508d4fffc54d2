import * as assert from 'uvu/assert';
import { type RunningServer, stopAll } from '../support/process.ts';
import { sideBySide } from '../support/side_by_side.ts';
import { exchange } from '../support/socket.ts';
import type { Counters, Target } from '../support/target.ts';
import { until } from '../support/wait.ts';
import { ask, FrameClient, session } from './client.ts';
import { type Case, cases, type End } from './hostile_cases.ts';

/** Short, so that what falls silent need not be waited for; long enough for a neighbour on a busy machine, ms. */
export const short = 2000;

/** What pools may hold on account of one hostile client, bytes. */
const heldMax = 16 * 2 ** 20;

/** Who means well leaves some of the processor to others, ms. */
const restMs = 25;

/** Asks for the same thing again and again, by a new connection of each protocol, until it is told to end. */
class Neighbour {
  served = 0;
  /** The most that pools held, bytes. */
  held = 0;
  private goesOn = true;
  private readonly done: Promise<void>;

  constructor(port: number) {
    this.done = this.run(port);
    this.done.catch(() => {}); // `end` tells
  }

  async end(): Promise<void> {
    this.goesOn = false;
    await this.done;
  }

  private async run(port: number): Promise<void> {
    while (this.goesOn) {
      const client = await session(`http://127.0.0.1:${port}`);
      client.on('error', () => {});
      for (let n = 0; n < 5; n += 1) {
        const { status, code } = await ask(client, '/hello');
        assert.equal([status, code], [200, 0], 'who means well is served');
      }
      client.destroy();
      const { bufferBytes } = await counters(port);
      this.held = Math.max(this.held, bufferBytes);
      this.served += 1;
      await new Promise((resolve) => setTimeout(resolve, restMs));
    }
  }
}

async function counters(port: number): Promise<Counters> {
  const asked = 'GET /counters HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n';
  return JSON.parse((await exchange(port, asked)).body.toString()) as Counters;
}

/** Plays a case, with others served beside it. */
async function play(one: Case, server: RunningServer): Promise<void> {
  const { port } = server;
  const neighbour = new Neighbour(port);
  await until(() => neighbour.served > 0, 'a neighbour that is served');
  const client = one.raw
    ? await FrameClient.connect(port)
    : await FrameClient.open(port, [...(one.settings ?? [])]);
  const before = neighbour.served;
  try {
    await one.play(client);
    await checkEnd(client, one.end);
    await until(() => neighbour.served > before + 1, 'a neighbour that is served still');
  } finally {
    client.socket.destroy();
    await neighbour.end();
  }
  assert.ok(neighbour.held < heldMax, `${neighbour.held} bytes were held`);
  // The one that asks is the only one that is left.
  await until(async () => {
    const { bufferBytes, connections } = await counters(port);
    return connections === 1 && bufferBytes === 0;
  }, 'the release of all that was held');
}

async function checkEnd(client: FrameClient, end: End): Promise<void> {
  if (end === 'kept') return assert.not(client.isOver, 'the connection goes on');
  if (typeof end === 'number') assert.is(await client.goaway(), end, 'the code of GOAWAY');
  await until(() => client.ended, 'the end of the connection');
}

/** For who looks at one alone: GYRFALCON_CASE=ping. */
const chosen = cases.filter(({ name }) => name.includes(process.env.GYRFALCON_CASE ?? ''));

/**
 * One table of clients that mean no good, over `target`: those that are done at once, or, with the timeouts that they meet,
 * those that are slow. While each is at it, others of the same worker are served, over HTTP/2 and HTTP/1; afterwards nothing
 * is left of it. Some are at it at a time, each at a server of its own, which has had others before.
 */
export function testHostile(target: Target, timeouts?: Record<string, number>): void {
  const isSlow = timeouts !== undefined;
  const name = `${isSlow ? 'slow ' : ''}hostile clients of HTTP/2, ${target.name}`;
  const atOnce = isSlow ? 5 : 2;
  const test = sideBySide(name, atOnce);
  const some = chosen.filter(({ slow = false, only = target.name }) => {
    return slow === isSlow && only === target.name;
  });
  const free: RunningServer[] = [];
  test.alone('the servers start', async () => {
    const started = Array.from({ length: atOnce }, () => target.start({ workers: 1, ...timeouts }));
    free.push(...(await Promise.all(started)));
  });
  for (const one of some) {
    test(one.name, async () => {
      const server = free.pop() as RunningServer; // as many as run at a time
      await play(one, server).finally(() => free.push(server));
    });
  }
  test.alone('the servers end in order', async () => {
    await Promise.all(free.map((server) => target.stop(server)));
  });
  test.after(stopAll);
  test.run();
}
