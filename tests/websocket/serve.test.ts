import { WebSocket } from 'undici';
import * as assert from 'uvu/assert';
import { listening, programOf, type RunningServer, start, stopAll } from '../support/process.ts';
import { sideBySide } from '../support/side_by_side.ts';
import { until, within } from '../support/wait.ts';
import { closing, frame, handshake, opcodes, WebSocketClient } from './client.ts';

// What serve({ websocket }) adds to tests/websocket/sections.ts: its methods and options, backpressure, topics across
// threads, and what becomes of sockets when threads die, handlers fail, programs are reloaded and servers stop.
const test = sideBySide('websocket: serve()');

test.after(stopAll);

function startServe(options: object = {}): Promise<RunningServer> {
  const app = programOf('tests', 'websocket', 'app.ts');
  const given = JSON.stringify({ workers: 1, ...options });
  return listening(start(process.execPath, [...app, given]));
}

async function stop(server: RunningServer): Promise<void> {
  const { code, signal } = await server.stop();
  assert.equal([code, signal], [0, null], server.stdout() + server.stderr());
}

/** A test with a server of its own. */
function serving(
  name: string,
  options: object,
  run: (server: RunningServer) => Promise<void>,
): void {
  // Who is given up soon is so too where this process is held up by what runs beside it.
  const add = name.startsWith('idleTimeout') ? test.alone : test;
  add(name, async () => {
    const server = await startServe(options);
    await run(server);
    await stop(server);
  });
}

let shared: Promise<RunningServer> | undefined;

/** A test whose sockets may be beside those of others, at a server with the usual options. */
function sharing(name: string, run: (server: RunningServer) => Promise<void>): void {
  test(name, async () => {
    shared ??= startServe();
    await run(await shared);
  });
}

async function open(
  { port }: { port: number },
  path = '/socket/one',
  fields: Record<string, string> = {},
): Promise<WebSocketClient> {
  const client = await WebSocketClient.connect({ port });
  await client.send(handshake(fields, `GET ${path} HTTP/1.1`));
  client.expectUpgrade(await client.response());
  return client;
}

async function ask(client: WebSocketClient, text: string): Promise<string> {
  await client.say('text', text);
  return (await client.message()).payload.toString();
}

/** A line that the server prints. */
const prints = (server: RunningServer, line: RegExp, ms?: number): Promise<RegExpExecArray> =>
  until(() => line.exec(server.stdout()) ?? undefined, `${line}`, ms);

/** A thread that begins compiles its modules first, beside other tests. */
const reloadMsMax = 30_000;

sharing('a socket knows its data, its client, its subprotocol and its topics', async (server) => {
  const client = await WebSocketClient.connect(server);
  const fields = { 'Sec-WebSocket-Protocol': 'three, two' };
  await client.send(handshake(fields, 'GET /socket/greeted HTTP/1.1'));
  const answer = await client.response();
  client.expectUpgrade(answer);
  assert.is(answer.headers.get('x-who'), 'greeted');
  assert.is(answer.headers.get('set-cookie'), 'a=b');
  assert.is(answer.headers.get('sec-websocket-protocol'), 'two');
  await client.expectText('welcome');
  await client.say('text', 'subscribe b');
  await client.say('text', 'subscribe a');
  await client.say('text', 'subscribe b');
  const { data, address, protocol, state, topics } = JSON.parse(await ask(client, 'about'));
  assert.equal([data, address], [{ name: 'greeted' }, '127.0.0.1']);
  assert.equal([protocol, state, topics], ['two', 1, ['b', 'a']]);
  client.destroy();
});

sharing('binary messages come in the form that was asked for', async (server) => {
  const client = await open(server);
  await client.say('binary', 'abc');
  assert.equal((await client.message()).payload.toString(), 'abc');
  for (const [type, name] of [
    ['arraybuffer', 'ArrayBuffer'],
    ['uint8array', 'Uint8Array'],
  ]) {
    await client.say('text', `binaryType ${type}`);
    await client.say('binary', 'abc');
    await client.expectText(name as string);
  }
  client.destroy();
});

