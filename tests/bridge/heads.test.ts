/** Heads that are unusual: response fields beyond the usual bounds, targets that are not canonical. */
import { Response, type ServeOptions } from 'gyrfalcon';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { serversOf } from '../support/servers.ts';
import { connect, exchange } from '../support/socket.ts';

const test = suite('heads');
const servers = serversOf(test);
const { open } = servers;
const get = (target: string, method = 'GET') => `${method} ${target} HTTP/1.1\r\nHost: a\r\n\r\n`;

type Body = ConstructorParameters<typeof Response>[0];

/** Link fields, as many as asked for, whose lines take `bytes` bytes. */
function links(bytes: number, count: number): [string, string][] {
  const fields: [string, string][] = [];
  let left = bytes;
  for (let i = 0; i < count; i++) {
    const line = i === count - 1 ? left : Math.floor(bytes / count);
    fields.push(['link', 'x'.repeat(line - 'link: \r\n'.length)]);
    left -= line;
  }
  return fields;
}

const max = 49_152;
const large: ServeOptions = { maxResponseHeaderBytes: max };

test('more than 128 fields are sent, where they fit', async () => {
  const server = open({ fetch: () => new Response(null, { headers: links(16_384, 500) }) });
  const { status, head } = await exchange(server.port, get('/'));
  assert.is(status, 200);
  assert.is(head.match(/^link: x+\r$/gim)?.length, 500);
});

test('1024 fields are sent and no more, a type that has a number among them', async () => {
  const server = open({
    fetch(request) {
      const { searchParams } = new URL(request.url);
      const count = Number(searchParams.get('count'));
      const headers = links(count * 10, count);
      if (searchParams.has('type')) headers.unshift(['content-type', 'text/plain']);
      return new Response(null, { headers });
    },
  });
  for (const [target, expected] of [
    ['/?count=1024', 1024],
    ['/?count=1023&type', 1024],
    ['/?count=1025', 0],
    ['/?count=1024&type', 0],
  ] as const) {
    const { status, head } = await exchange(server.port, get(target));
    assert.is(status, expected === 0 ? 500 : 200, target);
    if (expected > 0) assert.is(head.match(/^(link: xx|content-type: .*)\r$/gim)?.length, expected);
  }
  assert.match(servers.log, /GYR_RESPONSE_HEAD_TOO_LARGE/);
});

test('maxResponseHeaderBytes is kept to the byte, with every kind of body', async () => {
  const text = 'body '.repeat(20_000);
  const bodies: Record<string, () => Body> = {
    '/none': () => null,
    '/small': () => 'small',
    '/text': () => text,
    '/bytes': () => new TextEncoder().encode(text),
    '/stream': () => new Blob([text]).stream() as Body,
  };
  const server = open({
    ...large,
    fetch(request) {
      const { pathname, searchParams } = new URL(request.url);
      const body = bodies[pathname]?.() ?? null;
      const bytes = max + Number(searchParams.get('over'));
      // The type that a text brings is a line of its own.
      const headers = [
        ...links(bytes - 'content-type: a/b\r\n'.length, 40),
        ['content-type', 'a/b'],
      ];
      return new Response(body, { headers: headers as [string, string][] });
    },
  });
  for (const path of Object.keys(bodies)) {
    const { status, head, body } = await exchange(server.port, get(path));
    assert.is(status, 200, path);
    assert.is(head.match(/^link: x+\r$/gim)?.length, 40);
    const expected = path === '/none' ? '' : path === '/small' ? 'small' : text;
    assert.is(body.toString(), expected);
    assert.is((await exchange(server.port, get(path, 'HEAD'), 'HEAD')).status, 200);
    servers.log = '';
    assert.is((await exchange(server.port, get(`${path}?over=1`))).status, 500);
    assert.match(servers.log, /at most 1024 fields and 49152 bytes: maxResponseHeaderBytes/);
  }
});

test('large heads wait for earlier responses, and for a client that is slower than they are', async () => {
  let release: () => void = () => {};
  const first = new Promise<void>((resolve) => {
    release = resolve;
  });
  const server = open({
    ...large,
    async fetch(request) {
      if (request.url.endsWith('/first')) await first;
      else release();
      return new Response(request.url.slice(-6), { headers: links(max - 100, 3) });
    },
  });
  const client = await connect(server.port);
  const paths = ['/first', ...Array.from({ length: 40 }, (_, i) => `/later${i % 10}`)];
  await client.send(paths.map((path) => get(path)).join(''));
  for (const path of paths) {
    const { status, body } = await client.response();
    assert.equal([status, body.toString()], [200, `/${path}`.slice(-6)]);
  }
  client.destroy();
});

test('server.rawTarget() has the target as it came, request.url the canonical path', async () => {
  const targets: [string, string][] = [
    ['/a/b?c', '/a/b?c'],
    ['//a//%62/./c/../d%40?x=//%41', '/a/b/d@?x=//%41'],
    ['/%c3%a4', '/%C3%A4'],
    ['http://h:1//p?q', '/p?q'],
  ];
  for (const paths of [undefined, 'raw'] as const) {
    const server = open({
      ...(paths === undefined ? {} : { paths }),
      async fetch(request, server) {
        const { pathname, search } = new URL(request.url);
        return Response.json([server.rawTarget(request), pathname + search, await request.text()]);
      },
    });
    for (const [raw, canonical] of targets) {
      for (const length of [0, 5, 16_384, 100_000]) {
        const content = 'b'.repeat(length);
        const fields = `Host: a\r\nContent-Length: ${length}\r\n`;
        const message = `POST ${raw} HTTP/1.1\r\n${fields}\r\n${content}`;
        const { body } = await exchange(server.port, message);
        // Dot segments are the URL's own to resolve.
        const { pathname, search } = new URL(raw.startsWith('http') ? raw : `http://a${raw}`);
        const url = paths === 'raw' ? pathname + search : canonical;
        assert.equal(JSON.parse(body.toString()), [raw, url, content]);
      }
    }
  }
});

test('with raw paths, routes and their parameters are of the canonical path', async () => {
  const server = open({
    paths: 'raw',
    routes: {
      '/files/:name': (request) => Response.json([request.params.name, request.url]),
      '/proxy/*': (request) => Response.json([request.params['*'], request.url]),
    },
  });
  const { body } = await exchange(server.port, get('//files/%61%40b'));
  assert.equal(JSON.parse(body.toString()), ['a@b', 'http://a//files/%61%40b']);
  const wild = await exchange(server.port, get('/proxy//x/%7e'));
  assert.equal(JSON.parse(wild.body.toString()), ['x/~', 'http://a/proxy//x/%7e']);
});

test('reload() changes what request.url has', async () => {
  const fetch = (request: { url: string }) => new Response(request.url);
  const server = open({ fetch });
  const text = async () => (await exchange(server.port, get('//%61'))).body.toString();
  assert.is(await text(), 'http://a/a');
  await server.reload({ fetch, paths: 'raw' });
  assert.is(await text(), 'http://a//%61');
});

test('a target of more than 16 KiB is taken where it came canonical, else refused with 414', async () => {
  const options = { maxUrlBytes: 40_000, maxHeaderBytes: 65_535 };
  const server = open({ ...options, fetch: (request) => new Response(`${request.url.length}`) });
  const long = 'x'.repeat(30_000);
  assert.is((await exchange(server.port, get(`/${long}`))).body.toString(), '30009');
  const { status, body } = await exchange(server.port, get(`//${long}`));
  assert.is(status, 414);
  assert.match(body.toString(), 'uri_too_long');
});

test.run();
