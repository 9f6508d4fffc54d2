/** Programs for node:http: what a client gets, and what the program sees, is what node:http gives. */
import { createReadStream } from 'node:fs';
import { IncomingMessage, ServerResponse } from 'node:http';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { project } from '../support/process.ts';
import type { RawClient } from '../support/socket.ts';
import { until } from '../support/wait.ts';
import { comparable, type Listener, onBoth, type Told } from './both.ts';

const test = suite('node:http programs');

const get = 'GET /a/b?c=%41 HTTP/1.1\r\nHost: a.test\r\n\r\n';
const head = get.replace('GET', 'HEAD');
const post = (body: string, more = ''): string =>
  `POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: ${body.length}\r\n${more}\r\n${body}`;
const chunked =
  'POST / HTTP/1.1\r\nHost: a.test\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n' +
  '5\r\nhello\r\n6\r\n world\r\n0\r\nX-Sum: 11\r\n\r\n';

async function askAll(client: RawClient, requests: string[]): Promise<unknown> {
  const responses: unknown[] = [];
  for (const request of requests) {
    await client.send(request);
    responses.push(comparable(await client.response(request.slice(0, request.indexOf(' ')))));
  }
  return responses;
}

/** The same response to each of `requests`, sent one after the other on one connection. */
function same(name: string, program: (tell: Told) => Listener, ...requests: string[]): void {
  test(name, async () => {
    const { node, gyrfalcon } = await onBoth(program, (client) => askAll(client, requests));
    assert.equal(gyrfalcon.result, node.result);
    assert.equal(gyrfalcon.events, node.events);
  });
}

/** The same response of a program that tells nothing. */
function answers(name: string, listener: Listener, ...requests: string[]): void {
  same(name, () => listener, ...(requests.length === 0 ? [get] : requests));
}

answers('text is sent with its length and no type', (_req, res) => res.end('Grüße'));
answers('bytes are sent with their length', (_req, res) => res.end(Buffer.from([0, 255, 10])));
answers('text in another encoding', (_req, res) => res.end('ff00', 'hex'));
answers('nothing at all', (_req, res) => res.end());
answers('a large body', (_req, res) => res.end('x'.repeat(3_000_000)));

const statusCodes = [200, 204, 304, 404, 599];
for (const status of statusCodes) {
  answers(
    `status ${status} with a body, for GET and HEAD`,
    (_req, res) => {
      res.statusCode = status;
      res.setHeader('X-A', 'b');
      res.end('text');
    },
    get,
    head,
    get,
  );
}

answers(
  'a length that was set is what HEAD is told',
  (_req, res) => res.setHeader('Content-Length', 4).end('text'),
  get,
  head,
  get,
);

answers('fields set, added to, taken away, with several values', (_req, res) => {
  res.setHeader('X-One', 1);
  res.setHeader('X-List', ['a', 'b']);
  res.setHeader('Set-Cookie', ['a=1', 'b=2']);
  res.appendHeader('Set-Cookie', 'c=3');
  res.setHeader('X-Gone', 'x');
  res.removeHeader('x-gone');
  res.setHeaders(new Map([['x-map', 'm']]));
  assert.equal(res.getHeader('x-LIST'), ['a', 'b']);
  assert.is(res.hasHeader('X-Gone'), false);
  assert.equal((res as unknown as { getRawHeaderNames(): string[] }).getRawHeaderNames(), [
    'X-One',
    'X-List',
    'Set-Cookie',
    'x-map',
  ]);
  res.end(JSON.stringify(res.getHeaders()));
});

const heads: [string, unknown[]][] = [
  ['a status', [201]],
  ['a reason', [202, 'Later']],
  ['an object', [203, { 'X-A': 'b', 'X-List': ['c', 'd'], 'Content-Length': '4' }]],
  ['a reason and an object', [200, 'Fine', { 'x-a': 'b' }]],
  ['a flat list', [200, ['X-A', 'b', 'X-A', 'c', 'Set-Cookie', 'd']]],
  ['a list of pairs', [200, Object.entries({ 'X-A': 'b', 'X-B': 'c' })]],
];
for (const [name, args] of heads) {
  answers(`writeHead with ${name}`, (_req, res) => {
    (res.writeHead as (...all: unknown[]) => ServerResponse)(...args).end('text');
  });
}
answers('writeHead with an object beside fields that were set', (_req, res) => {
  res.setHeader('X-A', 'first').setHeader('X-B', 'kept');
  res.writeHead(200, { 'x-a': 'second' }).end();
});

