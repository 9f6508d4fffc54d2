import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { createClient } from 'redis';
import * as assert from 'uvu/assert';
import { type BrokerKind, noBroker, TestBroker } from '../support/brokers.ts';
import {
  listening,
  programOf,
  project,
  type RunningServer,
  start,
  stopAll,
} from '../support/process.ts';
import { sideBySide } from '../support/side_by_side.ts';
import { testUnless } from '../support/skip.ts';
import { until } from '../support/wait.ts';
import { handshake, opcodes, WebSocketClient } from './client.ts';

// What is published in one process reaches the sockets of others by way of a broker: redis-server or nats-server, over
// each client that there is for it, with handlers on the main thread and in others.
// Three or so of its groups are at it at a time: the tests of a group follow each other.
const test = sideBySide('websocket: brokers', 8);

const brokers: TestBroker[] = [];

test.after(async () => {
  await Promise.all(brokers.map((broker) => broker.remove()));
  await stopAll();
});

/** A server in a process of its own, one of several. */
class Peer {
  readonly server: RunningServer;
  private readonly control: string;
  private readonly clients: WebSocketClient[] = [];

  private constructor(server: RunningServer) {
    this.server = server;
    this.control = `http://127.0.0.1:${/CONTROL (\d+)/.exec(server.stdout())?.[1]}`;
  }

  static async start(client: string, place: string, threads: number): Promise<Peer> {
    const app = programOf('tests', 'websocket', 'broker_app.ts');
    const args = [...app, client, place, `${threads}`];
    const server = await listening(start(process.execPath, args));
    await until(() => server.stdout().includes('CONTROL'), 'its other port');
    return new Peer(server);
  }

  async stats(): Promise<Record<string, number>> {
    return (await fetch(`${this.control}/stats`)).json() as Promise<Record<string, number>>;
  }

  /** `server.publish()`, of bytes. */
  async publish(topic: string, bytes: Uint8Array | string): Promise<number> {
    const url = `${this.control}/publish?topic=${encodeURIComponent(topic)}`;
    return (await fetch(url, { method: 'POST', body: bytes })).json() as Promise<number>;
  }

  async reload(): Promise<void> {
    assert.is((await fetch(`${this.control}/reload`)).status, 200);
  }

  /** Until it is subscribed to so many topics at the broker. */
  async subscribed(topics: number): Promise<void> {
    const asIs = async (): Promise<boolean> => (await this.stats()).brokerTopics === topics;
    await until(asIs, `${topics} topics at the broker`);
  }

  async connected(is = 1): Promise<void> {
    await until(async () => (await this.stats()).brokerConnected === is, `connected: ${is}`);
  }

  /** A client that is subscribed to these. */
  async open(...topics: string[]): Promise<WebSocketClient> {
    const client = await WebSocketClient.connect(this.server);
    await client.send(handshake({}, 'GET /socket/one HTTP/1.1'));
    client.expectUpgrade(await client.response());
    for (const topic of topics) await client.say('text', `subscribe ${topic}`);
    this.clients.push(client);
    await about(client); // they are said behind that
    return client;
  }

  /** All clients leave, and nobody is subscribed. */
  async leave(): Promise<void> {
    for (const client of this.clients.splice(0)) client.destroy();
    await this.subscribed(0);
  }

  async stop(): Promise<void> {
    const { code, signal } = await this.server.stop();
    assert.equal([code, signal], [0, null], this.server.stdout() + this.server.stderr());
    assert.match(this.server.stdout(), 'STOPPED');
  }
}

async function about(client: WebSocketClient): Promise<{ thread: number; topics: string[] }> {
  await client.say('text', 'about');
  return JSON.parse((await client.message()).payload.toString());
}

/** Nothing has come for it beside what was taken: what it is sent now comes next. */
async function expectNothing(client: WebSocketClient): Promise<void> {
  await client.say('text', 'echo');
  assert.match((await client.message()).payload.toString(), /: echo$/);
}

/** A broker and two servers. */
interface Ground {
  broker: TestBroker;
  one: Peer;
  other: Peer;
}

type Scenario = [name: string, run: (ground: Ground) => Promise<void>];

