import type { EventEmitter } from 'node:events';
import { createServer, request as httpRequest, type IncomingMessage } from 'node:http';
import { createRequire } from 'node:module';
import type { AddressInfo } from 'node:net';
import type { Duplex } from 'node:stream';
import { type Server, serve } from 'gyrfalcon';
import { nodeHandler } from 'gyrfalcon/node';
import { WebSocket, WebSocketServer, type WebSocketServerOptions, withOptions } from 'gyrfalcon/ws';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { until, within } from '../support/wait.ts';

// 'gyrfalcon/ws' beside the package ws: one program on both, whose clients have to see the same, and which has to be told
// the same.
const test = suite('websocket: programs for ws');

interface Peer {
  WebSocket: new (url: string, protocols?: string[], options?: object) => Client;
  WebSocketServer: typeof WebSocketServer;
}
type Client = EventEmitter &
  Pick<WebSocket, 'protocol' | 'send' | 'ping' | 'close' | 'pause' | 'terminate'>;
/** Its types are another package. */
const ws = createRequire(import.meta.url)('ws') as Peer;

const servers: { stop(): unknown }[] = [];
test.after(async () => {
  await Promise.all(servers.map((server) => server.stop()));
});

type Program = (http: EventEmitter, Wss: typeof WebSocketServer) => void;
const noop = (): void => {};

/** The program on the engine, and on node:http with ws. Both tell what they were told in `said`. */
async function onBoth(program: (said: unknown[]) => Program): Promise<[number, unknown[]][]> {
  const theirs: unknown[] = [];
  const http = createServer((_req, res) => res.end('page'));
  program(theirs)(http, ws.WebSocketServer);
  await new Promise<void>((resolve) => http.listen(0, '127.0.0.1', resolve));
  servers.push({
    stop: () => {
      http.close();
      http.closeAllConnections();
    },
  });
  const ours: unknown[] = [];
  const own = createServer((_req, res) => res.end('page'));
  program(ours)(own, WebSocketServer);
  return [
    [(http.address() as AddressInfo).port, theirs],
    [engineOf(own).port, ours],
  ];
}

function engineOf(http: ReturnType<typeof createServer>, options: object = {}): Server {
  const server = serve({
    hostname: '127.0.0.1',
    port: 0,
    workers: 1,
    log: 'silent',
    fetch: nodeHandler(http),
    websocket: withOptions(options),
  });
  servers.push({ stop: () => server.stop({ deadline: 1000 }) });
  return server;
}

const closing = new WeakSet<Client>();
/** A client closes. */
function close(client: Client, code: number, reason: string): void {
  closing.add(client);
  client.close(code, reason);
}

/** What a client sees, until its end. */
async function see(
  port: number,
  act: (client: Client) => unknown,
  {
    path = '/',
    protocols = [],
    options = {},
  }: { path?: string; protocols?: string[]; options?: object } = {},
): Promise<unknown[]> {
  const seen: unknown[] = [];
  const client = new ws.WebSocket(`ws://127.0.0.1:${port}${path}`, protocols, options);
  client.on('open', () => {
    seen.push(['open', client.protocol]);
    act(client);
  });
  client.on('message', (data: unknown, isBinary: boolean) => seen.push([`${data}`, isBinary]));
  client.on('ping', (data: Buffer) => seen.push(['ping', `${data}`]));
  client.on('pong', (data: Buffer) => seen.push(['pong', `${data}`]));
  client.on('unexpected-response', (_request: unknown, response: IncomingMessage) => {
    seen.push(['refused', response.statusCode, response.headers['x-why']]);
    response.resume();
    client.emit('end');
  });
  client.on('error', noop);
  const ended = new Promise<void>((resolve) => {
    client.on('close', (code: number, reason: Buffer) => {
      // A reason of its own is sent back by ws.
      seen.push(['close', code, closing.has(client) ? '' : `${reason}`]);
      resolve();
    });
    client.on('end', () => resolve());
  });
  await within(ended, 'its end');
  client.terminate();
  return seen;
}

/** Both have to show the same. */
function same(
  name: string,
  program: (said: unknown[]) => Program,
  scenario: (port: number) => Promise<unknown>,
): void {
  test(name, async () => {
    const results: unknown[] = [];
    for (const [port, said] of await onBoth(program)) {
      results.push({ seen: await scenario(port), said });
    }
    const [theirs, ours] = results;
    assert.equal(ours, theirs);
    assert.ok(JSON.stringify(ours).length > 30, JSON.stringify(ours));
  });
}

