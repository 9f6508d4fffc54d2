/** What a response's stream may give. */
import { Readable } from 'node:stream';
import { runInNewContext } from 'node:vm';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { open, tick } from '../../../tests/support/channel.ts';
import { logged } from '../../../tests/support/console.ts';
import { until } from '../../../tests/support/wait.ts';
import type { BodyInit } from '../fetch/body.ts';
import { PlatformResponse } from '../fetch/originals.ts';
import { Response } from '../fetch/response.ts';
import * as abi from './abi.gen.ts';

async function* texts(): AsyncGenerator<string> {
  yield 'é';
  yield '';
  yield '\ud83e';
  yield '\udd85\ud83e';
}

/** What `texts` gives, as UTF-8: the pair of the bird was cut in two, the last half has no other. */
const textBytes = Buffer.from('é🦅\ufffd');

const textBodies: [string, () => unknown][] = [
  ['a ReadableStream', () => readableFrom(texts())],
  ['an async iterable', () => texts()],
  ['a Readable of strings', () => Readable.from(texts())],
  ['a web stream of a Readable', () => Readable.toWeb(Readable.from(texts()))],
  ['TextDecoderStream', () => new Blob([textBytes]).stream().pipeThrough(new TextDecoderStream())],
  ["the platform's Response", () => new PlatformResponse(readableFrom(texts()) as ReadableStream)],
  ['DataView and ArrayBuffer', () => readableFrom([...textBytes].map(viewOfOne))],
  [
    'bytes of another realm',
    () => readableFrom([runInNewContext(`new Uint8Array([${[...textBytes]}])`)]),
  ],
];

function readableFrom(chunks: Iterable<unknown> | AsyncIterable<unknown>): ReadableStream<unknown> {
  const iterator =
    Symbol.asyncIterator in chunks ? chunks[Symbol.asyncIterator]() : chunks[Symbol.iterator]();
  return new ReadableStream({
    async pull(controller) {
      const { done, value } = await iterator.next();
      if (done) controller.close();
      else controller.enqueue(value);
    },
  });
}

function viewOfOne(byte: number, index: number): unknown {
  const { buffer } = Uint8Array.of(0, byte, 0);
  return index % 2 === 0 ? new DataView(buffer, 1, 1) : buffer.slice(1, 2);
}

for (const [name, make] of textBodies) {
  test(`chunks of a response are bytes of any kind, or text: ${name}`, async () => {
    const { ask, doorbell, mirror } = open(() => {
      const body = make();
      return body instanceof Response ? body : new Response(body as BodyInit);
    });
    const parts = ask();
    await until(() => {
      doorbell.ring();
      parts.push(...mirror.answers());
      return parts.at(-1)?.end;
    }, 'the end');
    assert.equal(Buffer.concat(parts.map(({ body }) => body)), textBytes);
  });
}

for (const chunk of [7, null, undefined, {}, ['a'], Symbol('s'), new Date(0)]) {
  test(`a chunk that is neither bytes nor text breaks the response off: ${String(chunk)}`, async () => {
    const { ask, answers } = open(() => new Response(readableFrom([chunk]) as BodyInit));
    const lines = await logged(async () => {
      ask();
      assert.is((await answers(1))[0]?.kind, abi.KIND_RESPONSE_ABORT);
    });
    assert.match(lines[0] as string, 'GYR_RESPONSE_BODY');
  });
}

test('text in a declared length is counted in bytes', async () => {
  const headers = { 'content-length': '3' };
  const { ask, answers } = open(() => new Response(readableFrom(['aé']) as BodyInit, { headers }));
  const lines = await logged(async () => {
    ask();
    await answers(2);
  });
  assert.equal(lines, []);
});

const platformBodies: [string, () => BodyInit | null, string][] = [
  ['text', () => 'text', 'text'],
  ['bytes', () => Buffer.from('text'), 'text'],
  ['parameters', () => new URLSearchParams('a=1'), 'a=1'],
  ['empty text', () => '', ''],
  ['a stream that is at hand', () => readableFrom(['te', 'xt']) as BodyInit, 'text'],
];

