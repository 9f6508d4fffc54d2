import { test } from 'uvu';
import { type Api, type Case, compare } from '../../../tests/support/parity.ts';

type Any = InstanceType<Api['Response']>;

/** The head of a response, as a plain value. */
const head = (r: Any): unknown => ({
  status: r.status,
  statusText: r.statusText,
  ok: r.ok,
  type: r.type,
  url: r.url,
  redirected: r.redirected,
  headers: [...r.headers],
  hasBody: r.body !== null,
  bodyUsed: r.bodyUsed,
});

function made(name: string, make: (api: Api) => Any): Case {
  return { name, run: (api) => head(make(api)) };
}

function withInit(name: string, init: unknown, body: unknown = 'x'): Case {
  return made(name, ({ Response }) => new Response(body as never, init as never));
}

const boundless = (type: string | null): string | undefined =>
  type?.replace(/boundary=.*/, 'boundary=');

function typeOf(name: string, body: () => unknown, headers?: Record<string, string>): Case {
  return {
    name,
    run: ({ Response }) => {
      const response = new Response(
        body() as never,
        headers === undefined ? undefined : { headers },
      );
      return boundless(response.headers.get('content-type'));
    },
  };
}

function form(): FormData {
  const data = new FormData();
  data.append('a', '1');
  return data;
}