answers('a body that is written bit by bit comes in chunks', async (_req, res) => {
  for (let i = 0; i < 5; i++) {
    res.write(`line ${i}\n`);
    await new Promise((resolve) => setImmediate(resolve));
  }
  res.end('last');
});
answers('a stream with a declared length', async (_req, res) => {
  res.setHeader('Content-Length', 6);
  for (const part of ['ab', 'cd', 'ef']) {
    res.write(part);
    await new Promise((resolve) => setImmediate(resolve));
  }
  res.end();
});
answers('a file through pipeline', async (_req, res) => {
  await pipeline(createReadStream(project('CHANGELOG.md')), res);
});
answers(
  'HEAD of a program that writes a body bit by bit',
  async (_req, res) => {
    res.write('a');
    await new Promise((resolve) => setImmediate(resolve));
    res.end('b');
  },
  head.replace('1.1\r\n', '1.1\r\nConnection: keep-alive\r\n'),
);
answers('fields that were flushed come before the body', async (_req, res) => {
  res.setHeader('X-A', 'b');
  res.flushHeaders();
  assert.ok(res.headersSent);
  await new Promise((resolve) => setImmediate(resolve));
  res.end('text');
});
answers('trailers', async (_req, res) => {
  res.writeHead(200, { Trailer: 'X-Sum' });
  res.write('text');
  await new Promise((resolve) => setImmediate(resolve));
  res.addTrailers({ 'X-Sum': '4', 'X-Other': 'o' });
  res.end();
});

/** All that a request tells. */
function described(req: IncomingMessage): unknown {
  const { method, url, httpVersion, httpVersionMajor, httpVersionMinor, rawHeaders } = req;
  const { headers, headersDistinct, trailers, rawTrailers, trailersDistinct, complete } = req;
  const { socket } = req;
  return {
    ...{ method, url, httpVersion, httpVersionMajor, httpVersionMinor, rawHeaders },
    ...{ headers, headersDistinct, trailers, rawTrailers: rawTrailers.length, trailersDistinct },
    ...{ complete, aborted: req.aborted, address: socket.remoteAddress },
    family: socket.remoteFamily,
    ports: [typeof socket.remotePort, typeof socket.localPort],
    local: socket.localAddress,
  };
}

const describe: Listener = async (req, res) => {
  let body = '';
  for await (const chunk of req) body += chunk;
  res.end(JSON.stringify([described(req), body]));
};
answers('what a GET tells', describe);
answers(
  'fields as they were received',
  describe,
  'GET /%7Ea//b/../c?q HTTP/1.1\r\nhOST: a.test\r\nX-A:  b \r\nx-a: c\r\nCookie: d\r\ncookie: e\r\n' +
    'Accept: f\r\nAccept: g\r\nUser-Agent: h\r\nuser-agent: i\r\n\r\n',
);
answers('a body of known length', describe, post('hello'), get);
answers('a large body of known length', describe, post('x'.repeat(300_000)), get);
test('HTTP/1.0', async () => {
  const { node, gyrfalcon } = await onBoth(
    () => describe,
    async (client) => {
      await client.send('GET / HTTP/1.0\r\nHost: a.test\r\n\r\n');
      return (await client.response()).body.toString();
    },
  );
  assert.equal(gyrfalcon, node);
});
test('a chunked body with trailers', async () => {
  const { node, gyrfalcon } = await onBoth(
    () => describe,
    async (client) => {
      await client.send(chunked);
      const { body } = await client.response();
      const [{ trailers, complete }, text] = JSON.parse(body.toString());
      return [trailers, complete, text];
    },
  );
  assert.equal(gyrfalcon.result, [{ 'x-sum': '11' }, true, 'hello world']);
  assert.equal(gyrfalcon.result, node.result);
});
answers('a body that is piped back', (req, res) => req.pipe(res), post('hello'), chunked, get);
answers(
  'a body that is not read does not come into the next request',
  (_req, res) => res.end('early'),
  post('hello'),
  post('y'.repeat(20_000)),
  get,
);
answers(
  "'data' and 'end', and an encoding",
  (req, res) => {
    let text = '';
    req.setEncoding('utf8');
    req.on('data', (chunk: string) => {
      text += chunk;
    });
    req.on('end', () => res.end(text.toUpperCase()));
  },
  post('hello'),
  chunked,
);
answers(
  'reading in paused mode',
  (req, res) => {
    const parts: string[] = [];
    req.on('readable', () => {
      for (;;) {
        const bytes = req.read(2);
        if (bytes === null) break;
        parts.push(bytes.toString());
      }
    });
    req.on('end', () => res.end(parts.join('|')));
  },
  post('hello'),
);

