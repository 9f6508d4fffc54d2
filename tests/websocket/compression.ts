import { spawnSync } from 'node:child_process';
import { createRequire } from 'node:module';
import { constants, deflateRawSync, inflateRawSync } from 'node:zlib';
import { WebSocket } from 'undici';
import * as assert from 'uvu/assert';
import { loadEngine } from '../../ts/src/bridge/engine.ts';
import { lacks, project, start, stopAll } from '../support/process.ts';
import { sideBySide } from '../support/side_by_side.ts';
import { skip, testUnless } from '../support/skip.ts';
import { type EngineOptions, engine, serveApp, zigProgram } from '../support/target.ts';

import { within } from '../support/wait.ts';
import { closing, opcodes, WebSocketClient } from './client.ts';
import { Gateway } from './gateway.ts';

// Compressed WebSockets (RFC 7692) of a Zig handler and of one in TypeScript, with the compressors of others: Node.js's
// zlib, ws, undici, Python's websockets. Which of them, the query of this module's URL says.
const own = new URL(import.meta.url).searchParams.get('kind') as 'zig' | 'typescript';
const test = sideBySide(`websocket compression, ${own}`);

function hasDeflate(): boolean {
  if (own === 'typescript') return loadEngine().hasDeflate;
  const { stdout } = spawnSync(zigProgram('engine_app'), ['--parts'], { encoding: 'utf8' });
  return (JSON.parse(stdout) as { deflate: boolean }).deflate;
}
const lack = hasDeflate()
  ? undefined
  : 'the engine has no compression in it (npm run build:deflate)';

/** The option of `perMessageDeflate` that one of the engine's is. */
const namesInServe: Record<string, string> = {
  websocket_deflate_level: 'level',
  websocket_deflate_bytes_min: 'threshold',
  websocket_deflate_server_context_takeover: 'serverContextTakeover',
  websocket_deflate_client_context_takeover: 'clientContextTakeover',
  websocket_deflate_server_window_bits: 'serverWindowBits',
  websocket_deflate_client_window_bits: 'clientWindowBits',
};

/** What serve() is given in the place of `options`; null: it has no such option. */
function inServe(options: EngineOptions): EngineOptions | null {
  const perMessageDeflate: Record<string, unknown> = {};
  for (const [name, value] of Object.entries(options)) {
    if (name === 'websocket_deflate') continue;
    if (namesInServe[name] === undefined) return null;
    perMessageDeflate[namesInServe[name]] = value;
  }
  return { websocket: { perMessageDeflate } } as unknown as EngineOptions;
}

const forgetting = { websocket_deflate: true };
const keeping = {
  ...forgetting,
  websocket_deflate_server_context_takeover: true,
  websocket_deflate_client_context_takeover: true,
};
const ways: [string, EngineOptions][] = [
  ['messages that stand by themselves', forgetting],
  ['messages that refer to those before them', keeping],
  [
    'small windows',
    {
      ...keeping,
      websocket_deflate_server_window_bits: 9,
      websocket_deflate_client_window_bits: 9,
    },
  ],
  [
    'level 9, and short messages too',
    { ...forgetting, websocket_deflate_level: 9, websocket_deflate_bytes_min: 0 },
  ],
];

const extension = 'permessage-deflate';
const alone = `${extension}; server_no_context_takeover; client_no_context_takeover`;

test.after(stopAll);

/** A test with a server of its own, which ends in order. */
function served(name: string, options: EngineOptions, run: (port: number) => Promise<void>): void {
  const target = own === 'zig' ? engine : serveApp;
  const given = own === 'zig' ? options : inServe(options);
  if (given === null) return;
  testUnless(test, lack, name, async () => {
    const server = await target.start({ workers: 1, ...given });
    await run(server.port);
    await target.stop(server);
  });
}

