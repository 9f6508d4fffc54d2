import { test } from 'uvu';
import * as assert from 'uvu/assert';
import type { BodySource } from './body.ts';
import { Headers } from './headers.ts';
import { fromSource, type ParamSource, Request, type RequestSource } from './request.ts';
import { canonicalUrl } from './request_init.ts';
import { Response } from './response.ts';
import { responseParts } from './response_parts.ts';

/** A body that has arrived, or arrives in chunks; counts what is asked of it. */
class FakeBody implements BodySource {
  calls: string[] = [];
  readonly #chunks: string[];
  readonly #here: boolean;

  constructor(here: boolean, ...chunks: string[]) {
    this.#here = here;
    this.#chunks = chunks;
  }

  whole(): Uint8Array | null {
    this.calls.push('whole');
    return this.#here ? Buffer.from(this.#chunks.join('')) : null;
  }

  stream(): ReadableStream<Uint8Array> {
    this.calls.push('stream');
    const chunks = this.#chunks.slice();
    return new ReadableStream({
      type: 'bytes',
      pull(controller) {
        const chunk = chunks.shift();
        if (chunk === undefined) controller.close();
        else controller.enqueue(new TextEncoder().encode(chunk));
      },
    });
  }

  async collect(): Promise<Uint8Array> {
    this.calls.push('collect');
    return Buffer.from(this.#chunks.join(''));
  }
}

/** An exchange as the lane would show it; counts what is asked of it. */
class FakeSource implements RequestSource {
  calls: string[] = [];
  method = 'POST';
  hasBody = true;
  controller = new AbortController();
  incoming: FakeBody;
  target = 'http://example.org/users/7?x=1';
  fields: [string, string][] = [
    ['host', 'example.org'],
    ['cookie', 'a=1'],
    ['accept', 'text/html'],
    ['accept', '*/*'],
    ['content-type', 'application/json'],
  ];

  constructor(incoming: FakeBody = new FakeBody(true, '{"a":1}')) {
    this.incoming = incoming;
  }

  url(): string {
    this.calls.push('url');
    return this.target;
  }

  fallbackUrl(): string {
    return 'http://fallback.test/x';
  }

  header(lowerName: string): string | null {
    this.calls.push(`header ${lowerName}`);
    const values = this.fields.filter(([name]) => name === lowerName).map(([, value]) => value);
    return values.length === 0 ? null : values.join(', ');
  }

  headerPairs(): [string, string][] {
    this.calls.push('headerPairs');
    return this.fields;
  }

  body(): BodySource | null {
    this.calls.push('body');
    return this.incoming;
  }

