import { Agent, request } from 'node:http';
import { Response } from 'gyrfalcon';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { serversOf } from '../support/servers.ts';
import { connect } from '../support/socket.ts';

// What clients are told of kept connections, and that it can be counted on: bench/keepalive-race.mjs at full length.
const test = suite('keep-alive');
const servers = serversOf(test);
const fetch = () => new Response('here');

/** The response to one request with these fields. */
async function answerTo(port: number, head: string) {
  const client = await connect(port);
  await client.send(`${head}\r\n\r\n`);
  const response = await client.response();
  client.destroy();
  return response;
}

test('who asks for a kept connection is told for how long, and nobody else', async () => {
  const server = servers.open({
    fetch,
    keepAliveTimeout: 7900,
    routes: { '/c': new Response('c') },
  });
  for (const path of ['/', '/c', '/c/none']) {
    for (const [version, options, told] of [
      ['1.1', 'keep-alive', true],
      ['1.1', 'Upgrade, Keep-Alive', true],
      ['1.0', 'keep-alive', true],
      ['1.1', 'keep-alive, close', false],
      ['1.1', 'x', false],
      ['1.0', 'x', false],
    ] as const) {
      const head = `GET ${path} HTTP/${version}\r\nHost: a\r\nConnection: ${options}`;
      const { headers } = await answerTo(server.port, head);
      const note = `${path} ${version} ${options}`;
      assert.is(headers.get('keep-alive'), told ? 'timeout=7' : undefined, note);
      if (told) assert.is(headers.get('connection'), 'keep-alive', note);
    }
  }
});

test('below a second nothing is told', async () => {
  const server = servers.open({ fetch, keepAliveTimeout: 999 });
  const head = 'GET / HTTP/1.1\r\nHost: a\r\nConnection: keep-alive';
  assert.not((await answerTo(server.port, head)).headers.has('keep-alive'));
});

test('POSTs as far apart as the timeout lose nothing, and go over connections that are kept', async () => {
  const timeout = 2000; // of one second Node.js's agent would make no use
  const server = servers.open({ fetch, keepAliveTimeout: timeout });
  const lost: unknown[] = [];
  let kept = 0;
  const play = async () => {
    const agent = new Agent({ keepAlive: true, maxSockets: 1 });
    await post(server.port, agent);
    await new Promise((resolve) => setTimeout(resolve, timeout));
    await post(server.port, agent).then(
      (isReused) => {
        if (isReused) kept += 1;
      },
      (error: unknown) => lost.push(error),
    );
    agent.destroy();
  };
  await Promise.all(Array.from({ length: 40 }, play));
  assert.equal(lost, []);
  assert.is(kept, 40);
});

/** Whether the request went over a connection that had been used before. */
function post(port: number, agent: Agent): Promise<boolean> {
  return new Promise((resolve, reject) => {
    const options = { host: '127.0.0.1', port, agent, method: 'POST', path: '/' };
    const asked = request(options, (response) => {
      response.on('error', reject).on('end', () => resolve(asked.reusedSocket));
      response.resume();
    });
    asked.on('error', reject).end('some');
  });
}

test.run();