if (lack !== undefined && own === 'zig') {
  test('an engine without compression says so where it is asked for', async () => {
    const running = start(zigProgram('engine_app'), ['--websocket_deflate=true']);
    const { code } = await within(running.ended, 'its end');
    assert.is(code, 2);
    assert.match(running.stderr(), 'npm run build:deflate');
    assert.match(running.stderr(), 'GYR_DEFLATE_MISSING');
  });
}

if (lack !== undefined && own === 'typescript') {
  test('an engine without compression says so where it is asked for', async () => {
    const deflate = { websocket: { perMessageDeflate: true } } as unknown as EngineOptions;
    const failure = await serveApp.start(deflate).catch((error: Error) => error);
    assert.match(`${failure}`, 'GYR_DEFLATE_MISSING');
  });
}

const upgrade =
  `GET /socket HTTP/1.1\r\nHost: a.test\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n` +
  `Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Extensions: ${extension}\r\n\r\n`;

/** Opens a socket whose messages are compressed, each by itself. */
async function open(port: number): Promise<WebSocketClient> {
  const client = await WebSocketClient.connect({ port });
  await client.send(upgrade);
  const answer = await client.response();
  client.expectUpgrade(answer);
  assert.is(answer.headers.get('sec-websocket-extensions'), alone);
  client.compresses = true;
  return client;
}

const flush = { finishFlush: constants.Z_SYNC_FLUSH };
const tail = Buffer.from([0, 0, 0xff, 0xff]);

/** The payload of a message (RFC 7692 §7.2.1). */
function deflated(text: string | Buffer): Buffer {
  const bytes = deflateRawSync(text, flush);
  assert.ok(bytes.subarray(-4).equals(tail));
  return bytes.subarray(0, -4);
}

const inflated = (payload: Buffer): Buffer => inflateRawSync(Buffer.concat([payload, tail]), flush);

const compressed = { reserved: 4 };
const long = 'what is said again and again; '.repeat(100);

served(
  'zlib of Node.js: messages both ways, in one frame and in several',
  forgetting,
  async (port) => {
    const client = await open(port);
    await client.say('text', deflated(long), compressed);
    const back = await client.message();
    assert.equal([back.opcode, back.compressed], [opcodes.text, true]);
    assert.is(inflated(back.payload).toString(), long);
    const payload = deflated(`${long} ü`);
    for (const size of [1, 2, 5, 50]) {
      for (let at = 0; at < payload.length; at += size) {
        const fin = at + size >= payload.length;
        const bytes = payload.subarray(at, at + size);
        if (at === 0) await client.say('text', bytes, { ...compressed, fin });
        else await client.say('continuation', bytes, { fin });
      }
      assert.is(inflated((await client.message()).payload).toString(), `${long} ü`);
    }
    // Short ones, and those that would not be shorter, are sent as they are; both kinds are taken.
    await client.say('text', deflated('short'), compressed);
    await client.expectText('short');
    await client.say('text', long);
    assert.is((await client.message()).compressed, true);
    client.destroy();
  },
);

served(
  'of the streams of one HTTP/2 connection, eight have compressors of their own; those of others too',
  keeping,
  async (port) => {
    const agreed = async (on: Gateway): Promise<string | undefined> => {
      const client = await WebSocketClient.connect({ port: on.port });
      await client.send(upgrade);
      const answer = await client.response();
      client.expectUpgrade(answer);
      return answer.headers.get('sec-websocket-extensions');
    };
    const gateway = await Gateway.open({ port });
    const answers: (string | undefined)[] = [];
    for (let n = 0; n < 10; n += 1) answers.push(await agreed(gateway));
    assert.equal(answers, [...Array(8).fill(extension), alone, alone]);
    const other = await Gateway.open({ port });
    assert.is(await agreed(other), extension);
    for (const each of [gateway, other]) each.close();
  },
);