function listen(tell: Told, what: string, emitter: NodeJS.EventEmitter, names: string[]): void {
  for (const name of names) emitter.on(name, () => tell(`${what} ${name}`));
}

const eventsOfRes = ['prefinish', 'finish', 'close', 'pipe', 'unpipe', 'drain', 'error'];
const eventsOfReq = ['end', 'close', 'aborted', 'error'];

same(
  'events of a request whose body is not read, and of its response',
  (tell) => async (req, res) => {
    listen(tell, 'req', req, eventsOfReq);
    listen(tell, 'res', res, eventsOfRes);
    res.end('text', () => tell('end callback'));
    tell(`ended ${res.writableEnded} ${res.finished} ${res.headersSent}`);
    await new Promise<void>((resolve) => res.on('close', resolve));
    tell(`finished ${res.writableFinished} ${res.destroyed} ${req.complete}`);
  },
  get,
);
same(
  'events of a body that is read, and of a response that streams',
  (tell) => (req, res) => {
    listen(tell, 'req', req, eventsOfReq);
    listen(tell, 'res', res, eventsOfRes);
    req.pipe(res);
  },
  post('hello'),
);
same(
  'a prototype that is put in the place of its own, as Express does',
  (tell) => (req, res) => {
    const protoOf = (type: typeof IncomingMessage | typeof ServerResponse): object =>
      Object.create(type.prototype, { extra: { value: () => 'extra' } });
    Object.setPrototypeOf(req, protoOf(IncomingMessage));
    Object.setPrototypeOf(res, protoOf(ServerResponse));
    tell(`${req instanceof IncomingMessage} ${res instanceof ServerResponse}`);
    tell((res as unknown as { extra(): string }).extra());
    res.setHeader('X-A', 'b');
    req.pipe(res);
  },
  post('hello'),
  chunked,
);

const misuses: [string, (req: IncomingMessage, res: ServerResponse) => unknown][] = [
  ['a field after the head', (_req, res) => res.flushHeaders() ?? res.setHeader('a', 'b')],
  ['two heads', (_req, res) => res.writeHead(200).writeHead(200)],
  ['a status that is none', (_req, res) => res.writeHead(99)],
  ['a name that is none', (_req, res) => res.setHeader('a b', 'c')],
  ['a value that is none', (_req, res) => res.setHeader('a', 'b\r\nc: d')],
  ['a name in writeHead', (_req, res) => res.writeHead(200, { 'a b': 'c' })],
  ['a value in writeHead', (_req, res) => res.writeHead(200, { a: 'b\nc' })],
  ['no value in writeHead', (_req, res) => res.writeHead(200, { a: undefined as never })],
  ['a trailer', (_req, res) => res.addTrailers({ a: 'b\nc' })],
  ['a chunk of the wrong type', (_req, res) => res.write(7 as never)],
  ['null', (_req, res) => res.write(null as never)],
  [
    'more than was declared',
    (_req, res) => {
      res.strictContentLength = true;
      res.setHeader('Content-Length', 2);
      res.write('abc');
    },
  ],
  ['two hints that are none', (_req, res) => res.writeEarlyHints({ link: 'no link' })],
  ['a timeout that is text', (req) => req.socket.setTimeout('50' as never)],
  ['a timeout below zero', (req) => req.socket.setTimeout(-1)],
  ['a timeout without end', (req) => req.socket.setTimeout(Number.POSITIVE_INFINITY)],
  ['a timeout of zero', (req) => void req.socket.setTimeout(0)],
];
for (const [name, misuse] of misuses) {
  test(`what is wrong throws as in node:http: ${name}`, async () => {
    const program =
      (tell: Told): Listener =>
      (req, res) => {
        try {
          misuse(req, res);
          tell('nothing was thrown');
        } catch (error) {
          tell(`${(error as NodeJS.ErrnoException).code}: ${(error as Error).message}`);
        }
        res.strictContentLength = false;
        res.end();
      };
    const { node, gyrfalcon } = await onBoth(program, (client) => askAll(client, [get]));
    assert.equal(gyrfalcon.events, node.events);
  });
}

same(
  'writing behind the end is an error event',
  (tell) => (_req, res) => {
    res.on('error', (error: NodeJS.ErrnoException) => tell(error.code as string));
    res.end('text');
    res.write('more', (error) => tell(`callback ${(error as NodeJS.ErrnoException)?.code}`));
  },
  get,
);

