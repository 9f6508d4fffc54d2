import { spawnSync } from 'node:child_process';
import * as assert from 'uvu/assert';
import { type HttpsServer, serving, startHttps, stopHttps } from '../https/server.ts';
import { Authority, noTls } from '../support/certificates.ts';
import { stopAll } from '../support/process.ts';
import { sideBySide } from '../support/side_by_side.ts';
import { testUnless } from '../support/skip.ts';
import { connect, exchange } from '../support/socket.ts';
import { until, within } from '../support/wait.ts';
import {
  ask,
  type Frame,
  FrameClient,
  frame,
  get,
  preface,
  session,
  settingsFrame,
} from './client.ts';

// HTTP/2 from the options of serve() to what clients and handlers see of it, in the clear and over TLS.
const test = sideBySide('http2');
const authority = noTls === undefined ? new Authority() : undefined;
const issued = authority?.issue(['a.test', '127.0.0.1']);
const tls = { cert: issued?.certFile, key: issued?.keyFile };

test.after(async () => {
  await stopAll();
  authority?.remove();
});

const clear = ({ port }: HttpsServer): string => `http://127.0.0.1:${port}`;

test('in the clear, to who begins with its preface; HTTP/1 goes on beside it', () =>
  serving({}, async (server) => {
    const client = await session(clear(server));
    const { status, body } = await ask(client, '/a?b', { cookie: ['a=1', 'b=2'] });
    assert.is(status, 200);
    assert.is(JSON.parse(body.toString()).url, `http://127.0.0.1:${server.port}/a?b`);
    const old = await exchange(server.port, 'GET /hello HTTP/1.1\r\nHost: a\r\n\r\n');
    assert.is(old.status, 200);
    const curl = ['-sS', '--http2-prior-knowledge', `${clear(server)}/hello`];
    assert.is(spawnSync('curl', curl).stdout.toString(), 'Hello over TLS\n');
    client.close();
  }));

testUnless(test, noTls, 'over TLS, to who asks for it', () =>
  serving({ tls }, async ({ port }) => {
    const url = `https://127.0.0.1:${port}`;
    const client = await session(url, { servername: 'a.test' });
    const told = JSON.parse((await ask(client, '/')).body.toString());
    assert.is(told.tls.alpn, 'h2');
    assert.is(told.url, `https://a.test:${port}/`);
    client.close();
    const curl = ['-sSk', '--http2', '-w', '%{http_version}', '-o', '/dev/null', `${url}/hello`];
    assert.is(spawnSync('curl', curl).stdout.toString(), '2');
  }),
);

