import { constants, deflateRawSync, inflateRawSync } from 'node:zlib';
import * as assert from 'uvu/assert';
import { loadEngine } from '../../ts/src/bridge/engine.ts';
import { listening, programOf, type RunningServer, start, stopAll } from '../support/process.ts';
import { sideBySide } from '../support/side_by_side.ts';
import { testUnless } from '../support/skip.ts';
import { until } from '../support/wait.ts';
import { handshake, opcodes, type Received, WebSocketClient } from './client.ts';

// What serve({ websocket: { perMessageDeflate } }) adds to tests/websocket/compression.ts: which messages are compressed,
// what is published, and messages that become longer than a ring, or the credit of their socket.
const test = sideBySide('websocket: perMessageDeflate');
const lack = loadEngine().hasDeflate
  ? undefined
  : 'the engine has no compression in it (npm run build:deflate)';

test.after(stopAll);

/** A test with a server of its own. */
function serving(
  name: string,
  options: object,
  run: (server: RunningServer) => Promise<void>,
): void {
  testUnless(test, lack, name, async () => {
    const app = programOf('tests', 'websocket', 'app.ts');
    const given = JSON.stringify({
      workers: 1,
      websocket: { perMessageDeflate: true },
      ...options,
    });
    const server = await listening(start(process.execPath, [...app, given]));
    await run(server);
    const { code, signal } = await server.stop();
    assert.equal([code, signal], [0, null], server.stdout() + server.stderr());
  });
}

const alone = 'permessage-deflate; server_no_context_takeover; client_no_context_takeover';

/** Opens a socket that offers compression; what was agreed on has to be `agreed`. */
async function open(
  { port }: { port: number },
  agreed: string | null = alone,
  { path = '/socket/one', offer = 'permessage-deflate; client_max_window_bits' } = {},
): Promise<WebSocketClient> {
  const client = await WebSocketClient.connect({ port });
  const fields = { 'Sec-WebSocket-Extensions': offer };
  await client.send(handshake(fields, `GET ${path} HTTP/1.1`));
  const answer = await client.response();
  client.expectUpgrade(answer);
  assert.is(answer.headers.get('sec-websocket-extensions') ?? null, agreed);
  client.compresses = agreed !== null;
  return client;
}

const flush = { finishFlush: constants.Z_SYNC_FLUSH };
const tail = Buffer.from([0, 0, 0xff, 0xff]);
const deflated = (text: string | Buffer): Buffer => deflateRawSync(text, flush).subarray(0, -4);
const inflated = (payload: Buffer): Buffer => inflateRawSync(Buffer.concat([payload, tail]), flush);
/** Bytes that become 30 to 100 times shorter. */
function numbered(length: number): Buffer {
  const bytes = Buffer.alloc(length, 'abc');
  for (let at = 0; at + 4 <= length; at += 500) bytes.writeUInt32LE((at * 2_654_435_761) >>> 0, at);
  return bytes;
}
const long = 'what is said again and again; '.repeat(100);

/** What a message says, and whether it came compressed. */
const read = ({ payload, compressed }: Received): [string, boolean] => [
  (compressed ? inflated(payload) : payload).toString(),
  compressed,
];

serving('a message is not compressed where send() says so', {}, async (server) => {
  const client = await open(server);
  await client.say('text', `plain ${long}`);
  assert.equal(read(await client.message()), [long, false]);
  await client.say('text', `plainBytes ${long}`);
  assert.equal(read(await client.message()), [long, false]);
  await client.say('text', long);
  assert.equal(read(await client.message()), [`first: ${long}`, true]);
  // In several records, too.
  await client.say('text', 'largePlain 200000');
  assert.equal(read(await client.message()), ['!'.repeat(200_000), false]);
  await client.say('text', 'largeText 100000');
  const large = await client.message();
  assert.ok(large.payload.length < 10_000, `${large.payload.length} of 300000`);
  assert.equal(read(large), ['€'.repeat(100_000), true]);
  await client.say('text', 'about');
  const about = JSON.parse(read(await client.message())[0]);
  assert.is(about.extensions, 'permessage-deflate');
  client.destroy();
});

serving('compressed messages in parts come whole', {}, async (server) => {
  const client = await open(server);
  const payload = deflated(`${long} ü`);
  for (const size of [1, 3, 40]) {
    for (let at = 0; at < payload.length; at += size) {
      const fin = at + size >= payload.length;
      const bytes = payload.subarray(at, at + size);
      if (at === 0) await client.say('text', bytes, { reserved: 4, fin });
      else await client.say('continuation', bytes, { fin });
    }
    assert.equal(read(await client.message()), [`first: ${long} ü`, true]);
  }
  await client.say('text', deflated(''), { reserved: 4 });
  assert.equal(read(await client.message()), ['first: ', false]);
  client.destroy();
});

serving(
  'messages that become longer than the ring and the credit come whole, and in order',
  {
    ringBytes: 131_072,
    creditBytes: 32_768,
    websocket: { perMessageDeflate: true, backpressureLimit: 2 ** 26 },
  },
  async (server) => {
    const client = await open(server);
    const other = await open(server);
    const bytes = numbered(3_000_000);
    const payload = deflated(bytes);
    for (let n = 0; n < 4; n += 1) {
      void client.say('binary', payload, { reserved: 4 });
      void client.say('text', deflated(`behind ${n}`), { reserved: 4 });
      void client.say('ping', `${n}`);
    }
    for (let n = 0; n < 20; n += 1) {
      await other.say('text', `n${n}`);
      assert.equal(read(await other.message()), [`first: n${n}`, false]);
    }
    const came: string[] = [];
    while (came.length < 12) {
      const { payload: theirs, opcode, compressed } = await client.message();
      const whole = compressed ? inflated(theirs) : theirs;
      if (opcode === opcodes.pong) continue;
      if (opcode === opcodes.binary) assert.ok(whole.equals(bytes));
      came.push(opcode === opcodes.binary ? 'bytes' : whole.toString());
    }
    const expected = [0, 1, 2, 3].flatMap((n) => ['bytes', `first: behind ${n}`, `pinged ${n}`]);
    assert.equal(came, expected);
    client.destroy();
    other.destroy();
  },
);