test('interim responses: 103 is sent, 100 once, 102 by the server that can', async () => {
  const { gyrfalcon } = await onBoth(
    () => (_req, res) => {
      res.writeContinue();
      res.writeProcessing();
      const link = ['</a.css>; rel=preload; as=style', '</b.js>; rel=preload; as=script'];
      res.writeEarlyHints({ link, 'x-trace': 'id' }, () => res.end('text'));
    },
    async (client) => {
      await client.send(get);
      const hints = await client.response();
      return [hints.status, [...hints.headers], comparable(await client.response())];
    },
  );
  const [status, fields, final] = gyrfalcon.result as [number, unknown, { status: number }];
  assert.is(status, 103);
  assert.equal(fields, [
    ['link', '</a.css>; rel=preload; as=style, </b.js>; rel=preload; as=script'],
    ['x-trace', 'id'],
  ]);
  assert.is(final.status, 200);
});

/** A listener that keeps the request open, and a client that leaves. */
const leaving: [string, string, number][] = [
  ['before anything was answered', get, 0],
  ['while the response streams', get, 1],
  [
    'in the middle of its upload',
    post('hello').replace('Content-Length: 5', 'Content-Length: 9'),
    0,
  ],
];
for (const [name, request, writes] of leaving) {
  test(`a client that leaves is told of: ${name}`, async () => {
    const { node, gyrfalcon } = await onBoth(
      (tell) => (req, res) => {
        listen(tell, 'req', req, ['aborted', 'close']);
        listen(tell, 'res', res, ['finish', 'close']);
        res.socket?.on('close', () => tell('socket close'));
        req.on('error', (error: NodeJS.ErrnoException) => tell(`req ${error.code}`));
        req.on('data', () => {});
        for (let i = 0; i < writes; i++) res.write('part');
        const { socket } = req;
        res.on('close', () => {
          tell(`${req.aborted} ${req.destroyed} ${res.destroyed} ${res.writableEnded}`);
          tell(`socket ${socket.destroyed}`);
        });
        tell('begun');
      },
      async (client, _, events) => {
        await client.send(request);
        if (writes > 0) await client.readAhead();
        else await until(() => events.includes('begun'), 'the listener');
        client.reset();
        await client.closed();
      },
    );
    await until(() => gyrfalcon.events.includes('res close'), 'close on Gyrfalcon');
    await until(() => node.events.includes('res close'), 'close on node:http');
    await new Promise((resolve) => setTimeout(resolve, 20));
    assert.equal(gyrfalcon.events.sort(), node.events.sort());
  });
}

for (const [name, end] of [
  ['res.destroy()', (_req, res) => res.destroy()],
  ['res.destroy(error)', (_req, res) => res.destroy(new Error('mine'))],
  ['req.destroy()', (req) => req.destroy()],
  ['socket.destroy()', (req) => req.socket.destroy()],
] as [string, Listener][]) {
  test(`${name} in the middle of a response ends the connection without its end`, async () => {
    let act: () => unknown = () => {};
    const { node, gyrfalcon } = await onBoth(
      (tell) => (req, res) => {
        res.on('error', () => tell('res error'));
        req.on('error', () => tell('req error'));
        listen(tell, 'res', res, ['finish', 'close']);
        res.write('part');
        act = () => end(req, res);
      },
      async (client) => {
        await client.send(get);
        await client.readUntil((got) => got.includes('part'));
        act();
        return (await client.readToEnd()).toString();
      },
    );
    assert.is(gyrfalcon.result, '');
    await until(() => gyrfalcon.events.includes('res close'), 'close');
    await until(() => node.events.includes('res close'), 'close on node:http');
    assert.equal(gyrfalcon, node);
  });
}

test('a stream that fails under pipeline ends the connection without its end', async () => {
  const { node, gyrfalcon } = await onBoth(
    (tell) => async (_req, res) => {
      const source = Readable.from(
        (async function* () {
          yield Buffer.from('part');
          await new Promise((resolve) => setTimeout(resolve, 20));
          throw new Error('disk');
        })(),
      );
      await pipeline(source, res).catch((error: Error) => tell(error.message));
    },
    async (client) => {
      await client.send(get);
      const all = (await client.readToEnd()).toString();
      return [all.includes('part'), all.endsWith('0\r\n\r\n')];
    },
  );
  assert.equal(gyrfalcon, { result: [true, false], events: ['disk'] });
  assert.equal(gyrfalcon, node);
});

