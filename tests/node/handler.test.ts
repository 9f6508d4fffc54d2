/** `nodeHandler`: the programs that it takes, what becomes of errors, and clients that half leave. */
import { AsyncLocalStorage } from 'node:async_hooks';
import { EventEmitter } from 'node:events';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import {
  GyrfalconError,
  installGlobals,
  Request,
  Response,
  type ServeOptions,
  type Server,
  serve,
} from 'gyrfalcon';
import { type NodeApp, type NodeHandlerOptions, nodeHandler } from 'gyrfalcon/node';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { serversOf } from '../support/servers.ts';
import { sideBySide } from '../support/side_by_side.ts';
import { connect, exchange, type RawClient } from '../support/socket.ts';
import { until } from '../support/wait.ts';

const test = suite('nodeHandler');
const servers = serversOf(test);

const get = 'GET /path HTTP/1.1\r\nHost: a.test\r\n\r\n';

/** The port of a server that runs `app`. */
function open(
  app: NodeApp,
  options: NodeHandlerOptions = {},
  more: Partial<ServeOptions> = {},
): number {
  return servers.open({
    globals: false,
    log: 'error',
    ...more,
    fetch: nodeHandler(app, options),
  } as ServeOptions).port;
}

const hello = (_req: IncomingMessage, res: ServerResponse): void => {
  res.end('hello');
};

const programs: [string, () => NodeApp][] = [
  ['a function', () => hello],
  ['an http.Server, by its listeners', () => createServer(hello)],
  ['what Koa is', () => ({ callback: () => hello })],
  ['what Fastify is', () => ({ routing: hello, ready: () => Promise.resolve() })],
  [
    'what Nest is, on Express',
    () => ({ init: async () => {}, getHttpAdapter: () => ({ getInstance: () => hello }) }),
  ],
  [
    'what Nest is, on Fastify',
    () => {
      const fastify = { routing: hello, ready: () => Promise.resolve() };
      return { init: async () => {}, getHttpAdapter: () => ({ getInstance: () => fastify }) };
    },
  ],
];
for (const [name, make] of programs) {
  test(`it runs ${name}`, async () => {
    const port = open(make());
    for (let i = 0; i < 2; i++) {
      const { status, body } = await exchange(port, get);
      assert.equal([status, body.toString()], [200, 'hello']);
    }
  });
}

test('an application that cannot be made ready is a 500 for each request, and ends nothing', async () => {
  const ready = (): Promise<never> => Promise.reject(new Error('no database'));
  const port = open({ routing: hello, ready });
  assert.is((await exchange(port, get)).status, 500);
  assert.is((await exchange(port, get)).status, 500);
  assert.match(servers.log, 'no database');
});

for (const wrong of [
  undefined,
  null,
  7,
  'app',
  {},
  [],
  new EventEmitter(),
  Promise.resolve(hello),
]) {
  test(`it refuses ${String(wrong)}`, () => {
    assert.throws(
      () => nodeHandler(wrong as never),
      (error: unknown) => error instanceof GyrfalconError && error.code === 'GYR_NODE_APP',
    );
  });
}

test('it refuses an onError that is no function', () => {
  assert.throws(() => nodeHandler(hello, { onError: 'x' as never }), /GYR_NODE_APP/);
});

test("listeners for 'checkContinue' decide of requests that expect it", async () => {
  const server = createServer((req, res) => {
    req.resume();
    res.end('request');
  });
  server.on('checkContinue', (_req, res) => {
    res.writeHead(417).end();
  });
  const port = open(server);
  const expecting = 'POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 5\r\n';
  const client = await connect(port);
  await client.send(`${expecting}Expect: 100-continue\r\n\r\n`);
  assert.is((await client.response()).status, 100); // the engine has said it
  assert.is((await client.response()).status, 417);
  client.destroy();
  assert.is((await exchange(port, `${expecting}\r\nhello`)).status, 200);
});

test('an http.Server without listeners answers 404', async () => {
  assert.is((await exchange(open(createServer()), get)).status, 404);
});

