import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { type Fixture, open as openChannel, tick } from '../../../tests/support/channel.ts';
import type { MirrorAnswer } from '../../../tests/support/engine_mirror.ts';
import { until } from '../../../tests/support/wait.ts';
import type { Request } from '../fetch/request.ts';
import * as abi from './abi.gen.ts';
import type { ServerWebSocket, UpgradeOptions, WebSocketHandler } from './websocket.ts';

const key = 'dGhlIHNhbXBsZSBub25jZQ==';
const whole = abi.FLAG_BEGIN | abi.FLAG_END;

interface Given {
  handlers?: Partial<WebSocketHandler>;
  upgrade?: UpgradeOptions;
  fields?: [string, string][];
  unsentMax?: number;
  ringBytes?: number;
  workers?: number;
  stopping?: () => void;
}

/** A socket over the mirror of an engine. */
function open({
  handlers = {},
  upgrade = {},
  fields = [],
  unsentMax = 2 ** 20,
  ...rest
}: Given = {}) {
  const sockets: ServerWebSocket[] = [];
  const told: unknown[] = [];
  const own: WebSocketHandler = {
    open: (ws) => sockets.push(ws),
    message: (_ws, message) => told.push(message),
    drain: () => told.push('drain'),
    close: (_ws, code, reason) => told.push([code, reason]),
    ...handlers,
  };
  const handler = (request: Request): void => {
    fixture.server.upgrade(request, upgrade);
  };
  const fixture: Fixture = openChannel(handler, { ...rest, sockets: own });
  const { mirror, doorbell } = fixture;
  const all: [string, string][] = [['Host', 'a'], ['Sec-WebSocket-Key', key], ...fields];
  /** Another one, whose record has this slot. */
  const openAt = (slot: number): MirrorAnswer => {
    const [its] = fixture.ask({ fields: all, upgrade: true }) as [MirrorAnswer];
    mirror.socketOpen(slot, its, unsentMax);
    doorbell.ring();
    return its;
  };
  const answer = openAt(5);
  const ws = sockets[0] as ServerWebSocket;
  /** What was written since the last call. */
  const written = async (): Promise<MirrorAnswer[]> => {
    await tick();
    return mirror.answers();
  };
  return { ...fixture, answer, ws, sockets, openAt, told, written };
}

test('an upgrade tells its fields, the subprotocol and the key', () => {
  const { answer, ws } = open({
    upgrade: { data: 7, headers: { 'X-A': 'b', 'Sec-WebSocket-Protocol': 'chat' } },
    fields: [['Sec-WebSocket-Protocol', 'other, chat']],
  });
  assert.is(answer.kind, abi.KIND_RESPONSE_UPGRADE);
  assert.equal(answer.fields, [['x-a', 'b']]);
  assert.equal([answer.name, answer.body.toString()], ['chat', key]);
  assert.equal([ws.data, ws.protocol, ws.readyState], [7, 'chat', 1]);
});

test('whose page may connect is told by flags', () => {
  const flagsOf = (upgrade: UpgradeOptions, origin?: string): number =>
    open({ upgrade, fields: origin === undefined ? [] : [['Origin', origin]] }).answer.flags;
  assert.is(flagsOf({}), 0);
  assert.is(flagsOf({}, 'http://b'), 0, 'the engine sees to it');
  assert.is(flagsOf({ origins: 'any' }, 'http://b'), abi.FLAG_ORIGIN_ALLOWED);
  assert.is(flagsOf({ origins: ['http://B'] }, 'http://b'), abi.FLAG_ORIGIN_ALLOWED);
  assert.is(flagsOf({ origins: ['http://c'] }, 'http://b'), abi.FLAG_ORIGIN_REFUSED);
  assert.is(flagsOf({ origins: ['http://c'] }), 0, 'who sends none is no page');
});

test('a subprotocol that the client has not offered is not told', () => {
  assert.is(open({ upgrade: { protocol: 'chat' } }).answer.name, '');
});

test('a message in pieces is put together, whatever a character is cut into', () => {
  const { mirror, doorbell, told } = open();
  const bytes = Buffer.from('a€b');
  for (let at = 1; at < bytes.length; at++) {
    const kind = abi.KIND_SOCKET_MESSAGE;
    mirror.socketBytes(kind, 5, abi.FLAG_BEGIN | abi.FLAG_TEXT, bytes.subarray(0, at));
    mirror.socketBytes(kind, 5, abi.FLAG_END | abi.FLAG_TEXT, bytes.subarray(at));
  }
  mirror.socketBytes(abi.KIND_SOCKET_MESSAGE, 5, whole, 'xy');
  doorbell.ring();
  assert.equal(told, ['a€b', 'a€b', 'a€b', 'a€b', Buffer.from('xy')]);
});

