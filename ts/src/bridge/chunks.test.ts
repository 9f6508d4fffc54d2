/** What a response's stream may give. */
import { Readable } from 'node:stream';
import { runInNewContext } from 'node:vm';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { logged, open } from '../../../tests/support/channel.ts';
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

test.run();