const failing: [string, NodeApp][] = [
  [
    'throws',
    () => {
      throw new Error('broken');
    },
  ],
  ['rejects', async () => Promise.reject(new Error('broken'))],
  [
    'rejects later',
    async () => {
      await new Promise((resolve) => setImmediate(resolve));
      throw new Error('broken');
    },
  ],
];
for (const [name, app] of failing) {
  test(`a program that ${name} is a 500 and a line in the log`, async () => {
    assert.is((await exchange(open(app), get)).status, 500);
    assert.match(servers.log, 'broken');
  });

  test(`what a program that ${name} throws goes to the option error of serve()`, async () => {
    const error = ({ message }: Error): Response => new Response(message, { status: 503 });
    const { status, body } = await exchange(open(app, {}, { error }), get);
    assert.equal([status, body.toString()], [503, 'broken']);
    assert.is(servers.log, '');
  });

  test(`onError answers for a program that ${name}`, async () => {
    const onError: NodeHandlerOptions['onError'] = (error, req, res) => {
      res.statusCode = 502;
      res.end(`${req.url}: ${(error as Error).message}`);
    };
    const { status, body } = await exchange(open(app, { onError }), get);
    assert.equal([status, body.toString()], [502, '/path: broken']);
  });
}

test('an onError that throws or rejects is a 500', async () => {
  const wrong = (): never => {
    throw new Error('broken too');
  };
  for (const onError of [wrong, async () => wrong()]) {
    servers.log = '';
    assert.is((await exchange(open(failing[0]?.[1] as NodeApp, { onError }), get)).status, 500);
    assert.match(servers.log, 'broken too');
  }
});

test('a program that fails in the middle of its response breaks it off', async () => {
  const port = open(async (_req, res) => {
    res.write('part');
    await new Promise((resolve) => setTimeout(resolve, 20));
    throw new Error('broken');
  });
  const client = await connect(port);
  await client.send(get);
  const all = (await client.readToEnd()).toString();
  assert.not(all.endsWith('0\r\n\r\n'));
  assert.match(servers.log, 'GYR_RESPONSE_BODY');
});

test('a program that fails behind its response is a line in the log', async () => {
  const port = open(async (_req, res) => {
    res.end('done');
    throw new Error('broken');
  });
  const { status, body } = await exchange(port, get);
  assert.equal([status, body.toString()], [200, 'done']);
  await until(() => servers.log.includes('broken'), 'the line');
});

test('a program that fails behind the head that HEAD gets is a line in the log', async () => {
  const events: string[] = [];
  const port = open(async (_req, res) => {
    res.on('close', () => events.push('close'));
    res.flushHeaders();
    await new Promise((resolve) => setTimeout(resolve, 20));
    throw new Error('broken');
  });
  assert.is((await exchange(port, get.replace('GET', 'HEAD'), 'HEAD')).status, 200);
  await until(() => servers.log.includes('broken') && events.length === 1, "the line, and 'close'");
});

test('a failure behind the response keeps to the level of the log', async () => {
  let fail: () => void = () => {};
  const app: NodeApp = async (_req, res) => {
    res.end('done');
    await new Promise<void>((resolve) => {
      fail = resolve;
    });
    throw new Error('broken');
  };
  const port = open(app, {}, { log: 'silent' });
  await exchange(port, get);
  fail();
  await new Promise((resolve) => setImmediate(resolve));
  assert.is(servers.log, '');
});

test('a response that is destroyed before its head is a 500, with a code in the log', async () => {
  const port = open((_req, res) => {
    res.destroy();
  });
  assert.is((await exchange(port, get)).status, 500);
  assert.match(servers.log, 'GYR_RESPONSE_DESTROYED');
});

test('a client that sends no more is told of, and what is answered all the same is sent', async () => {
  const events: string[] = [];
  let answer: () => void = () => {};
  const port = open((req, res) => {
    req.on('close', () => events.push(`req close ${req.aborted}`));
    res.on('close', () => events.push('res close'));
    res.on('finish', () => events.push('res finish'));
    answer = () => res.end('late');
  });
  const client = await connect(port);
  await client.send(get);
  client.end();
  await until(() => events.length === 2, 'both events');
  assert.equal(events.sort(), ['req close true', 'res close']);
  answer();
  assert.is((await client.response()).body.toString(), 'late');
  assert.equal(events.slice(2), ['res finish']);
  client.destroy();
});

test('a pipeline that ends as its client has left is no error', async () => {
  let ended: unknown;
  const port = open(async (_req, res) => {
    const source = new Readable({ read() {} });
    ended = await pipeline(source, res).catch((error: NodeJS.ErrnoException) => error.code);
  });
  const client = await connect(port);
  await client.send(get);
  client.end();
  await client.closed();
  assert.is(ended, 'ERR_STREAM_PREMATURE_CLOSE');
  assert.is(servers.log, '');
});