sharing('pings and pongs are told, and sent', async (server) => {
  const client = await open(server);
  await client.say('ping', 'a');
  assert.equal((await client.frame()).payload.toString(), 'a');
  await client.expectText('pinged a');
  await client.say('pong', 'b');
  await client.expectText('ponged b');
  for (const kind of ['ping', 'pong'] as const) {
    await client.say('text', `${kind} c`);
    const { opcode, payload } = await client.frame();
    assert.equal([opcode, payload.toString()], [opcodes[kind], 'c']);
  }
  client.destroy();
});

serving(
  '10,000 small messages arrive in order, both ways, through small rings',
  { ringBytes: 131_072 },
  async (server) => {
    const client = await open(server);
    for (let n = 0; n < 10_000; n += 1) void client.say('text', `n${n}`);
    for (let n = 0; n < 10_000; n += 1) await client.expectText(`first: n${n}`);
    await client.say('text', 'count 10000');
    for (let n = 0; n < 10_000; n += 1) await client.expectText(`${n}`);
    client.destroy();
  },
);

serving(
  '8 MiB cross in both directions, as text and as bytes, while others are served',
  { ringBytes: 131_072 },
  async (server) => {
    const client = await open(server);
    const other = await open(server);
    const bytes = Buffer.alloc(8 * 2 ** 20, '0123456789abcdefg');
    void client.say('binary', bytes);
    for (let n = 0; n < 20; n += 1) assert.is(await ask(other, `n${n}`), `first: n${n}`);
    assert.ok((await client.message()).payload.equals(bytes));
    await client.say('text', 'largeText 1000000');
    assert.ok((await client.message()).payload.toString() === '€'.repeat(1_000_000));
    await client.say('text', 'large 8388608');
    assert.is((await client.message()).payload.length, 8_388_608);
    client.destroy();
    other.destroy();
  },
);

serving(
  'whoever reads nothing has its messages refused, and is told when they have gone',
  {},
  async (server) => {
    const slow = await open(server);
    const other = await open(server);
    slow.socket.pause();
    await slow.say('text', 'flood 1000');
    const answers = JSON.parse((await prints(server, /^FLOOD (.*)$/m))[1] as string);
    assert.ok(answers['65536'] >= 1, 'the first are sent');
    assert.ok(answers['-1'] >= 1, 'then some wait');
    assert.ok(answers['0'] >= 900, 'the others are refused');
    const taken = 1000 - answers['0'];
    for (let n = 0; n < 50; n += 1) assert.is(await ask(other, `n${n}`), `first: n${n}`);
    slow.socket.resume();
    for (let n = 0; n < taken; n += 1) assert.is((await slow.message()).payload.length, 65_536);
    await slow.expectText('drained');
    const { drains, buffered } = JSON.parse(await ask(slow, 'about'));
    assert.ok(drains >= 1);
    assert.is(buffered, 0);
    slow.destroy();
    other.destroy();
  },
);

serving(
  'or is closed, where that is wanted',
  { websocket: { closeOnBackpressureLimit: true } },
  async (server) => {
    const slow = await open(server);
    const other = await open(server);
    slow.socket.pause();
    await slow.say('text', 'flood 1000');
    await prints(server, /^CLOSED 1006 $/m);
    assert.is(await ask(other, 'there'), 'first: there');
    other.destroy();
    slow.destroy();
  },
);

serving(
  'a handler that takes its time has its peer wait at the bounds of the credit, and nobody else',
  { creditBytes: 32_768 },
  async (server) => {
    const held = await open(server);
    const other = await open(server);
    const holds = async (): Promise<number> => JSON.parse(await ask(other, 'about')).holds;
    const message = `hold ${'x'.repeat(995)}`;
    for (let n = 0; n < 100; n += 1) void held.say('text', message);
    // A message counts 32 bytes beside its own.
    const most = Math.floor(32_768 / (message.length + 32));
    await until(async () => (await holds()) >= most - 1, 'as many handlers as have credit');
    for (let n = 0; n < 200; n += 1) assert.is(await ask(other, `n${n}`), `first: n${n}`);
    const count = await holds();
    assert.ok(count <= most, `${count} of 100, of which ${most} have credit`);
    void held.say('text', 'behind');
    await fetch(`${server.url}release`);
    await held.expectText('first: behind');
    assert.is(await holds(), 100);
    held.destroy();
    other.destroy();
  },
);

