// What streams of HTTP/2 that are under way cost: opens many connections, and as many streams on each as it may have,
// which a handler answers when it is told to. `node bench/streams.mjs [--connections 1000] [--streams 100] [--smoke]`.
// Ends with 1 when one was refused, reset or not answered.
import { connect } from 'node:net';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { main, setup } from '../scripts/lib/setup.mjs';
import { frame, PREFACE } from './lib/http2.mjs';
import { checkDescriptors } from './lib/machine.mjs';
import { integer } from './lib/options.mjs';
import { freePort, residentBytes, start, stop, tree } from './lib/process.mjs';

const { values } = parseArgs({
  options: {
    connections: { type: 'string', default: '1000' },
    streams: { type: 'string', default: '100' },
    smoke: { type: 'boolean', default: false },
  },
});
const connections = values.smoke ? 20 : integer(values, 'connections', 1, 20_000);
const streams = integer(values, 'streams', 1, 10_000);

const [DATA, HEADERS, RST_STREAM, SETTINGS, GOAWAY] = [0, 1, 3, 4, 7];
const END_STREAM = 1;

/** A connection whose requests are told by their streams, and that counts what has ended. */
class Client {
  constructor(port) {
    this.ended = 0;
    this.wrong = null;
    this.rest = Buffer.alloc(0);
    this.socket = connect({ port, host: '127.0.0.1', noDelay: true });
    this.socket.on('error', (error) => this.fail(error.message));
    this.socket.on('close', () => this.fail('closed'));
    this.socket.on('data', (bytes) => this.take(bytes));
    this.socket.write(Buffer.concat([PREFACE, frame(SETTINGS, 0, 0), frame(SETTINGS, 1, 0)]));
  }

  fail(why) {
    this.wrong ??= why;
  }

  ask(stream, path) {
    const text = Buffer.from(path);
    // GET, http, the path, an authority: as a client begins.
    const block = Buffer.concat([
      Buffer.from([0x82, 0x86, 0x44, text.length]),
      text,
      Buffer.from([0x41, 1, 0x61]),
    ]);
    this.socket.write(frame(HEADERS, 4 | END_STREAM, stream, block));
  }

  take(bytes) {
    this.rest = Buffer.concat([this.rest, bytes]);
    let at = 0;
    while (this.rest.length - at >= 9) {
      const length = this.rest.readUIntBE(at, 3);
      if (this.rest.length - at < 9 + length) break;
      const [type, flags] = [this.rest[at + 3], this.rest[at + 4]];
      if (type === RST_STREAM || type === GOAWAY) {
        const code = this.rest.readUInt32BE(at + 9 + length - 4);
        this.fail(`a frame of type ${type}, code ${code}`);
      }
      if ((type === DATA || type === HEADERS) && flags & END_STREAM) this.ended += 1;
      at += 9 + length;
    }
    this.rest = this.rest.subarray(at);
  }
}

checkDescriptors(connections, '--connections');
await main(async () => {
  if (process.env.GYRFALCON_SETUP !== '0') await setup({ quiet: true });
  const port = await freePort();
  const app = fileURLToPath(new URL('./apps/held.ts', import.meta.url));
  const loader = new URL('../dist/loader/register.js', import.meta.url).href;
  const given = [port, connections, streams].map(String);
  const command = [process.execPath, '--expose-gc', '--import', loader, app, ...given];
  const server = start(command, { core: 0, nice: 0 });
  try {
    await until(() => server.output.includes('http') || server.exited !== null, 'the server');
    if (server.exited !== null) throw new Error(server.output);
    await measure(server, port);
  } finally {
    await stop(server);
  }
});

async function measure(server, port) {
  const look = async (clients) => {
    const memory = await askOnce(port, '/memory');
    const resident = residentBytes(tree(server.pid));
    const script = memory.heapTotal + memory.external;
    return { ...memory, resident, script, engine: resident - script, clients };
  };
  const empty = await look();
  const clients = [];
  for (let n = 0; n < connections; n += 1) {
    const client = new Client(port);
    clients.push(client);
    client.ask(1, '/hello');
    if (clients.length % 100 === 0) await allAnswered(clients, 1);
  }
  await allAnswered(clients, 1);
  const idle = await look();
  // As fast as the handler takes them: what waits for that is kept, which takes memory of its own.
  for (let n = 1; n <= streams; n += 1) {
    for (const client of clients) client.ask(2 * n + 1, '/held');
    await until(
      async () => {
        check(clients);
        return Number(await askOnce(port, '/pending')) === n * connections;
      },
      `${n * connections} streams that are held`,
    );
  }
  const full = await look();
  await askOnce(port, '/release');
  await allAnswered(clients, 1 + streams);
  const after = await look();
  check(clients);
  for (const client of clients) client.socket.destroy();

  const all = connections * streams;
  const mib = (bytes) => `${(bytes / 2 ** 20).toFixed(1)} MiB`;
  const line = (name, { resident, script, bufferBytes }) =>
    `${name.padEnd(30)} ${mib(resident).padStart(10)} ${mib(script).padStart(12)} ${mib(bufferBytes).padStart(12)}`;
  console.log(`${all} streams over ${connections} connections were held, and answered`);
  console.log(
    `${''.padEnd(30)} ${'resident'.padStart(10)} ${'JavaScript'.padStart(12)} ${'buffers'.padStart(12)}`,
  );
  console.log(line('nothing', empty));
  console.log(line('connections, idle', idle));
  console.log(line('all streams held', full));
  console.log(line('all answered', after));
  const each = (from, to, count) => Math.round((to - from) / count);
  console.log(
    `an idle connection: ${each(empty.engine, idle.engine, connections)} bytes beside JavaScript`,
  );
  console.log(
    `a stream: ${each(idle.engine, full.engine, all)} bytes beside JavaScript, ${each(idle.script, full.script, all)} of it`,
  );
  console.log(`allocated after the start by the engine: ${after.allocationsAfterStart}`);
  console.log(`\nthe server's own account:\n${server.output.trim()}`);
  if (after.allocationsAfterStart > 0) process.exitCode = 1;
}

function check(clients) {
  const broken = clients.find(({ wrong }) => wrong !== null);
  if (broken !== undefined) throw new Error(`a connection did not hold: ${broken.wrong}`);
}

function allAnswered(clients, count) {
  return until(() => {
    check(clients);
    return clients.every(({ ended }) => ended === count);
  }, `${count} answers on each connection`);
}

/** JSON, or text, by a connection of its own. */
async function askOnce(port, path) {
  const response = await fetch(`http://127.0.0.1:${port}${path}`, {
    headers: { connection: 'close' },
  });
  const text = await response.text();
  return path === '/memory' ? JSON.parse(text) : text;
}

async function until(holds, what, limit_ms = 60_000) {
  const deadline = Date.now() + limit_ms;
  while (!(await holds())) {
    if (Date.now() > deadline) throw new Error(`there was no ${what} within ${limit_ms} ms`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}
