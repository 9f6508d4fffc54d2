import { Readable } from 'node:stream';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { decodeUtf8 } from './body.ts';
import { Response } from './response.ts';
import { responseParts } from './response_parts.ts';

/** Numbers that look random and are the same in every run. */
function* random(seed: number): Generator<number> {
  let state = seed;
  for (;;) {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    yield state >>> 8;
  }
}

/** Bytes that are often the parts of UTF-8 sequences, whole or broken. */
const pieces = [
  ...[[0x61], [0xc3, 0xa9], [0xe2, 0x82, 0xac], [0xf0, 0x9f, 0xa6, 0x85], [0xef, 0xbb, 0xbf]],
  ...[[0x80], [0xff], [0xc3], [0xe2, 0x82], [0xf0, 0x9f, 0xa6], [0xed, 0xa0, 0x80], [0xc0, 0xaf]],
  ...[[0xf4, 0x90, 0x80, 0x80], [0xe0, 0x80, 0x80], [0xf8, 0x88, 0x80, 0x80, 0x80], [0]],
];

test('UTF-8 is decoded as TextDecoder does, whatever the bytes', () => {
  const next = random(7);
  const decoder = new TextDecoder();
  for (let round = 0; round < 2000; round++) {
    const bytes: number[] = [];
    const count = (next.next().value as number) % 12;
    for (let i = 0; i < count; i++) {
      bytes.push(...(pieces[(next.next().value as number) % pieces.length] as number[]));
    }
    const given = Uint8Array.from(bytes);
    assert.is(decodeUtf8(given), decoder.decode(given), `bytes ${bytes.join(' ')}`);
  }
});

test('UTF-8 is decoded alike on both sides of the size where the way changes', () => {
  const decoder = new TextDecoder();
  for (const size of [4094, 4095, 4096, 4097, 9000]) {
    const bytes = new Uint8Array(Buffer.from(`\ufeff${'é'.repeat(size / 2)}`).subarray(0, size));
    assert.is(decodeUtf8(bytes), decoder.decode(bytes));
  }
});

test('a view into a larger buffer is decoded alone', () => {
  assert.is(decodeUtf8(Buffer.from('..view..').subarray(2, 6)), 'view');
});

test('a Readable of Node.js is a body', async () => {
  assert.is(await new Response(Readable.from(['a', Buffer.from('b')])).text(), 'ab');
});

test('a pair of surrogates that two chunks of an iterable share is one character', async () => {
  const source = (async function* () {
    yield '\ud83e';
    yield '\udd85\ud83e';
    yield Buffer.from('!');
    yield '\ud83e';
  })();
  assert.is(await new Response(source).text(), '🦅\ufffd!\ufffd');
});

test('a Readable is read no faster than the body, and destroyed when that is cancelled', async () => {
  let given = 0;
  const source = new Readable({
    highWaterMark: 1,
    read() {
      given++;
      this.push(Buffer.alloc(1024));
    },
  });
  const reader = (responseParts(new Response(source)).body as ReadableStream).getReader();
  await reader.read();
  assert.ok(given <= 4, `${given} chunks were taken for one that was read`);
  await reader.cancel();
  assert.is(source.destroyed, true);
});

test('a Readable that is silent is destroyed when the body is cancelled', async () => {
  const source = new Readable({ read() {} });
  source.push('some');
  const reader = (responseParts(new Response(source)).body as ReadableStream).getReader();
  await reader.read();
  const pending = reader.read();
  await reader.cancel();
  assert.ok(source.destroyed);
  assert.ok((await pending).done);
});

test('an iterable that gives neither bytes nor text is an error of the body', async () => {
  const numbers = (async function* () {
    yield 1 as never;
  })();
  try {
    await new Response(numbers).text();
    assert.unreachable();
  } catch (error) {
    assert.instance(error, TypeError);
  }
});

test.run();
