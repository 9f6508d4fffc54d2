import { createRequire } from 'node:module';
import { Agent, WebSocket } from 'undici';
import * as assert from 'uvu/assert';
import { Authority, noTls } from '../support/certificates.ts';
import { type RunningServer, stopAll } from '../support/process.ts';
import { sideBySide } from '../support/side_by_side.ts';
import { skip } from '../support/skip.ts';
import { type EngineOptions, engine, serveApp, type Target } from '../support/target.ts';
import { until, within } from '../support/wait.ts';
import {
  closing,
  type FrameOptions,
  frame,
  handshake,
  type Opcode,
  opcodes,
  type Place,
  WebSocketClient,
} from './client.ts';
import { Gateway } from './gateway.ts';

// WebSockets of a Zig handler (tests/apps/sockets.zig) and of one in TypeScript (tests/apps/sockets.ts), section by section
// of RFC 6455, in the clear and over TLS, on connections of their own and on streams of HTTP/2. Which of them, the query of
// this module's URL says: each is a test file of its own.
const asked = new URL(import.meta.url).searchParams;
const own = asked.get('kind');
/** Clients reach the server by a gateway that speaks HTTP/2 to it. */
const overHttp2 = asked.get('over') === 'http2';
const test = sideBySide(`websocket, ${own}${overHttp2 ? ', over HTTP/2' : ''}`);
const authority = noTls === undefined ? new Authority() : undefined;
const issued = authority?.issue(['localhost', '127.0.0.1']);

test.after(async () => {
  await stopAll();
  authority?.remove();
});

/** What /sockets tells. */
interface Told {
  open: number;
  opened: number;
  ended: number;
  drained: number;
  dropped: number;
  code: number;
  /** Of a Zig handler: both ends have said so. */
  clean?: boolean;
  reason: string;
}

type Run = (
  place: Place & { kind: Kind; told: () => Promise<Told> },
  server: RunningServer,
) => Promise<void>;
type Kind = 'zig' | 'typescript';

/** The option of serve() that one of the engine's is. */
const namesInServe: Record<string, string> = {
  workers: 'workers',
  body_rate_min: 'minBodyRate',
  rate_grace_ms: 'rateGrace',
  write_timeout_ms: 'writeTimeout',
};

/** What serve() is given in the place of `options`; null: it has no such option. */
function inServe(options: EngineOptions): EngineOptions | null {
  const given: Record<string, string | number | boolean> = {};
  let websocket = {};
  for (const [name, value] of Object.entries(options)) {
    if (name === 'websocket_unsent_bytes_max') websocket = { backpressureLimit: value };
    else if (namesInServe[name] !== undefined) given[namesInServe[name]] = value;
    else return null;
  }
  return { ...given, websocket } as unknown as EngineOptions;
}

interface Handled {
  kind: Kind;
  target: Target;
  options: (given: EngineOptions) => EngineOptions | null;
}
const known: Handled[] = [
  { kind: 'zig', target: engine, options: (given) => given },
  { kind: 'typescript', target: serveApp, options: inServe },
];
const targets = known.filter(({ kind }) => kind === own);
assert.is(targets.length, 1, `${own}`);

const ways = [
  { name: 'in the clear', secure: false },
  { name: 'over TLS', secure: true },
];

/** A test in the clear and over TLS, of each kind of handler, with a server of its own, which ends in order. */
function both(name: string, options: EngineOptions, run: Run): void {
  // Who is given up soon is so too where this process is held up by what runs beside it.
  const isTimed = Object.keys(options).some((option) => /_ms$|rate/.test(option));
  const add = isTimed ? test.alone : test;
  for (const { kind, target, options: translate } of targets) {
    const given = translate({ workers: 1, ...options });
    if (given === null) continue;
    for (const way of ways) {
      // What is below a handler in TypeScript is what is below one in Zig: clients of others show that there is TLS.
      if (way.secure && kind === 'typescript' && !name.includes('as clients')) continue;
      const full = `${name}, ${kind}, ${way.name}`;
      if (way.secure && noTls !== undefined) {
        skip(test, full, noTls);
        continue;
      }
      add(full, async () => {
        const server = await target.start({ ...given, ...(way.secure ? certificate(kind) : {}) });
        const place: Place = { port: server.port, secure: way.secure };
        const told = () => toldOf(place);
        if (overHttp2) {
          const gateway = await Gateway.open(place);
          await run({ port: gateway.port, kind, told }, server);
          gateway.close();
        } else await run({ ...place, kind, told }, server);
        await target.stop(server);
      });
    }
  }
}