test('a message of any length has memory of its own, which nothing else is in', () => {
  const { mirror, doorbell, told, ws } = open();
  const lengths = [0, 1, 7, 8, 9, 63, 64, 65, 4096, abi.CHUNK_BYTES_MAX];
  const sent = lengths.map((length) =>
    Buffer.from(Array.from({ length }, (_, i) => (i * 7) & 255)),
  );
  for (const type of ['nodebuffer', 'uint8array', 'arraybuffer'] as const) {
    ws.binaryType = type;
    told.length = 0;
    for (const bytes of sent) {
      mirror.socketBytes(abi.KIND_SOCKET_MESSAGE, 5, whole, bytes);
      doorbell.ring();
    }
    const got = told.map((it) => (type === 'arraybuffer' ? Buffer.from(it as ArrayBuffer) : it));
    for (const [n, bytes] of (got as Uint8Array[]).entries()) {
      assert.ok((sent[n] as Buffer).equals(bytes), `${type}, ${lengths[n]} bytes`);
      assert.equal([bytes.byteOffset, bytes.buffer.byteLength], [0, lengths[n]], type);
    }
    assert.is(got.length, sent.length);
    assert.is(
      got.every((it) => Buffer.isBuffer(it)),
      type !== 'uint8array',
    );
  }
});

test('what is said goes in one record each, and text as UTF-8', async () => {
  const { ws, written } = open();
  assert.is(ws.send('ä'), 2);
  assert.is(ws.send('\ud800'), 3);
  assert.is(ws.send(new Uint8Array([1, 2])), 2);
  assert.is(ws.send(''), 0);
  ws.ping('p');
  ws.subscribe('t');
  ws.close(4000, '€'.repeat(50));
  assert.is(ws.send('late'), 0);
  const records = await written();
  assert.equal(
    records.map(({ kind, body }) => [kind, body.toString('latin1')]),
    [
      [abi.KIND_SOCKET_SEND, Buffer.from('ä').toString('latin1')],
      [abi.KIND_SOCKET_SEND, Buffer.from('\ufffd').toString('latin1')],
      [abi.KIND_SOCKET_SEND, '\x01\x02'],
      [abi.KIND_SOCKET_SEND, ''],
      [abi.KIND_SOCKET_SEND_PING, 'p'],
      [abi.KIND_SOCKET_SUBSCRIBE, 't'],
      [abi.KIND_SOCKET_SEND_CLOSE, Buffer.from('€'.repeat(41)).toString('latin1')],
    ],
  );
  assert.is(records[0]?.flags, whole | abi.FLAG_TEXT);
  assert.is(records[6]?.status, 4000);
});

test('what is not to be compressed says so, in one record and in several', async () => {
  const { ws, written } = open();
  const large = Buffer.alloc(abi.CHUNK_BYTES_MAX + 1);
  ws.send('a', false);
  ws.send(new Uint8Array(1), false);
  ws.sendText('a'.repeat(large.length), false);
  ws.sendBinary(large, false);
  ws.publish('t', 'a', false);
  ws.publishBinary('t', large, false);
  for (const compress of [undefined, true]) ws.send('a', compress);
  const { FLAG_BEGIN, FLAG_END, FLAG_PLAIN, FLAG_TEXT } = abi;
  const text = FLAG_PLAIN | FLAG_TEXT;
  assert.equal(
    (await written()).map(({ flags }) => flags),
    [
      ...[whole | text, whole | FLAG_PLAIN],
      ...[FLAG_BEGIN | text, FLAG_END | text],
      ...[FLAG_BEGIN | FLAG_PLAIN, FLAG_END | FLAG_PLAIN],
      ...[whole | text, FLAG_BEGIN | FLAG_PLAIN, FLAG_END | FLAG_PLAIN],
      ...[whole | FLAG_TEXT, whole | FLAG_TEXT],
    ],
  );
  const { answer } = open({ upgrade: { perMessageDeflate: false } });
  assert.is(answer.flags, FLAG_PLAIN);
});