for (const threads of [0, 2]) {
  serving(
    `what is published reaches all who have subscribed, ${threads === 0 ? 'on one thread' : 'across threads and workers'}`,
    { workers: 2, threads },
    async (server) => {
      const clients = await Promise.all(Array.from({ length: 12 }, () => open(server)));
      const all = await Promise.all(
        clients.map(async (client) => JSON.parse(await ask(client, 'about'))),
      );
      if (threads > 0)
        assert.is(new Set(all.map(({ thread }) => thread)).size, 2, 'both threads have some');
      const name = threads === 0 ? 'first' : 'thread';
      for (const client of clients) {
        await client.say('text', 'subscribe news');
        assert.is(await ask(client, 'there'), `${name}: there`);
      }
      for (const [index, publisher] of clients.entries()) {
        await publisher.say('text', `publish news from ${index}`);
        for (const client of clients)
          if (client !== publisher) await client.expectText(`from ${index}`);
      }
      await clients[0]?.say('text', 'publishLarge news');
      for (const client of clients.slice(1))
        assert.is((await client.message()).payload.length, 900_000);
      await clients[1]?.say('text', 'unsubscribe news');
      assert.is(await ask(clients[1] as WebSocketClient, 'there'), `${name}: there`);
      server.child.kill('SIGUSR2');
      await prints(server, /^PUBLISHED 9$/m);
      for (const client of clients) if (client !== clients[1]) await client.expectText('from main');
      assert.is(await ask(clients[1] as WebSocketClient, 'there'), `${name}: there`);
      for (const client of clients) client.destroy();
    },
  );
}

serving(
  'much that is published at once reaches everybody, in order',
  { workers: 2, threads: 2 },
  async (server) => {
    const count = 240;
    const clients = await Promise.all(Array.from({ length: 6 }, () => open(server)));
    for (const client of clients) {
      await client.say('text', 'subscribe news');
      assert.is(await ask(client, 'there'), 'thread: there');
    }
    await clients[0]?.say('text', `publishMany news ${count}`);
    const reading = clients.slice(1).map(async (client) => {
      for (let n = 0; n < count; n += 1) {
        assert.is((await client.message()).payload.readUInt32BE(), n);
      }
    });
    await Promise.all(reading);
    assert.not.match(server.stdout(), /NOT PUBLISHED/);
    for (const client of clients) client.destroy();
  },
);

serving(
  'what is said to a socket and what the server publishes are in the order of the calls',
  { workers: 2 },
  async (server) => {
    const clients = await Promise.all(Array.from({ length: 4 }, () => open(server)));
    for (let round = 0; round < 50; round += 1) {
      for (const [index, client] of clients.entries()) {
        const name = `${round}.${index}`;
        await client.say('text', `join ${name}`);
        await client.expectText(`welcome ${name}`);
        await client.expectText(`${name} has come`);
        await client.say('text', `leave ${name}`);
        await client.expectText('goodbye');
      }
    }
    for (const client of clients) client.destroy();
  },
);