/** What is HTTP/1's alone: tests/websocket/http2.test.ts tells of HTTP/2's. */
const ofHttp1: typeof both = (...args) => {
  if (!overHttp2) both(...args);
};

function certificate(kind: Kind): EngineOptions {
  const { certFile = '', keyFile = '' } = issued ?? {};
  if (kind === 'zig') return { tls: `${certFile},${keyFile}` };
  return { tls: { cert: certFile, key: keyFile } } as unknown as EngineOptions;
}

/** How the last socket ended; `clean` where the handler is told. */
function ending(place: { kind: Kind }, told: Told, clean: boolean): void {
  if (place.kind === 'zig') assert.is(told.clean, clean);
}

async function toldOf(place: Place): Promise<Told> {
  const client = await WebSocketClient.connect(place);
  await client.send('GET /sockets HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n');
  const { body } = await client.response();
  client.destroy();
  return JSON.parse(body.toString());
}

both(
  'messages come back: text, binary, empty, and of all sizes (§5.2, §5.6)',
  {},
  async (place) => {
    const client = await WebSocketClient.open(place);
    await client.say('text', 'Grüße');
    await client.expectText('Grüße');
    await client.say('text');
    await client.expectText('');
    for (const length of [1, 125, 126, 127, 65535, 65536, 300_000, 3_000_000]) {
      const bytes = Buffer.alloc(length, Buffer.from('0123456789abcdefg'));
      await client.say('binary', bytes);
      const { opcode, payload } = await client.message();
      assert.is(opcode, opcodes.binary);
      assert.ok(payload.equals(bytes), `${length} bytes`);
    }
    client.destroy();
  },
);

both('frames that are cut anywhere are read all the same (§5.2)', {}, async (place) => {
  const bytes = Buffer.concat([
    frame('text', 'ä'.repeat(100), { fin: false }),
    frame('ping', 'between'),
    frame('continuation', '€', { fin: true }),
  ]);
  for (const piece of [1, 2, 7, 64]) {
    const client = await WebSocketClient.open(place);
    await client.send(bytes, piece);
    assert.equal((await client.frame()).payload.toString(), 'between');
    await client.expectText(`${'ä'.repeat(100)}€`);
    client.destroy();
  }
});

both(
  'what comes with the handshake is not lost, and many messages at once (§4.1)',
  {},
  async (place) => {
    const many = Buffer.concat(Array.from({ length: 500 }, (_, n) => frame('text', `number ${n}`)));
    const client = await WebSocketClient.open(place, { bytes: many });
    for (let n = 0; n < 500; n += 1) await client.expectText(`number ${n}`);
    client.destroy();
  },
);

both(
  'a ping is answered with what it brought, a pong with nothing (§5.5.2, §5.5.3)',
  {},
  async (place) => {
    const client = await WebSocketClient.open(place);
    await client.say('pong', 'unasked');
    for (const payload of ['', 'x'.repeat(125)]) {
      await client.say('ping', payload);
      const { opcode, payload: answer } = await client.frame();
      assert.equal([opcode, answer.toString()], [opcodes.pong, payload]);
    }
    await client.say('text', '!ping are you there');
    const { opcode, payload } = await client.frame();
    assert.equal([opcode, payload.toString()], [opcodes.ping, 'are you there']);
    client.destroy();
  },
);