test('a full ring keeps what is said in its order, and loses nothing of it', async () => {
  const { ws, written, doorbell, channel } = open({ ringBytes: 128 * 1024 });
  const bytes = Buffer.alloc(300_000, Buffer.from('0123456789abcdefg'));
  const given = Buffer.from(bytes);
  ws.send('first');
  ws.send(given);
  given.fill(0); // it is the caller's again
  ws.send('second');
  ws.subscribe('t');
  ws.publish('t', 'published');
  ws.send('third');
  channel.publish('t', 'the server');
  ws.close();
  const records: MirrorAnswer[] = [];
  for (let turn = 0; turn < 20; turn++) {
    records.push(...(await written()));
    doorbell.ring();
  }
  const sends = records.filter(({ kind }) => kind === abi.KIND_SOCKET_SEND);
  const pieces = sends.slice(1, -2);
  assert.is(sends[0]?.body.toString(), 'first');
  assert.equal(
    sends.slice(-2).map(({ body }) => body.toString()),
    ['second', 'third'],
  );
  assert.ok(pieces.length > 2);
  assert.equal(
    pieces.map(({ flags }) => flags),
    pieces.map((_, n) => (n === 0 ? abi.FLAG_BEGIN : n === pieces.length - 1 ? abi.FLAG_END : 0)),
  );
  assert.ok(Buffer.concat(pieces.map(({ body }) => body)).equals(bytes));
  const kinds = records.map(({ kind }) => kind);
  assert.equal(kinds.slice(-6), [
    abi.KIND_SOCKET_SEND,
    abi.KIND_SOCKET_SUBSCRIBE,
    abi.KIND_SOCKET_PUBLISH,
    abi.KIND_SOCKET_SEND,
    abi.KIND_SOCKET_PUBLISH,
    abi.KIND_SOCKET_SEND_CLOSE,
  ]);
});

test('what one socket says small stays behind what another has said before', async () => {
  const { ws, sockets, openAt, written, doorbell } = open({ ringBytes: 128 * 1024 });
  openAt(6);
  ws.send(Buffer.alloc(140_000));
  sockets[1]?.send('later');
  const bodies: string[] = [];
  for (let turn = 0; turn < 10; turn++) {
    for (const { body, slot } of await written()) bodies.push(`${slot}: ${body.length}`);
    doorbell.ring();
  }
  assert.is(bodies.at(-1), '6: 5');
});

test('what is published is written for every worker, in the order of the calls', async () => {
  const { ws, channel, mirror, written } = open({ workers: 3 });
  ws.subscribe('t');
  channel.publish('t', 'one');
  assert.is(ws.publish('t', 'two'), 3);
  const own = await written();
  assert.equal(
    own.map(({ kind, slot, body }) => [kind, slot, body.toString()]),
    [
      [abi.KIND_SOCKET_SUBSCRIBE, 5, 't'],
      [abi.KIND_SOCKET_PUBLISH, -1, 'one'],
      [abi.KIND_SOCKET_PUBLISH, 5, 'two'],
    ],
  );
  for (const worker of [1, 2]) {
    assert.equal(
      mirror.answers(worker).map(({ kind, slot, body }) => [kind, slot, body.toString()]),
      [
        [abi.KIND_SOCKET_PUBLISH, -1, 'one'],
        [abi.KIND_SOCKET_PUBLISH, -1, 'two'],
      ],
    );
  }
});

test('a worker that takes nothing misses what is published above 4 MB, and no other does', async () => {
  const { channel, mirror, written, doorbell } = open({ workers: 2, ringBytes: 128 * 1024 });
  const bytes = Buffer.alloc(1_000_000);
  const answers: number[] = [];
  let got = 0;
  for (let n = 0; n < 6; n++) {
    answers.push(channel.publish('t', bytes));
    for (let turn = 0; turn < 20; turn++) {
      for (const { body } of await written()) got += body.length;
      doorbell.ring();
    }
  }
  assert.equal(answers, [-1, -1, -1, 0, 0, 0]); // with what each costs beside its bytes
  assert.is(got, 6_000_000);
  let others = 0;
  for (let turn = 0; turn < 60; turn++) {
    for (const { body } of mirror.answers(1)) others += body.length;
    doorbell.ring();
    await tick();
  }
  assert.is(others, 3_000_000);
});