same(
  'messages, their types, and the end',
  (said) => (server, Wss) => {
    new Wss({ server }).on('connection', (socket, request) => {
      said.push([request.url, socket.readyState, socket.OPEN, socket.protocol, socket.extensions]);
      socket.on('message', (data: unknown, isBinary: boolean) => {
        said.push([Buffer.isBuffer(data), `${data}`, isBinary]);
        socket.send(data, { binary: isBinary });
      });
      socket.on('close', (code: number, reason: Buffer) => {
        said.push(['close', code, `${reason}`, socket.readyState]);
      });
    });
  },
  (port) =>
    see(
      port,
      (client) => {
        client.send('text ü');
        client.send(Buffer.from([1, 2, 3]));
        client.send('');
        // The engine answers a Close by itself: what a handler says behind that reaches nobody.
        client.on('message', (data: Buffer) => {
          if (data.length === 0) close(client, 4001, 'enough');
        });
      },
      { path: '/a?b=c', options: { perMessageDeflate: false } },
    ),
);

same(
  'whatever may be sent, in parts too, and what its callbacks tell',
  (said) => (server, Wss) => {
    new Wss({ noServer: true });
    new Wss({ server }).on('connection', (socket) => {
      socket.send('text', () => said.push('sent'));
      socket.send(12.5);
      socket.send(new Uint8Array([65, 66]));
      socket.send(new Uint8Array([67, 68]).buffer);
      socket.send('as bytes', { binary: true });
      socket.send(Buffer.from('as text'), { binary: false });
      socket.send('a, ', { fin: false });
      socket.send('b', { fin: true });
      socket.send(Buffer.alloc(70_000, 'l'), { compress: false }, () => {
        said.push('all');
        socket.ping('ping');
        socket.pong(Buffer.from('pong'));
        socket.close(1000, 'bye');
        said.push(socket.readyState);
        socket.send('late', (error?: Error) => said.push(error?.message));
        socket.close(4000);
      });
    });
  },
  (port) => see(port, noop, { options: { perMessageDeflate: false } }),
);

same(
  'listeners in the shape of the DOM',
  (said) => (server, Wss) => {
    new Wss({ server }).on('connection', (socket) => {
      const ignored = (): void => void said.push('not to be told');
      socket.addEventListener('message', ignored);
      socket.removeEventListener('message', ignored);
      socket.addEventListener('message', ({ data }) => said.push(['once', data]), { once: true });
      socket.onmessage = ignored;
      socket.onmessage = ({ data, type, target }) => {
        said.push([type, typeof data === 'string' ? data : `${data}`, target === socket]);
      };
      socket.onclose = ({ code, reason, wasClean }) => said.push([code, reason, wasClean]);
      said.push([typeof socket.onmessage, socket.onerror]);
    });
  },
  (port) =>
    see(port, (client) => {
      client.send('one');
      client.send(Buffer.from('two'));
      close(client, 1000, 'done');
    }),
);

same(
  'subprotocols and fields of the answer',
  (said) => (server, Wss) => {
    const wss = new Wss({
      server,
      handleProtocols: (protocols, request) =>
        request.url === '/none' ? false : ([...protocols].at(-1) as string),
    });
    wss.on('headers', (lines: string[], request: IncomingMessage) => {
      said.push([lines.length, request.url]);
      lines.push('X-Own: yes', 'Set-Cookie: a=b');
    });
    wss.on('connection', (socket) => socket.close(1000, socket.protocol));
  },
  async (port) => {
    const given = { protocols: ['a', 'b'] };
    const seen = [await see(port, noop, given), await see(port, noop)];
    const headers = await new Promise((resolve) => {
      const client = new ws.WebSocket(`ws://127.0.0.1:${port}/x`);
      client.on('upgrade', (response: IncomingMessage) => {
        resolve([response.headers['x-own'], response.headers['set-cookie']]);
      });
    });
    return [...seen, headers];
  },
);