// What the client sends, and the close code that it gets (§7.4.1).
const broken: [string, number, Opcode, string | Buffer, FrameOptions?][] = [
  ['a frame that is not masked (§5.1)', 1002, 'text', 'a', { masked: false }],
  ['RSV1 without an extension (§5.2)', 1002, 'text', 'a', { reserved: 4 }],
  ['RSV2 (§5.2)', 1002, 'text', 'a', { reserved: 2 }],
  ['RSV3 (§5.2)', 1002, 'binary', 'a', { reserved: 1 }],
  ['a data opcode that is reserved (§5.2)', 1002, 'text', 'a', { opcode: 3 }],
  ['a control opcode that is reserved (§5.2)', 1002, 'text', 'a', { opcode: 11 }],
  ['a length of 2 bytes that 7 bits would hold (§5.2)', 1002, 'text', 'a', { lengthBytes: 3 }],
  ['a length of 8 bytes that 7 bits would hold (§5.2)', 1002, 'text', 'a', { lengthBytes: 9 }],
  [
    'a length with its highest bit (§5.2)',
    1002,
    'text',
    'a',
    { lengthBytes: 9, length: 2n ** 63n },
  ],
  ['a continuation of nothing (§5.4)', 1002, 'continuation', 'a'],
  ['a ping in fragments (§5.5)', 1002, 'ping', 'a', { fin: false }],
  ['a ping of 126 bytes (§5.5)', 1002, 'ping', 'a'.repeat(126)],
  ['a Close of one byte (§5.5.1)', 1002, 'close', 'a'],
  ['a Close whose reason is no UTF-8 (§5.5.1)', 1007, 'close', closing(1000, Buffer.from([0xff]))],
  ['text that is no UTF-8 (§8.1)', 1007, 'text', Buffer.from([0xc3, 0x28])],
  ['text that ends within a character (§8.1)', 1007, 'text', Buffer.from([0xe2, 0x82])],
  ['a surrogate in text (§8.1)', 1007, 'text', Buffer.from([0xed, 0xa0, 0x80])],
  ['a message that is too long (§10.4)', 1009, 'binary', '', { length: 16 * 2 ** 20 + 1 }],
  ['more than any message (§10.4)', 1009, 'binary', '', { length: 2n ** 63n - 1n }],
  ...[0, 999, 1004, 1005, 1006, 1015, 1016, 2999, 5000, 65535].map(
    (code): [string, number, Opcode, Buffer] => [
      `a Close with code ${code} (§7.4)`,
      1002,
      'close',
      closing(code),
    ],
  ),
];

both(
  'what is wrong fails the connection with its code, and that of no other (§7.1.7)',
  {},
  async (place) => {
    const neighbour = await WebSocketClient.open(place);
    for (const [what, code, kind, payload, options] of broken) {
      const client = await WebSocketClient.open(place);
      await client.say(kind, payload, options);
      try {
        await client.expectClose(code);
      } catch (error) {
        throw new Error(`${what}: ${(error as Error).message}`);
      }
      client.destroy();
    }
    const interrupted = await WebSocketClient.open(place);
    await interrupted.say('text', 'a', { fin: false });
    await interrupted.say('text', 'b');
    await interrupted.expectClose(1002);
    const told = await until(async () => {
      const now = await place.told();
      return now.ended === broken.length + 1 ? now : undefined;
    }, 'the handler to be told');
    assert.is(told.code, 1002);
    ending(place, told, false);
    await neighbour.say('text', 'still here');
    await neighbour.expectText('still here');
    neighbour.destroy();
  },
);

both(
  'a Close is answered with its code, and the server closes first (§5.5.1, §7.1.1)',
  {},
  async (place) => {
    const codes = [1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014];
    let ended = 0;
    for (const code of [...codes, 3000, 3999, 4000, 4999]) {
      const client = await WebSocketClient.open(place);
      await client.say('close', closing(code, 'bye ✓'));
      await client.expectClose(code);
      client.destroy();
      ended += 1;
      const told = await until(async () => {
        const now = await place.told();
        return now.ended === ended ? now : undefined;
      }, 'the handler to be told');
      assert.equal([told.code, told.reason], [code, 'bye ✓']);
      ending(place, told, true);
    }
    const silent = await WebSocketClient.open(place);
    await silent.say('close');
    await silent.expectClose(null);
    const told = await until(async () => {
      const now = await place.told();
      return now.ended > ended ? now : undefined;
    }, 'the handler to be told');
    assert.equal([told.code, told.reason], [1005, '']);
    ending(place, told, true);
  },
);

both('what follows a Close is not looked at (§5.5.1)', {}, async (place) => {
  const client = await WebSocketClient.open(place);
  await client.send(
    Buffer.concat([frame('close', closing(1000)), frame('text', 'a'), Buffer.alloc(1000, 0xff)]),
  );
  await client.expectClose(1000);
});

both(
  'the server closes: its Close is answered, or time is up (§7.1.2)',
  { websocket_close_timeout_ms: 300 },
  async (place) => {
    const polite = await WebSocketClient.open(place);
    await polite.say('text', '!close 4321 as you wish');
    const { opcode, payload } = await polite.frame();
    assert.equal([opcode, payload], [opcodes.close, closing(4321, 'as you wish')]);
    await polite.say('text', 'too late');
    await polite.say('close', closing(4321));
    assert.is((await polite.readToEnd()).length, 0);
    const told = await until(async () => {
      const now = await place.told();
      return now.ended === 1 ? now : undefined;
    }, 'the handler to be told');
    assert.is(told.code, 4321);
    ending(place, told, true);
    const rude = await WebSocketClient.open(place);
    await rude.say('text', '!close 1000');
    await rude.frame();
    await rude.readToEnd();
    const after = await until(async () => {
      const now = await place.told();
      return now.ended === 2 ? now : undefined;
    }, 'the handler to be told');
    assert.is(after.code, 1006);
    ending(place, after, false);
  },
);

