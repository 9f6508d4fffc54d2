import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { inspect } from 'node:util';
import * as zlib from 'node:zlib';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { logged } from '../../../tests/support/console.ts';
import { GyrfalconError } from '../core/errors.ts';
import { Headers } from './headers.ts';
import { PlatformResponse } from './originals.ts';
import { Response } from './response.ts';
import { responseParts } from './response_parts.ts';

const text = (body: unknown): string => Buffer.from(body as Uint8Array).toString();

async function drain(body: unknown): Promise<string> {
  const chunks: Uint8Array[] = [];
  for await (const chunk of body as ReadableStream<Uint8Array>) chunks.push(chunk);
  return Buffer.concat(chunks).toString();
}

const isInvalid = (error: unknown): boolean =>
  error instanceof GyrfalconError && error.code === 'GYR_RESPONSE_INVALID';

test('text is handed over as it is', () => {
  assert.equal(responseParts(new Response('héllo', { status: 201, statusText: 'Made' })), {
    status: 201,
    statusText: 'Made',
    fields: ['content-type', 'text/plain;charset=UTF-8'],
    body: 'héllo',
    length: null,
    mayBeWhole: false,
  });
});

test('no platform object is made for text, JSON and bytes', () => {
  const names = ['ReadableStream', 'Blob', 'URL', 'AbortController', 'TextEncoder'] as const;
  const before = names.map((name) => Object.getOwnPropertyDescriptor(globalThis, name));
  for (const name of names) {
    const made = class {
      constructor() {
        throw new Error(`a ${name} was made`);
      }
    };
    Object.defineProperty(globalThis, name, { configurable: true, value: made });
  }
  try {
    responseParts(new Response('x', { headers: { a: '1' } }));
    responseParts(Response.json([1]));
    responseParts(new Response(Buffer.from('x'), { headers: new Headers({ a: '1' }) }).clone());
    assert.throws(() => new Response('x').body, /a ReadableStream was made/);
  } finally {
    for (const [i, name] of names.entries()) {
      Object.defineProperty(globalThis, name, before[i] as PropertyDescriptor);
    }
  }
});

test('JSON is handed over as text', () => {
  const parts = responseParts(Response.json({ a: 1 }, { headers: { 'X-Y': 'z' } }));
  assert.equal(parts.fields, ['x-y', 'z', 'content-type', 'application/json']);
  assert.is(parts.body, '{"a":1}');
});

test('bytes are handed over as bytes', () => {
  const parts = responseParts(new Response(new Uint8Array([104, 105])));
  assert.instance(parts.body, Uint8Array);
  assert.is(text(parts.body), 'hi');
  assert.equal(parts.fields, []);
});

test('no body', () => {
  assert.is(responseParts(new Response(null, { status: 204 })).body, null);
});

test('a form becomes text, or a stream of known length when it has files', async () => {
  const form = new FormData();
  form.append('a', '1');
  assert.type(responseParts(new Response(form)).body, 'string');
  form.append('file', new Blob(['content']));
  const parts = responseParts(new Response(form));
  assert.instance(parts.body, ReadableStream);
  assert.is(Buffer.byteLength(await drain(parts.body)), parts.length);
});

test('a Blob becomes a stream of known length', async () => {
  const parts = responseParts(new Response(new Blob(['blöb'], { type: 'text/x' })));
  assert.is(parts.length, 5);
  assert.equal(parts.fields, ['content-type', 'text/x']);
  assert.is(await drain(parts.body), 'blöb');
});

test('a stream is handed over itself', () => {
  const stream = new ReadableStream<Uint8Array>();
  const parts = responseParts(new Response(stream));
  assert.is(parts.body, stream);
  assert.is(parts.length, null);
});

test('a response whose body was looked at is still sent as text, and its stream is spent', () => {
  const response = new Response('x');
  const stream = response.body as ReadableStream;
  assert.is(responseParts(response).body, 'x');
  assert.is(stream.locked, true);
  assert.is(response.bodyUsed, true);
});

