/** The light classes show themselves as the platform's do. */
import { setFlagsFromString } from 'node:v8';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { Headers } from './headers.ts';
import { PlatformHeaders, PlatformRequest, PlatformResponse } from './originals.ts';
import { Request } from './request.ts';
import { Response } from './response.ts';

/** Name, enumerability and number of arguments of each public member that the platform has. */
function shown(object: object, like: object): unknown[] {
  const rows: unknown[] = [];
  for (const key of Object.keys(like)) {
    if (key === 'attribute') continue; // a slip of undici's, without a value
    const descriptor = Object.getOwnPropertyDescriptor(object, key);
    rows.push([key, descriptor?.enumerable, (descriptor?.value as { length?: number })?.length]);
  }
  return rows;
}

for (const [light, platform] of [
  [Headers, PlatformHeaders],
  [Request, PlatformRequest],
  [Response, PlatformResponse],
] as const) {
  test(`members and statics of ${platform.name} are enumerable and as long as the platform’s`, () => {
    assert.equal(shown(light, platform), shown(platform, platform));
    const { prototype } = platform;
    assert.equal(shown(light.prototype, prototype), shown(prototype, prototype));
  });
}

test('the statics of the light classes are laid out for fast access, whatever was redefined of them', () => {
  setFlagsFromString('--allow-natives-syntax');
  const isFast = new Function('object', 'return %HasFastProperties(object)');
  for (const light of [Headers, Request, Response]) assert.ok(isFast(light), light.name);
});

test('a record of header fields is read key by key, each value once', () => {
  const read = (Class: new (init: Record<string, string>) => unknown) => {
    const log: string[] = [];
    const value = (name: string) => ({
      toString() {
        log.push(`value of ${name}`);
        return '1';
      },
    });
    const record = { a: value('a'), b: value('b'), hidden: value('hidden') };
    Object.defineProperty(record, 'hidden', { enumerable: false });
    const watched = new Proxy(record as unknown as Record<string, string>, {
      ownKeys(target) {
        log.push('keys');
        return Reflect.ownKeys(target);
      },
      getOwnPropertyDescriptor(target, key) {
        log.push(`descriptor of ${String(key)}`);
        return Reflect.getOwnPropertyDescriptor(target, key);
      },
      get(target, key) {
        log.push(`get ${String(key)}`);
        return target[key as string];
      },
    });
    new Class(watched);
    return log;
  };
  assert.equal(read(Headers as never), read(PlatformHeaders as never));
});

test('a symbol is neither a name nor a value of a field', () => {
  const values = [{ [Symbol('a')]: 'b' }, { a: Symbol('b') }, [['a', Symbol('b')]]];
  for (const init of values as unknown as Record<string, string>[]) {
    assert.throws(() => new Headers(init), TypeError);
    assert.throws(() => new PlatformHeaders(init), TypeError);
  }
});

test('priority is one of three', () => {
  for (const priority of ['high', 'low', 'auto'] as const) new Request('http://a/', { priority });
  const wrong = { priority: 'urgent' as 'high' };
  assert.throws(() => new Request('http://a/', wrong), /priority must be one of high, low, auto/);
});

test.run();
