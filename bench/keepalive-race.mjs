// The keep-alive race: a client that sends its next request just when the server closes an idle connection gets a
// reset. POSTs are sent over kept connections as far apart as the server's keep-alive timeout, by Node.js's agent with
// its defaults, by undici, and on bare sockets that use the announced time to its end; the resets are counted.
//   node bench/keepalive-race.mjs [--connections 200] [--rounds 4] [--timeout 5000] [--smoke]
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { Agent, createServer, request } from 'node:http';
import { createConnection } from 'node:net';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { Pool } from 'undici';
import { integer } from './lib/options.mjs';

const { values } = parseArgs({
  options: {
    connections: { type: 'string', default: '200' },
    rounds: { type: 'string', default: '4' },
    /** The servers' keepAliveTimeout, ms; clients send that far apart. */
    timeout: { type: 'string', default: '5000' },
    /** As short as can be: whether it runs. */
    smoke: { type: 'boolean', default: false },
    /** Of a child of this program: the server to be. */
    serve: { type: 'string' },
  },
});
const connections = values.smoke ? 10 : integer(values, 'connections', 1, 20_000);
const rounds = values.smoke ? 2 : integer(values, 'rounds', 1, 1000);
const timeout = values.smoke ? 1000 : integer(values, 'timeout', 100, 600_000);
const host = '127.0.0.1';

async function beServer(name) {
  if (name === 'gyrfalcon') {
    const { serve } = await import('../dist/index.js');
    const server = serve({
      port: 0,
      hostname: host,
      keepAliveTimeout: timeout,
      fetch: async (request) => new Response(`${(await request.text()).length}\n`),
    });
    console.log(`PORT ${server.port}`);
  } else {
    const server = createServer((incoming, response) => {
      let length = 0;
      incoming.on('data', (bytes) => {
        length += bytes.length;
      });
      incoming.on('end', () => response.end(`${length}\n`));
    });
    server.keepAliveTimeout = timeout;
    server.listen(0, host, () => console.log(`PORT ${server.address().port}`));
  }
}

async function measure() {
  const servers = [];
  try {
    for (const name of ['gyrfalcon', 'node:http']) servers.push(await start(name));
    const apart = `${timeout / 1000} s apart`;
    console.log(
      `Node.js ${process.version}, ${connections} connections, ${rounds} POSTs each, ${apart}`,
    );
    let gyrfalconResets = 0;
    for (const [client, play] of Object.entries(clients)) {
      // Both at the same time, so that they are in the same weather.
      const results = await Promise.all(servers.map(({ port }) => count(play, port)));
      for (const [index, { name }] of servers.entries()) {
        const { answered, resets, opened } = results[index];
        console.log(
          `${client.padEnd(22)} ${name.padEnd(10)} ${resets} of ${answered + resets} reset, ${opened} connections`,
        );
        if (name === 'gyrfalcon') gyrfalconResets += resets;
      }
    }
    if (gyrfalconResets > 0) process.exitCode = 1;
  } finally {
    for (const { child } of servers) child.kill();
  }
}

async function start(name) {
  const args = [fileURLToPath(import.meta.url), '--serve', name, '--timeout', String(timeout)];
  const child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'ignore'] });
  const [text] = await once(child.stdout, 'data');
  return { name, child, port: Number(/PORT (\d+)/.exec(text)[1]) };
}

/** Lets all connections play their rounds, a few milliseconds after one another. */
async function count(play, port) {
  const result = { answered: 0, resets: 0, opened: 0 };
  const one = async (index) => {
    await sleep(index % 100);
    const client = play(port, result);
    for (let round = 0; round < rounds; round += 1) {
      if (round > 0) await sleep(timeout);
      try {
        await client.post();
        result.answered += 1;
      } catch {
        result.resets += 1;
      }
    }
    await client.close();
  };
  await Promise.all(Array.from({ length: connections }, (_, index) => one(index)));
  return result;
}

function sleep(ms) {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

const body = 'a body that is not sent twice';

/** A client of Node.js's agent, on one connection at a time. */
const agentClient = (options) => (port, result) => {
  const agent = new Agent({ keepAlive: true, maxSockets: 1, ...options });
  const post = () =>
    new Promise((resolve, reject) => {
      const asked = request({ host, port, agent, method: 'POST', path: '/' }, (response) => {
        response.on('error', reject).on('end', resolve).resume();
      });
      asked.on('socket', () => {
        if (!asked.reusedSocket) result.opened += 1;
      });
      asked.on('error', reject);
      asked.end(body);
    });
  return { post, close: () => agent.destroy() };
};

/** Each makes a client of its own for a connection: `post()` rejects when it gets no answer. */
const clients = {
  'http.Agent, defaults': agentClient({ scheduling: 'lifo', timeout: 5000 }),
  // Node.js heeds what is announced only beside a timeout of its own.
  'http.Agent, no timeout': agentClient({}),
  undici: (port, result) => {
    const pool = new Pool(`http://${host}:${port}`, { connections: 1 });
    pool.on('connect', () => {
      result.opened += 1;
    });
    const post = async () => {
      const { body: answer } = await pool.request({ method: 'POST', path: '/', body });
      await answer.text();
    };
    return { post, close: () => pool.close() };
  },
  'sockets, kept for good': (port, result) => {
    let socket;
    const post = () =>
      new Promise((resolve, reject) => {
        if (socket === undefined || socket.destroyed || socket.readableEnded) {
          result.opened += 1;
          socket = createConnection({ port, host, noDelay: true });
        }
        const used = socket;
        const done = (settle, value) => {
          used.removeAllListeners();
          used.on('error', () => {}).on('end', () => used.destroy());
          settle(value);
        };
        used.removeAllListeners('data');
        used.once('data', () => done(resolve));
        used.once('error', (error) => done(reject, error));
        used.once('end', () => done(reject, new Error('closed in place of an answer')));
        const fields = `Host: a\r\nConnection: keep-alive\r\nContent-Length: ${body.length}`;
        used.write(`POST / HTTP/1.1\r\n${fields}\r\n\r\n${body}`);
      });
    return { post, close: () => socket?.destroy() };
  },
};

if (values.serve !== undefined) await beServer(values.serve);
else await measure();
