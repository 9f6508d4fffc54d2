/** Clients that come and go in every way leave nothing behind, and each response is closed once. */
import type { IncomingMessage, ServerResponse } from 'node:http';
import { connect } from 'node:net';
import { pipeline } from 'node:stream/promises';
import { nodeHandler } from 'gyrfalcon/node';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { serversOf } from '../support/servers.ts';
import { until } from '../support/wait.ts';

const test = suite('clients that come and go');
const servers = serversOf(test);

/** What handlers do, by path. */
const programs: Record<string, (req: IncomingMessage, res: ServerResponse) => unknown> = {
  '/text': (_req, res) => res.end('text'),
  '/large': (_req, res) => res.end('x'.repeat(1_000_000)),
  '/echo': (req, res) => pipeline(req, res).catch(() => {}),
  '/collect': async (req, res) => {
    let bytes = 0;
    for await (const chunk of req) bytes += (chunk as Buffer).length;
    res.end(`${bytes}`);
  },
  '/ticks': (_req, res) => {
    const timer = setInterval(() => res.write('tick'.repeat(500)), 1);
    const stop = () => clearInterval(timer);
    res.on('close', stop);
    // Nothing is written behind the end: 'close' comes when the last byte has left, which may be a tick later.
    setTimeout(() => {
      stop();
      res.end();
    }, 20);
  },
  '/late': (_req, res) => setTimeout(() => res.end('late'), 20),
  '/never': () => {}, // it is the client who has to go
  '/destroy': (_req, res) => {
    res.write('part');
    setImmediate(() => res.destroy());
  },
  '/throw': () => {
    throw new Error('broken');
  },
  '/reject': async (_req, res) => {
    res.write('part');
    throw new Error('broken');
  },
};
const paths = Object.keys(programs);

/** The same numbers in each run, from 0 to below 1. */
function* numbers(seed: number): Generator<number, never> {
  let state = seed;
  for (;;) {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    yield state / 2 ** 32;
  }
}

/** One connection: some requests, cut or not, and an end of one kind. */
async function visit(port: number, next: () => number): Promise<void> {
  let bytes = '';
  for (let count = 1 + Math.floor(next() * 3); count > 0; count--) {
    const path = paths[Math.floor(next() * paths.length)] as string;
    const body = next() < 0.5 ? '' : 'y'.repeat(next() * 200_000);
    const method = body === '' ? 'GET' : 'POST';
    bytes += `${method} ${path} HTTP/1.1\r\nHost: a.test\r\nContent-Length: ${body.length}\r\n\r\n${body}`;
  }
  if (next() < 0.3) bytes = bytes.slice(0, next() * bytes.length);
  const socket = connect(port, '127.0.0.1');
  const closed = new Promise((resolve) => socket.on('close', resolve));
  socket.on('error', () => {}); // the server may end it first
  const isHalf = next() < 0.2;
  if (isHalf) socket.end(bytes);
  else socket.write(bytes);
  if (next() < 0.8) socket.resume();
  const isReset = next() < 0.5;
  setTimeout(() => {
    // A reset while the shutdown of end() is under way leaves Node.js 20 spinning in its own exit.
    if (isReset && !isHalf) socket.resetAndDestroy();
    else socket.destroy();
  }, next() * 40);
  await closed;
}

test('nothing is left, and nobody is told twice', async () => {
  let begun = 0;
  const closes: number[] = [];
  const server = servers.open({
    globals: false,
    log: 'silent',
    fetch: nodeHandler((req, res) => {
      const number = begun++;
      closes[number] = 0;
      res.on('close', () => {
        closes[number] = (closes[number] as number) + 1;
      });
      return programs[req.url as string]?.(req, res);
    }),
  });
  const clients = Array.from({ length: 20 }, async (_, seed) => {
    const source = numbers(seed);
    for (let visits = 0; visits < 15; visits++) {
      await visit(server.port, () => source.next().value);
    }
  });
  await Promise.all(clients);
  await until(() => server.stats().connections === 0, 'the end of all connections', 20_000);
  await until(() => closes.every((count) => count > 0), "'close' of every response");
  assert.ok(begun > 100, `${begun} requests came`);
  assert.ok(closes.every((count) => count === 1));
});

test.run();