async function prepare([client, kind]: [string, BrokerKind], threads: number): Promise<Ground> {
  const broker = TestBroker.of(kind);
  brokers.push(broker);
  await broker.start();
  const both = [0, 1].map(() => Peer.start(client, broker.place, threads));
  const [one, other] = (await Promise.all(both)) as [Peer, Peer];
  await Promise.all([one.connected(), other.connected()]);
  return { broker, one, other };
}

/** Tests with a broker and two servers that are theirs. Each leaves nobody subscribed. */
function among(pair: [string, BrokerKind], threads: number, scenarios: Scenario[]): void {
  const where = threads === 0 ? 'on the main thread' : `threads: ${threads}`;
  let preparing: Promise<Ground> | undefined;
  let before: Promise<unknown> = Promise.resolve();
  /** Behind the one before it, whatever came of that. */
  const inTurn = (run: () => Promise<void>): Promise<void> => {
    const ran = before.then(run);
    before = ran.catch(() => {}); // its own test tells
    return ran;
  };
  for (const [at, [name, run]] of scenarios.entries()) {
    const play = async (): Promise<void> => {
      preparing ??= prepare(pair, threads);
      const ground = await preparing;
      const { broker, one, other } = ground;
      await run(ground);
      if (at < scenarios.length - 1) {
        for (const peer of [one, other]) await peer.leave();
        return;
      }
      await Promise.all([one.stop(), other.stop()]);
      await broker.remove();
    };
    const full = `${name} (${pair[0]}, ${where})`;
    testUnless(test, noBroker[pair[1]], full, () => inTurn(play));
  }
}

async function reaches({ one, other }: Ground): Promise<void> {
  const [ada, near, far] = [
    await one.open('news'),
    await one.open('news'),
    await other.open('news'),
  ];
  await Promise.all([one.subscribed(1), other.subscribed(1)]);
  await ada.say('text', 'publish news from a socket');
  for (const client of [near, far]) await client.expectText('from a socket');
  const bytes = Buffer.from(Array.from({ length: 256 }, (_, byte) => byte));
  assert.is(await other.publish('news', bytes), 256);
  for (const client of [ada, near, far]) {
    const { opcode, payload } = await client.message();
    assert.equal([opcode, payload], [opcodes.binary, bytes]);
  }
  await ada.say('text', 'publish news grüße, 世界 🦅');
  for (const client of [near, far]) await client.expectText('grüße, 世界 🦅');
  await far.say('text', 'publishLarge news');
  for (const client of [ada, near]) assert.is((await client.message()).payload.length, 900_000);
  for (const client of [ada, near, far]) await expectNothing(client);
  await inOrder(ada, [near, far]);
  await far.say('text', 'unsubscribe news');
  await other.subscribed(0);
  await ada.say('text', 'publish news only near');
  await near.expectText('only near');
  await expectNothing(far);
}

/** What one publishes arrives elsewhere in the order of the calls. */
async function inOrder(from: WebSocketClient, to: WebSocketClient[]): Promise<void> {
  await from.say('text', 'publishMany news 100');
  for (const client of to) {
    for (let n = 0; n < 100; n += 1) {
      const { payload } = await client.message();
      assert.equal([payload.length, payload.readUInt32BE()], [16_384, n]);
    }
  }
}

async function killed({ broker, one, other }: Ground): Promise<void> {
  const [ada, near, far] = [
    await one.open('news'),
    await one.open('news'),
    await other.open('news'),
  ];
  await Promise.all([one.subscribed(1), other.subscribed(1)]);
  await broker.kill();
  await Promise.all([one.connected(0), other.connected(0)]);
  await ada.say('text', 'publish news meanwhile');
  await near.expectText('meanwhile');
  await broker.start();
  await Promise.all([one.connected(), other.connected()]);
  for (const peer of [one, other]) {
    assert.match(
      peer.server.stderr(),
      /broker \w+: is away: what is published stays in this process/,
    );
    assert.match(peer.server.stderr(), /broker \w+: is there again/);
  }
  // What was said meanwhile may have come or not. From now on it does.
  await until(async () => (await one.stats()).brokerWaitingBytes === 0, 'what waited has left');
  await ada.say('text', 'publish news afterwards');
  let { payload } = await far.message();
  if (payload.toString() === 'meanwhile') ({ payload } = await far.message());
  assert.is(payload.toString(), 'afterwards');
  await near.expectText('afterwards');
  for (const client of [ada, near, far]) await expectNothing(client);
}