test('who writes faster than the client reads is told to wait, and goes on at drain', async () => {
  const piece = Buffer.alloc(64 * 1024, 'x');
  const pieces = 400;
  const { gyrfalcon } = await onBoth(
    (tell) => (_req, res) => {
      let written = 0;
      let waits = 0;
      let most = 0;
      const more = (): void => {
        while (written < pieces) {
          written++;
          const hasRoom = res.write(piece);
          most = Math.max(most, res.writableLength);
          if (!hasRoom) {
            assert.ok(res.writableNeedDrain);
            waits++;
            res.once('drain', more);
            return;
          }
        }
        res.end(() => tell(`${waits > 10} ${most <= 3 * piece.length}`));
      };
      more();
      setTimeout(() => tell(`${written < pieces / 2}`), 200);
    },
    async (client, _, events) => {
      client.socket.pause();
      await client.send(get);
      await until(() => events.length > 0, 'how much was written');
      client.socket.resume();
      return (await client.response()).body.length;
    },
  );
  assert.is(gyrfalcon.result, piece.length * pieces);
  assert.equal(gyrfalcon.events, ['true', 'true true']);
});

test('what was written may be changed once its callback is called', async () => {
  const size = 4 * 1024 * 1024;
  const { node, gyrfalcon } = await onBoth(
    (tell) => (_req, res) => {
      const bytes = Buffer.alloc(size, 'a');
      res.on('finish', () => tell('finish'));
      res.write(bytes, () => {
        tell('written');
        bytes.fill('b');
        res.end('c');
      });
      tell('begun');
    },
    async (client, _, events) => {
      client.socket.pause();
      await client.send(get);
      await until(() => events.includes('begun'), 'the response');
      client.socket.resume();
      const { body } = await client.response();
      return [body.length, body.includes('b'), body.at(-1)];
    },
  );
  assert.equal(gyrfalcon, {
    result: [size + 1, false, 99],
    events: ['begun', 'written', 'finish'],
  });
  assert.equal(gyrfalcon, node);
});

test('a large body may be changed once it was sent', async () => {
  const size = 4 * 1024 * 1024;
  const { node, gyrfalcon } = await onBoth(
    (tell) => (_req, res) => {
      const bytes = Buffer.alloc(size, 'a');
      res.on('close', () => tell('close'));
      res.end(bytes, () => {
        tell('finish');
        bytes.fill('b');
      });
      tell('begun');
    },
    async (client, _, events) => {
      client.socket.pause();
      await client.send(get);
      await until(() => events.includes('begun'), 'the response');
      client.socket.resume();
      const { body, headers } = await client.response();
      return [headers.get('content-length'), body.includes('b')];
    },
  );
  await until(() => gyrfalcon.events.length === 3, "'close'");
  assert.equal(gyrfalcon, { result: [`${size}`, false], events: ['begun', 'finish', 'close'] });
  assert.equal(gyrfalcon.result, node.result);
});

test('an upload that nobody reads waits in the socket', async () => {
  const size = 8 * 1024 * 1024;
  const { gyrfalcon } = await onBoth(
    (tell) => (req, res) => {
      let got = 0;
      req.on('readable', () => {}); // asks for what fits below the high-water mark, and no more
      setTimeout(() => {
        tell(`${req.readableLength < 1024 * 1024}`);
        req.removeAllListeners('readable');
        req.on('data', (chunk: Buffer) => {
          got += chunk.length;
        });
        req.on('end', () => res.end(`${got}`));
        req.resume();
      }, 200);
    },
    async (client) => {
      await client.send(`POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: ${size}\r\n\r\n`);
      await client.send(Buffer.alloc(size, 'x'));
      return (await client.response()).body.toString();
    },
  );
  assert.equal(gyrfalcon, { result: `${size}`, events: ['true'] });
});

for (const [name, listener] of [
  ['of the response', (_req, res) => res.setTimeout(50, () => res.end('late'))],
  ['of the request', (req, res) => req.setTimeout(50).socket.on('timeout', () => res.end('late'))],
  ['that nobody hears', (req) => req.socket.setTimeout(50)],
  [
    'that is longer than a timer takes',
    (req, res) => req.socket.setTimeout(2 ** 31) && setTimeout(() => res.end('late'), 20),
  ],
  [
    'whose listener is taken away',
    (req, res) => {
      const wrong = (): unknown => res.end('wrong');
      req.socket.setTimeout(10, wrong).setTimeout(0, wrong);
      setTimeout(() => res.end('late'), 30);
    },
  ],
] as [string, Listener][]) {
  test(`a timeout ${name}`, async () => {
    const { node, gyrfalcon } = await onBoth(
      () => (req, res) => {
        if (name === 'of the request') res.on('timeout', () => {});
        listener(req, res);
      },
      async (client) => {
        await client.send(get);
        const all = (await client.readUntil((got) => got.includes('late'))).toString();
        return all.includes('late');
      },
    );
    assert.equal(gyrfalcon.result, node.result);
  });
}

test.run();