test('a response around the body of another is sent as text', () => {
  const inner = new Response('inner', { headers: { a: '1' } });
  const outer = new Response(inner.body, inner);
  outer.headers.set('b', '2');
  const parts = responseParts(outer);
  assert.is(parts.body, 'inner');
  assert.equal(parts.fields, ['a', '1', 'content-type', 'text/plain;charset=UTF-8', 'b', '2']);
  assert.is(inner.bodyUsed, true);
});

test('changes of headers are sent', () => {
  const response = new Response('x', { headers: { a: '1', b: '2' } });
  response.headers.delete('a');
  response.headers.append('set-cookie', 'x=1');
  response.headers.append('Set-Cookie', 'y=2');
  assert.equal(responseParts(response).fields, [
    ...['b', '2', 'content-type', 'text/plain;charset=UTF-8'],
    ...['set-cookie', 'x=1', 'set-cookie', 'y=2'],
  ]);
});

test('a response is sent once', () => {
  const response = new Response('x');
  responseParts(response);
  assert.is(response.bodyUsed, true);
  assert.throws(() => responseParts(response), isInvalid);
});

test('a clone is sent apart from the first', () => {
  const first = new Response('x');
  const second = first.clone();
  assert.is(responseParts(first).body, 'x');
  assert.is(responseParts(second).body, 'x');
});

test('a response without a body can be sent again', () => {
  const response = new Response(null, { status: 304 });
  assert.is(responseParts(response).status, 304);
  assert.is(responseParts(response).status, 304);
});

test('a locked body, Response.error() and what is no response are refused', () => {
  const locked = new Response('x');
  locked.body?.getReader();
  for (const wrong of [locked, Response.error(), undefined, null, 'text', {}, new Headers()]) {
    assert.throws(() => responseParts(wrong as Response), isInvalid);
  }
});

test('a declared content-length goes to length, fields of the connection are dropped', async () => {
  const headers = {
    'Content-Length': '12',
    connection: 'upgrade',
    'keep-alive': 'timeout=5',
    'transfer-encoding': 'chunked',
    upgrade: 'x',
    te: 'trailers',
    trailer: 'x',
    'proxy-connection': 'close',
    etag: '"x"',
  };
  const parts = responseParts(new Response(null, { headers }));
  // The engine sends Upgrade and Trailer where they can be.
  assert.equal(parts.fields, ['upgrade', 'x', 'trailer', 'x', 'etag', '"x"']);
  assert.is(parts.length, 12);
  const upstream = responseParts(new PlatformResponse(null, { headers }));
  assert.equal(upstream.fields, ['etag', '"x"']);
});

test('framing that cannot be is dropped and told', async () => {
  const wrong: [string, string][] = [
    ['content-length', '-1'],
    ['content-length', '5, 5'],
    ['content-length', '1e3'],
    ['transfer-encoding', 'gzip'],
    ['connection', 'x-mine'],
  ];
  for (const pair of wrong) {
    const lines = await logged(() => {
      const { fields, length } = responseParts(new Response(null, { headers: [pair] }));
      assert.equal([fields, length], [[], null]);
    });
    assert.match(lines.join(), 'GYR_RESPONSE_FRAMING', pair.join());
  }
  const twice = new Headers([
    ['content-length', '5'],
    ['content-length', '6'],
  ]);
  const lines = await logged(() => {
    assert.is(responseParts(new Response(null, { headers: twice })).length, 5);
  });
  assert.is(lines.length, 1);
});

test('Connection: close is a wish of the handler, not of an upstream', () => {
  const headers = { connection: 'Close' };
  assert.equal(responseParts(new Response(null, { headers })).fields, ['connection', 'close']);
  assert.equal(responseParts(new PlatformResponse(null, { headers })).fields, []);
});