async function stalled({ broker, one, other }: Ground): Promise<void> {
  const [ada, near] = [await one.open('hot', 'cold'), await one.open('hot', 'cold')];
  const far = await other.open('cold');
  await Promise.all([one.subscribed(2), other.subscribed(1)]);
  broker.signal('SIGSTOP');
  const count = 40;
  for (let n = 0; n < count; n += 1) {
    await ada.say('text', 'publishLarge hot');
    assert.is((await near.message()).payload.length, 900_000, 'subscribers here wait for nothing');
  }
  const dropped = async (): Promise<boolean> =>
    ((await one.stats()).brokerDropped ?? 0) >= count / 2;
  await until(dropped, 'what is too much was dropped');
  await ada.say('text', 'publish cold finds room');
  await near.expectText('finds room');
  const { brokerWaitingBytes: waiting = 0, brokerConnected } = await one.stats();
  assert.ok(waiting > 1_000_000 && waiting <= 4 * 2 ** 20, `${waiting} bytes wait`);
  assert.is(brokerConnected, 1);
  const lines = one.server.stderr().match(/messages are dropped, as too much waits/g);
  assert.is(lines?.length, 1, one.server.stderr());
  broker.signal('SIGCONT');
  await far.expectText('finds room');
  await until(async () => (await one.stats()).brokerWaitingBytes === 0, 'what waited has left');
  await ada.say('text', 'publish cold as before');
  for (const client of [near, far]) await client.expectText('as before');
}