  signal(): AbortSignal {
    this.calls.push('signal');
    return this.controller.signal;
  }
}

function received(source: RequestSource, params: ParamSource | null = null): Request {
  return Request[fromSource](source, params);
}

async function rejects(promise: Promise<unknown>, kind: typeof TypeError): Promise<void> {
  try {
    await promise;
  } catch (error) {
    assert.instance(error, kind);
    return;
  }
  assert.unreachable('it did not reject');
}

test('a received request asks its source for nothing until it is asked itself', () => {
  const source = new FakeSource();
  const request = received(source);
  assert.is(request.method, 'POST');
  assert.is(request.bodyUsed, false);
  assert.equal(source.calls, []);
});

test('url is asked once', () => {
  const source = new FakeSource();
  const request = received(source);
  assert.is(request.url, 'http://example.org/users/7?x=1');
  assert.is(request.url, 'http://example.org/users/7?x=1');
  assert.equal(source.calls, ['url']);
});

test('headers.get and has look one field up, in lower case', () => {
  const source = new FakeSource();
  const { headers } = received(source);
  assert.is(headers.get('ACCEPT'), 'text/html, */*');
  assert.is(headers.has('X-None'), false);
  assert.equal(source.calls, ['header accept', 'header x-none']);
});

test('iterating over received headers gives them sorted and combined', () => {
  const source = new FakeSource();
  assert.equal(
    [...received(source).headers],
    [
      ['accept', 'text/html, */*'],
      ['content-type', 'application/json'],
      ['cookie', 'a=1'],
      ['host', 'example.org'],
    ],
  );
  assert.equal(source.calls, ['headerPairs']);
});

test('received headers can be changed, and the source is not asked any more', () => {
  const source = new FakeSource();
  const { headers } = received(source);
  headers.set('accept', 'x/y');
  headers.delete('cookie');
  headers.append('host', 'b');
  assert.is(headers.get('accept'), 'x/y');
  assert.is(headers.get('cookie'), null);
  assert.is(headers.get('host'), 'example.org, b');
  assert.equal(source.calls, ['headerPairs']);
});

test('headers made of received headers are a copy', () => {
  const request = received(new FakeSource());
  const copy = new Headers(request.headers);
  copy.set('accept', 'x');
  assert.is(request.headers.get('accept'), 'text/html, */*');
});

test('a body that is here is read without waiting for more', async () => {
  const source = new FakeSource();
  const request = received(source);
  assert.equal(await request.json(), { a: 1 });
  assert.is(request.bodyUsed, true);
  assert.equal(source.calls, ['body']);
  assert.equal(source.incoming.calls, ['whole']);
  await rejects(request.text(), TypeError);
});

test('a body that is still coming is collected', async () => {
  const source = new FakeSource(new FakeBody(false, 'gr\u00fc', '\u00dfe'));
  const request = received(source);
  assert.is(await request.text(), 'grüße');
  assert.equal(source.incoming.calls, ['whole', 'collect']);
});

test('a read that fails while nobody waits for it is no unhandled rejection', async () => {
  const unhandled: unknown[] = [];
  const note = (reason: unknown): void => void unhandled.push(reason);
  process.on('unhandledRejection', note);
  const body: BodySource = {
    whole: () => null,
    stream: () => new ReadableStream(),
    collect: () => Promise.reject(new Error('the client is gone')),
  };
  for (const method of ['text', 'bytes', 'json', 'blob', 'formData'] as const) {
    const source = new FakeSource();
    source.body = () => body;
    void received(source)[method]();
  }
  // Node.js looks for unhandled rejections when the microtasks are done.
  await new Promise((resolve) => setImmediate(resolve));
  process.off('unhandledRejection', note);
  assert.equal(unhandled, []);
});

test('bytes of a body that is here do not share its memory', async () => {
  const memory = Buffer.from('lent');
  const body: BodySource = {
    whole: () => memory,
    stream: () => new ReadableStream(),
    collect: () => Promise.resolve(memory),
  };
  const source = new FakeSource();
  source.body = () => body;
  const promise = received(source).bytes();
  memory.fill('x');
  assert.is(Buffer.from(await promise).toString(), 'lent');
});

test('arrayBuffer of a collected body holds that body and nothing else', async () => {
  const request = received(new FakeSource(new FakeBody(false, 'abc')));
  assert.is((await request.arrayBuffer()).byteLength, 3);
});

test('blob takes the content-type', async () => {
  const blob = await received(new FakeSource()).blob();
  assert.is(blob.type, 'application/json');
  assert.is(await blob.text(), '{"a":1}');
});

test('body streams what is coming', async () => {
  const source = new FakeSource(new FakeBody(false, 'a', 'b', 'c'));
  const request = received(source);
  assert.is(request.body, request.body);
  const chunks: string[] = [];
  for await (const chunk of request.body as ReadableStream<Uint8Array>) {
    chunks.push(Buffer.from(chunk).toString());
  }
  assert.equal(chunks, ['a', 'b', 'c']);
  assert.is(request.bodyUsed, true);
  assert.equal(source.incoming.calls, ['whole', 'stream']);
});

test('a request without a body has none, and its source is not asked for one', async () => {
  const source = new FakeSource();
  source.hasBody = false;
  const request = received(source);
  assert.is(request.body, null);
  assert.is(await request.text(), '');
  assert.is(request.bodyUsed, false);
  assert.equal(source.calls, []);
});

test('text after body was touched still reads it', async () => {
  for (const here of [true, false]) {
    const request = received(new FakeSource(new FakeBody(here, 'text')));
    assert.instance(request.body, ReadableStream);
    assert.is(await request.text(), 'text');
    assert.is(request.bodyUsed, true);
  }
});

test('a clone of a received request can be read apart from it', async () => {
  for (const here of [true, false]) {
    const source = new FakeSource(new FakeBody(here, 'one ', 'two'));
    const request = received(source, { names: ['id'], raw: () => '7' });
    const clone = request.clone();
    assert.is(clone.url, request.url);
    assert.is(clone.headers.get('accept'), 'text/html, */*');
    assert.equal({ ...clone.params }, { id: '7' });
    assert.equal(await Promise.all([clone.text(), request.text()]), ['one two', 'one two']);
  }
});

test('the signal is made when touched, and that of a clone follows it', () => {
  const source = new FakeSource();
  const request = received(source);
  const clone = request.clone();
  assert.not(source.calls.includes('signal'));
  const { signal } = clone;
  source.controller.abort('gone');
  assert.is(signal.aborted, true);
  assert.is(signal.reason, 'gone');
  assert.is(request.signal, source.controller.signal);
  assert.is(source.calls.filter((call) => call === 'signal').length, 1);
});

test('a request made of a received one takes over its body and reads its headers', async () => {
  for (const here of [true, false]) {
    const first = received(new FakeSource(new FakeBody(here, 'body')));
    const second = new Request(first, { headers: undefined, redirect: 'manual' });
    assert.is(first.bodyUsed, true);
    assert.is(second.headers.get('content-type'), 'application/json');
    assert.is(second.redirect, 'manual');
    assert.is(await second.text(), 'body');
    await rejects(first.text(), TypeError);
  }
});

test('a received request serves as init for another URL', async () => {
  for (const here of [true, false]) {
    const first = received(new FakeSource(new FakeBody(here, 'body')));
    const second = new Request('http://upstream/', first as never);
    assert.is(second.url, 'http://upstream/');
    assert.is(second.method, 'POST');
    assert.is(second.headers.get('accept'), 'text/html, */*');
    assert.is(await second.text(), 'body');
    assert.is(first.bodyUsed, true);
  }
});

test('a received body goes back as a response body', async () => {
  const here = received(new FakeSource(new FakeBody(true, 'echo')));
  const whole = responseParts(new Response(here.body));
  assert.is(Buffer.from(whole.body as Uint8Array).toString(), 'echo');
  assert.is(here.bodyUsed, true);

  const coming = received(new FakeSource(new FakeBody(false, 'ec', 'ho')));
  const parts = responseParts(new Response(coming.body));
  assert.instance(parts.body, ReadableStream);
  let text = '';
  for await (const chunk of parts.body as ReadableStream<Uint8Array>) {
    text += Buffer.from(chunk).toString();
  }
  assert.is(text, 'echo');
  assert.is(coming.bodyUsed, true);
});

test('formData of a received urlencoded body', async () => {
  const source = new FakeSource(new FakeBody(false, 'a=1&b=', '%C3%A9'));
  source.fields = [['content-type', 'application/x-www-form-urlencoded']];
  const form = await received(source).formData();
  assert.equal(
    [...form],
    [
      ['a', '1'],
      ['b', 'é'],
    ],
  );
});

test('what the server was told of forms holds for copies too', async () => {
  const copies: ((request: Request) => Request)[] = [
    (request) => request,
    (request) => request.clone(),
    (request) => request.clone().clone(),
    (request) => new Request(request),
    (request) => new Request(request, { headers: request.headers }).clone(),
  ];
  const refused: number[] = [];
  for (const [number, copy] of copies.entries()) {
    const source = new FakeSource(new FakeBody(true, 'a=1&b=2'));
    source.fields = [['content-type', 'application/x-www-form-urlencoded']];
    const request = received(Object.assign(source, { forms: { maxParts: 1 } }));
    await copy(request)
      .formData()
      .catch((error: { code?: string }) => {
        if (error.code === 'GYR_MULTIPART_LIMIT') refused.push(number);
      });
  }
  assert.equal(refused, [0, 1, 2, 3, 4]);
});

function paramsOf(given: Record<string, string>): Request {
  const names = Object.keys(given);
  const raw = (index: number): string => given[names[index] as string] as string;
  return received(new FakeSource(), { names, raw });
}

test('params are decoded, and stay raw where they cannot be', () => {
  const { params } = paramsOf({ id: 'a%20b', name: '%C3%A9', bad: '%E9%', '*': 'x/y%2Fz' });
  assert.equal({ ...params }, { id: 'a b', name: 'é', bad: '%E9%', '*': 'x/y/z' });
});

test('params have no prototype, and a parameter __proto__ is one like any other', () => {
  const names = ['__proto__', 'constructor'];
  const { params } = received(new FakeSource(), { names, raw: (index) => `v${index}` });
  assert.is(Object.getPrototypeOf(params), null);
  assert.equal(Object.keys(params), names);
  assert.equal(Object.values(params), ['v0', 'v1']);
  assert.is(params.toString, undefined);
});

test('params are decoded once, when touched', () => {
  let asked = 0;
  const request = received(new FakeSource(), { names: ['id'], raw: () => `${++asked}` });
  assert.is(asked, 0);
  assert.is(request.params.id, '1');
  assert.is(request.params.id, '1');
  assert.is(new Request(request).params.id, '1');
});

test('a request that was not routed has empty params', () => {
  assert.equal(Object.keys(new Request('http://a/').params), []);
  assert.equal(Object.keys(received(new FakeSource()).params), []);
});

test('a router inside of a handler can put its own params, and other properties, on a request', () => {
  const request = paramsOf({ id: '1' }) as Request & { query?: string };
  request.params = { name: 'x' };
  request.query = 'q';
  assert.equal(request.params, { name: 'x' });
  assert.is(request.query, 'q');
});

const urls = [
  'http://example.org/',
  'http://example.org/a/b?c=d&e=f',
  'http://example.org/a/../b',
  'http://example.org/a/./b',
  'http://example.org/a/%2e%2E/b',
  'http://example.org/.well-known/x',
  'http://example.org/a..b/..c',
  'http://example.org/x?y=/../z',
  "http://example.org/it's?it's",
  'http://example.org/a b',
  'http://example.org/"<>`{}|^[]?"<>`{}|^[]',
  'http://example.org/\\a\\b',
  'http://example.org/é?é',
  'http://example.org/a?',
  'http://example.org/a#b',
  'http://example.org//a//b',
  'http://example.org:80/',
  'http://example.org:8080/a',
  'http://EXAMPLE.org/A',
  'http://127.1/a',
  'http://[::1]:3000/a',
  'http://example.orgx/a',
  'http://example.org',
];

test('a received URL is what the URL parser makes of it, whatever was seen before', () => {
  for (const before of urls) {
    for (const url of urls) {
      canonicalUrl(before);
      assert.is(canonicalUrl(url), new URL(url).href);
    }
  }
});

test('a received URL that cannot be parsed gives way to one that can', () => {
  for (const host of ['a b', '1.2.3.4.5', 'a%00b', '[::1::2]']) {
    assert.is(canonicalUrl(`http://${host}/x`), null, host);
    const source = new FakeSource();
    source.target = `http://${host}/x`;
    assert.is(Request[fromSource](source, null).url, 'http://fallback.test/x');
  }
});

test.run();
