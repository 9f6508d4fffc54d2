import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { dir, Headers, type Request, Response, type Server, serve } from 'gyrfalcon';
import { Response as UndiciResponse } from 'undici';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { takeErrors } from '../support/console.ts';
import { type RunningServer, stopAll } from '../support/process.ts';
import { connect } from '../support/socket.ts';
import { startEngine, stopEngine } from '../support/target.ts';

// CR, LF and NUL never reach the head of a response, whoever puts them where (RFC 9112 §11.1).
const test = suite('response heads');

/** What splits a head, and what becomes CR and LF when only the low bytes of characters are sent. */
const values = [
  'a\r\nX-Injected: y',
  'a\nX-Injected: y',
  'a\rX-Injected: y',
  'a\r\n\r\nHTTP/1.1 200 OK\r\nX-Injected: y\r\n\r\n',
  'a\r\n X-Injected: y',
  'a\0X-Injected: y',
  'a\u010d\u010aX-Injected: y',
  'a\u560d\u560aX-Injected: y',
  'a\x0bX-Injected: y',
  'a\x7fX-Injected: y',
];
const names = [
  'X\r\nX-Injected: y\r\nZ',
  'X\nX-Injected',
  'X\rX-Injected',
  'X: y\r\nX-Injected',
  'X\0X-Injected',
  'X\u010d\u010aX-Injected',
  'X X-Injected',
  'X:',
  '',
];
const pairs: readonly (readonly [name: string, value: string])[] = [
  ...values.map((value) => ['X-Value', value] as const),
  ...names.map((name) => [name, 'y'] as const),
];