async function hostile({ broker, one, other }: Ground): Promise<void> {
  const [near, far] = [await one.open('news'), await other.open('news')];
  await Promise.all([one.subscribed(1), other.subscribed(1)]);
  const head = 'GYR1tsomebody-else---';
  const wrong: (string | Uint8Array)[] = [
    '',
    'x',
    head.slice(0, -1),
    'GYR2tsomebody-else---hello',
    'GYR1xsomebody-else---hello',
    'GYR1t\r\n\0dy-else---hello',
    Buffer.concat([Buffer.from(head), Buffer.from([0xff, 0xfe])]),
    Buffer.alloc(1_000_022, head),
    Buffer.alloc(1_040_000, 0xff),
  ];
  for (const message of wrong) await broker.publish('news', Buffer.from(message as Uint8Array));
  await broker.publish('elsewhere', Buffer.from(`${head}to nobody`));
  await broker.publish('news', Buffer.from(`${head}from a program of another kind`));
  for (const client of [near, far]) {
    await client.expectText('from a program of another kind');
    await expectNothing(client);
  }
  for (const peer of [one, other]) {
    assert.is((await peer.stats()).brokerRefused, wrong.length);
    const lines = peer.server.stderr().match(/a message on "news" is none of a server's/g);
    assert.is(lines?.length, 1, 'the log has a line, not one for each');
  }
}

async function names({ one, other }: Ground): Promise<void> {
  const odd = [
    'a.b',
    '*',
    '>',
    'a.>',
    '%2A',
    'grüße/世界',
    'a:b\tc',
    '\u0000\u0001',
    'x'.repeat(128),
    '…\ufffd',
  ];
  const [ada, far] = [await one.open(), await other.open(...odd)];
  await other.subscribed(odd.length);
  for (const topic of odd) {
    // Those of "publish" end at a blank.
    const sent = Buffer.from(`of ${JSON.stringify(topic)}`);
    assert.is(await one.publish(topic, sent), sent.length);
    assert.equal((await far.message()).payload, sent);
  }
  const many = Array.from({ length: 500 }, (_, n) => `many/${n}`);
  for (const topic of many) await far.say('text', `subscribe ${topic}`);
  for (let n = 0; n < 500; n += 1) {
    await far.say('text', 'unsubscribe many/0');
    await far.say('text', 'subscribe many/0');
  }
  await other.subscribed(odd.length + many.length);
  await ada.say('text', 'publish many/0 first');
  await ada.say('text', 'publish many/499 last');
  await far.expectText('first');
  await far.expectText('last');
}

async function dies({ one, other }: Ground): Promise<void> {
  const far = await other.open('news');
  // Connections go to threads by turns.
  const sockets = await Promise.all(Array.from({ length: 8 }, () => one.open('news')));
  const threads = await Promise.all(sockets.map(async (socket) => (await about(socket)).thread));
  assert.is(new Set(threads).size, 2);
  await one.subscribed(1);
  const victim = sockets[0] as WebSocketClient;
  await victim.say('text', 'die');
  const left = sockets.filter((_, n) => threads[n] !== threads[0]);
  await sockets[0]?.expectClose(1012);
  await far.say('text', 'publish news to those that are left');
  for (const socket of left) await socket.expectText('to those that are left');
  await one.leave();
  await other.reload();
  const again = await one.open('news');
  await one.subscribed(1);
  await again.say('text', 'publish news after a reload');
  await far.expectText('after a reload');
}

async function later(client: string, kind: BrokerKind): Promise<void> {
  const broker = TestBroker.of(kind);
  brokers.push(broker);
  await broker.start(); // a place that is free
  await broker.kill();
  const peers = [0, 1].map(() => Peer.start(client, broker.place, 0));
  const [one, other] = (await Promise.all(peers)) as [Peer, Peer];
  const [ada, far] = [await one.open('news'), await other.open('news')];
  await until(() => /is away/.test(one.server.stderr()), 'a line in the log');
  await broker.start();
  await Promise.all([one.subscribed(1), other.subscribed(1)]);
  await ada.say('text', 'publish news at last');
  await far.expectText('at last');
  await Promise.all([one.stop(), other.stop()]);
  await broker.remove();
}

/** What it is told by redis-cli, as docs/BROKERS.md has it. */
async function byHand({ broker, one }: Ground): Promise<void> {
  const near = await one.open('news');
  await one.subscribed(1);
  const page = readFileSync(project('docs', 'BROKERS.md'), 'utf8');
  const [, channel, message] = /^redis-cli publish (\S+) '(.+)'$/m.exec(page) as RegExpExecArray;
  const args = ['-s', broker.place, 'publish', channel as string, message as string];
  const { stdout } = spawnSync('redis-cli', args, { encoding: 'utf8' });
  assert.is(stdout, '1\n', 'who has heard it');
  await near.expectText('Hello');
}

/** What `close` publishes arrives, and the server closes what it had opened. */
async function stops({ broker, one, other }: Ground): Promise<void> {
  const watch = createClient({ socket: { path: broker.place, tls: false } });
  await watch.connect();
  const count = async (): Promise<number> => (await watch.clientList()).length;
  const [ada, far] = [await one.open('news'), await other.open('news')];
  await ada.say('text', 'announce');
  await about(ada);
  await other.subscribed(1);
  assert.is(await count(), 5, 'two of each server, and this one');
  await one.stop();
  await far.expectText('one has gone');
  await until(async () => (await count()) === 3, 'the end of its connections');
  watch.destroy();
}

const reach: Scenario = ['what is published reaches other processes, once', reaches];
const kill: Scenario = ['a broker that is killed and started again', killed];
const end: Scenario = ['a server that stops', stops];
const most: Scenario[] = [
  reach,
  ['what others publish there', hostile],
  kill,
  ['a broker that does not answer', stalled],
];
const all: Scenario[] = [
  ...most,
  ['topics of any name, and more of them than are asked for at a time', names],
  ['a thread that dies, and a reload', dies],
];
/** All of it with one broker, of which `second` is another client. */
export function testBroker(kind: BrokerKind, second: string): void {
  among([kind, kind], 0, most);
  among([kind, kind], 1, kind === 'redis' ? [reach, ['redis-cli', byHand], end] : [reach]);
  among([kind, kind], 2, all);
  among([second, kind], 0, [reach, kill]);
  const name = `a broker that comes later than the server (${kind})`;
  testUnless(test, noBroker[kind], name, () => later(kind, kind));
  test.run();
}