test('a body that was read before is an error for a program that hears of none', async () => {
  const program = nodeHandler((req, res) => {
    req.on('end', () => res.end('end')).resume();
  });
  const { port } = servers.open({
    globals: false,
    fetch: async (request) => {
      await request.text();
      return program(request);
    },
  });
  const post = 'POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 5\r\n\r\nhello';
  assert.is((await exchange(port, post)).status, 500);
  assert.match(servers.log, 'GYR_RESPONSE_DESTROYED');
});

test('a body that came with the end of the client is read to its end', async () => {
  const port = open(async (req, res) => {
    await new Promise((resolve) => setTimeout(resolve, 20));
    let text = '';
    for await (const chunk of req) text += chunk;
    res.end(text);
  });
  const client = await connect(port);
  client.socket.end('POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 5\r\n\r\nhello');
  assert.is((await client.response()).body.toString(), 'hello');
  client.destroy();
});

test('a request that did not come from the engine is answered too', async () => {
  const handler = nodeHandler(async (req, res) => {
    let text = '';
    for await (const chunk of req) text += chunk;
    res.setHeader('X-Url', req.url as string);
    res.end(`${req.method} ${req.headers['x-a']} ${text} ${req.socket.remoteAddress}`);
  });
  const init = { method: 'POST', body: 'body', headers: { 'X-A': 'b' } };
  for (const request of [
    new Request('http://a.test/p?q', init),
    new globalThis.Request('http://a.test/p?q', init),
  ]) {
    const response = await handler(request);
    assert.ok(response);
    assert.is(response.headers.get('x-url'), '/p?q');
    assert.is(await response.text(), 'POST b body undefined');
  }
});

test('what is ended at once is a response at once, whose body is no stream', async () => {
  const response = nodeHandler(hello)(new Request('http://a.test/'));
  assert.not(response instanceof Promise);
  assert.is(await (response as Response).text(), 'hello');
  const { headers } = await exchange(open(hello), get);
  assert.is(headers.get('content-length'), '5');
  assert.not(headers.has('content-type'));
});

test('req.url is the target as it came, whatever way it was routed by', async () => {
  const handler = nodeHandler((req, res) => {
    res.end(req.url);
  });
  const { port } = servers.open({ globals: false, routes: { '/~a/*': handler } } as ServeOptions);
  const target = '/x/..//%7Ea//b?d=//%7E';
  const { body } = await exchange(port, get.replace('/path', target));
  assert.is(body.toString(), target);
});

test('an encoding that is none is told where it is given', async () => {
  const port = open((_req, res) => {
    assert.throws(() => res.write('text', 'none' as BufferEncoding), /Unknown encoding: none/);
    res.end('text');
  });
  assert.is((await exchange(port, get)).body.toString(), 'text');
});

test('what is written in one turn goes with its length, what comes later in chunks', async () => {
  const together = open((_req, res) => {
    res.write('a');
    res.write('b');
    res.end('c');
  });
  assert.is((await exchange(together, get)).headers.get('content-length'), '3');
  const apart = open((_req, res) => {
    res.write('a');
    setImmediate(() => res.end('b'));
  });
  assert.is((await exchange(apart, get)).headers.get('transfer-encoding'), 'chunked');
});

test('shouldKeepAlive and Connection: close end the connection', async () => {
  for (const app of [
    (_req: IncomingMessage, res: ServerResponse) => {
      res.shouldKeepAlive = false;
      res.end('x');
    },
    (_req: IncomingMessage, res: ServerResponse) => {
      res.setHeader('Connection', 'close').end('x');
    },
  ]) {
    const client = await connect(open(app));
    await client.send(get);
    assert.is((await client.response()).headers.get('connection'), 'close');
    await client.closed();
  }
});

test('a program runs in the context of its request, and its events too', async () => {
  const storage = new AsyncLocalStorage<string>();
  const seen: unknown[] = [];
  const port = open((req, res) => {
    storage.enterWith(req.url as string);
    res.on('close', () => seen.push(storage.getStore()));
    res.write('part');
    setTimeout(() => res.end(), 10);
  });
  await Promise.all(['/1', '/2', '/3'].map((path) => exchange(port, get.replace('/path', path))));
  await until(() => seen.length === 3, 'all events');
  assert.equal(seen.sort(), ['/1', '/2', '/3']);
});