both('codes that no Close may have are not sent (§7.4.1)', {}, async (place) => {
  const client = await WebSocketClient.open(place);
  for (const code of [0, 999, 1004, 1005, 1006, 1015, 2999, 5000]) {
    await client.say('text', `!close ${code} x`);
    await client.expectText('invalid');
  }
  await client.say('text', `!close 1000 ${'€'.repeat(60)}`);
  const { opcode, payload } = await client.frame();
  // 123 bytes at most, in whole characters.
  assert.equal([opcode, payload], [opcodes.close, closing(1000, '€'.repeat(41))]);
  client.destroy();
});

both('a connection that ends without a Close is 1006 (§7.1.5)', {}, async (place) => {
  for (const [index, end] of ['end', 'destroy', 'terminate'].entries()) {
    const client = await WebSocketClient.open(place);
    if (end === 'end') client.socket.end();
    else if (end === 'destroy') client.destroy();
    else await client.say('text', '!terminate');
    const told = await until(async () => {
      const now = await place.told();
      return now.ended === index + 1 ? now : undefined;
    }, 'the handler to be told');
    assert.is(told.code, 1006, end);
    ending(place, told, false);
    client.destroy();
  }
});

both(
  'long messages are sent in frames (§5.4)',
  { websocket_frame_bytes_max: 1000 },
  async (place) => {
    const client = await WebSocketClient.open(place);
    await client.say('text', '!large 2500');
    const sizes: [number, boolean, number][] = [];
    do {
      const { opcode, fin, payload } = await client.frame();
      sizes.push([opcode, fin, payload.length]);
    } while (!sizes.at(-1)?.[1]);
    assert.equal(sizes, [
      [opcodes.binary, false, 1000],
      [opcodes.continuation, false, 1000],
      [opcodes.continuation, true, 500],
    ]);
    client.destroy();
  },
);

// The handshake: fields, the status, and a field of the answer.
const handshakes: [string, Record<string, string | null>, number, [string, string]?][] = [
  ['no version (§4.2.1)', { 'Sec-WebSocket-Version': null }, 426, ['sec-websocket-version', '13']],
  [
    'another version (§4.2.2)',
    { 'Sec-WebSocket-Version': '8' },
    426,
    ['sec-websocket-version', '13'],
  ],
  ['no key (§4.2.1)', { 'Sec-WebSocket-Key': null }, 400],
  ['a short key (§4.2.1)', { 'Sec-WebSocket-Key': 'dGhl' }, 400],
  ['a key that is no base64 (§4.2.1)', { 'Sec-WebSocket-Key': '*GhlIHNhbXBsZSBub25jZQ==' }, 400],
  ['no Upgrade (§4.2.1)', { Upgrade: null }, 426, ['upgrade', 'websocket']],
  ['another protocol (§4.2.1)', { Upgrade: 'h2c' }, 426, ['upgrade', 'websocket']],
  ['no Connection (§4.2.1)', { Connection: 'keep-alive' }, 400],
  ['content (§4.1)', { 'Content-Length': '1' }, 400],
  ['a page of others (§10.2)', { Origin: 'https://evil.test' }, 403],
  ['a list of protocols that is none (§4.1)', { 'Sec-WebSocket-Protocol': 'a b' }, 400],
  ['extensions that are none (§9.1)', { 'Sec-WebSocket-Extensions': 'a;;b' }, 400],
];

ofHttp1(
  'a handshake that is not as it has to be is answered with what is wrong (§4.2)',
  {},
  async (place) => {
    for (const [what, fields, status, field] of handshakes) {
      const client = await WebSocketClient.connect(place);
      const content = fields['Content-Length'] === undefined ? '' : 'x';
      await client.send(handshake(fields) + content);
      const answer = await client.response();
      assert.is(answer.status, status, what);
      if (field !== undefined) assert.is(answer.headers.get(field[0]), field[1], what);
      client.destroy();
    }
    for (const [line, status] of [
      ['POST /socket HTTP/1.1', 405],
      ['GET /socket HTTP/1.0', 400],
    ] as const) {
      const client = await WebSocketClient.connect(place);
      await client.send(handshake({ 'Content-Length': null }, line));
      // Of another version of HTTP it is none to a handler in TypeScript.
      const own = place.kind === 'typescript' && line.endsWith('1.0') ? 426 : status;
      assert.is((await client.response()).status, own, line);
      client.destroy();
    }
    const client = await WebSocketClient.connect(place);
    await client.send(handshake({ 'Sec-WebSocket-Version': '7' }));
    assert.is((await client.response()).status, 426);
    await client.send(handshake());
    client.expectUpgrade(await client.response());
    client.destroy();
  },
);