test('topics that come and go while the ring is full have an end: the socket is closed', async () => {
  const { ws, written, doorbell } = open({ ringBytes: 128 * 1024 });
  ws.send(Buffer.alloc(140_000));
  for (let n = 0; n < 5000; n++) {
    ws.subscribe('t');
    ws.unsubscribe('t');
  }
  assert.is(ws.readyState, 2);
  const records: MirrorAnswer[] = [];
  for (let turn = 0; turn < 10; turn++) {
    records.push(...(await written()));
    doorbell.ring();
  }
  const last = records.at(-1);
  assert.equal([last?.kind, last?.status], [abi.KIND_SOCKET_SEND_CLOSE, 1013]);
  const topics = records.filter(({ kind }) => kind === abi.KIND_SOCKET_SUBSCRIBE);
  assert.is(topics.length, abi.SOCKET_TOPICS_MAX);
});

test('messages in parts are bounded together: who has more than its share goes, others stay', async () => {
  const { sockets, openAt, mirror, doorbell, told, written } = open({
    handlers: { partialMessagesLimit: 100_000 },
  });
  openAt(6);
  openAt(7);
  await written();
  const part = (slot: number, flags: number, bytes: number): void => {
    mirror.socketBytes(abi.KIND_SOCKET_MESSAGE, slot, flags, Buffer.alloc(bytes));
    doorbell.ring();
  };
  part(5, abi.FLAG_BEGIN, 30_000);
  part(6, abi.FLAG_BEGIN, 30_000);
  for (let n = 0; n < 20; n++) part(6, 0, 500);
  part(7, abi.FLAG_BEGIN, 30_000);
  assert.equal(
    sockets.map(({ readyState }) => readyState),
    [1, 2, 1],
  );
  const [close] = (await written()).filter(({ kind }) => kind === abi.KIND_SOCKET_SEND_CLOSE);
  assert.equal([close?.slot, close?.status], [6, 1013]);
  part(6, abi.FLAG_END, 500); // it was on its way
  part(6, whole, 500);
  part(5, abi.FLAG_END, 1);
  part(7, abi.FLAG_END, 2);
  assert.equal(
    told.map((message) => (message as Buffer).length),
    [30_001, 30_002],
  );
  part(5, abi.FLAG_BEGIN, 30_000); // what was told takes nothing any more
  part(7, abi.FLAG_BEGIN, 30_000);
  part(5, abi.FLAG_END, 30_000);
  assert.is((told.at(-1) as Buffer).length, 60_000);
  assert.is(sockets[0]?.readyState, 1);
});

test('a message of one byte a part takes one piece of memory, which grows', () => {
  const { mirror, doorbell, told } = open();
  const { allocUnsafeSlow } = Buffer;
  const sizes: number[] = [];
  Buffer.allocUnsafeSlow = (size) => {
    sizes.push(size);
    return allocUnsafeSlow(size);
  };
  try {
    for (let n = 0; n < 100_000; n++) {
      mirror.socketBytes(abi.KIND_SOCKET_MESSAGE, 5, n === 0 ? abi.FLAG_BEGIN : 0, 'x');
      if (n % 200 !== 199) continue; // as many as go in a turn
      doorbell.ring();
      mirror.answers();
    }
    mirror.socketBytes(abi.KIND_SOCKET_MESSAGE, 5, abi.FLAG_END, 'x');
    doorbell.ring();
  } finally {
    Buffer.allocUnsafeSlow = allocUnsafeSlow;
  }
  assert.is((told[0] as Buffer).length, 100_001);
  assert.equal(sizes, [256, 512, 1024, 2048, 4096, 8192, 16_384, 32_768, 65_536, 131_072, 100_001]);
});

test('a grant is not saved up where the engine waits for it', async () => {
  const waiting: (() => void)[] = [];
  const { mirror, doorbell, written } = open({
    handlers: { message: () => new Promise<void>((resolve) => waiting.push(resolve)) },
  });
  const bytes = Buffer.alloc(1024 - abi.SOCKET_MESSAGE_COST);
  for (let n = 0; n < 64; n++) mirror.socketBytes(abi.KIND_SOCKET_MESSAGE, 5, whole, bytes);
  doorbell.ring();
  waiting[0]?.();
  await tick();
  const [credit] = await written();
  assert.equal([credit?.kind, credit?.grant], [abi.KIND_SOCKET_CREDIT, 1024]);
});