serving(
  'what the main thread publishes waits for the thread that does it, 4 MB of it',
  { threads: 1, workers: 2, publishes: 6 },
  async (server) => {
    const client = await open(server);
    await client.say('text', 'subscribe news');
    assert.is(await ask(client, 'there'), 'thread: there');
    /** Six at once; how many were taken, and have come. */
    const publish = async (): Promise<number> => {
      const before = server.stdout().length;
      server.child.kill('SIGUSR2');
      const line = /^PUBLISHED (.*)\n/;
      const [, answers = ''] = await until(
        () => line.exec(server.stdout().slice(before)),
        'a line',
      );
      const taken = answers.split(',').filter((answer) => answer === '1000000').length;
      for (let n = 0; n < taken; n += 1)
        assert.is((await client.message()).payload.length, 1_000_000);
      return taken;
    };
    // Three fit in, and those that the thread has taken by the time the last is published.
    let taken = await publish();
    assert.ok(taken >= 3, `${taken}`);
    await until(async () => {
      if (taken === 6) taken = await publish();
      return taken < 6;
    }, 'a refusal');
    // What has been published counts no more.
    await until(async () => (await publish()) > 0, 'room for more');
    client.destroy();
  },
);

serving(
  'messages in parts take no more of a thread than partialMessagesLimit: who has more than its share ends',
  { websocket: { partialMessagesLimit: 300_000, maxPayloadLength: 300_000 } },
  async (server) => {
    const large = await open(server);
    const small = await Promise.all(Array.from({ length: 3 }, () => open(server)));
    for (const client of small)
      await client.send(frame('text', 'x'.repeat(20_000), { fin: false }));
    for (const client of small) {
      await client.say('ping', 'a');
      await client.frame();
      await client.expectText('pinged a');
    }
    await large.send(frame('text', 'x'.repeat(250_000), { fin: false }));
    const { opcode, payload } = await large.frame();
    assert.equal([opcode, payload], [opcodes.close, closing(1013)]);
    large.destroy();
    for (const client of small) {
      await client.send(frame('continuation', 'y'));
      assert.is((await client.message()).payload.length, 'first: '.length + 20_001);
      client.destroy();
    }
  },
);

serving(
  'publishToSelf: the publisher hears itself',
  { websocket: { publishToSelf: true } },
  async (server) => {
    const client = await open(server);
    await client.say('text', 'subscribe a');
    await client.say('text', 'publish a hello');
    await client.expectText('hello');
    client.destroy();
  },
);

serving(
  'a thread that dies closes its sockets with 1012, and no others',
  { threads: 2 },
  async (server) => {
    const clients = await Promise.all(Array.from({ length: 8 }, () => open(server)));
    const threads = await Promise.all(
      clients.map(async (client) => JSON.parse(await ask(client, 'about')).thread as number),
    );
    const dead = threads[0];
    await clients[0]?.say('text', 'die');
    for (const [index, client] of clients.entries()) {
      if (threads[index] === dead) {
        const { payload } = await client.frame();
        assert.is(payload.readUInt16BE(), 1012);
      } else assert.is(await ask(client, 'there'), 'thread: there');
      client.destroy();
    }
    const again = await open(server);
    assert.is(await ask(again, 'there'), 'thread: there');
    again.destroy();
  },
);

serving(
  'a thread that is blocked holds up its own sockets, which lose nothing',
  { threads: 2 },
  async (server) => {
    const clients = await Promise.all(Array.from({ length: 6 }, () => open(server)));
    const threads = await Promise.all(
      clients.map(async (client) => JSON.parse(await ask(client, 'about')).thread as number),
    );
    await clients[0]?.say('text', 'block 700');
    const bytes = Buffer.alloc(60_000, 'b');
    for (const [index, client] of clients.entries()) {
      if (threads[index] !== threads[0]) assert.is(await ask(client, 'there'), 'thread: there');
      else for (let n = 0; n < 20; n += 1) void client.say('binary', bytes);
    }
    for (const [index, client] of clients.entries()) {
      if (threads[index] === threads[0]) {
        for (let n = 0; n < 20; n += 1) assert.is((await client.message()).payload.length, 60_000);
      }
      client.destroy();
    }
  },
);

