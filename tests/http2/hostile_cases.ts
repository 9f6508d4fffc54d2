/** Clients of HTTP/2 that mean no good: what they send, and what has to come of it. */
import * as assert from 'uvu/assert';
import { until } from '../support/wait.ts';
import {
  FrameClient,
  frame,
  preface,
  type Setting,
  settingsFrame,
  windowUpdate,
} from './client.ts';
import { head, indexed, integer, kept, literal, newest, tableSize } from './hpack.ts';

/** How the hostile client's connection ends: by the code of a GOAWAY, or without a word; or it goes on. */
export type End = number | 'closed' | 'kept';

export interface Case {
  /** docs/CONFORMANCE.md and docs/LIMITS.md refer to it. */
  name: string;
  /** The advisory or section that it comes from. */
  source: string;
  /** The client's settings. */
  settings?: readonly Setting[];
  /** It does all by itself, from the connection on. */
  raw?: true;
  /** The one target that has such a handler. */
  only?: 'serve';
  /** It is ended by a timeout: the server is to have short ones. */
  slow?: true;
  play(client: FrameClient): Promise<unknown>;
  end: End;
}

// Error codes (RFC 9113 §7).
const [none, protocol, flowControl, frameSize, compression, calm] = [0, 1, 3, 6, 9, 11];

/**
 * More of a flood than any server should take, in frames: of nine bytes each that is 36 MB. The sockets between may hold ten,
 * which a client on a busy machine has written before the server has read the first.
 */
const flood = 4_000_000;

/** The same for larger ones: so many that they are more bytes than the sockets between may hold. */
const floodOf = (one: (n: number) => Buffer): number => Math.ceil((32 * 2 ** 20) / one(0).length);

// Flags of HEADERS.
const [endStream, endHeaders] = [1, 4];

const stream = (n: number): number => 2 * n + 1;

const request = (n: number, path: string, method = 'GET'): Buffer =>
  frame(1, endHeaders | (method === 'GET' ? endStream : 0), stream(n), head(path, method));

/** The head of a request whose content is to come. */
const open = (n: number, path: string): Buffer => request(n, path, 'POST');

function u32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(value);
  return bytes;
}

const reset = (n: number, code = 8): Buffer => frame(3, 0, stream(n), u32(code));

const rest = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

/** A flood of single frames, which is ended. */
const flooded = (
  name: string,
  source: string,
  one: (n: number) => Buffer,
  more: Partial<Case> = {},
): Case => ({
  name,
  source,
  end: calm,
  play: async (client) => {
    const sent = await client.flood(flood, one);
    assert.ok(sent < flood, 'the whole flood was taken');
  },
  ...more,
});

/** Streams that the client has the server reset (MadeYouReset, CVE-2025-8671). */
const madeYouReset = (how: string, provoke: (n: number) => Buffer, path = '/slow/400'): Case =>
  flooded(`made you reset, by ${how}`, 'CVE-2025-8671', (n) =>
    Buffer.concat([request(n, path), provoke(n)]),
  );

/** A block of so many bytes in pieces, which goes on until the server has had enough. */
const continued = (name: string, piece: Buffer, end: End = calm): Case => ({
  name,
  source: 'CVE-2024-27316, RFC 9113 §10.5.1',
  end,
  play: async (client) => {
    client.send(frame(1, endStream, 1, head('/hello')));
    const sent = await client.flood(flood, () => frame(9, 0, 1, piece));
    assert.ok(sent < flood, 'the whole flood was taken');
  },
});

/** The connection ends by itself, once its time is over. */
const silent = (name: string, end: End, ...sent: Buffer[]): Case => ({
  name,
  source: 'RFC 9113 §10.5, slow clients',
  raw: true,
  slow: true,
  end,
  play: async (client) => client.send(...sent),
});

const hello = Buffer.concat([preface, settingsFrame([])]);

/** All of the window, and more, from the first byte on. */
const wide: readonly Setting[] = [[4, 2 ** 31 - 1]];