both('subprotocol, origin and fields of the answer (§4.2.2, §10.2)', {}, async (place) => {
  const asked: [Record<string, string>, string, string | undefined][] = [
    [{ 'Sec-WebSocket-Protocol': 'mqtt, chat, echo' }, '', 'chat'],
    [{ 'Sec-WebSocket-Protocol': 'mqtt' }, '', undefined],
    [{ Origin: 'https://a.test' }, '', undefined],
    [{ Origin: 'https://b.test' }, '?origin=any', undefined],
    [{ Origin: 'https://b.test' }, '?origin=https://b.test', undefined],
    [{ 'Sec-WebSocket-Extensions': 'permessage-deflate; client_max_window_bits' }, '', undefined],
  ];
  for (const [fields, query, protocol] of asked) {
    const client = await WebSocketClient.connect(place);
    await client.send(handshake(fields, `GET /socket${query} HTTP/1.1`));
    const answer = await client.response();
    client.expectUpgrade(answer);
    assert.is(answer.headers.get('sec-websocket-protocol'), protocol);
    assert.is(answer.headers.get('sec-websocket-extensions'), undefined);
    assert.is(answer.headers.get('x-socket'), 'yes');
    client.destroy();
  }
  const stranger = await WebSocketClient.connect(place);
  await stranger.send(
    handshake({ Origin: 'https://a.test' }, 'GET /socket?origin=https://b.test HTTP/1.1'),
  );
  assert.is((await stranger.response()).status, 403);
  stranger.destroy();
});

ofHttp1(
  'behind other requests of its connection, and beside those of others',
  {},
  async (place) => {
    const client = await WebSocketClient.connect(place);
    await client.send(`GET /hello HTTP/1.1\r\nHost: a\r\n\r\n${handshake()}`);
    assert.is((await client.response()).status, 200);
    client.expectUpgrade(await client.response());
    await client.say('text', 'behind');
    await client.expectText('behind');
    client.destroy();
  },
);

both(
  'a silent peer is asked, and given up when it says nothing',
  { websocket_ping_after_ms: 100, websocket_idle_timeout_ms: 500 },
  async (place) => {
    const alive = await WebSocketClient.open(place);
    const dead = await WebSocketClient.open(place);
    for (let n = 0; n < 8; n += 1) {
      const { opcode, payload } = await alive.frame();
      assert.is(opcode, opcodes.ping);
      await alive.say('pong', payload);
    }
    await dead.readToEnd();
    const told = await until(async () => {
      const now = await place.told();
      return now.ended === 1 ? now : undefined;
    }, 'the handler to be told');
    assert.equal([told.code, told.open], [1006, 1]);
    alive.destroy();
  },
);

both(
  'a message that trickles is given up (1008)',
  { body_rate_min: 1000, rate_grace_ms: 300 },
  async (place) => {
    const client = await WebSocketClient.open(place);
    await client.say('binary', 'x'.repeat(10), { length: 100_000 });
    await client.expectClose(1008);
  },
);

both(
  'floods of what costs work and brings nothing end the connection (1008)',
  {},
  async (place) => {
    const client = await WebSocketClient.open(place);
    client.socket.write(Buffer.concat(Array.from({ length: 5000 }, () => frame('pong'))));
    await client.expectClose(1008);
    const empty = await WebSocketClient.open(place);
    const parts = Array.from({ length: 5000 }, () => frame('continuation', '', { fin: false }));
    empty.socket.write(Buffer.concat([frame('text', '', { fin: false }), ...parts]));
    await empty.expectClose(1008);
  },
);