/** A head as RFC 9112 §4 and §5 have it: no byte that is not allowed, no line that is no field. */
const wellFormed =
  /^HTTP\/1\.1 \d{3} [\t\x20-\x7e\x80-\xff]*\r\n(?:[!#$%&'*+\-.^_`|~0-9A-Za-z]+:[\t\x20-\x7e\x80-\xff]*\r\n)*\r\n$/;

function expectClean(head: string, note: string): void {
  assert.match(head, wellFormed, note);
  assert.not.match(head, /^x-injected/im, note);
}

/** What `Response` is foreign to Gyrfalcon and has fields that nobody has checked. */
function foreign(name: string, value: string, statusText = ''): globalThis.Response {
  return {
    [Symbol.toStringTag]: 'Response',
    status: 200,
    statusText,
    bodyUsed: false,
    body: null,
    url: '',
    headers: new Map([[name, value]]),
  } as unknown as globalThis.Response;
}

type Make = (name: string, value: string) => globalThis.Response | Response;

/** Every way in which a handler can give a field. */
const ways: Readonly<Record<string, Make>> = {
  'a record': (name, value) => new Response('', { headers: { [name]: value } }),
  pairs: (name, value) => new Response('', { headers: [[name, value]] }),
  'an iterable': (name, value) => new Response('', { headers: new Map([[name, value]]) }),
  Headers: (name, value) => new Response('', { headers: new Headers({ [name]: value }) }),
  'Headers.set': (name, value) => {
    const response = new Response('');
    response.headers.set(name, value);
    return response;
  },
  'Headers.append': (name, value) => {
    const response = new Response('');
    response.headers.append(name, value);
    return response;
  },
  'Response.json': (name, value) => Response.json({}, { headers: { [name]: value } }),
  'Response.redirect': (_, value) => Response.redirect(`http://a/${value}`),
  statusText: (_, value) => new Response('', { statusText: value }),
  'a content type': (_, value) => new Response(new Blob(['x'], { type: value })),
  'the Response of undici': (name, value) =>
    new UndiciResponse('', { headers: { [name]: value } }) as unknown as globalThis.Response,
  'the Response of nobody': foreign,
  'the statusText of nobody': (_, value) => foreign('x', 'y', value),
};

/** A server whose handler makes its response in one way. */
function serving(make: (request: Request, server: Server) => globalThis.Response | Response) {
  return serve({
    port: 0,
    hostname: '127.0.0.1',
    workers: 1,
    fetch: make,
    error: () => new Response('refused', { status: 500 }),
  }) as Server;
}

/** Two requests on one connection: the heads of all responses, interim ones included. */
async function headsOf(port: number, path = '/', method = 'GET'): Promise<string[]> {
  const client = await connect(port);
  const request = `${method} ${path} HTTP/1.1\r\nHost: a\r\n`;
  await client.send(`${request}\r\n${request}Connection: close\r\n\r\n`);
  const received = (await client.readToEnd()).toString('latin1');
  client.destroy();
  return received.split(/(?=HTTP\/1\.1 )/).map((text) => {
    return text.slice(0, text.indexOf('\r\n\r\n') + 4);
  });
}

/** One response, or what came of it: its heads, and the rest, trailers included. */
async function partsOf(port: number): Promise<{ heads: string[]; rest: string }> {
  const client = await connect(port);
  await client.send('GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n');
  const received = (await client.readToEnd()).toString('latin1');
  client.destroy();
  const heads = received.match(/^HTTP\/1\.1 .*?\r\n\r\n/gms) ?? [];
  return { heads, rest: received.slice(heads.join('').length) };
}

let giveBack = (): void => {};
test.before(() => {
  giveBack = takeErrors(() => {});
});
test.after(async () => {
  giveBack();
  await stopAll();
});

for (const [way, make] of Object.entries(ways)) {
  test(`TypeScript: ${way} takes no CR, LF or NUL into a head`, async () => {
    let pair = pairs[0] as (typeof pairs)[number];
    const server = serving(() => make(...pair));
    try {
      for (pair of pairs) {
        const heads = await headsOf(server.port);
        assert.is(heads.length, 2, JSON.stringify(pair));
        for (const head of heads) expectClean(head, JSON.stringify([pair, head]));
      }
    } finally {
      await server.stop();
    }
  });
}

/** A call that adds fields beside the response, and is refused or harmless. */
const calls: Readonly<
  Record<string, (server: Server, request: Request, fields: [string, string][]) => unknown>
> = {
  earlyHints: (server, request, fields) => server.earlyHints(request, fields),
  responseTrailers: (server, request, fields) => server.responseTrailers(request, fields),
  'responseTrailers, by a function': (server, request, fields) =>
    server.responseTrailers(request, () => fields),
};

for (const [name, call] of Object.entries(calls)) {
  test(`TypeScript: server.${name} takes no CR, LF or NUL into a field`, async () => {
    let pair = pairs[0] as (typeof pairs)[number];
    const server = serving((request, own) => {
      call(own, request, [[...pair]]);
      return new Response('body');
    });
    try {
      for (pair of pairs) {
        const { heads, rest } = await partsOf(server.port);
        const note = JSON.stringify([pair, heads, rest]);
        for (const head of heads) expectClean(head, note);
        assert.not.match(rest, /x-injected/i, note);
      }
    } finally {
      await server.stop();
    }
  });
}

/** Starts a server, and stops it again; throws what `serve` throws. */
async function startWith(options: Parameters<typeof serve>[0]): Promise<void> {
  const server = serve({ port: 0, hostname: '127.0.0.1', ...options }) as Server;
  await server.stop();
}

async function expectRefused(action: () => Promise<unknown>, note: string): Promise<void> {
  const error = await action().then(
    () => undefined,
    (reason) => reason,
  );
  assert.instance(error, Error, `${note}: taken`);
}

test('TypeScript: a constant response with CR, LF or NUL is refused when the server starts', async () => {
  const makers: readonly Make[] = [
    (name, value) => new Response('', { headers: { [name]: value } }),
    (name, value) =>
      new UndiciResponse('', { headers: { [name]: value } }) as unknown as globalThis.Response,
    foreign,
  ];
  for (const make of makers) {
    for (const [name, value] of pairs) {
      const start = async () => startWith({ routes: { '/': make(name, value) } });
      await expectRefused(start, JSON.stringify([name, value]));
    }
  }
});

test('TypeScript: a serverName with CR, LF or NUL is refused when the server starts', async () => {
  for (const serverName of values) {
    // Others are sent as UTF-8.
    if (/[\u0100-\uffff]/.test(serverName)) continue;
    const start = async () => startWith({ serverName, fetch: () => new Response() });
    await expectRefused(start, JSON.stringify(serverName));
  }
});

test('TypeScript: a constant that reload() is given is refused as at the start', async () => {
  const server = serve({ port: 0, hostname: '127.0.0.1', fetch: () => new Response() }) as Server;
  try {
    for (const value of values) {
      const reload = async () => {
        const constant = new Response('', { headers: { 'x-value': value } });
        await server.reload({ routes: { '/': constant } });
      };
      await expectRefused(reload, JSON.stringify(value));
    }
  } finally {
    await server.stop();
  }
});

/** Paths of a folder, and what might get into the Location that names it with its slash. */
const folders = [
  '/folder',
  '/folder?x=%0d%0aX-Injected:%20y',
  '/folder?%00',
  '/folder%0d%0aX-Injected:%20y',
  '/%0d%0aX-Injected:%20y/../folder',
  '/%0aX-Injected:y/..%2ffolder',
  '/folder%00',
  '//folder',
  '//hidden.example/../folder',
  '/\\hidden.example/../folder',
  '/%5chidden.example/../folder',
  '///hidden.example/%2e%2e/folder',
];

test('a redirection to a folder stays on its host and takes nothing into the head', async () => {
  const root = mkdtempSync(join(tmpdir(), 'gyrfalcon-heads-'));
  mkdirSync(join(root, 'folder'));
  const server = serve({ port: 0, hostname: '127.0.0.1', routes: { '/*': dir(root) } }) as Server;
  const engine = await startEngine({ workers: 1, files: root });
  try {
    for (const [port, prefix] of [
      [server.port, ''],
      [engine.port, '/files'],
    ] as const) {
      for (const path of folders) {
        for (const head of await headsOf(port, prefix + path)) {
          expectClean(head, JSON.stringify([path, head]));
          const location = /^location: (.*)\r$/im.exec(head)?.[1];
          if (location === undefined) assert.match(head, /^HTTP\/1\.1 40[04] /, path);
          else assert.match(location, /^\/(?:files\/)?folder\/(?:\?.*)?$/, path);
        }
      }
    }
  } finally {
    await server.stop();
    await stopEngine(engine);
    rmSync(root, { recursive: true });
  }
});

test('Zig: header() takes no CR, LF or NUL, nor what is no token into a name', async () => {
  const engine: RunningServer = await startEngine({ workers: 1 });
  for (const [name, value] of pairs) {
    // What stands for more than a byte is harmless in a value, as UTF-8; never in a name.
    if (/[\u0100-\uffff]/.test(value)) continue;
    const query = `${encodeURIComponent(name)}=${encodeURIComponent(value)}`;
    const client = await connect(engine.port);
    await client.send(`GET /header?${query} HTTP/1.1\r\nHost: a\r\n\r\n`);
    const { head, body } = await client.response();
    client.destroy();
    expectClean(head, JSON.stringify([name, value, head]));
    assert.is(body.toString(), 'InvalidField', JSON.stringify([name, value]));
  }
  await stopEngine(engine);
});

test.run();
