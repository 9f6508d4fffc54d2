import { Headers, type Request, Response, type Server, serve } from 'gyrfalcon';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { connect, exchange } from '../support/socket.ts';

// Names that mean something to JavaScript, and names chosen to collide in a hash table.
const test = suite('names');
const hostile = [
  '__proto__',
  'constructor',
  'prototype',
  'toString',
  'valueOf',
  'hasOwnProperty',
  '__defineGetter__',
  '__lookupSetter__',
];
const running: Server[] = [];

test.after.each(async () => {
  await Promise.all(running.splice(0).map((server) => server.stop()));
  assert.equal(Object.keys(Object.prototype), []);
  assert.is(Reflect.get({}, 'y'), undefined);
});

function open(options: Parameters<typeof serve>[0]): Server {
  const server = serve({ port: 0, hostname: '127.0.0.1', workers: 1, ...options }) as Server;
  running.push(server);
  return server;
}

async function jsonOf(server: Server, request: string): Promise<unknown> {
  const { status, body } = await exchange(server.port, request);
  assert.is(status, 200, body.toString());
  return JSON.parse(body.toString());
}

const get = (path: string, ...fields: string[]): string =>
  `GET ${path} HTTP/1.1\r\nHost: a\r\n${fields.map((line) => `${line}\r\n`).join('')}\r\n`;

test('parameters by such names are parameters, and nothing else', async () => {
  for (const name of hostile) {
    const server = open({
      routes: {
        [`/:${name}/*`]: (request: Request) => {
          const params = request.params as Record<string, string>;
          return Response.json([
            params[name],
            Object.entries(params),
            Object.getPrototypeOf(params),
            hostile.filter((other) => other !== name && params[other] !== undefined),
          ]);
        },
      },
    });
    const seen = await jsonOf(server, get('/y/rest'));
    assert.equal(
      seen,
      [
        'y',
        [
          [name, 'y'],
          ['*', 'rest'],
        ],
        null,
        [],
      ],
      name,
    );
  }
});

test('fields by such names are fields, and nothing where they are absent', async () => {
  const server = open({
    fetch: (request) =>
      Response.json({
        got: hostile.map((name) => request.headers.get(name)),
        has: hostile.map((name) => request.headers.has(name)),
        pairs: [...request.headers].filter(([name]) => name !== 'host'),
        copied: hostile.map((name) => new Headers(request.headers).get(name)),
        object: Object.entries(Object.fromEntries(request.headers)).length,
      }),
  });
  const none = hostile.map(() => null);
  assert.equal(await jsonOf(server, get('/')), {
    got: none,
    has: hostile.map(() => false),
    pairs: [],
    copied: none,
    object: 1,
  });
  const all = hostile.map((_, index) => `y${index}`);
  const seen = await jsonOf(
    server,
    get('/', ...hostile.map((name, index) => `${name}: y${index}`)),
  );
  const pairs = hostile.map((name, index) => [name.toLowerCase(), `y${index}`]);
  assert.equal(seen, {
    got: all,
    has: hostile.map(() => true),
    pairs: pairs.sort(([a = ''], [b = '']) => (a < b ? -1 : 1)),
    copied: all,
    object: 1 + hostile.length,
  });
});

test('fields of a response by such names are sent', async () => {
  const server = open({
    routes: {
      '/record': () =>
        new Response('', { headers: JSON.parse('{"__proto__":"y","constructor":"y"}') }),
      '/set': () => {
        const response = new Response('');
        for (const name of hostile) response.headers.set(name, 'y');
        return response;
      },
    },
  });
  const record = await exchange(server.port, get('/record'));
  assert.is(record.headers.get('__proto__'), 'y');
  assert.is(record.headers.get('constructor'), 'y');
  const set = await exchange(server.port, get('/set'));
  for (const name of hostile) assert.is(set.headers.get(name.toLowerCase()), 'y', name);
});