same(
  'who may not connect is told so',
  (said) => (server, Wss) => {
    const paths: Record<string, WebSocketServerOptions> = {
      '/sync': {
        verifyClient: ({ req, secure, origin }) => {
          said.push([secure, typeof origin]);
          return req.headers['x-token'] === 'right';
        },
      },
      '/async': {
        verifyClient: ({ req }, done) => {
          const isRight = req.headers['x-token'] === 'right';
          setImmediate(done, isRight, 403, 'No', { 'X-Why': 'token' });
        },
      },
      '/path': { path: '/other' },
    };
    server.on('upgrade', (request: IncomingMessage, socket: Duplex, head: Buffer) => {
      const options = paths[request.url as string];
      if (request.url === '/write') {
        socket.write('HTTP/1.1 429 Too Many Requests\r\nX-Why: rate\r\nContent-Length: 4\r\n\r\n');
        socket.end('wait');
      } else if (options !== undefined) {
        new Wss({ noServer: true, ...options }).handleUpgrade(request, socket, head, (made) => {
          made.close(1000, 'let in');
        });
      }
    });
  },
  async (port) => {
    const seen: unknown[] = [];
    for (const token of ['right', 'wrong']) {
      for (const path of ['/sync', '/async', '/path', '/write']) {
        const options = { headers: { 'X-Token': token, Origin: `http://127.0.0.1:${port}` } };
        const shown = await see(port, noop, { path, options });
        seen.push([token, path, ...shown.filter((one) => (one as string[])[0] !== 'open')]);
      }
    }
    return seen.flat().filter((one) => !`${one}`.includes('http:'));
  },
);

same(
  'pings, pongs, and an end without a word',
  (said) => (server, Wss) => {
    new Wss({ server }).on('connection', (socket) => {
      socket.on('ping', (data: Buffer) => said.push(['ping', `${data}`]));
      socket.on('pong', (data: Buffer) => said.push(['pong', `${data}`]));
      socket.on('message', (data: unknown) => {
        said.push([`${data}`, socket.isPaused]);
        if (`${data}` === 'end') socket.terminate();
      });
      socket.ping('are you there');
    });
  },
  (port) =>
    see(port, (client) => {
      client.on('ping', () => {
        client.ping('hi');
        for (const text of ['one', 'two', 'end']) client.send(text);
      });
    }),
);

same(
  'a message that is too long is 1009',
  () => (server, Wss) => {
    new Wss({ server, maxPayload: 1000 }).on('connection', (socket) => {
      socket.on('error', noop);
      socket.on('message', (data: unknown) => socket.send(`${`${data}`.length}`));
    });
  },
  (port) =>
    see(port, (client) => {
      client.send('x'.repeat(1000));
      client.send('x'.repeat(1001));
    }),
);

test('while it is paused nothing is told, not even what has come', async () => {
  const http = createServer();
  const told: string[] = [];
  new WebSocketServer({ server: http }).on('connection', (socket) => {
    socket.on('message', (data) => {
      told.push(`${data}`);
      if (`${data}` === 'end') socket.close(1000, told.join());
      if (`${data}` !== 'pause') return;
      socket.pause();
      socket.once('ping', () => told.push('ping'));
      setTimeout(() => {
        told.push(`${socket.isPaused}`);
        socket.resume();
      }, 30);
    });
  });
  const { port } = engineOf(http);
  const seen = await see(port, (client) => {
    for (const text of ['pause', 'one', 'two']) client.send(text);
    client.ping('x');
    client.send('end');
  });
  assert.equal(seen.at(-1), ['close', 1000, 'pause,true,one,two,ping,end']);
});

test('clients are known while they are there, and close() waits for the last', async () => {
  const http = createServer();
  const wss = new WebSocketServer({ server: http });
  const { port } = engineOf(http);
  const clients = [0, 1].map(() => new ws.WebSocket(`ws://127.0.0.1:${port}`));
  await Promise.all(clients.map((client) => new Promise((resolve) => client.on('open', resolve))));
  // The engine has answered a client before this thread hears that it is open.
  await until(() => (wss.clients?.size === 2 ? true : undefined), 'both clients');
  let isClosed = false;
  wss.close(() => {
    isClosed = true;
  });
  assert.is(http.listenerCount('upgrade'), 0);
  clients[0]?.close();
  await until(() => (wss.clients?.size === 1 ? true : undefined), 'one client');
  assert.is(isClosed, false);
  clients[1]?.close();
  await until(() => (isClosed ? true : undefined), 'the end');
});