served(
  'over HTTP/2 it is agreed on and used as over HTTP/1 (RFC 8441)',
  forgetting,
  async (port) => {
    const gateway = await Gateway.open({ port });
    const client = await open(gateway.port);
    for (const text of [long, 'ü'.repeat(100_000)]) {
      await client.say('text', deflated(text), compressed);
      const back = await client.message();
      assert.equal([back.opcode, back.compressed], [opcodes.text, true]);
      assert.is(inflated(back.payload).toString(), text);
    }
    client.destroy();
    gateway.close();
  },
);

served(
  'long messages are compressed in frames',
  { ...forgetting, websocket_frame_bytes_max: 64 },
  async (port) => {
    const client = await open(port);
    await client.say('text', '!large 30000');
    const message = await client.message();
    assert.is(message.compressed, true);
    assert.ok(inflated(message.payload).equals(Buffer.alloc(30_000, '!')));
    client.destroy();
  },
);

served(
  'what is wrong fails the connection with its code, and that of no other',
  forgetting,
  async (port) => {
    const neighbour = await open(port);
    const zeros = deflated(Buffer.alloc(16 * 2 ** 20));
    const cases: [string, number, Buffer, object?][] = [
      ['no DEFLATE at all', 1007, Buffer.from([0xff, 0xff, 0xff])],
      ['a message that is cut off', 1007, deflated(long).subarray(0, 20)],
      ['text that is no UTF-8', 1007, deflated(Buffer.alloc(400, 0xff))],
      ['a few kilobytes for many megabytes', 1009, zeros],
      [
        'more than any message',
        1009,
        deflated(Buffer.alloc(16 * 2 ** 20 + 1, 'abcdefghijklmnopq')),
      ],
      ['RSV1 on a ping', 1002, Buffer.from('x'), { opcode: opcodes.ping }],
      ['RSV1 on a continuation', 1002, Buffer.from('x'), { opcode: opcodes.continuation }],
      ['RSV2', 1002, deflated(long), { reserved: 6 }],
    ];
    for (const [what, code, payload, options] of cases) {
      const client = await open(port);
      await client.say('text', payload, { ...compressed, ...options });
      try {
        await client.expectClose(code);
      } catch (error) {
        throw new Error(`${what}: ${(error as Error).message}`);
      }
      client.destroy();
    }
    await neighbour.say('text', deflated(long), compressed);
    assert.is(inflated((await neighbour.message()).payload).toString(), long);
    neighbour.destroy();
  },
);

served('a client of bombs holds up nobody', forgetting, async (port) => {
  // As far as they may go: 100 KB for 16 MiB.
  const line = Buffer.alloc(16 * 2 ** 20);
  for (let at = 0, seed = 1; at < line.length; at += 1200) {
    seed = (seed * 16_807) % 2_147_483_647;
    line.writeUInt32LE(seed, at);
  }
  const bomb = deflated(line);
  assert.ok(bomb.length * 200 > line.length && bomb.length < 200_000, `${bomb.length}`);
  const clients = await Promise.all(Array.from({ length: 4 }, () => open(port)));
  const other = await open(port);
  for (const client of clients) {
    client.socket.resume();
    for (let n = 0; n < 5; n += 1) void client.say('binary', bomb, compressed).catch(() => {});
  }
  for (let n = 0; n < 50; n += 1) {
    await other.say('text', deflated(`${n}${long}`), compressed);
    assert.is(inflated((await other.message()).payload).toString(), `${n}${long}`);
  }
  for (const client of clients) client.destroy();
  await other.say('close', closing(1000));
  await other.expectClose(1000);
});

type Options = Record<string, unknown>;
interface WsClient extends WebSocket {
  extensions: string;
}
/** Its types are another package. */
const { WebSocket: Ws } = createRequire(import.meta.url)('ws') as {
  WebSocket: new (url: string, options: { perMessageDeflate: Options }) => WsClient;
};

