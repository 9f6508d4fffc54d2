import { test } from 'uvu';
import { type Api, type Case, compare } from '../../../tests/support/parity.ts';

type Init = ConstructorParameters<Api['Headers']>[0];

const list = (headers: Iterable<unknown>): unknown[] => [...headers];

/** Makes headers and lists them. */
function made(name: string, init: () => unknown): Case {
  return { name, run: ({ Headers }) => list(new Headers(init() as Init)) };
}

const undiciCountsHidden = 'a Web IDL record has no hidden properties, undici 6 counts them';

class Pairs {
  *[Symbol.iterator](): Generator<string[]> {
    yield ['b', '2'];
    yield ['a', '1'];
  }
}

const headerCases: Case[] = [
  made('made of nothing', () => undefined),
  made('null is refused', () => null),
  made('a number is refused', () => 5),
  made('a string is refused', () => 'a: b'),
  made('a record', () => ({ B: '2', a: '1' })),
  made('a record of numbers', () => ({ a: 1 })),
  made('a record of null and undefined', () => ({ a: null, b: undefined })),
  made('a record with names that differ in case', () => ({ A: '1', a: '2' })),
  made('a record with a symbol', () => ({ [Symbol('s')]: '1' })),
  {
    ...made('a record with a hidden symbol', () =>
      Object.defineProperty({}, Symbol('s'), { value: 1 }),
    ),
    instead: { value: [], because: undiciCountsHidden },
  },
  made('inherited properties do not count', () => Object.create({ a: '1' })),
  {
    ...made('hidden properties do not count', () => Object.defineProperty({}, 'a', { value: '1' })),
    instead: { value: [], because: undiciCountsHidden },
  },
  {
    ...made('a function is a record', () => Object.assign(() => {}, { a: '1' })),
    instead: { value: [['a', '1']], because: undiciCountsHidden },
  },
  made('pairs', () => [
    ['b', '2'],
    ['a', '1'],
    ['b', '3'],
  ]),
  made('an iterable of pairs', () => new Pairs()),
  made('a Map', () => new Map([['x', 'y']])),
  made('URLSearchParams', () => new URLSearchParams('a=1&b=2')),
  made('pairs that are Sets', () => [new Set(['x', 'y'])]),
  made('a pair of one', () => [['a']]),
  made('a pair of three', () => [['a', 'b', 'c']]),
  made('a string as a pair', () => ['ab']),
  made('platform Headers', () => new globalThis.Headers({ a: '1', b: '2' })),
  made('a proxy of a record', () => new Proxy({ a: '1' }, {})),
  ...['', 'a b', 'a:', 'ä', 'a\n', '"', 'a\u0000', ' a', '('].map((name) =>
    made(`the name ${JSON.stringify(name)} is refused`, () => [[name, 'x']]),
  ),
  ...["!#$%&'*+-.^_`|~09AZaz", 'X'.repeat(100)].map((name) =>
    made(`the name ${name.slice(0, 24)} is allowed`, () => [[name, 'x']]),
  ),
  ...['a\nb', 'a\rb', 'a\u0000b', '\u0100', `${'x'.repeat(60)}\ny`, '☃'].map((value) =>
    made(`the value ${JSON.stringify(value).slice(0, 20)} is refused`, () => [['a', value]]),
  ),
  ...[
    '',
    ' ',
    ' a ',
    '\ta\t',
    '\r\na\r\n',
    'a b',
    'a\tb',
    'é',
    '\u00ff',
    'a\u0001b',
    '\u007f',
    ' b',
  ].map((value) =>
    made(`the value ${JSON.stringify(value)} is kept as Fetch says`, () => [['a', value]]),
  ),
  made('a long value is trimmed', () => ({ a: ` ${'x'.repeat(80)} ` })),
  made('a long value with a control', () => ({ a: `${'x'.repeat(80)}\u0001y` })),
  made('a symbol as value', () => [['a', Symbol('s')]]),
  {
    name: 'get combines',
    run: ({ Headers }) =>
      new Headers([
        ['a', '1'],
        ['A', '2'],
      ]).get('a'),
  },
  {
    name: 'get combines cookies with a semicolon',
    run: ({ Headers }) => {
      const headers = new Headers([
        ['cookie', 'a=1'],
        ['Cookie', 'b=2'],
      ]);
      return [headers.get('cookie'), list(headers)];
    },
  },
  { name: 'get of what is absent', run: ({ Headers }) => new Headers().get('a') },
  { name: 'get ignores case', run: ({ Headers }) => new Headers({ 'X-Y': '1' }).get('x-Y') },
  { name: 'get refuses a bad name', run: ({ Headers }) => new Headers().get('a b') },
  { name: 'has refuses a bad name', run: ({ Headers }) => new Headers().has('') },
  { name: 'delete refuses a bad name', run: ({ Headers }) => new Headers().delete('é') },
  { name: 'get without a name', run: ({ Headers }) => (new Headers() as never as Loose).get() },
  { name: 'has without a name', run: ({ Headers }) => (new Headers() as never as Loose).has() },
  { name: 'set without a value', run: ({ Headers }) => (new Headers() as never as Loose).set('a') },
  {
    name: 'append without a value',
    run: ({ Headers }) => (new Headers() as never as Loose).append('a'),
  },
  {
    name: 'append with undefined',
    run: ({ Headers }) => {
      const headers = new Headers();
      headers.append('a', undefined as never);
      return headers.get('a');
    },
  },
  {
    name: 'set replaces all and keeps the rest',
    run: ({ Headers }) => {
      const headers = new Headers([
        ['a', '1'],
        ['b', '2'],
        ['a', '3'],
        ['c', '4'],
        ['A', '5'],
      ]);
      headers.set('A', '6');
      return list(headers);
    },
  },
  {
    name: 'set of a name that is absent',
    run: ({ Headers }) => {
      const headers = new Headers();
      headers.set('X', ' v ');
      return list(headers);
    },
  },
  {
    name: 'delete removes all of the name',
    run: ({ Headers }) => {
      const headers = new Headers([
        ['a', '1'],
        ['b', '2'],
        ['A', '3'],
      ]);
      headers.delete('a');
      headers.delete('zz');
      return [list(headers), headers.has('a'), headers.has('B')];
    },
  },
  {
    name: 'Set-Cookie stays apart',
    run: ({ Headers }) => {
      const headers = new Headers([
        ['set-cookie', 'b=2'],
        ['x', '1'],
        ['Set-Cookie', 'a=1'],
      ]);
      headers.append('set-cookie', 'c=3');
      return [list(headers), headers.getSetCookie(), headers.get('set-cookie')];
    },
  },
  {
    name: 'set on Set-Cookie leaves one',
    run: ({ Headers }) => {
      const headers = new Headers([
        ['set-cookie', 'b=2'],
        ['Set-Cookie', 'a=1'],
      ]);
      headers.set('set-cookie', 'c=3');
      return headers.getSetCookie();
    },
  },
  {
    name: 'Set-Cookie goes along when Headers are copied',
    run: ({ Headers }) => {
      const first = new Headers([
        ['set-cookie', 'b=2'],
        ['set-cookie', 'a=1'],
      ]);
      const second = new Headers(first);
      first.delete('set-cookie');
      return second.getSetCookie();
    },
  },
  { name: 'no Set-Cookie', run: ({ Headers }) => new Headers({ a: '1' }).getSetCookie() },
  {
    name: 'iteration is sorted, lower-cased and combined',
    run: ({ Headers }) => {
      const headers = new Headers([
        ['Z', '1'],
        ['b', '2'],
        ['A', '3'],
        ['B', '4'],
      ]);
      return [list(headers), list(headers.keys()), list(headers.values()), list(headers.entries())];
    },
  },
  {
    name: 'an iterator sees what is added meanwhile',
    run: ({ Headers }) => {
      const headers = new Headers({ b: '1' });
      const seen: unknown[] = [];
      for (const [name] of headers) {
        seen.push(name);
        if (name === 'b') headers.append('c', '2');
      }
      return seen;
    },
  },
  {
    name: 'a spent iterator stays spent at its index',
    run: ({ Headers }) => {
      const iterator = new Headers({ a: '1' }).entries();
      return [iterator.next(), iterator.next(), iterator.next()];
    },
  },
  {
    name: 'the iterator has its tag and prototype',
    run: ({ Headers }) => {
      const iterator = new Headers().keys() as unknown as Loose;
      const proto = Object.getPrototypeOf(iterator);
      const base = Object.getPrototypeOf(Object.getPrototypeOf([].values()));
      return [
        Object.prototype.toString.call(iterator),
        Object.getPrototypeOf(proto) === base,
        Object.getOwnPropertyDescriptor(proto, 'next')?.enumerable,
        (iterator as never as Iterable<unknown>)[Symbol.iterator]() === (iterator as unknown),
      ];
    },
  },
  {
    name: 'forEach gives value, name, headers and this',
    run: ({ Headers }) => {
      const headers = new Headers({ b: '2', a: '1' });
      const seen: unknown[] = [];
      headers.forEach(function (this: unknown, value, name, all) {
        seen.push([this, value, name, (all as unknown) === headers]);
      }, 'me');
      return seen;
    },
  },
  {
    name: 'forEach needs a function',
    run: ({ Headers }) => new Headers().forEach('x' as never),
  },
  {
    name: 'forEach of a wrong this',
    run: ({ Headers }) => Headers.prototype.forEach.call({} as never, () => {}),
  },
  {
    name: 'get of a wrong this',
    run: ({ Headers }) => Headers.prototype.get.call({} as never, 'a'),
  },
  {
    name: 'entries of a wrong this',
    run: ({ Headers }) => Headers.prototype.entries.call({} as never),
  },
  { name: 'a call without new', run: ({ Headers }) => (Headers as never as () => unknown)() },
  {
    name: 'the names that an instance shows',
    run: ({ Headers }) => [Object.keys(new Headers({ a: '1' })), String(new Headers())],
  },
  {
    name: 'entries is the iterator method',
    run: ({ Headers }) => Headers.prototype[Symbol.iterator] === Headers.prototype.entries,
  },
  { name: 'name and length', run: ({ Headers }) => [Headers.name, Headers.length] },
  {
    name: 'each entry is a pair of its own',
    run: ({ Headers }) => {
      const headers = new Headers({ a: '1' });
      const [first] = list(headers) as [string[]];
      first[1] = 'changed';
      return list(headers);
    },
  },
  {
    name: 'a subclass works',
    run: ({ Headers }) => {
      class Mine extends Headers {
        twice(name: string): string {
          return `${this.get(name)}${this.get(name)}`;
        }
      }
      const mine = new Mine({ a: '1' });
      return [mine.twice('a'), mine instanceof Headers, list(new Headers(mine))];
    },
  },
];

/** Methods called as untyped code would. */
type Loose = Record<string, (...args: unknown[]) => unknown>;

compare('Headers', headerCases);
test.run();
