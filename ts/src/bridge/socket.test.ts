import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { type Fixture, open as openChannel, tick } from '../../../tests/support/channel.ts';
import type { MirrorAnswer } from '../../../tests/support/engine_mirror.ts';
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
}

/** A socket over the mirror of an engine. */
function open({
  handlers = {},
  upgrade = {},
  fields = [],
  unsentMax = 2 ** 20,
  ringBytes,
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
  const options = ringBytes === undefined ? {} : { ringBytes };
  const handler = (request: Request): void => {
    fixture.server.upgrade(request, upgrade);
  };
  const fixture: Fixture = openChannel(handler, {
    ...options,
    sockets: own,
  });
  const { mirror, doorbell } = fixture;
  const all: [string, string][] = [['Host', 'a'], ['Sec-WebSocket-Key', key], ...fields];
  const [answer] = fixture.ask({ fields: all, upgrade: true }) as [MirrorAnswer];
  mirror.socketOpen(5, answer, unsentMax);
  doorbell.ring();
  const ws = sockets[0] as ServerWebSocket;
  /** What was written since the last call. */
  const written = async (): Promise<MirrorAnswer[]> => {
    await tick();
    return mirror.answers();
  };
  return { ...fixture, answer, ws, told, written };
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
  const { ws, written, doorbell } = open({ ringBytes: 128 * 1024 });
  const bytes = Buffer.alloc(300_000, Buffer.from('0123456789abcdefg'));
  const given = Buffer.from(bytes);
  ws.send('first');
  ws.send(given);
  given.fill(0); // it is the caller's again
  ws.send('second');
  ws.subscribe('t');
  ws.publish('t', 'published');
  ws.close();
  const records: MirrorAnswer[] = [];
  for (let turn = 0; turn < 20; turn++) {
    records.push(...(await written()));
    doorbell.ring();
  }
  const sends = records.filter(({ kind }) => kind === abi.KIND_SOCKET_SEND);
  const pieces = sends.slice(1, -1);
  assert.is(sends[0]?.body.toString(), 'first');
  assert.is(sends.at(-1)?.body.toString(), 'second');
  assert.ok(pieces.length > 2);
  assert.equal(
    pieces.map(({ flags }) => flags),
    pieces.map((_, n) => (n === 0 ? abi.FLAG_BEGIN : n === pieces.length - 1 ? abi.FLAG_END : 0)),
  );
  assert.ok(Buffer.concat(pieces.map(({ body }) => body)).equals(bytes));
  const kinds = records.map(({ kind }) => kind);
  // What waits of a socket goes together; what is published is behind what was said before it.
  assert.equal(kinds.slice(-3), [
    abi.KIND_SOCKET_SUBSCRIBE,
    abi.KIND_SOCKET_SEND_CLOSE,
    abi.KIND_SOCKET_PUBLISH,
  ]);
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

test('a socket of an exchange that is not known is ended', async () => {
  const { mirror, doorbell, written } = open();
  mirror.socketOpen(6, { slot: 99, generation: 1 }, 1000);
  doorbell.ring();
  const [answer] = await written();
  assert.equal([answer?.kind, answer?.slot], [abi.KIND_SOCKET_TERMINATE, 6]);
});

test.run();