for (const threads of [0, 1]) {
  serving(
    `reload() keeps sockets open, and new handlers have them, threads: ${threads}`,
    { threads },
    async (server) => {
      const client = await open(server);
      const name = threads === 0 ? 'first' : 'thread';
      assert.is(await ask(client, 'there'), `${name}: there`);
      server.child.kill('SIGHUP');
      await prints(server, /^RELOADED$/m, reloadMsMax);
      const after = await ask(client, 'there');
      assert.match(after, threads === 0 ? /^second: there$/ : /^thread \d+: there$/);
      const { data } = JSON.parse(await ask(client, 'about'));
      assert.equal(data, { name: 'one' });
      const other = await open(server);
      assert.ok((await ask(other, 'there')).endsWith(': there'));
      client.destroy();
      other.destroy();
    },
  );

  test(`a stop says 1001, waits for the answer, and the handler hears of it, threads: ${threads}`, async () => {
    const server = await startServe({ threads });
    const client = await open(server);
    const silent = await open(server);
    await ask(client, 'there');
    await ask(silent, 'there');
    server.child.kill('SIGTERM');
    const { opcode, payload } = await client.frame();
    assert.equal([opcode, payload], [opcodes.close, closing(1001)]);
    await client.say('close', closing(1001, 'bye'));
    assert.is((await client.readToEnd()).length, 0);
    await prints(server, /^CLOSED 1001 bye$/m);
    await silent.frame();
    silent.destroy();
    await prints(server, /^STOPPED$/m);
    assert.match(server.stdout(), /^CLOSED 1006 $/m);
    const { code } = await within(server.ended, 'its end');
    assert.is(code, 0, server.stderr());
  });
}

test('a stop waits for close() and what it promises', async () => {
  const server = await startServe({ threads: 1 });
  // Together they take longer than a thread may that says nothing.
  const clients = await Promise.all(Array.from({ length: 16 }, () => open(server, '/socket/slow')));
  for (const client of clients) await ask(client, 'there');
  server.child.kill('SIGTERM');
  for (const client of clients) await client.frame(); // its 1001
  for (const client of clients) client.destroy();
  await prints(server, /^STOPPED$/m);
  const ends = (): number => server.stdout().match(/^CLOSED SLOWLY$/gm)?.length ?? 0;
  await until(() => ends() === clients.length, 'all of them');
  const { code } = await within(server.ended, 'its end');
  assert.is(code, 0, server.stderr());
});

sharing(
  'a handler that throws, or rejects, is told in the log, and its socket is closed with 1011',
  async (server) => {
    const other = await open(server);
    for (const how of ['throw', 'reject']) {
      const client = await open(server);
      await client.say('text', how);
      const { opcode, payload } = await client.frame();
      assert.equal([opcode, payload.readUInt16BE()], [opcodes.close, 1011]);
      await client.say('close', payload);
      await client.readToEnd();
    }
    const late = await open(server, '/socket/throws');
    const { payload } = await late.frame();
    assert.is(payload.readUInt16BE(), 1011);
    late.destroy();
    assert.is(await ask(other, 'there'), 'first: there');
    await until(
      () => server.stderr().match(/a WebSocket handler failed: Error: intended/g)?.length === 3,
      'three lines',
    );
    other.destroy();
  },
);

sharing('what a socket puts into its async context is no other socket’s', async (server) => {
  const [one, two] = [await open(server), await open(server)];
  await one.say('text', 'enter mine');
  assert.is(JSON.parse(await ask(two, 'about')).context, null);
  one.destroy();
  two.destroy();
});

sharing('upgrade() says what is wrong with a call of it', async (server) => {
  const wrong = async (how: string): Promise<WebSocketClient> => {
    const client = await WebSocketClient.connect(server);
    await client.send(handshake({}, `GET /wrong/${how} HTTP/1.1`));
    return client;
  };
  for (const [how, code] of [
    ['protocol', 'GYR_WEBSOCKET_INVALID'],
    ['field', 'TypeError'],
  ] as const) {
    const client = await wrong(how);
    assert.equal(JSON.parse((await client.response()).body.toString()), code);
    client.destroy();
  }
  const later = await wrong('later');
  later.expectUpgrade(await later.response());
  assert.is(await ask(later, 'there'), 'first: there');
  later.destroy();
  const twice = await wrong('twice');
  twice.expectUpgrade(await twice.response());
  await prints(server, /^TWICE true GYR_UPGRADE_LATE$/m);
  twice.destroy();
  const throws = await wrong('throws');
  throws.expectUpgrade(await throws.response());
  await until(() => server.stderr().includes('a handler failed behind server.upgrade()'), 'a line');
  throws.destroy();
  const plain = await WebSocketClient.connect(server);
  await plain.send('GET /wrong/none HTTP/1.1\r\nHost: a\r\n\r\n');
  assert.is((await plain.response()).body.toString(), 'false');
  plain.destroy();
});