/** An echo of messages of many sizes, each of which may refer to those before it. */
async function converse(socket: WebSocket): Promise<void> {
  const failed = new Promise<never>((_, reject) => {
    socket.addEventListener('error', () => reject(new Error('an error')), { once: true });
  });
  failed.catch(() => {}); // whoever waits for something is told
  const next = (type: string): Promise<{ data?: unknown }> => {
    const came = new Promise<{ data?: unknown }>((resolve) => {
      socket.addEventListener(type as 'message', resolve as never, { once: true });
    });
    return within(Promise.race([came, failed]), type);
  };
  socket.binaryType = 'arraybuffer';
  await next('open');
  assert.match(socket.extensions, extension);
  for (const text of ['', 'hello', long, long, 'ü'.repeat(100_000), long]) {
    const came = next('message');
    socket.send(text);
    assert.is((await came).data, text);
  }
  for (const length of [1000, 70_000, 2_000_000]) {
    const bytes = Buffer.alloc(length);
    for (let at = 0; at < length; at += 1) bytes[at] = (at * at) >> 9;
    const came = next('message');
    socket.send(bytes);
    assert.ok(Buffer.from((await came).data as ArrayBuffer).equals(bytes), `${length}`);
  }
  const closed = next('close');
  socket.close(1000);
  await closed;
}

for (const [way, options] of ways) {
  served(`ws as a client: ${way}`, options, async (port) => {
    const asked: Options[] = [
      {},
      { serverNoContextTakeover: true },
      { clientNoContextTakeover: true, serverMaxWindowBits: 10 },
      { clientMaxWindowBits: 12, serverMaxWindowBits: 9 },
    ];
    for (const perMessageDeflate of asked) {
      const given = { threshold: 0, ...perMessageDeflate };
      await converse(new Ws(`ws://127.0.0.1:${port}/socket`, { perMessageDeflate: given }));
    }
  });
  served(`undici as a client: ${way}`, options, async (port) => {
    await converse(new WebSocket(`ws://127.0.0.1:${port}/socket`));
  });
}

const python = `
import asyncio, sys
from websockets.asyncio.client import connect
from websockets.extensions.permessage_deflate import ClientPerMessageDeflateFactory as Deflate
async def converse(**parameters):
    url = f"ws://127.0.0.1:{sys.argv[1]}/socket"
    async with connect(url, compression=None, extensions=[Deflate(**parameters)], max_size=2**25) as socket:
        assert socket.protocol.extensions, "nothing was agreed on"
        for text in ["", "hello", "again and again; " * 200, "again and again; " * 200, "ü" * 100000]:
            await socket.send(text)
            assert await socket.recv() == text
        data = bytes(i * i >> 9 & 255 for i in range(300000))
        await socket.send(data)
        assert await socket.recv() == data
async def main():
    await converse()
    await converse(server_no_context_takeover=True, client_no_context_takeover=True)
    await converse(server_max_window_bits=9, client_max_window_bits=True)
    print("fine")
asyncio.run(main())
`;
const pythonEnv = {
  ...process.env,
  PYTHONPATH: project('.toolchain', 'websockets'),
  PYTHONDONTWRITEBYTECODE: '1',
};
const hasWebsockets = (): boolean =>
  spawnSync('python3', ['-c', 'import websockets.asyncio'], { env: pythonEnv }).status === 0;
const pythonLack =
  lacks('python3') ?? (hasWebsockets() ? undefined : 'websockets is not installed (.ci/run)');

for (const [way, options] of ways) {
  const name = `Python’s websockets as a client: ${way}`;
  if (pythonLack !== undefined) {
    skip(test, name, pythonLack);
    continue;
  }
  served(name, options, async (port) => {
    const running = start('python3', ['-c', python, String(port)], { env: pythonEnv });
    const { code } = await within(running.ended, 'its end');
    assert.is(code, 0, running.stderr());
    assert.match(running.stdout(), 'fine');
  });
}

test.run();
