import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import * as abi from '../bridge/abi.gen.ts';
import { headBytes, isFrom, newOrigin, seal, unseal } from './envelope.ts';

const test = suite('what servers say to each other by way of a broker');
const origin = newOrigin();
const text = (payload: string, head = `GYR1t${origin}`): Uint8Array => Buffer.from(head + payload);

test('what is sealed is unsealed as it was: text or bytes, compressed or never', () => {
  assert.match(origin, /^[\w-]{16}$/);
  assert.is.not(newOrigin(), origin);
  for (const manner of [0, abi.FLAG_TEXT, abi.FLAG_PLAIN, abi.FLAG_TEXT | abi.FLAG_PLAIN]) {
    const isText = (manner & abi.FLAG_TEXT) !== 0;
    for (const payload of ['', 'grüße, 世界 🦅', 'x'.repeat(abi.PUBLISH_BYTES_MAX)]) {
      const sealed = seal(origin, { manner, bytes: Buffer.from(payload) });
      assert.ok(isFrom(origin, sealed));
      const found = unseal(sealed);
      assert.is(found?.origin, origin);
      assert.is(found?.compress, (manner & abi.FLAG_PLAIN) === 0 ? undefined : false);
      if (isText) assert.is(found?.data, payload);
      else assert.is(Buffer.from(found?.data as Uint8Array).toString(), payload);
    }
  }
});

test('the form is what docs/BROKERS.md says, so that others can publish', () => {
  assert.equal(unseal(text('hello')), { origin, data: 'hello', compress: undefined });
  assert.is(
    Buffer.from(seal(origin, { manner: 0, bytes: Buffer.from('b') })).toString(),
    `GYR1b${origin}b`,
  );
});

test('what is cut anywhere in its head is none, and what has a byte of it changed to another', () => {
  const whole = text('payload');
  for (let length = 0; length < headBytes; length += 1) {
    assert.is(unseal(whole.subarray(0, length)), null, `${length} bytes`);
    assert.is(isFrom(origin, whole.subarray(0, length)), false);
  }
  for (let at = 0; at < headBytes; at += 1) {
    for (const byte of [0, 0x20, 0x2e, 0x80, 0xff]) {
      const changed = Buffer.from(whole);
      changed[at] = byte;
      assert.is(unseal(changed), null, `${byte} at ${at}`);
    }
  }
});

test('text that is no UTF-8 is none: clients would end their connections', () => {
  for (const bytes of [[0xff], [0xc3], [0xed, 0xa0, 0x80], [0xf8, 0x88, 0x80, 0x80, 0x80]]) {
    const wrong = Buffer.concat([text('a'), Buffer.from(bytes)]);
    assert.is(unseal(wrong), null, `${bytes}`);
    wrong[4] = 'b'.charCodeAt(0);
    assert.ok(unseal(wrong) !== null, 'of bytes it may be');
  }
});

test('what is longer than may be published is none', () => {
  const longest = Buffer.alloc(headBytes + abi.PUBLISH_BYTES_MAX, text(''));
  assert.ok(unseal(longest) !== null);
  assert.is(unseal(Buffer.concat([longest, Buffer.alloc(1)])), null);
});

test.run();