test('it runs beside the light globals', async () => {
  const { url } = servers.open({ fetch: nodeHandler(hello) });
  installGlobals();
  assert.is(await (await fetch(url)).text(), 'hello');
});

// Those that wait for seconds, beside each other, and log nothing.
const waiting = sideBySide('node handlers that wait', 5);
const kept: Server[] = [];
const lines: unknown[] = [];
const { error } = console;

function own(options: ServeOptions): Server {
  const server = serve({ port: 0, workers: 1, hostname: '127.0.0.1', ...options }) as Server;
  kept.push(server);
  return server;
}

waiting.before(() => {
  console.error = (...parts: unknown[]) => lines.push(parts.join(' '));
});
waiting.after(async () => {
  await Promise.all(kept.map((server) => server.stop(true)));
  console.error = error;
  assert.equal(lines, []);
});

waiting(
  'a connection is not kept for a program that does not answer a client that has left',
  async () => {
    const server = own({
      globals: false,
      fetch: nodeHandler((_req, res) => {
        res.on('close', () => {}); // cleans up, and that is all
      }),
    });
    const unread = 'POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 5\r\n\r\nhello';
    const leave = async (request: string): Promise<void> => {
      const client = await connect(server.port);
      await client.send(request);
      client.end();
      await client.closed(15_000);
    };
    await Promise.all([leave(get), leave(unread)]);
    await until(() => server.stats().connections === 0, 'the end of the connections');
  },
);

for (const leave of ['end', 'reset'] as const) {
  waiting(`a client that left before the program began is told of: ${leave}`, async () => {
    let asked = false;
    let goOn: () => void = () => {};
    const left = new Promise<void>((resolve) => {
      goOn = resolve;
    });
    const events: string[] = [];
    const handler = nodeHandler((req, res) => {
      req.on('close', () => events.push('req'));
      res.on('close', () => events.push('res'));
    });
    const server = own({
      globals: false,
      fetch: async (request) => {
        request.signal.addEventListener('abort', goOn);
        asked = true;
        await left;
        return handler(request);
      },
    });
    const client = await connect(server.port);
    await client.send(get);
    await until(() => asked, 'the request');
    client[leave]();
    await until(() => events.length === 2, 'both events');
    assert.equal(events.sort(), ['req', 'res']);
    if (leave === 'reset') return;
    await client.closed(15_000); // it is not kept
  });
}

waiting(
  'a client that left in the middle of a stream is told of when nothing is sent',
  async () => {
    const events: string[] = [];
    let writes = 0;
    const server = own({
      globals: false,
      fetch: nodeHandler((req, res) => {
        res.write('part');
        if (req.url === '/busy') {
          const timer = setInterval(() => {
            res.write('more');
            if (++writes < 12) return;
            clearInterval(timer);
            res.end();
          }, 500);
        } else {
          req.on('close', () => events.push('req'));
          res.on('close', () => events.push('res'));
        }
      }),
    });
    const open = async (path: string): Promise<RawClient> => {
      const client = await connect(server.port);
      await client.send(get.replace('/path', path));
      await client.readUntil((got) => got.includes('part'));
      return client;
    };
    const [idle, busy] = await Promise.all([open('/idle'), open('/busy')]);
    idle.destroy();
    busy.end(); // and it reads on
    assert.match((await busy.readToEnd(15_000)).toString(), /0\r\n\r\n$/);
    await until(() => events.length === 2, 'both events');
    await until(() => server.stats().connections === 0, 'the end of both connections');
  },
);

waiting('a program that writes what nobody takes is told', async () => {
  const events: string[] = [];
  const program = nodeHandler((req, res) => {
    res.flushHeaders();
    const timer = setInterval(() => res.write('part'), 100);
    res.on('close', () => {
      clearInterval(timer);
      events.push(`${req.method} ${res.writableFinished}`);
    });
  });
  const routes = {
    '/path': program,
    '/dropped': async (request: Request) => {
      await program(request);
      return new Response('other');
    },
  };
  const { port } = own({ globals: false, routes } as ServeOptions);
  await exchange(port, get.replace('GET', 'HEAD'), 'HEAD');
  const { body } = await exchange(port, get.replace('path', 'dropped'));
  assert.is(body.toString(), 'other');
  await until(() => events.length === 2, "'close' of both");
  assert.equal(events.sort(), ['GET false', 'HEAD false']);
});

test.run();
waiting.run();
