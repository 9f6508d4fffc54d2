/** Responses of other libraries, taken apart for sending. */
import { type PassThrough, Readable } from 'node:stream';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { until } from '../../../tests/support/wait.ts';
import type { GyrfalconError } from '../core/errors.ts';
import { Log } from '../core/log.ts';
import { PlatformResponse } from './originals.ts';
import { Response } from './response.ts';
import { type ResponseParts, responseParts } from './response_parts.ts';

interface Head {
  status?: unknown;
  statusText?: unknown;
  headers?: unknown[];
}

/** Does what srvx's FastResponse does: its own server gets text and bytes as they are, once. */
class FastResponse extends PlatformResponse {
  private given: { body: unknown; head: Head } | null;

  constructor(body: unknown, head: Head = {}) {
    super();
    this.given = { body, head };
    Object.defineProperty(this, 'body', { get: () => assert.unreachable('a stream is made') });
  }

  _toNodeResponse(): Required<Head> & { body: unknown } {
    const { body, head } = this.given ?? { body: undefined, head: {} };
    this.given = null;
    return { status: 200, statusText: '', headers: [], ...head, body };
  }
}

function partsOf(response: unknown): ResponseParts {
  return responseParts(response as Response);
}

async function textOf({ body }: ResponseParts): Promise<string> {
  return await new Response(body).text();
}

function refused(take: () => unknown, message: RegExp): void {
  assert.throws(take, (error: GyrfalconError) => {
    return error.code === 'GYR_RESPONSE_INVALID' && message.test(error.message);
  });
}

test('a FastResponse of text is sent as text, with the length that it tells', () => {
  const headers = ['content-type', 'text/plain', 'content-length', '2', 'X-A', 'b'];
  const parts = partsOf(new FastResponse('hi', { status: 201, statusText: 'Made', headers }));
  assert.equal(parts, {
    status: 201,
    statusText: 'Made',
    fields: ['content-type', 'text/plain', 'x-a', 'b'],
    body: 'hi',
    length: 2,
    mayBeWhole: false,
  });
});

test('a FastResponse of bytes is sent as bytes that are its own', () => {
  const bytes = new Uint8Array([1, 2, 3]);
  const parts = partsOf(new FastResponse(bytes));
  bytes.fill(9);
  assert.ok(parts.body instanceof Uint8Array);
  assert.equal([...parts.body], [1, 2, 3]);
});

const streams: [string, () => unknown][] = [
  ['a ReadableStream', () => new Blob(['text']).stream()],
  ['a Readable', () => Readable.from(['te', 'xt'])],
  ['a body that can only be piped', () => ({ pipe: (to: PassThrough) => to.end('text') })],
];

for (const [name, make] of streams) {
  test(`a FastResponse of ${name} is streamed`, async () => {
    const parts = partsOf(new FastResponse(make()));
    assert.instance(parts.body, ReadableStream);
    assert.is(await textOf(parts), 'text');
  });
}

test('what is piped is aborted when its response is cancelled', async () => {
  let aborted = false;
  const body = {
    pipe: (to: PassThrough) => to.write('first'),
    abort: () => {
      aborted = true;
    },
  };
  const reader = (partsOf(new FastResponse(body)).body as ReadableStream).getReader();
  await reader.read();
  await reader.cancel();
  await until(() => aborted, 'abort');
});

test('no body of a FastResponse is none', () => {
  for (const none of [null, undefined]) assert.is(partsOf(new FastResponse(none)).body, null);
  assert.is(partsOf(new FastResponse('')).body, '');
});

test('a FastResponse is sent once: a second time it would be empty', () => {
  const response = new FastResponse('x');
  partsOf(response);
  refused(() => partsOf(response), /already been read/);
});

test('a FastResponse whose stream is being read, or has no status or body that can be, is refused', () => {
  const stream = new Blob(['x']).stream();
  stream.getReader();
  refused(() => partsOf(new FastResponse(stream)), /is locked/);
  refused(() => partsOf(new FastResponse('x', { status: '200' })), /status/);
  refused(() => partsOf(new FastResponse('x', { status: 0 })), /error\(\)/);
  refused(() => partsOf(new FastResponse({ no: 'body' })), /body/);
  assert.throws(() => partsOf(new FastResponse('x', { headers: ['a b', ''] })), TypeError);
});

test('fields of the framing are the engine’s for a FastResponse too', () => {
  const lines: unknown[] = [];
  const log = new Log('info');
  log.framing = (...line) => lines.push(line);
  const headers = ['connection', 'close', 'transfer-encoding', 'chunked', 'content-length', 'x'];
  const parts = responseParts(new FastResponse('x', { headers }), log);
  assert.equal(parts.fields, ['connection', 'close']);
  assert.is(parts.length, null);
  assert.is(lines.length, 1);
});

test('the stream of a light body, in a response of another library, is sent as what it was made of', () => {
  const text = partsOf(new PlatformResponse(new Response('text').body));
  assert.is(text.body, 'text');
  const fast = partsOf(new FastResponse(new Response('text').body));
  assert.is(fast.body, 'text');
  const blob = partsOf(new PlatformResponse(new Response(new Blob(['12345'])).body));
  assert.is(blob.length, 5);
});

test('a response of another library is used when it has been sent', () => {
  const response = new PlatformResponse(new Response('text').body);
  partsOf(response);
  assert.ok(response.bodyUsed);
  refused(() => partsOf(response), /already been read/);
});

test.run();