test('terminate() drops what waits for room', async () => {
  const { ws, written, doorbell } = open({ ringBytes: 128 * 1024 });
  ws.send(Buffer.alloc(300_000));
  ws.terminate();
  assert.is(ws.readyState, 2);
  const records: MirrorAnswer[] = [];
  for (let turn = 0; turn < 10; turn++) {
    records.push(...(await written()));
    doorbell.ring();
  }
  assert.is(records.at(-1)?.kind, abi.KIND_SOCKET_TERMINATE);
  assert.ok(
    records.every(({ flags }) => (flags & abi.FLAG_END) === 0),
    'its end is not there',
  );
});

test('send tells what waits, and drain when it has left', async () => {
  const { ws, told, mirror, doorbell, written } = open({ unsentMax: 4000 });
  const cost = abi.SOCKET_MESSAGE_COST;
  const bytes = Buffer.alloc(1000 - cost);
  assert.equal([ws.send(bytes), ws.send(bytes)], [bytes.length, bytes.length]);
  assert.is(ws.getBufferedAmount(), 1000);
  assert.is(ws.send(bytes), -1, 'more than two steps wait');
  assert.is(ws.send(bytes), -1);
  assert.is(ws.send(bytes), 0, 'more than the limit');
  assert.is((await written()).length, 4);
  mirror.socketSent(5, 2000);
  doorbell.ring();
  assert.equal(told, []);
  mirror.socketSent(5, 1000);
  doorbell.ring();
  assert.equal(told, ['drain']);
  assert.is(ws.getBufferedAmount(), 0);
  // What is larger than the limit goes where nothing waits.
  assert.is(ws.send(Buffer.alloc(100_000)), -1);
});

test('closeOnBackpressureLimit ends it', async () => {
  const { ws, written } = open({ unsentMax: 4000, handlers: { closeOnBackpressureLimit: true } });
  ws.send(Buffer.alloc(5000));
  assert.is(ws.send('x'), 0);
  assert.is((await written()).at(-1)?.kind, abi.KIND_SOCKET_TERMINATE);
});

test('what messages take of the credit is granted when they have been handled', async () => {
  const waiting: (() => void)[] = [];
  const { mirror, doorbell, written } = open({
    handlers: { message: () => new Promise<void>((resolve) => waiting.push(resolve)) },
  });
  const bytes = Buffer.alloc(16_384 - abi.SOCKET_MESSAGE_COST);
  mirror.socketBytes(abi.KIND_SOCKET_MESSAGE, 5, whole, bytes);
  doorbell.ring();
  assert.equal(await written(), []);
  for (const resolve of waiting) resolve();
  await tick();
  const [credit] = await written();
  assert.equal([credit?.kind, credit?.grant], [abi.KIND_SOCKET_CREDIT, 16_384]);
});

test('pings that are told take of the credit until their handler is done', async () => {
  const waiting: (() => void)[] = [];
  const { ws, mirror, doorbell, written } = open({
    handlers: { ping: () => new Promise<void>((resolve) => waiting.push(resolve)) },
  });
  const cost = 100 + abi.SOCKET_MESSAGE_COST;
  const count = 200; // as many as make the grant due
  for (let n = 0; n < count; n++) {
    mirror.socketBytes(abi.KIND_SOCKET_PING, 5, 0, Buffer.alloc(100));
  }
  doorbell.ring();
  assert.equal(await written(), []);
  const granted = async (): Promise<number> => {
    await tick();
    const records = (await written()).filter(({ kind }) => kind === abi.KIND_SOCKET_CREDIT);
    return records.reduce((sum, { grant }) => sum + grant, 0);
  };
  for (const resolve of waiting) resolve();
  const first = await granted();
  assert.ok(first > 0 && first <= count * cost);
  // Who hears of them no more, and nobody who is closing, holds anything.
  for (let n = 0; n < count; n++) {
    mirror.socketBytes(abi.KIND_SOCKET_PONG, 5, 0, Buffer.alloc(100));
  }
  doorbell.ring();
  ws.close();
  for (let n = 0; n < count; n++) {
    mirror.socketBytes(abi.KIND_SOCKET_PING, 5, 0, Buffer.alloc(100));
  }
  doorbell.ring();
  const all = first + (await granted());
  assert.ok(all > 2 * count * cost, `${all} of ${3 * count * cost}`);
});