export const cases: readonly Case[] = [
  // Streams that are begun and given up.
  flooded('rapid reset', 'CVE-2023-44487', (n) =>
    Buffer.concat([request(n, '/slow/400'), reset(n)]),
  ),
  flooded('rapid reset of what is answered at once', 'CVE-2023-44487', (n) =>
    Buffer.concat([request(n, '/hello'), reset(n)]),
  ),
  flooded('rapid reset of uploads', 'CVE-2023-44487', (n) =>
    Buffer.concat([open(n, '/echo'), reset(n)]),
  ),
  madeYouReset('a window update of nothing', (n) => windowUpdate(stream(n), 0)),
  madeYouReset('a window that overflows', (n) => windowUpdate(stream(n), 2 ** 31 - 1)),
  madeYouReset('content of a request that has ended', (n) =>
    frame(0, 0, stream(n), Buffer.from('x')),
  ),
  madeYouReset('a stream that depends on itself', (n) =>
    frame(2, 0, stream(n), Buffer.concat([u32(stream(n)), Buffer.from([1])])),
  ),
  madeYouReset('a PRIORITY frame of four bytes', (n) => frame(2, 0, stream(n), Buffer.alloc(4))),
  flooded('made you reset, by content that is longer than declared', 'CVE-2025-8671', (n) =>
    Buffer.concat([
      frame(
        1,
        endHeaders,
        stream(n),
        Buffer.concat([head('/echo', 'POST'), literal('content-length', '1')]),
      ),
      frame(0, 0, stream(n), Buffer.from('longer')),
    ]),
  ),
  flooded('malformed requests without end', 'RFC 9113 §8.1.1', (n) =>
    frame(1, 5, stream(n), Buffer.concat([head('/hello'), literal('Upper', 'x')])),
  ),
  flooded('streams above the bound without end', 'RFC 9113 §5.1.2', (n) =>
    request(n, '/slow/5000'),
  ),

  // Frames that cost work and bring nothing.
  flooded('a PING flood', 'CVE-2019-9512', () => frame(6, 0, 0, Buffer.alloc(8))),
  flooded('a flood of PING acknowledgements', 'CVE-2019-9512', () =>
    frame(6, 1, 0, Buffer.alloc(8)),
  ),
  flooded('a SETTINGS flood', 'CVE-2019-9515', () => settingsFrame([])),
  flooded('a flood of SETTINGS acknowledgements', 'CVE-2019-9515', () => frame(4, 1, 0)),
  flooded('a PRIORITY flood', 'CVE-2019-9513', (n) =>
    frame(2, 0, stream(n % 1000), Buffer.concat([u32(0), Buffer.from([n % 256])])),
  ),
  flooded('a PRIORITY_UPDATE flood', 'RFC 9218 §7.1', (n) =>
    frame(16, 0, 0, Buffer.concat([u32(stream(n % 1000)), Buffer.from(`u=${n % 8}`)])),
  ),
  flooded('a WINDOW_UPDATE flood', 'RFC 9113 §10.5', () => windowUpdate(0, 1)),
  flooded('a flood of frames that nobody knows', 'RFC 9113 §5.5', () =>
    frame(0xbb, 0, 0, Buffer.alloc(8)),
  ),
  {
    name: 'a flood of empty DATA frames',
    source: 'CVE-2019-9518',
    end: calm,
    play: async (client) => {
      client.send(open(0, '/echo'));
      assert.ok((await client.flood(flood, () => frame(0, 0, 1))) < flood);
    },
  },
  {
    name: 'a flood of DATA frames that are all padding',
    source: 'CVE-2019-9518',
    end: calm,
    play: async (client) => {
      client.send(open(0, '/echo'));
      const padded = frame(0, 8, 1, Buffer.from([4, 0, 0, 0, 0]));
      assert.ok((await client.flood(flood, () => padded)) < flood);
    },
  },
  {
    name: 'a flood of frames on a stream that has ended',
    source: 'RFC 9113 §5.1',
    end: calm,
    play: async (client) => {
      client.send(request(0, '/slow/5000'), reset(0));
      assert.ok((await client.flood(flood, () => windowUpdate(1, 1))) < flood);
    },
  },

  // Field blocks.
  continued('a CONTINUATION flood, empty', Buffer.alloc(0)),
  continued('a CONTINUATION flood, byte by byte', Buffer.from([0x82])),
  continued('a CONTINUATION flood of 16 KiB each', literal('x', 'y'.repeat(16_370))),
  {
    name: 'a field block of 100 MB',
    source: 'RFC 9113 §10.5.1',
    end: calm,
    play: async (client) => {
      client.send(frame(1, endStream, 1, head('/hello')));
      const piece = Buffer.alloc(16_384, literal('name', 'value'));
      const sent = await client.flood(6400, () => frame(9, 0, 1, piece));
      assert.ok(sent < 6400, 'all of it was taken');
    },
  },
  {
    name: 'a field that announces 256 MiB',
    source: 'RFC 7541 §5.2',
    end: compression,
    play: async (client) => {
      const block = Buffer.concat([
        head('/hello'),
        Buffer.from([0, 1, 0x78]),
        integer(0, 7, 2 ** 28),
      ]);
      client.send(frame(1, endStream | endHeaders, 1, block));
    },
  },
  {
    name: 'an integer without end',
    source: 'RFC 7541 §5.1',
    end: compression,
    play: async (client) => {
      const block = Buffer.concat([head('/hello'), Buffer.from([0xff]), Buffer.alloc(100, 0xff)]);
      client.send(frame(1, endStream | endHeaders, 1, block));
    },
  },
  {
    name: 'an HPACK bomb: one field of 4000 bytes, told of sixteen thousand times',
    source: 'CVE-2016-6581',
    end: calm,
    play: async (client) => {
      const planted = Buffer.concat([head('/hello'), kept('x-bomb', 'x'.repeat(3900))]);
      client.send(frame(1, endStream | endHeaders, 1, planted));
      await client.flood(50, (n) =>
        frame(
          1,
          endStream | endHeaders,
          stream(n + 1),
          Buffer.concat([head('/hello'), Buffer.alloc(16_000, indexed(newest))]),
        ),
      );
      await until(() => client.isOver, 'the end');
    },
  },
  {
    name: 'a bomb of cookies: one crumb, told of sixteen thousand times',
    source: 'RFC 9113 §8.2.3, §10.5.1',
    end: calm,
    play: async (client) => {
      const planted = Buffer.concat([head('/hello'), kept('cookie', 'a')]);
      client.send(frame(1, endStream | endHeaders, 1, planted));
      await client.flood(500, (n) =>
        frame(
          1,
          endStream | endHeaders,
          stream(n + 1),
          Buffer.concat([head('/hello'), Buffer.alloc(16_000, indexed(newest))]),
        ),
      );
      await until(() => client.isOver, 'the end');
    },
  },
  {
    name: 'a table larger than allowed',
    source: 'RFC 7541 §6.3',
    end: compression,
    play: async (client) => {
      const block = Buffer.concat([tableSize(4097), head('/hello')]);
      client.send(frame(1, endStream | endHeaders, 1, block));
    },
  },
  {
    name: 'a table that is made large and small, again and again, in one block',
    source: 'RFC 7541 §4.2',
    end: compression,
    play: async (client) => {
      const turn = Buffer.concat([tableSize(0), tableSize(4096)]);
      const block = Buffer.concat([Buffer.alloc(12_000, turn), head('/hello')]);
      client.send(frame(1, endStream | endHeaders, 1, block));
    },
  },
  flooded('SETTINGS that make the table large and small, without end', 'RFC 7541 §4.2', (n) =>
    settingsFrame([[1, n % 2 === 0 ? 0 : 2 ** 32 - 1]]),
  ),
  flooded(
    'SETTINGS that open and close a hundred windows, without end',
    'RFC 9113 §6.9.2',
    (n) => settingsFrame([[4, n % 2 === 0 ? 0 : 2 ** 31 - 1]]),
    {
      play: async (client) => {
        client.send(settingsFrame([[4, 0]]));
        for (let n = 0; n < 100; n += 1) client.send(request(n, '/size/1000'));
        const sent = await client.flood(flood, (n) => settingsFrame([[4, n % 2 === 0 ? 1 : 0]]));
        assert.ok(sent < flood);
      },
    },
  ),
  {
    name: 'a thousand settings in one frame',
    source: 'RFC 9113 §6.5, §10.5',
    end: calm,
    play: async (client) => {
      client.send(settingsFrame(Array.from({ length: 1000 }, () => [0xf0f0, 1])));
    },
  },

  // Windows.
  {
    name: 'more content than the stream’s window, of a handler that does not read',
    source: 'RFC 9113 §6.9.1',
    only: 'serve',
    end: 'kept',
    play: async (client) => {
      client.send(open(0, '/late/5000'));
      const piece = frame(0, 0, 1, Buffer.alloc(16_384));
      for (let n = 0; n < 200; n += 1) client.send(piece);
      const { payload } = await client.wait(3);
      assert.is(payload.readUInt32BE(), flowControl);
    },
  },
  {
    name: 'a hundred windows full of content, of handlers that do not read',
    source: 'RFC 9113 §6.9, §10.5',
    only: 'serve',
    end: 'kept',
    play: async (client) => {
      for (let n = 0; n < 100; n += 1) client.send(open(n, '/late/20000'));
      const piece = Buffer.alloc(13_107);
      await client.flood(100 * 5, (n) => frame(0, 0, stream(n % 100), piece));
      client.send(frame(6, 0, 0, Buffer.from('received')));
      await client.wait(6);
    },
  },
  {
    name: 'a zero window and a hundred responses that wait for it',
    source: 'CVE-2019-9511, CVE-2019-9517',
    settings: [[4, 0]],
    slow: true,
    end: none,
    play: async (client) => {
      for (let n = 0; n < 100; n += 1) client.send(request(n, '/size/100000'));
      await until(
        () => client.frames.filter(({ type }) => type === 3).length >= 100 || client.isOver,
        'their end',
      );
    },
  },
  {
    name: 'the connection’s window closed, the streams’ open',
    source: 'CVE-2019-9517',
    settings: wide,
    slow: true,
    end: calm,
    play: async (client) => {
      for (let n = 0; n < 100; n += 1) client.send(request(n, '/size/100000'));
      await until(
        () => client.frames.filter(({ type }) => type === 3).length >= 99 || client.isOver,
        'their end',
      );
    },
  },
  {
    name: 'a window that grows by a byte at a time',
    source: 'CVE-2019-9511, "data dribble"',
    settings: [[4, 0]],
    slow: true,
    end: none,
    play: async (client) => {
      client.send(request(0, '/size/1000000'));
      const dribble = setInterval(() => client.send(windowUpdate(1, 1)), 30);
      try {
        await until(() => client.frames.some(({ type }) => type === 3) || client.isOver, 'its end');
      } finally {
        clearInterval(dribble);
      }
    },
  },

  // Clients that do not read.
  ...(
    [
      ['PING', () => frame(6, 0, 0, Buffer.alloc(8))],
      ['requests', (n) => request(n, '/hello')],
      ['requests for what is not there', (n) => request(n, '/nowhere')],
      ['HEAD requests', (n) => frame(1, 5, stream(n), head('/size/1000', 'HEAD'))],
      ['requests for large responses', (n) => request(n, '/static/1000000')],
      ['requests for files', (n) => request(n, '/file/1000000')],
      ['malformed requests', (n) => frame(1, 5, stream(n), literal(':path', '/'))],
    ] as readonly (readonly [string, (n: number) => Buffer])[]
  ).map(
    ([what, one]): Case => ({
      name: `a client that floods and never reads: ${what}`,
      source: 'CVE-2019-9517, "internal data buffering"',
      settings: wide,
      end: 'closed',
      play: async (client) => {
        client.send(windowUpdate(0, 2 ** 31 - 65_536));
        client.socket.pause();
        // Who does not read is not read from, and does not get rid of them; above `rateGrace` it is ended for that.
        await client.flood(floodOf(one), one).catch(() => {});
        client.socket.resume();
      },
    }),
  ),

  // Clients that fall silent.
  silent('half a preface, then silence', 'closed', preface.subarray(0, 15)),
  silent('the preface, then silence', none, preface),
  silent('half a frame’s header, then silence', none, hello, frame(6, 0, 0).subarray(0, 5)),
  silent(
    'half a SETTINGS frame, then silence',
    none,
    preface,
    settingsFrame([[4, 1]]).subarray(0, 12),
  ),
  silent(
    'half a field block, then silence',
    protocol,
    hello,
    frame(1, 5, 1, head('/hello')).subarray(0, 15),
  ),
  silent(
    'a field block without its end, then silence',
    protocol,
    hello,
    frame(1, 1, 1, head('/hello')),
  ),
  {
    name: 'half a DATA frame, then silence',
    source: 'RFC 9113 §10.5, slow clients',
    slow: true,
    end: none,
    play: async (client) => {
      client.send(open(0, '/echo'), frame(0, 0, 1, Buffer.alloc(1000)).subarray(0, 500));
      await answered(client, 1);
    },
  },
  {
    name: 'a hundred streams that are begun and not used',
    source: 'RFC 9113 §10.5, slow clients',
    slow: true,
    end: none,
    play: async (client) => {
      for (let n = 0; n < 100; n += 1) client.send(open(n, '/echo'));
      await answered(client, 100);
    },
  },
  {
    name: 'content that comes a byte at a time',
    source: 'RFC 9113 §10.5, slow clients',
    slow: true,
    end: none,
    play: async (client) => {
      client.send(open(0, '/echo'));
      const dribble = setInterval(() => client.send(frame(0, 0, 1, Buffer.from('x'))), 30);
      try {
        await answered(client, 1);
      } finally {
        clearInterval(dribble);
      }
    },
  },
  {
    name: 'a field block that comes a byte at a time',
    source: 'RFC 9113 §10.5, slow clients',
    slow: true,
    end: protocol,
    play: async (client) => {
      client.send(frame(1, endStream, 1, head('/hello')));
      while (!client.isOver) {
        client.send(frame(9, 0, 1, Buffer.from([0x82])));
        await rest(100); // fewer pieces than are too many
      }
    },
  },
  {
    name: 'frames that are too large',
    source: 'RFC 9113 §4.2',
    end: frameSize,
    play: async (client) => client.send(frame(0, 0, 1, Buffer.alloc(16_385))),
  },
  {
    name: 'a stream of its own, though it is the server’s number',
    source: 'RFC 9113 §5.1.1',
    end: protocol,
    play: async (client) => client.send(frame(1, 5, 2, head('/hello'))),
  },
];

/** So many streams have their answer, or their reset. */
async function answered(client: FrameClient, streams: number): Promise<void> {
  const ended = ({ type, flags }: { type: number; flags: number }): boolean =>
    type === 3 || (type < 2 && (flags & 1) === 1);
  await until(
    () => client.isOver || client.frames.filter(ended).length >= streams,
    `the end of ${streams} streams`,
  );
}

export { FrameClient };