test('names in a query, in cookies, in a form and in trailers are values, and nothing else', async () => {
  const server = open({
    async fetch(request, own) {
      const query = [...new URL(request.url).searchParams];
      const cookie = request.headers.get('cookie');
      const form = request.method === 'POST' ? [...(await request.formData())] : [];
      return Response.json([query, cookie, form, [...(await own.requestTrailers(request))]]);
    },
  });
  const text = hostile.map((name) => `${name}=y`).join('&');
  const cookie = hostile.map((name) => `${name}=y`).join('; ');
  const pairs = hostile.map((name) => [name, 'y']);
  assert.equal(await jsonOf(server, get(`/?${text}`, `Cookie: ${cookie}`)), [
    pairs,
    cookie,
    [],
    [],
  ]);
  const message =
    `POST /?${text} HTTP/1.1\r\nHost: a\r\nContent-Type: application/x-www-form-urlencoded\r\n` +
    `Transfer-Encoding: chunked\r\n\r\n${text.length.toString(16)}\r\n${text}\r\n0\r\n` +
    '__proto__: y\r\nconstructor: y\r\n\r\n';
  const trailers = [
    ['__proto__', 'y'],
    ['constructor', 'y'],
  ];
  assert.equal(await jsonOf(server, message), [pairs, null, pairs, trailers]);
});

test('methods by such names are methods that nobody has', async () => {
  const table = open({ routes: { '/': { GET: () => new Response('got') } } });
  const every = open({ fetch: (request) => new Response(request.method) });
  for (const name of hostile) {
    const request = get('/').replace('GET', name);
    assert.is((await exchange(table.port, request)).status, 405, name);
    assert.is((await exchange(every.port, request)).body.toString(), name);
  }
});

/** `count` names of equal length that collide where a hash multiplies by 31 or by 33. */
function colliding(count: number, blocks: readonly [string, string]): string[] {
  return Array.from({ length: count }, (_, index) =>
    Array.from({ length: 7 }, (_, bit) => blocks[(index >> bit) & 1 ? 1 : 0]).join(''),
  );
}
const ordinary = (count: number): string[] =>
  Array.from({ length: count }, (_, index) => `x-field-${String(index * 7919).padStart(6, '0')}`);

/** The least time of some runs of the same, ns: what a busy machine adds is not counted. */
async function leastOf(server: Server, names: readonly string[]): Promise<number> {
  let least = Number.POSITIVE_INFINITY;
  const client = await connect(server.port);
  for (let run = 0; run < 15; run += 1) {
    await client.send(get('/', ...names.map((name) => `${name}: y`)));
    least = Math.min(least, Number((await client.response()).body.toString()));
  }
  client.destroy();
  return least;
}

/** Looks all fields up, and one that is absent, some times over; answers with the time that took, ns. */
function lookingUp(names: readonly string[]): Server {
  return open({
    fetch(request) {
      const begun = process.hrtime.bigint();
      for (let round = 0; round < 5; round += 1) {
        for (const name of names) if (request.headers.get(name) !== 'y') return new Response('NaN');
        request.headers.get(`${names[0]}-absent`);
      }
      const seen = Object.fromEntries(request.headers);
      if (seen[names[0] ?? ''] !== 'y') return new Response('NaN');
      return new Response(String(process.hrtime.bigint() - begun));
    },
  });
}

test('names that collide in a hash cost no more than others', async () => {
  const count = 96;
  const usual = ordinary(count);
  const baseline = await leastOf(lookingUp(usual), usual);
  for (const blocks of [
    ['a~', 'b_'],
    ['az', 'c8'],
  ] as const) {
    const names = colliding(count, blocks);
    assert.is(new Set(names).size, count);
    const taken = await leastOf(lookingUp(names), names);
    assert.ok(taken < 4 * baseline, `${names[1]} …: ${taken} ns, others ${baseline} ns`);
  }
});

test('the time of a look-up grows with the number of fields, not faster', async () => {
  const few = ordinary(24);
  const many = ordinary(96);
  const wanted = few.slice(0, 8);
  const baseline = await leastOf(lookingUp(wanted), few);
  const taken = await leastOf(lookingUp(wanted), many);
  assert.ok(taken < 4 * 3 * baseline, `96 fields: ${taken} ns, 24 fields: ${baseline} ns`);
});

test('names in all cases are one name', async () => {
  const server = open({ fetch: (request) => new Response(request.headers.get('x-name')) });
  const spellings = Array.from({ length: 16 }, (_, bits) =>
    [...'name'].map((c, bit) => ((bits >> bit) & 1 ? c.toUpperCase() : c)).join(''),
  );
  const lines = spellings.map((name, index) => `X-${name}: ${index}`);
  const { body } = await exchange(server.port, get('/', ...lines));
  assert.is(body.toString(), spellings.map((_, index) => index).join(', '));
});

test.run();