test('its end is told once, and nothing is written for it behind', async () => {
  const { ws, told, mirror, doorbell, written } = open();
  mirror.socketClose(5, 4001, 'bye ✓');
  mirror.socketClose(5, 4001, 'bye ✓');
  mirror.socketBytes(abi.KIND_SOCKET_MESSAGE, 5, whole, 'late');
  doorbell.ring();
  assert.equal(told, [[4001, 'bye ✓']]);
  assert.is(ws.readyState, 3);
  assert.equal([ws.send('x'), ws.ping(), ws.subscriptions.length], [0, 0, 0]);
  ws.close();
  ws.terminate();
  ws.subscribe('t');
  assert.equal(await written(), []);
  ws.publish('t', 'gone');
  assert.is((await written())[0]?.name, 't');
});

test('an engine that stops ends the sockets that it has told nothing of', () => {
  const { told, mirror, doorbell } = open();
  mirror.stop();
  doorbell.ring();
  assert.equal(told, [[1006, '']]);
});

test('who stops is told before handlers hear of it, and waits for what close() promises', async () => {
  const order: string[] = [];
  let release = (): void => {};
  const promise = new Promise<void>((resolve) => {
    release = resolve;
  });
  const { mirror, doorbell, channel } = open({
    stopping: () => order.push('stopping'),
    handlers: {
      close: () => {
        order.push('close');
        return promise.then(() => order.push('closed'));
      },
    },
  });
  mirror.stop();
  doorbell.ring();
  assert.equal(order, ['stopping', 'close']);
  assert.ok(channel.background.isBusy);
  const settled = channel.background.settled();
  release();
  await settled;
  assert.equal(order, ['stopping', 'close', 'closed']);
});

test('what cannot be said throws', () => {
  const { ws } = open();
  const invalid = { code: 'GYR_WEBSOCKET_INVALID' };
  for (const wrong of [
    () => ws.close(1005),
    () => ws.close(999),
    () => ws.close(5000),
    () => ws.ping('x'.repeat(126)),
    () => ws.subscribe(''),
    () => ws.subscribe('x'.repeat(129)),
    () => ws.publish('', 'x'),
    () => ws.publish('t', Buffer.alloc(1_000_001)),
  ]) {
    assert.throws(wrong, (error: { code: string }) => error.code === invalid.code);
  }
  for (let n = 0; n < 1024; n++) ws.subscribe(`${n}`);
  ws.subscribe('0');
  assert.throws(() => ws.subscribe('more'), /GYR_WEBSOCKET_INVALID/);
  assert.throws(() => ws.send(7 as unknown as string), TypeError);
});

test('what waits for a socket that has ended takes no memory any more', async () => {
  const { ws, mirror, doorbell } = open({ ringBytes: 128 * 1024 });
  ws.send(Buffer.alloc(140_000)); // what is sent behind it waits
  const copies: WeakRef<Buffer>[] = [];
  const { from } = Buffer;
  Buffer.from = ((...args: Parameters<typeof from>) => {
    const copy = from(...args);
    copies.push(new WeakRef(copy));
    return copy;
  }) as typeof from;
  try {
    for (let n = 0; n < 3; n++) ws.send(new Uint8Array(100_000));
  } finally {
    Buffer.from = from;
  }
  assert.is(copies.length, 3);
  mirror.socketClose(5, 1006, '');
  doorbell.ring();
  setFlagsFromString('--expose_gc');
  const gc = runInNewContext('gc') as () => void;
  await until(() => {
    gc();
    return copies.every((copy) => copy.deref() === undefined);
  }, 'no copy');
});

test('a socket of an exchange that is not known is ended', async () => {
  const { mirror, doorbell, written } = open();
  mirror.socketOpen(6, { slot: 99, generation: 1 }, 1000);
  doorbell.ring();
  const [answer] = await written();
  assert.equal([answer?.kind, answer?.slot], [abi.KIND_SOCKET_TERMINATE, 6]);
});

test('a socket of an exchange that is not known is ended once there is room', async () => {
  const { ws, mirror, doorbell, written } = open({ ringBytes: 128 * 1024 });
  ws.send(Buffer.alloc(140_000));
  mirror.socketOpen(6, { slot: 99, generation: 1 }, 1000);
  // Until no record fits, however small it is.
  for (let n = 0; n < 3000; n++) mirror.socketOpen(6, { slot: 99, generation: 1 }, 1000);
  doorbell.ring();
  const ends: MirrorAnswer[] = [];
  for (let turn = 0; turn < 20; turn++) {
    const records = await written();
    ends.push(...records.filter(({ kind }) => kind === abi.KIND_SOCKET_TERMINATE));
    doorbell.ring();
  }
  assert.is(ends.length, 3001);
});

test.run();
