/** Light objects handed to fetch, and responses made of what fetch gives. */
import { createServer, type IncomingMessage, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { text } from 'node:stream/consumers';
import { brotliCompressSync, gzipSync } from 'node:zlib';
import { FormData as OtherFormData } from 'undici';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import type { BodyInit } from './body.ts';
import { installGlobals } from './globals.ts';
import { PlatformResponse } from './originals.ts';
import { Request } from './request.ts';
import { Response } from './response.ts';
import { responseParts } from './response_parts.ts';

const test = suite('outgoing');
let upstream: Server;
let origin = '';
let uninstall = () => {};

/** Redirects once, then tells what it was sent; compresses where it is asked to by path. */
async function answer(request: IncomingMessage): Promise<[number, object, string | Buffer]> {
  const { url, method, headers } = request;
  const body = await text(request);
  if (url === '/moved') return [307, { location: '/here' }, ''];
  if (url === '/gzip') return [200, { 'content-encoding': 'gzip' }, gzipSync('plain text')];
  if (url === '/br') return [200, { 'content-encoding': 'br' }, brotliCompressSync('plain text')];
  return [200, {}, JSON.stringify({ url, method, headers, body })];
}

test.before(async () => {
  upstream = createServer((request, response) => {
    answer(request).then(([status, head, body]) => {
      const length = Buffer.byteLength(body);
      response.writeHead(status, { ...head, 'content-length': length, etag: '"a"' }).end(body);
    });
  });
  await new Promise<void>((resolve) => upstream.listen(0, '127.0.0.1', resolve));
  origin = `http://127.0.0.1:${(upstream.address() as AddressInfo).port}`;
  uninstall = installGlobals();
});

test.after(() => {
  uninstall();
  upstream.closeAllConnections();
  upstream.close();
});

interface Seen {
  url: string;
  headers: Record<string, string>;
  body: string;
}

function formWithFile(): FormData {
  const form = new FormData();
  form.append('file', new File(['content'], 'a.txt', { type: 'text/x' }));
  form.append('field', 'value');
  return form;
}

/** As other libraries have them, with files that are no Blobs of the platform. */
function foreignForm(): unknown {
  const file = {
    [Symbol.toStringTag]: 'File',
    name: 'a.txt',
    type: 'text/x',
    size: 7,
    arrayBuffer: async () => new TextEncoder().encode('content').buffer,
  };
  return {
    [Symbol.toStringTag]: 'FormData',
    entries: () => [],
    *[Symbol.iterator]() {
      yield ['file', file];
      yield ['field', 'value'];
    },
  };
}

function undiciForm(): unknown {
  const form = new OtherFormData();
  for (const [name, value] of formWithFile()) form.append(name, value as string);
  return form;
}

const form =
  /name="file"; filename="a.txt"\r\nContent-Type: text\/x\r\n\r\ncontent\r\n[\s\S]*value\r\n/;
const bodies: [string, () => unknown, RegExp, RegExp | undefined][] = [
  ['text', () => 'text', /^text$/, /^text\/plain;charset=UTF-8$/],
  ['bytes', () => Buffer.from('text'), /^text$/, undefined],
  ['a Blob', () => new Blob(['te', 'xt'], { type: 'a/b' }), /^text$/, /^a\/b$/],
  ['a Blob without type', () => new Blob(['text']), /^text$/, undefined],
  ['a form with a file', formWithFile, form, /^multipart\/form-data; boundary=/],
  ['a form of npm undici', undiciForm, form, /^multipart\/form-data; boundary=/],
];

for (const [name, make, content, type] of bodies) {
  const check = (seen: Seen) => {
    assert.match(seen.body, content);
    assert.is(seen.headers['content-length'], String(seen.body.length));
    assert.is(seen.headers['transfer-encoding'], undefined);
    if (type === undefined) assert.is(seen.headers['content-type'], undefined);
    else assert.match(seen.headers['content-type'] as string, type);
  };
  const request = (path: string) =>
    new Request(`${origin}${path}`, { method: 'POST', body: make() as BodyInit });

  test(`a request of ${name} goes out with its length`, async () => {
    check((await (await fetch(request('/'))).json()) as Seen);
  });

  test(`a request of ${name} is sent anew behind a redirect that keeps the method`, async () => {
    for (const given of [
      request('/moved'),
      new Request(request('/moved')),
      request('/moved').clone(),
    ]) {
      const seen = (await (await fetch(given)).json()) as Seen;
      assert.is(seen.url, '/here');
      check(seen);
    }
  });
}

test('files of another library are sent, and need no duplex', async () => {
  const request = new Request(origin, { method: 'POST', body: foreignForm() as FormData });
  const seen = (await (await fetch(request)).json()) as Seen;
  assert.match(seen.body, form);
  assert.is(await new Response(foreignForm() as FormData).text().then((t) => form.test(t)), true);
});

test('fetch itself takes forms of other libraries', async () => {
  for (const body of [undiciForm(), foreignForm()]) {
    const seen = await (await fetch(origin, { method: 'POST', body: body as FormData })).json();
    assert.match((seen as Seen).body, form);
    assert.match((seen as Seen).headers['content-type'] as string, 'multipart/form-data');
  }
});

test('parameters and Blobs of another realm are what they are, not "[object Blob]"', async () => {
  const params = {
    [Symbol.toStringTag]: 'URLSearchParams',
    append: () => {},
    toString: () => 'a=1',
  };
  const response = new Response(params as unknown as URLSearchParams);
  assert.is(
    response.headers.get('content-type'),
    'application/x-www-form-urlencoded;charset=UTF-8',
  );
  assert.is(await response.text(), 'a=1');
  const blob = {
    [Symbol.toStringTag]: 'Blob',
    type: 'a/b',
    arrayBuffer: async () => new ArrayBuffer(3),
  };
  const untyped = { ...blob, type: '' } as unknown as Blob;
  const request = new Request(origin, { method: 'POST', body: untyped }); // no duplex
  assert.is((await request.bytes()).length, 3);
  const other = new Response(blob as unknown as Blob);
  assert.is(other.headers.get('content-type'), 'a/b');
  assert.is((await other.bytes()).length, 3);
});

test('a body that was deprived of its content-type does not get another', async () => {
  for (const body of ['text', new Blob(['text'], { type: 'a/b' })]) {
    const request = new Request(origin, { method: 'POST', body });
    request.headers.delete('content-type');
    const seen = (await (await fetch(request)).json()) as Seen;
    assert.is(seen.headers['content-type'], undefined);
  }
});

type Make = (fetched: globalThis.Response) => unknown;
const remade: [string, Make][] = [
  ['itself', (r) => r],
  ['its body and itself', (r) => new Response(r.body, r)],
  ['its body and its fields', (r) => new Response(r.body, { headers: r.headers })],
  ['its body and a copy of its fields', (r) => new Response(r.body, { headers: [...r.headers] })],
  ['a clone', (r) => r.clone()],
  ['a clone of a light one', (r) => new Response(r.body, r).clone()],
  ["the platform's class", (r) => new PlatformResponse(r.body, r)],
  ['its text and itself', async (r) => new Response(await r.text(), r)],
  ['its text and its fields', async (r) => new Response(await r.text(), { headers: r.headers })],
  ['its bytes and itself', async (r) => new Response(await r.arrayBuffer(), r)],
];

for (const coding of ['gzip', 'br']) {
  for (const [name, make] of remade) {
    test(`a response of what fetch decoded claims no ${coding} and no length of it: ${name}`, async () => {
      const parts = responseParts((await make(await fetch(`${origin}/${coding}`))) as Response);
      assert.not(parts.fields.includes('content-encoding'));
      assert.ok(parts.fields.includes('etag'));
      assert.ok(parts.length === null || parts.length === 10, `length ${parts.length}`);
      assert.is(await new Response(parts.body).text(), 'plain text');
    });
  }
}

test('text whose stream somebody has looked at claims no coding either', () => {
  const response = new Response('text', { headers: { 'content-encoding': 'gzip' } });
  assert.ok(response.body);
  assert.equal(responseParts(response).fields, ['content-type', 'text/plain;charset=UTF-8']);
});

test('what is compressed, and says so, keeps its field', async () => {
  const zipped = gzipSync('plain text');
  const fetched = await fetch(`${origin}/gzip`);
  const stream = () => new Blob(['x']).stream().pipeThrough(new CompressionStream('gzip'));
  const headers = { 'content-encoding': 'gzip' };
  for (const response of [
    new Response(zipped, { headers }),
    new Response(zipped, fetched),
    new Response(stream(), { headers }),
    new Response(stream(), fetched),
    new Response(brotliCompressSync('x'), { headers: { 'content-encoding': 'br' } }),
    new Response('', { headers }),
    new Response(null, fetched),
    new Response('x', { headers: { 'content-encoding': 'identity' } }),
  ]) {
    assert.ok(responseParts(response).fields.includes('content-encoding'));
  }
});

test('a response of fetch whose body was not coded keeps its fields', async () => {
  const fetched = await fetch(origin);
  const parts = responseParts(new Response(fetched.body, fetched));
  assert.is(parts.length, (await new Response(parts.body).text()).length);
});

test.run();