test('who takes nothing is given up, and what was to be sent to it is told so', async () => {
  const http = createServer();
  const wss = new WebSocketServer({ server: http, maxBufferedAmount: 4 * 2 ** 20 });
  const { port } = engineOf(http);
  const told: (string | undefined)[] = [];
  const ended = new Promise<number>((resolve) => {
    wss.on('connection', (socket) => {
      socket.on('close', resolve);
      for (let n = 0; n < 40; n += 1) {
        socket.send(Buffer.alloc(1_000_000, 'x'), (error?: Error) => told.push(error?.message));
      }
    });
  });
  const client = new ws.WebSocket(`ws://127.0.0.1:${port}`);
  client.on('error', noop);
  client.on('open', () => client.pause());
  assert.is(await within(ended, 'its end'), 1006);
  await until(() => (told.length === 40 ? true : undefined), 'all callbacks');
  assert.ok(told.filter((message) => message !== undefined).length > 30, `${told}`);
  client.terminate();
});

test('much that is sent at once to who reads it arrives, in order, with its callbacks', async () => {
  const http = createServer();
  let sent = 0;
  new WebSocketServer({ server: http }).on('connection', (socket) => {
    for (let n = 0; n < 12; n += 1) {
      const bytes = Buffer.alloc(1_000_000);
      bytes.writeUInt32BE(n);
      socket.send(bytes, (error?: Error) => {
        if (error === undefined) sent += 1;
      });
    }
    socket.close(1000);
  });
  const { port } = engineOf(http);
  const client = new ws.WebSocket(`ws://127.0.0.1:${port}`);
  const came: number[] = [];
  client.on('message', (data: Buffer) => came.push(data.readUInt32BE()));
  await within(new Promise((resolve) => client.on('close', resolve)), 'its end');
  assert.equal(
    came,
    Array.from({ length: 12 }, (_, n) => n),
  );
  await until(() => (sent === 12 ? true : undefined), 'all callbacks');
});

test('a listener that throws closes its socket with 1011, and no other', async () => {
  const http = createServer();
  new WebSocketServer({ server: http }).on('connection', (socket) => {
    socket.on('message', () => {
      throw new Error('intended');
    });
  });
  const { port } = engineOf(http);
  const seen = await see(port, (client) => client.send('x'));
  assert.equal(seen.at(-1), ['close', 1011, '']);
});

/** What a request for a WebSocket is answered with. */
function statusOf(port: number): Promise<number | undefined> {
  return new Promise((resolve, reject) => {
    const headers = {
      connection: 'Upgrade',
      upgrade: 'websocket',
      'sec-websocket-version': '13',
      'sec-websocket-key': 'dGhlIHNhbXBsZSBub25jZQ==',
    };
    const request = httpRequest({ port, host: '127.0.0.1', headers }, (response) => {
      response.resume();
      resolve(response.statusCode);
    });
    request.on('error', reject);
    request.end();
  });
}

test('without listeners a request for a WebSocket is one like others', async () => {
  const { port } = engineOf(createServer((_req, res) => res.end('page')));
  assert.is(await statusOf(port), 200);
});

test('what cannot be is told', async () => {
  assert.throws(() => new WebSocketServer({ port: 80 }), /GYR_OPTION_INVALID/);
  const wss = new WebSocketServer({ noServer: true });
  const foreign = [{}, {}, Buffer.alloc(0), noop] as unknown as Parameters<
    typeof wss.handleUpgrade
  >;
  assert.throws(() => wss.handleUpgrade(...foreign), /GYR_REQUEST_FOREIGN/);
  assert.throws(() => Reflect.construct(WebSocket, [null, {}]).send('x'), /CONNECTING/);
  // The server of another library, which would speak to the socket; and a serve() that knows nothing of any.
  const http = createServer();
  new ws.WebSocketServer({ server: http as never });
  assert.is(await statusOf(engineOf(http).port), 500);
  const other = createServer();
  new WebSocketServer({ server: other });
  const server = serve({
    hostname: '127.0.0.1',
    port: 0,
    workers: 1,
    log: 'silent',
    fetch: nodeHandler(other),
    websocket: { message: noop },
  });
  servers.push({ stop: () => server.stop() });
  assert.is(await statusOf(server.port), 500);
});

test.run();