const responseCases: Case[] = [
  made('without arguments', ({ Response }) => new Response()),
  made('null body', ({ Response }) => new Response(null)),
  made('undefined body', ({ Response }) => new Response(undefined)),
  made('text', ({ Response }) => new Response('x')),
  made('empty text', ({ Response }) => new Response('')),
  made('a number as body', ({ Response }) => new Response(5 as never)),
  made('a plain object as body', ({ Response }) => new Response({} as never)),
  made('a symbol as body', ({ Response }) => new Response(Symbol('s') as never)),
  withInit('init null', null),
  withInit('init undefined', undefined),
  withInit('init a string', 'x'),
  withInit('init a function', () => {}),
  ...[0, 99, 100, 101, 103, 199, 200, 201, 299, 300, 404, 599, 600, 1000, -1].map((status) =>
    withInit(`status ${status}`, { status }, null),
  ),
  ...['404', '', 'x', null, 200.9, Number.NaN, 65736, {}, Symbol('s'), true].map((status) =>
    withInit(`status ${typeof status} ${String(status)} is converted`, { status }, null),
  ),
  {
    ...withInit('status 200n', { status: 200n }, null),
    instead: { value: 'throws TypeError', because: 'Web IDL converts no BigInt, undici does' },
  },
  ...[204, 205, 304].map((status) => withInit(`status ${status} without a body`, { status }, null)),
  ...[204, 205, 304].map((status) => withInit(`status ${status} with a body`, { status })),
  ...[204, 304].map((status) => withInit(`status ${status} with empty text`, { status }, '')),
  ...['', 'OK', 'a b\tc', 'é', '\n', '\r', '\u0000', '\u0100', '\u007f', '\u0001', 5, null].map(
    (statusText) => withInit(`statusText ${JSON.stringify(statusText)}`, { statusText }),
  ),
  withInit('headers record', { headers: { B: '1', a: '2' } }),
  withInit('headers null', { headers: null }),
  withInit('headers pairs', {
    headers: [
      ['b', '1'],
      ['a', '2'],
      ['B', '3'],
    ],
  }),
  withInit('headers that are bad', { headers: { 'a b': '1' } }),
  withInit('headers with a bad value', { headers: { a: '1\n2' } }),
  withInit('its own content-type stays', { headers: { 'Content-Type': 'text/html' } }),
  made('headers of the same kind', ({ Response, Headers }) => {
    return new Response('x', {
      headers: new Headers([
        ['set-cookie', 'a'],
        ['set-cookie', 'b'],
      ]),
    });
  }),
  made('a response as init', ({ Response }) => {
    const first = new Response('x', { status: 201, statusText: 'Made', headers: { a: '1' } });
    return new Response('y', first);
  }),
  made('a response of the platform as init', ({ Response }) => {
    return new Response('y', new globalThis.Response('x', { status: 202, headers: { a: '1' } }));
  }),
  typeOf('content-type of text', () => 'x'),
  typeOf('content-type of bytes', () => new Uint8Array(1)),
  typeOf('content-type of an ArrayBuffer', () => new ArrayBuffer(1)),
  typeOf('content-type of a Blob', () => new Blob(['x'], { type: 'Image/PNG' })),
  typeOf('content-type of a Blob without one', () => new Blob(['x'])),
  typeOf('content-type of URLSearchParams', () => new URLSearchParams('a=1')),
  typeOf('content-type of FormData', form),
  typeOf('content-type of a stream', () => new ReadableStream()),
  typeOf('content-type given beside FormData', form, { 'content-type': 'text/plain' }),
  made('a locked stream is refused', ({ Response }) => {
    const stream = new ReadableStream();
    stream.getReader();
    return new Response(stream);
  }),
  made('a cancelled stream is refused', ({ Response }) => {
    const stream = new ReadableStream();
    void stream.cancel();
    return new Response(stream);
  }),
  made('json', ({ Response }) => Response.json({ a: 1 })),
  made('json with init', ({ Response }) => {
    return Response.json([1], { status: 201, headers: { 'content-type': 'application/x+json' } });
  }),
  made('json of undefined', ({ Response }) => Response.json(undefined)),
  made('json of a function', ({ Response }) => Response.json(() => {})),
  made('json of a BigInt', ({ Response }) => Response.json(1n)),
  made('json with a null-body status', ({ Response }) => Response.json(1, { status: 204 })),
  made('json without arguments', ({ Response }) => (Response.json as () => Any)()),
  { name: 'json text', run: ({ Response }) => Response.json({ a: [1, null] }).text() },
  made('error', ({ Response }) => Response.error()),
  made('redirect', ({ Response }) => Response.redirect('http://a/b?c#d')),
  made('redirect to a URL', ({ Response }) => Response.redirect(new URL('http://a/é'))),
  made('redirect to a relative URL', ({ Response }) => Response.redirect('/b')),
  ...[301, 302, 303, 307, 308, 300, 200, 304, 400].map((status) =>
    made(`redirect with ${status}`, ({ Response }) => Response.redirect('http://a/', status)),
  ),
  made('redirect without arguments', ({ Response }) => (Response.redirect as () => Any)()),
  ...(['append', 'set', 'delete'] as const).map((method) => ({
    name: `headers of a redirect refuse ${method}`,
    run: ({ Response }: Api) => {
      const { headers } = Response.redirect('http://a/');
      (headers[method] as (a: string, b: string) => void)('x', 'y');
    },
  })),
  {
    name: 'headers of an error refuse changes',
    run: ({ Response }) => Response.error().headers.set('a', 'b'),
  },
  {
    name: 'the clone of a redirect keeps immutable headers',
    run: ({ Response }) => Response.redirect('http://a/').clone().headers.set('a', 'b'),
  },
  {
    name: 'headers are one object and can be changed',
    run: ({ Response }) => {
      const response = new Response('x');
      response.headers.set('content-type', 'text/html');
      response.headers.append('a', '1');
      return [[...response.headers], new Set([response.headers, response.headers]).size];
    },
  },
  {
    name: 'getters refuse a wrong this',
    run: ({ Response }) =>
      Object.getOwnPropertyDescriptor(Response.prototype, 'status')?.get?.call({}),
  },
  {
    name: 'a getter of nothing refuses a wrong this',
    run: ({ Response }) =>
      Object.getOwnPropertyDescriptor(Response.prototype, 'url')?.get?.call({}),
  },
  { name: 'a call without new', run: ({ Response }) => (Response as never as () => unknown)() },
  {
    name: 'name, length, tag',
    run: ({ Response }) => [Response.name, Response.length, String(new Response())],
  },
  {
    name: 'no properties of its own',
    run: ({ Response }) => Object.getOwnPropertyNames(new Response('x')),
  },
  {
    name: 'status cannot be assigned',
    run: ({ Response }) => {
      (new Response() as { status: number }).status = 5;
    },
  },
  {
    name: 'a subclass works',
    run: async ({ Response }) => {
      class Mine extends Response {
        constructor(text: string) {
          super(text, { status: 201, headers: { mine: 'yes' } });
        }
        shout(): string {
          return `${this.status}!`;
        }
      }
      const mine = new Mine('x');
      const clone = mine.clone();
      return [
        mine.shout(),
        mine instanceof Response,
        clone instanceof Mine,
        await mine.text(),
        head(clone),
      ];
    },
  },
  made('the clone of a response', ({ Response }) => {
    return new Response('x', { status: 203, statusText: 'Hm', headers: { a: '1' } }).clone();
  }),
  {
    name: 'headers of a clone are its own',
    run: ({ Response }) => {
      const first = new Response('x', { headers: { a: '1' } });
      const second = first.clone();
      first.headers.set('a', '2');
      return [first.headers.get('a'), second.headers.get('a')];
    },
  },
];

compare('Response', responseCases);
test.run();