both(
  'a client that reads nothing costs itself its messages, and others nothing',
  { websocket_unsent_bytes_max: 262_144 },
  async (place) => {
    const stalled = await WebSocketClient.open(place);
    stalled.socket.pause();
    const other = await WebSocketClient.open(place);
    await stalled.say('text', '!flood 2000');
    for (let n = 0; n < 100; n += 1) {
      await other.say('text', `${n}`);
      await other.expectText(`${n}`);
    }
    const told = await until(async () => {
      const now = await place.told();
      return now.dropped > 0 ? now : undefined;
    }, 'messages to be dropped');
    assert.equal([told.open, told.ended], [2, 0]);
    stalled.socket.resume();
    await until(async () => (await place.told()).drained > 0, 'what waited to be taken');
    other.destroy();
    stalled.destroy();
  },
);

both('a client that takes nothing at all is cut off', { write_timeout_ms: 400 }, async (place) => {
  const stalled = await WebSocketClient.open(place);
  stalled.socket.pause();
  await stalled.say('text', '!large 8000000');
  const told = await until(async () => {
    const now = await place.told();
    return now.ended === 1 ? now : undefined;
  }, 'its end');
  assert.is(told.code, 1006);
  stalled.destroy();
});

both('a client that sends without reading is not read for ever', {}, async (place) => {
  const client = await WebSocketClient.open(place);
  const other = await WebSocketClient.open(place);
  client.socket.pause();
  const message = frame('binary', Buffer.alloc(50_000, 1));
  while (client.socket.writableLength < 30_000_000) client.socket.write(message);
  for (let n = 0; n < 200; n += 1) {
    await other.say('text', `${n}`);
    await other.expectText(`${n}`);
  }
  // What it sends back it would have dropped, had it read on.
  assert.ok(client.socket.writableLength > 1_000_000, 'it was held up');
  assert.is((await place.told()).dropped, 0);
  client.destroy();
  other.destroy();
  await until(async () => (await place.told()).ended === 2, 'their ends');
});

both('to all: from each worker to the sockets of every one', { workers: 2 }, async (place) => {
  const clients = await Promise.all(Array.from({ length: 10 }, () => WebSocketClient.open(place)));
  await until(async () => (await place.told()).open === 10, 'all to be there');
  for (const client of clients.slice(0, 4)) {
    await client.say('text', '!all hello');
    await Promise.all(clients.map((each) => each.expectText('hello')));
  }
  for (const client of clients) client.destroy();
});

both('a stop tells 1001, and waits', {}, async (place, server) => {
  const client = await WebSocketClient.open(place);
  await client.say('text', 'hello');
  await client.expectText('hello');
  server.child.kill('SIGTERM');
  const { opcode, payload } = await client.frame();
  assert.equal([opcode, payload], [opcodes.close, closing(1001)]);
  await client.say('close', payload);
  assert.is((await client.readToEnd()).length, 0);
  await within(server.ended, 'its end');
});

/** Its types are another package. */
const { WebSocket: Ws } = createRequire(import.meta.url)('ws') as {
  WebSocket: new (url: string, protocols: string[], options: object) => WebSocket;
};

/** What browsers and Node.js have: an echo, a subprotocol, a Close. */
async function converse(socket: WebSocket): Promise<void> {
  const next = (type: string): Promise<{ data?: unknown; code?: number; reason?: string }> =>
    within(
      new Promise((resolve, reject) => {
        socket.addEventListener(type as 'message', resolve as never, { once: true });
        socket.addEventListener('error', () => reject(new Error('an error')), { once: true });
      }),
      type,
    );
  socket.binaryType = 'arraybuffer';
  await next('open');
  assert.is(socket.protocol, 'chat');
  for (const text of ['hello', 'ü'.repeat(100_000)]) {
    const came = next('message');
    socket.send(text);
    assert.is((await came).data, text);
  }
  const bytes = Buffer.alloc(2_000_000, 'pattern');
  const came = next('message');
  socket.send(bytes);
  assert.ok(Buffer.from((await came).data as ArrayBuffer).equals(bytes));
  const closed = next('close');
  socket.close(4000, 'done');
  const { code, reason } = await closed;
  assert.equal([code, String(reason)], [4000, '']);
}

both('undici and ws as clients', {}, async ({ port, secure }) => {
  const url = `${secure ? 'wss' : 'ws'}://127.0.0.1:${port}/socket`;
  const dispatcher = new Agent({ connect: { rejectUnauthorized: false } });
  await converse(new WebSocket(url, { protocols: ['chat'], dispatcher }));
  await dispatcher.close();
  const options = { rejectUnauthorized: false, perMessageDeflate: true };
  await converse(new Ws(url, ['chat'], options));
});

test.run();