serving(
  'who leaves in the middle of such a message leaves nothing behind',
  { ringBytes: 131_072, creditBytes: 32_768 },
  async (server) => {
    const payload = deflated(numbered(8_000_000));
    for (let n = 0; n < 6; n += 1) {
      const client = await open(server);
      await client.say('text', 'block 30');
      await client.say('binary', payload, { reserved: 4 });
      client.destroy();
    }
    await until(
      () => (server.stdout().match(/^CLOSED 1006 $/gm)?.length === 6 ? true : undefined),
      'six ends',
    );
    const other = await open(server);
    await other.say('text', 'there');
    assert.equal(read(await other.message()), ['first: there', false]);
    other.destroy();
  },
);

serving('a bomb ends its socket with 1009, and no other', {}, async (server) => {
  const other = await open(server);
  const client = await open(server);
  await client.say('binary', deflated(Buffer.alloc(16 * 2 ** 20)), { reserved: 4 });
  await client.expectClose(1009);
  client.destroy();
  await other.say('text', 'there');
  assert.equal(read(await other.message()), ['first: there', false]);
  other.destroy();
});

serving(
  'more than maxPayloadLength, decompressed, is 1009',
  { websocket: { perMessageDeflate: true, maxPayloadLength: 5000 } },
  async (server) => {
    const client = await open(server);
    await client.say('text', deflated('a'.repeat(5000)), { reserved: 4 });
    assert.is(read(await client.message())[0], `first: ${'a'.repeat(5000)}`);
    await client.say('text', deflated('a'.repeat(5001)), { reserved: 4 });
    await client.expectClose(1009);
    client.destroy();
  },
);

for (const threads of [0, 2]) {
  serving(
    `what is published is compressed for those who have agreed on it, threads: ${threads}`,
    { workers: 2, threads },
    async (server) => {
      const compressing = await Promise.all(Array.from({ length: 6 }, () => open(server)));
      const plain = await Promise.all(
        Array.from({ length: 4 }, () => open(server, null, { offer: 'x-other' })),
      );
      const all = [...compressing, ...plain];
      for (const client of all) {
        await client.say('text', 'subscribe news');
        await client.say('text', 'about');
        await client.message();
      }
      const [publisher] = all as [WebSocketClient];
      await publisher.say('text', `publishBoth news ${long}`);
      for (const client of all.slice(1)) {
        for (const compress of [true, false, true]) {
          assert.equal(read(await client.message()), [long, compress && client.compresses]);
        }
      }
      for (const how of ['compressed', 'plain']) {
        await fetch(`${server.url}publish/${how}`);
        for (const client of all) {
          const [text, isCompressed] = read(await client.message());
          assert.is(text, 'from the server; '.repeat(100));
          assert.is(isCompressed, how === 'compressed' && client.compresses);
        }
      }
      for (const client of all) client.destroy();
    },
  );
}

serving('a socket may be kept from it, and so may a client', {}, async (server) => {
  for (const [path, offer] of [
    ['/socket/plain', 'permessage-deflate'],
    ['/socket/one', 'permessage-deflate; server_max_window_bits=7'],
    ['/socket/one', 'x-webkit-deflate-frame'],
  ] as const) {
    const client = await open(server, null, { path, offer });
    await client.say('text', long);
    assert.equal(read(await client.message()), [`first: ${long}`, false]);
    await client.say('text', 'about');
    assert.is(JSON.parse(read(await client.message())[0]).extensions, '');
    await client.say('text', deflated(long), { reserved: 4 });
    await client.expectClose(1002);
    client.destroy();
  }
});

serving('without the option nobody is offered it', { websocket: {} }, async (server) => {
  const client = await open(server, null);
  await client.say('text', long);
  assert.equal(read(await client.message()), [`first: ${long}`, false]);
  client.destroy();
});

serving(
  'compress: false: what is sent stays as it is, what comes may be compressed',
  { websocket: { perMessageDeflate: { compress: false } } },
  async (server) => {
    const client = await open(server);
    await client.say('text', deflated(long), { reserved: 4 });
    assert.equal(read(await client.message()), [`first: ${long}`, false]);
    client.destroy();
  },
);

serving(
  'dedicated compressors: messages refer to those before them, as far as their windows go',
  { websocket: { perMessageDeflate: { compress: '16KB', decompress: 'dedicated', threshold: 0 } } },
  async (server) => {
    const agreed = 'permessage-deflate; server_max_window_bits=11';
    const offer = 'permessage-deflate; server_max_window_bits=13';
    const client = await open(server, agreed, { offer });
    const sizes: number[] = [];
    for (let n = 0; n < 3; n += 1) {
      await client.say('text', 'plain text that is said thrice, and is like itself alone');
      await client.message();
      await client.say('text', 'subscribe as nobody has subscribed before: 1234567');
      await client.say('text', 'about');
      sizes.push((await client.message()).payload.length);
    }
    const [first, , third] = sizes as [number, number, number];
    assert.ok(third < first / 3, `${sizes}`);
    client.destroy();
  },
);

test.run();
