import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import * as abi from './abi.gen.ts';
import { type PushParent, pushRecord } from './push.ts';

const test = suite('what is pushed');

const beside = (fields: Record<string, string> = {}, authority = 'a.test'): PushParent => ({
  authority,
  header: (name) => fields[name] ?? null,
});
const url = 'https://a.test/page';

test('fields of the request beside it go along, unless they are given', () => {
  const parent = beside({ 'user-agent': 'A', 'accept-language': 'is', cookie: 'a=1' });
  const record = pushRecord(parent, url, 'b?c', { headers: { 'Accept-Language': 'en' } });
  assert.equal(record?.entries.slice(0, 4), ['a.test', '/b?c', 'accept-language', 'en']);
  assert.equal(record?.entries.slice(4), ['user-agent', 'A']);
});

test('what the client sent is no reason to throw', () => {
  // The engine takes such hosts, URL does not.
  for (const host of ['1.2.3.4.5', '256.1.1.1', '[1:2]', 'a%00'])
    assert.is(pushRecord(beside({}, host), `http://${host}/`, '/b', {}), null, host);
  const long = 'x'.repeat(abi.PUSH_BYTES_MAX);
  const parent = beside({ 'user-agent': long, 'accept-language': 'is' });
  assert.equal(pushRecord(parent, url, '/b', {})?.entries.slice(2), ['accept-language', 'is']);
  const full = Array.from({ length: abi.PUSH_FIELD_COUNT_MAX }, (_, n) => [`x-${n}`, 'y']);
  const headers = full as [string, string][];
  const record = pushRecord(beside({ 'user-agent': 'A' }), url, '/b', { headers });
  assert.is(record?.entries.length, 2 + 2 * abi.PUSH_FIELD_COUNT_MAX);
  assert.is(pushRecord(beside({}, long), url, '/b', {}), null);
});

test('what the program gave is', () => {
  const is = (part: RegExp) => (error: Error & { code?: string }) =>
    error.code === 'GYR_PUSH_INVALID' && part.test(error.message);
  const push = (target: string, init: object) => () => pushRecord(beside(), url, target, init);
  assert.throws(push('https://b.test/', {}), is(/b\.test/));
  assert.throws(push('/b', { method: 'POST' }), is(/POST/));
  assert.throws(push(`/${'b'.repeat(abi.PUSH_BYTES_MAX)}`, {}), is(/too large/));
  const many = Array.from({ length: abi.PUSH_FIELD_COUNT_MAX + 1 }, (_, n) => [`x-${n}`, 'y']);
  assert.throws(push('/b', { headers: many }), is(/too large/));
});

test.run();