serving(
  'without websocket upgrade() throws, and requests are what they were',
  { websocket: null },
  async (server) => {
    const client = await WebSocketClient.connect(server);
    await client.send(handshake({}, 'GET /wrong/none HTTP/1.1'));
    assert.is((await client.response()).body.toString(), '"GYR_UPGRADE_UNCONFIGURED"');
    await client.send(handshake({}, 'GET /release HTTP/1.1'));
    assert.is((await client.response()).body.toString(), 'released\n');
    server.child.kill('SIGHUP');
    await prints(server, /^NOT RELOADED GYR_RELOAD$/m, reloadMsMax);
    server.child.kill('SIGUSR2');
    await prints(server, /^PUBLISHED 0$/m);
    client.destroy();
  },
);

sharing(
  'a request that asks for a WebSocket and gets an answer goes on as HTTP',
  async (server) => {
    const client = await WebSocketClient.connect(server);
    // What follows on the connection waits for the answer.
    const next = 'GET /release HTTP/1.1\r\nHost: a\r\n\r\n';
    await client.send(
      handshake({}, 'GET /release HTTP/1.1') + next + handshake({}, 'GET /socket/a HTTP/1.1'),
    );
    for (let n = 0; n < 2; n += 1) assert.is((await client.response()).status, 200);
    client.expectUpgrade(await client.response());
    assert.is(await ask(client, 'there'), 'first: there');
    client.destroy();
  },
);

sharing('an upgrade that comes late takes what the client has sent meanwhile', async (server) => {
  const client = await WebSocketClient.connect(server);
  const request = Buffer.from(handshake({}, 'GET /wrong/later HTTP/1.1'));
  await client.send(Buffer.concat([request, frame('text', 'early')]));
  client.expectUpgrade(await client.response());
  await client.expectText('first: early');
  client.destroy();
});

serving('idleTimeout and sendPings', { websocket: { idleTimeout: 0.4 } }, async (server) => {
  const client = await open(server);
  const { opcode } = await client.frame();
  assert.is(opcode, opcodes.ping);
  await client.readToEnd();
  await prints(server, /^CLOSED 1006 $/m);
});

serving('maxPayloadLength: 1009', { websocket: { maxPayloadLength: 100 } }, async (server) => {
  const client = await open(server);
  await client.say('text', 'x'.repeat(101));
  await client.expectClose(1009);
});

sharing('a framework that passes the server on', async (server) => {
  const client = await open(server, '/hono');
  assert.is(await ask(client, 'there'), 'first: there');
  client.destroy();
});

sharing('undici as a client, with a handler for everything', async ({ port }) => {
  const socket = new WebSocket(`ws://127.0.0.1:${port}/socket/greeted`, ['one']);
  const next = (
    type: 'message' | 'close',
  ): Promise<{ data?: unknown; code?: number; reason?: string }> =>
    within(
      new Promise((resolve) => socket.addEventListener(type, resolve as never, { once: true })),
      type,
    );
  assert.is((await next('message')).data, 'welcome');
  assert.is(socket.protocol, 'one');
  for (const text of ['hello', 'ü'.repeat(100_000)]) {
    const came = next('message');
    socket.send(text);
    assert.is((await came).data, `first: ${text}`);
  }
  const closed = next('close');
  socket.send('close 4321 as you wish');
  const { code, reason } = await closed;
  assert.equal([code, reason], [4321, 'as you wish']);
});

test.alone('the server that tests have shared ends in order', async () => {
  if (shared !== undefined) await stop(await shared);
});

test.run();
