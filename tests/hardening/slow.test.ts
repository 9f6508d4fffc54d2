import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { stopAll } from '../support/process.ts';
import { connect, exchange, type RawClient } from '../support/socket.ts';
import { countersOf } from '../support/target.ts';
import { until } from '../support/wait.ts';
import { type Kind, kinds, Servers } from './kinds.ts';

// Peers that send or read too slowly, or not at all: the same for every kind of handler.
const test = suite('slow peers');
const servers = new Servers();
/** Time enough for a busy machine to send what is not meant to be late, ms. */
const short = 400;

test.before(() =>
  servers.start({
    header_timeout_ms: short,
    body_timeout_ms: short,
    idle_timeout_ms: short,
    write_timeout_ms: short,
  }),
);
test.after(stopAll);

/** Everything up to the connection's end, the Date lines left out. */
async function restOf(client: RawClient): Promise<string> {
  const received = (await client.readToEnd()).toString('latin1');
  assert.is(client.error, undefined, 'the connection ends in order');
  client.destroy();
  return received.replaceAll(/^Date: .*\r\n/gm, '');
}

/** What each kind's client saw after it had sent `text`, and then nothing. */
async function afterSending(
  text: (kind: Kind) => string,
  which: readonly Kind[] = kinds,
): Promise<string[]> {
  return Promise.all(
    which.map(async (kind) => {
      const client = await connect(servers.portOf(kind));
      await client.send(text(kind));
      return restOf(client);
    }),
  );
}

function expectSame(seen: readonly string[]): string {
  assert.equal(new Set(seen).size, 1, JSON.stringify(seen));
  return seen[0] ?? '';
}

const getOf = ({ path }: Kind): string => `GET ${path} HTTP/1.1\r\nHost: a\r\n\r\n`;
const waiting = kinds.filter(({ early }) => !early);
const early = kinds.filter((kind) => kind.early);

test('slow: a connection on which nothing comes ends without a word', async () => {
  assert.is(expectSame(await afterSending(() => '')), '');
});

test('slow: empty lines and nothing else end without a word', async () => {
  assert.is(expectSame(await afterSending(() => '\r\n\r\n')), '');
});

test('slow: a head that HEAD begins and that is not whole in time gets 408 without content', async () => {
  const seen = expectSame(await afterSending(() => 'HEAD /x HTTP/1.1\r\nHost: a\r\n'));
  assert.match(seen, /^HTTP\/1\.1 408 /);
  assert.is(seen.indexOf('\r\n\r\n'), seen.length - 4);
});

test('slow: a head that is not whole in time is answered with 408', async () => {
  const beginnings = ['GET', 'GET /x HTTP/1.1\r\n', 'GET /x HTTP/1.1\r\nHost: a\r\nX: y\r\n'];
  const all = await Promise.all(beginnings.map((text) => afterSending(() => text)));
  const seen = expectSame(all.flat());
  assert.match(seen, /^HTTP\/1\.1 408 /);
  assert.match(seen, 'header_timeout');
});

test('slow: a head that never stops coming, byte by byte, is answered with 408', async () => {
  const seen = await Promise.all(
    kinds.map(async (kind) => {
      const client = await connect(servers.portOf(kind));
      await client.send(`GET ${kind.path} HTTP/1.1\r\nHost: a\r\nX: `);
      const trickle = setInterval(() => client.socket.write('x'), short / 10);
      try {
        return await restOf(client);
      } finally {
        clearInterval(trickle);
      }
    }),
  );
  assert.match(expectSame(seen), /^HTTP\/1\.1 408 /);
});

const halves = [
  'Content-Length: 10\r\n\r\nhalf',
  'Transfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n',
  'Transfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n0\r\nX: ',
];
const afterHalves = (which: readonly Kind[]): Promise<string[][]> =>
  Promise.all(
    halves.map((half) =>
      afterSending(({ path }) => `POST ${path} HTTP/1.1\r\nHost: a\r\n${half}`, which),
    ),
  );

test('slow: a body that stops is answered with 408 by all that wait for it', async () => {
  const seen = expectSame((await afterHalves(waiting)).flat());
  assert.match(seen, /^HTTP\/1\.1 408 /);
  assert.match(seen, 'body_timeout');
});

test('slow: a body that stops behind its answer ends the connection without another', async () => {
  for (const seen of (await afterHalves(early)).flat()) {
    assert.is(seen.split('HTTP/1.1 ').length, 2, seen);
    assert.match(seen, /^HTTP\/1\.1 (?:200|405) /);
  }
});

test('slow: a client that is idle behind its answer is let go without a word', async () => {
  for (const seen of await afterSending(getOf)) {
    assert.match(seen, /^HTTP\/1\.1 200 /);
    assert.is(seen.split('HTTP/1.1 ').length, 2, seen);
  }
});

/** Sends requests until the server takes no more for a while, and reads nothing; resolves to the bytes it took. */
async function flood(client: RawClient, request: string, enough: number): Promise<number> {
  client.socket.pause();
  const piece = request.repeat(500);
  const stopped = (): boolean => client.ended || client.error !== undefined;
  while (!stopped() && client.socket.bytesWritten < enough) {
    if (!client.socket.write(piece, 'latin1')) {
      const before = client.socket.bytesWritten - client.socket.writableLength;
      await Promise.race([
        new Promise((resolve) => client.socket.once('drain', resolve)),
        new Promise((resolve) => setTimeout(resolve, short / 4)),
      ]);
      if (client.socket.bytesWritten - client.socket.writableLength === before) break;
    }
  }
  return client.socket.bytesWritten - client.socket.writableLength;
}

test('slow: a pipeline whose answers nobody reads is not read on, costs a bounded memory, and ends', async () => {
  const enough = 64 * 1024 * 1024;
  const clients = await Promise.all(
    kinds.map(async (kind) => ({ kind, client: await connect(servers.portOf(kind)) })),
  );
  const taken = await Promise.all(
    clients.map(({ kind, client }) => flood(client, getOf(kind), enough)),
  );
  for (const [index, bytes] of taken.entries()) {
    assert.ok(bytes < enough, `${kinds[index]?.name}: ${bytes} bytes of requests taken`);
  }
  for (const server of ['engine', 'serve'] as const) {
    const { bufferBytes } = await countersOf(servers.of(server));
    assert.ok(bufferBytes < 8 * 1024 * 1024, `${server}: ${bufferBytes} bytes in buffers`);
    // Others are served meanwhile.
    const hello = await exchange(servers.of(server).port, 'GET /hello HTTP/1.1\r\nHost: a\r\n\r\n');
    assert.is(hello.status, 200);
  }
  await until(async () => {
    const counters = await Promise.all(
      (['engine', 'serve'] as const).map((server) => countersOf(servers.of(server))),
    );
    return counters.every(({ connections, bufferBytes }) => connections <= 1 && bufferBytes === 0);
  }, 'the end of the connections that nobody reads');
  for (const { client } of clients) client.destroy();
});

test('both servers end in order after all of that', () => servers.stop());

test.run();