test('a response of the platform is taken apart, each Set-Cookie by itself', async () => {
  const native = new PlatformResponse('native', { status: 203, statusText: 'Hm' });
  native.headers.append('set-cookie', 'a=1');
  native.headers.append('set-cookie', 'b=2');
  const parts = responseParts(native);
  assert.is(parts.status, 203);
  assert.is(parts.statusText, 'Hm');
  assert.equal(parts.fields, [
    ...['content-type', 'text/plain;charset=UTF-8'],
    ...['set-cookie', 'a=1', 'set-cookie', 'b=2'],
  ]);
  assert.is(await drain(parts.body), 'native');
});

test('a used response of the platform is refused', async () => {
  const native = new PlatformResponse('x');
  await native.text();
  assert.throws(() => responseParts(native), isInvalid);
});

test('a subclass is sent', () => {
  class Page extends Response {
    constructor(title: string) {
      super(`<h1>${title}</h1>`, { headers: { 'content-type': 'text/html' } });
    }
  }
  const parts = responseParts(new Page('hi'));
  assert.is(parts.body, '<h1>hi</h1>');
  assert.equal(parts.fields, ['content-type', 'text/html']);
});

const { brotliCompressSync, gzipSync } = zlib;

/** Not in every version that this runs on; nor does every version's fetch decode it. */
const zstd = (zlib as { zstdCompressSync?: (text: string) => Buffer }).zstdCompressSync;

const encodings: Record<string, (text: string) => Buffer> = {
  zstd: (body) => (zstd === undefined ? Buffer.from(body) : zstd(body)),
  gzip: (body) => gzipSync(body),
  br: (body) => brotliCompressSync(body),
  'gzip, br': (body) => brotliCompressSync(gzipSync(body)),
  unknown: (body) => Buffer.from(body),
};

/** Runs `use` with a server that sends "upstream" in the coding that its path names. */
async function withUpstream(use: (url: string) => Promise<void>): Promise<void> {
  const server = createServer((request, response) => {
    const coding = decodeURIComponent((request.url as string).slice(1));
    const bytes = (encodings[coding] as (text: string) => Buffer)('upstream');
    response.setHeader('content-encoding', coding);
    response.setHeader('content-length', bytes.byteLength);
    response.end(bytes);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  try {
    await use(`http://127.0.0.1:${(server.address() as AddressInfo).port}/`);
  } finally {
    server.closeAllConnections();
    server.close();
  }
}

test('what fetch has decoded is not sent as if it were encoded', async () => {
  await withUpstream(async (url) => {
    for (const coding of ['gzip', 'br', 'gzip, br']) {
      const parts = responseParts(await fetch(url + encodeURIComponent(coding)));
      assert.not(parts.fields.includes('content-encoding'));
      assert.is(parts.length, null);
      assert.is(await drain(parts.body), 'upstream');
    }
  });
});

test('zstd is told from what fetch has made of it', async () => {
  await withUpstream(async (url) => {
    const sent = encodings.zstd?.('upstream') as Buffer;
    const parts = responseParts(await fetch(`${url}zstd`));
    const chunks = [];
    for await (const chunk of parts.body as ReadableStream<Uint8Array>) chunks.push(chunk);
    const encoded = parts.fields.includes('content-encoding');
    assert.equal(Buffer.concat(chunks), encoded ? sent : Buffer.from('upstream'));
  });
});

test('what fetch has not decoded keeps its coding and length', async () => {
  await withUpstream(async (url) => {
    const parts = responseParts(await fetch(`${url}unknown`));
    assert.is(parts.fields[parts.fields.indexOf('content-encoding') + 1], 'unknown');
    assert.is(parts.length, 8);
    assert.is(await drain(parts.body), 'upstream');
    const head = responseParts(await fetch(`${url}gzip`, { method: 'HEAD' }));
    assert.ok(head.fields.includes('content-encoding'));
    assert.is(head.length, gzipSync('upstream').byteLength);
  });
});

test('console.log shows the head', () => {
  const shown = inspect(new Response('x', { status: 202, headers: { a: '1' } }));
  assert.match(shown, /^Response \{\s+status: 202/);
  assert.match(shown, /headers: Headers \{ a: '1'/);
});

test.run();