for (const [name, make, text] of platformBodies) {
  test(`a platform Response of ${name} goes with its length`, async () => {
    const { ask, answers } = open(() => new PlatformResponse(make() as string));
    const [answer] = [...ask(), ...(await answers(1))];
    assert.ok(answer?.end);
    assert.is(answer?.body.toString(), text);
    assert.is(answer?.length, text.length);
  });
}

test('a platform Response whose body comes later is sent as it comes, the head first', async () => {
  let controller!: ReadableStreamDefaultController;
  const stream = new ReadableStream({
    start(c) {
      controller = c;
    },
  });
  const { ask, answers } = open(() => new PlatformResponse(stream));
  assert.equal(ask(), []);
  const [head] = await answers(1);
  assert.equal([head?.end, head?.length, head?.body.length], [false, -1, 0]);
  controller.enqueue('one');
  assert.is((await answers(1))[0]?.body.toString(), 'one');
  controller.enqueue('two');
  controller.close();
  assert.is((await answers(2)).map(({ body }) => body.toString()).join('|'), 'two|');
});

test('of a platform Response nothing is lost where the second chunk comes before the first is sent', async () => {
  const first = new Uint8Array(100_000).fill(1);
  const second = new Uint8Array(50_000).fill(2);
  let controller!: ReadableStreamDefaultController;
  const stream = new ReadableStream({
    start(c) {
      controller = c;
      c.enqueue(first);
    },
  });
  const { ask, doorbell, mirror } = open(() => new PlatformResponse(stream), {
    creditBytes: 65_536,
  });
  const parts = ask();
  while (parts.length === 0) {
    await tick();
    parts.push(...mirror.answers());
  }
  controller.enqueue(second);
  controller.close();
  await tick();
  for (const { body } of parts) mirror.credit(0, body.length);
  await until(() => {
    doorbell.ring();
    const more = mirror.answers();
    parts.push(...more);
    for (const { body } of more) mirror.credit(0, body.length);
    return parts.at(-1)?.end;
  }, 'the end');
  assert.ok(Buffer.concat([first, second]).equals(Buffer.concat(parts.map(({ body }) => body))));
});

test('a platform Response that is large, or never ends, is read ahead to a bound', async () => {
  let pulled = 0;
  const stream = new ReadableStream(
    {
      pull(c) {
        pulled++;
        c.enqueue(new Uint8Array(32_768));
      },
    },
    { highWaterMark: 0 },
  );
  const { ask, answers } = open(() => new PlatformResponse(stream), { creditBytes: 16_384 });
  const [head] = [...ask(), ...(await answers(1))];
  assert.is(head?.length, -1);
  for (let i = 0; i < 20; i++) await tick();
  assert.is(pulled, 3);
});

test('a platform Response of many small chunks is not read ahead to its end', async () => {
  let left = 40;
  const stream = new ReadableStream({
    pull(c) {
      if (left-- > 0) c.enqueue('x');
      else c.close();
    },
  });
  const { ask, answers } = open(() => new PlatformResponse(stream));
  const [head] = [...ask(), ...(await answers(1))];
  assert.equal([head?.length, head?.body.toString()], [-1, 'x'.repeat(16)]);
});

test('a platform Response whose body fails at once is the engine’s 500', async () => {
  const stream = new ReadableStream({
    pull(c) {
      c.error(new Error('disk'));
    },
  });
  const { ask, answers } = open(() => new PlatformResponse(stream));
  const lines = await logged(async () => {
    ask();
    const [answer, ...rest] = await answers(1);
    assert.equal([answer?.kind, rest.length], [abi.KIND_RESPONSE_ABORT, 0]);
  });
  assert.match(lines[0] as string, 'GYR_RESPONSE_BODY');
});

test.run();