test('not where it is switched off', () =>
  serving({ http2: false }, async ({ port }) => {
    const answer = await exchange(port, 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n');
    assert.is(answer.status, 505);
  }));

test('not behind a request of HTTP/1, nor by half a preface', () =>
  serving({}, async ({ port }) => {
    const client = await connect(port);
    await client.send('GET /hello HTTP/1.1\r\nHost: a\r\n\r\nPRI * HTTP/2.0\r\n\r\nSM\r\n\r\n');
    assert.is((await client.response()).status, 200);
    assert.is((await client.response()).status, 505);
    client.destroy();
    const answer = await exchange(port, 'PRI * HTTP/2.0\r\n\r\nXX\r\n\r\n');
    assert.is(answer.status, 505);
  }));

test('the server says its settings first, and what it does not do', () =>
  serving({}, async ({ port }) => {
    const client = await FrameClient.connect(port);
    client.send(preface); // what follows is not waited for
    const first = await until(() => client.frames[0], 'the first frame');
    assert.equal([first.type, first.flags, first.stream], [4, 0, 0]);
    const told = new Map<number, number>();
    for (let at = 0; at < first.payload.length; at += 6) {
      told.set(first.payload.readUInt16BE(at), first.payload.readUInt32BE(at + 2));
    }
    assert.not(told.has(2), 'ENABLE_PUSH');
    assert.is(told.get(3), 100, 'MAX_CONCURRENT_STREAMS');
    assert.is(told.get(9), 1, 'NO_RFC7540_PRIORITIES');
    client.send(settingsFrame([]), get(1));
    const isEnd = ({ type, flags }: Frame): boolean => type < 2 && (flags & 1) === 1;
    await until(() => client.frames.some(isEnd), 'the response');
    const settings = client.frames.filter(({ type }) => type === 4);
    assert.equal(
      settings.map(({ flags }) => flags),
      [0, 1],
      'its own, then the acknowledgement',
    );
    assert.not(client.frames.some(({ type }) => type === 5 || type === 16));
    client.socket.destroy();
  }));

test('a scheme that is not the connection’s is misdirected', () =>
  serving({}, async (server) => {
    const client = await session(clear(server));
    assert.is((await ask(client, '/hello', { ':scheme': 'https' })).status, 421);
    assert.is((await ask(client, '/hello', { ':scheme': 'http' })).status, 200);
    client.close();
  }));

test('bodies pass whole, both ways, many at a time', () =>
  serving({}, async (server) => {
    const client = await session(clear(server));
    const up = Buffer.alloc(1_000_003, 'up');
    const size = 3_000_001;
    const answers = await Promise.all(
      Array.from({ length: 20 }, (_, n) =>
        n % 2 === 0
          ? ask(client, '/echo', { ':method': 'POST' }, up)
          : ask(client, `/size/${size}`),
      ),
    );
    for (const [n, { status, body, code }] of answers.entries()) {
      assert.equal([status, code], [200, 0]);
      const expected = n % 2 === 0 ? up : Buffer.alloc(size, 'what goes over TLS');
      assert.ok(body.equals(expected), `response ${n}`);
    }
    client.close();
  }));

test('a slow response holds nobody up, and a reset reaches its handler', () =>
  serving({}, async (server) => {
    const client = await session(clear(server));
    const slow = ask(client, '/wait/400');
    assert.is((await ask(client, '/hello')).status, 200);
    const gone = client.request({ ':path': '/wait/5000' });
    gone.on('error', () => {});
    const closed = within(new Promise((resolve) => gone.once('close', resolve)), 'its end');
    gone.close(8);
    await closed;
    assert.is((await slow).body.toString(), 'waited\n');
    client.close();
  }));

test('HEAD and statuses without content end with their head', () =>
  serving({}, async (server) => {
    const client = await session(clear(server));
    const head = await ask(client, '/size/1000', { ':method': 'HEAD' });
    assert.equal([head.status, head.headers['content-length'], head.body.length], [200, '1000', 0]);
    client.close();
  }));

test('a client whose window is closed is waited for', () =>
  serving({}, async (server) => {
    const client = await FrameClient.open(server.port);
    // SETTINGS_INITIAL_WINDOW_SIZE: 10
    client.send(frame(4, 0, 0, Buffer.from([0, 4, 0, 0, 0, 10])), get(1));
    const first = await client.wait(0);
    assert.is(first.payload.length, 10);
    client.send(frame(8, 0, 1, Buffer.from([0, 0, 0, 5])));
    assert.is((await client.wait(0)).payload.length, 5);
    client.send(frame(8, 0, 1, Buffer.from([0, 1, 0, 0])));
    const last = await client.wait(0);
    assert.is(last.flags, 1);
    client.socket.destroy();
  }));

test('what breaks the rules ends the connection by its code, and nobody else hears of it', () =>
  serving({}, async (server) => {
    const cases: [string, Buffer[], number][] = [
      ['DATA on no stream', [frame(0, 0, 0, Buffer.from('x'))], 1],
      ['a frame that is too large', [frame(0, 0, 1, Buffer.alloc(16_385))], 6],
      ['HPACK that is none', [frame(1, 5, 1, Buffer.from([0xff, 0xff, 0xff, 0xff, 0xff]))], 9],
      ['CONTINUATION out of place', [frame(9, 4, 1)], 1],
      ['a stream with an even number', [get(2)], 1],
      ['PING of a wrong length', [frame(6, 0, 0, Buffer.alloc(7))], 6],
    ];
    for (const [name, frames, code] of cases) {
      const client = await FrameClient.open(server.port);
      client.send(...frames);
      assert.is(await client.goaway(), code, name);
      await until(() => client.ended, 'the end');
    }
    await until(() => /^ERROR http2_/m.test(server.stdout()), 'the hook to hear of it');
    const client = await session(clear(server));
    assert.is((await ask(client, '/hello')).status, 200);
    client.close();
  }));

test('floods are ended: resets, pings, settings, empty frames', () =>
  serving({}, async (server) => {
    const many = (one: (n: number) => Buffer): Buffer[] =>
      Array.from({ length: 20_000 }, (_, n) => one(n));
    const floods: [string, Buffer[]][] = [
      [
        'rapid reset',
        many((n) =>
          Buffer.concat([get(2 * n + 1), frame(3, 0, 2 * n + 1, Buffer.from([0, 0, 0, 8]))]),
        ),
      ],
      ['ping', many(() => frame(6, 0, 0, Buffer.alloc(8)))],
      ['settings', many(() => frame(4, 0, 0))],
      ['priority', many(() => frame(2, 0, 1, Buffer.alloc(5)))],
    ];
    for (const [name, frames] of floods) {
      const client = await FrameClient.open(server.port);
      client.send(...frames);
      assert.is(await client.goaway(), 11, name);
      client.socket.destroy();
      const other = await session(clear(server));
      assert.is((await ask(other, '/hello')).status, 200);
      other.close();
    }
  }));

test('a server that stops finishes what is in flight, and says which', async () => {
  const server = await startHttps({});
  const client = await session(clear(server));
  const told = within(new Promise((resolve) => client.once('goaway', resolve)), 'GOAWAY');
  const waiting = ask(client, '/wait/300');
  await ask(client, '/hello');
  const stopped = stopHttps(server);
  assert.is((await waiting).body.toString(), 'waited\n');
  assert.is(await told, 0);
  await stopped;
});

/** What a GOAWAY says: the last stream that is served, and an error code. */
const farewell = ({ payload }: Frame): number[] => [
  payload.readInt32BE(0),
  payload.readUInt32BE(4),
];
/** The answer to a PING of the server's. */
const pong = frame(6, 1, 0, Buffer.from('gyrfalcn'));

test.alone(
  'who has asked nothing for long is told of the end, and served what was on its way',
  () =>
    serving({ keepAliveTimeout: 50 }, async (server) => {
      const client = await FrameClient.open(server.port);
      client.send(get(1));
      await client.wait(1);
      const announced = await client.wait(7);
      assert.equal(farewell(announced), [2 ** 31 - 1, 0]);
      // Its first PING, sent as the connection began, is answered now: that says nothing of what has come since.
      client.send(pong);
      await client.wait(6);
      client.send(get(3), pong);
      await until(() => client.ended, 'the end');
      assert.ok(
        client.frames.some(({ type, stream }) => type === 1 && stream === 3),
        'an answer',
      );
      assert.equal(client.frames.filter(({ type }) => type === 7).map(farewell), [[3, 0]]);
    }),
);

test.run();
