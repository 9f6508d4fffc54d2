/** An inline server that nobody asks lets its process sleep. */
import { setTimeout as sleep } from 'node:timers/promises';
import { WebSocket } from 'undici';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { listening, programOf, type RunningServer, start, stopAll } from '../support/process.ts';
import { noInline, testUnless } from '../support/skip.ts';
import { connect, type RawClient } from '../support/socket.ts';
import { within } from '../support/wait.ts';

const test = suite('idle inline servers');

test.after(stopAll);

interface Busy {
  cpuMs: number;
  wallMs: number;
  /** The part of that time which the loop did not wait. */
  utilization: number;
}

async function ask(client: RawClient): Promise<Busy> {
  await client.send('GET / HTTP/1.1\r\nHost: a\r\n\r\n');
  return JSON.parse((await client.response()).body.toString()) as Busy;
}

async function talkingSocket({ port }: RunningServer): Promise<WebSocket> {
  const socket = new WebSocket(`ws://127.0.0.1:${port}/`);
  await within(
    new Promise((resolve) => {
      socket.addEventListener('open', () => socket.send('a'));
      socket.addEventListener('message', resolve, { once: true });
    }),
    'the echo',
  );
  return socket;
}

/** How busy a server is for a second that nobody asks in: one that spins is so for all of it. */
async function sleeps(client: RawClient): Promise<void> {
  await ask(client);
  await sleep(1000);
  const { cpuMs, wallMs, utilization } = await ask(client);
  assert.ok(wallMs >= 1000);
  const said = `${cpuMs} ms of CPU in ${wallMs} ms, the loop busy ${utilization}`;
  assert.ok(cpuMs < wallMs / 4 && utilization < 0.5, said);
}

for (const io of ['epoll', 'io_uring']) {
  testUnless(test, noInline, `${io}: it sleeps, whatever connections it has`, async () => {
    const fixture = programOf('tests', 'inline', 'fixtures', 'idle.ts');
    const server = await listening(start(process.execPath, [...fixture, io]));
    const client = await connect(server.port);
    await sleeps(client);
    // One that has sent half a head, one that has sent half a body, one that reads nothing, and WebSockets.
    const others = await Promise.all(Array.from({ length: 3 }, () => connect(server.port)));
    const [head, body, reader] = others as [RawClient, RawClient, RawClient];
    await head.send('GET / HTTP/1.1\r\nHo');
    await body.send('POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nabc');
    reader.socket.pause();
    const text = 'x'.repeat(8 * 1024 * 1024);
    const post = `POST / HTTP/1.1\r\nHost: a\r\nContent-Length: ${text.length}\r\n\r\n`;
    await reader.send(post + text);
    const socket = await talkingSocket(server);
    await sleeps(client);
    socket.close();
    for (const other of others) other.destroy();
    await sleeps(client);
    client.destroy();
    await server.stop();
  });
}

test.run();
