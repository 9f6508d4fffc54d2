import { test } from 'uvu';
import { type Api, type Case, compare } from '../../../tests/support/parity.ts';

type Any = InstanceType<Api['Request']>;
type Init = ConstructorParameters<Api['Request']>[1];

const base = 'http://example.org/path?q=1';

const head = (r: Any): unknown => ({
  method: r.method,
  url: r.url,
  headers: [...r.headers],
  hasBody: r.body !== null,
  bodyUsed: r.bodyUsed,
  destination: r.destination,
  redirect: r.redirect,
  mode: r.mode,
  credentials: r.credentials,
  cache: r.cache,
  referrer: r.referrer,
  referrerPolicy: r.referrerPolicy,
  integrity: r.integrity,
  keepalive: r.keepalive,
  duplex: r.duplex,
  aborted: r.signal.aborted,
});

function made(name: string, make: (api: Api) => Any): Case {
  return { name, run: (api) => head(make(api)) };
}

function withInit(name: string, init: unknown): Case {
  return made(name, ({ Request }) => new Request(base, init as Init));
}

const post = (extra: object = {}): Init => ({ method: 'POST', body: 'text', ...extra }) as Init;

const stream = (): ReadableStream<Uint8Array> =>
  new ReadableStream({
    start(controller) {
      controller.enqueue(new TextEncoder().encode('streamed'));
      controller.close();
    },
  });

const members: Record<string, unknown[]> = {
  mode: ['cors', 'same-origin', 'no-cors', 'navigate', 'x', ''],
  credentials: ['omit', 'include', 'same-origin', 'x'],
  cache: ['no-store', 'reload', 'no-cache', 'force-cache', 'only-if-cached', 'x'],
  redirect: ['follow', 'manual', 'error', 'x'],
  referrerPolicy: ['', 'origin', 'no-referrer', 'unsafe-url', 'x'],
  referrer: ['', 'about:client', 'http://other/x', 'not a url'],
  integrity: ['sha256-x', 5],
  keepalive: [true, 0, 'yes'],
  window: [null, 'x'],
  duplex: ['half', 'full'],
  signal: [null, {}, 'x'],
};

const requestCases: Case[] = [
  made('a URL', ({ Request }) => new Request(base)),
  made('a URL object', ({ Request }) => new Request(new URL(base))),
  made('a URL that is rewritten', ({ Request }) => new Request('HTTP://EXAMPLE.org:80/a/../b c#f')),
  made('a relative URL', ({ Request }) => new Request('/x')),
  made('an empty URL', ({ Request }) => new Request('')),
  made('a URL with credentials', ({ Request }) => new Request('http://u:p@a/')),
  made('a URL of another scheme', ({ Request }) => new Request('data:text/plain,x')),
  made('no arguments', ({ Request }) => new (Request as never as new () => Any)()),
  made('a symbol', ({ Request }) => new Request(Symbol('s') as never)),
  withInit('init null', null),
  withInit('init a string', 'x'),
  ...['get', 'post', 'Head', 'oPtions', 'delete', 'put', 'Unknown', 'PATCH'].map((method) =>
    withInit(`method ${method}`, { method }),
  ),
  ...['', 'a b', 'CONNECT', 'trace', 'Track', 'é', 'a\n'].map((method) =>
    withInit(`method ${JSON.stringify(method)} is refused`, { method }),
  ),
  withInit('a body', post()),
  withInit('a body with GET', { body: 'x' }),
  withInit('a body with HEAD', { method: 'HEAD', body: 'x' }),
  withInit('a null body with GET', { body: null }),
  withInit('an empty body with POST', { method: 'POST', body: '' }),
  withInit('a stream without duplex', { method: 'POST', body: stream() }),
  withInit('a stream with duplex', { method: 'POST', body: stream(), duplex: 'half' }),
  withInit('a stream with keepalive', {
    method: 'POST',
    body: stream(),
    duplex: 'half',
    keepalive: true,
  }),
  withInit('a stream with no-cors', {
    method: 'POST',
    body: stream(),
    duplex: 'half',
    mode: 'no-cors',
  }),
  withInit('no-cors with PUT', { method: 'PUT', mode: 'no-cors' }),
  withInit('only-if-cached with same-origin', { cache: 'only-if-cached', mode: 'same-origin' }),
  withInit('headers', { headers: { B: '1', a: '2' } }),
  withInit('headers that are bad', { headers: { 'a b': '1' } }),
  withInit('content-type given', post({ headers: { 'Content-Type': 'text/html' } })),
  ...Object.entries(members).flatMap(([member, values]) =>
    values.map((value) => withInit(`${member} ${JSON.stringify(value)}`, { [member]: value })),
  ),
  withInit('an aborted signal', { signal: AbortSignal.abort() }),
  made('a request', ({ Request }) => {
    return new Request(new Request(base, { headers: { a: '1' }, redirect: 'manual' }));
  }),
  {
    name: 'the referrer of a request stays when init is empty',
    run: ({ Request }) => new Request(new Request(base, { referrer: 'http://r/' })).referrer,
    instead: { value: 'http://r/', because: 'Fetch keeps it, undici 7 does not' },
  },
  made('a request and init', ({ Request }) => {
    const first = new Request(base, {
      headers: { a: '1' },
      redirect: 'manual',
      referrer: 'http://r/',
    });
    return new Request(first, { method: 'DELETE', headers: { b: '2' } });
  }),
  made('a platform request', ({ Request }) => {
    return new Request(
      new globalThis.Request(base, { method: 'PUT', body: 'x', headers: { a: '1' } }),
    );
  }),
  made('a request as init', ({ Request }) => {
    return new Request('http://other/', new Request(base, post({ headers: { a: '1' } })));
  }),
  {
    name: 'making a request of a request uses its body',
    run: async ({ Request }) => {
      const first = new Request(base, post());
      const second = new Request(first);
      return [first.bodyUsed, second.bodyUsed, await second.text(), second.bodyUsed];
    },
  },
  {
    name: 'making a request of a request uses its stream',
    run: async ({ Request }) => {
      const first = new Request(base, post({ body: stream(), duplex: 'half' }));
      const second = new Request(first);
      return [first.bodyUsed, first.body?.locked, await second.text()];
    },
  },
  {
    name: 'a request whose body was read cannot be the base',
    run: async ({ Request }) => {
      const first = new Request(base, post());
      await first.text();
      return new Request(first).method;
    },
  },
  {
    name: 'a used base with another body is fine',
    run: async ({ Request }) => {
      const first = new Request(base, post());
      await first.text();
      return new Request(first, { body: 'new' }).text();
    },
  },
  {
    name: 'a base with a body and another leaves the first alone',
    run: async ({ Request }) => {
      const first = new Request(base, post());
      const second = new Request(first, { body: 'new' });
      return [await first.text(), await second.text()];
    },
  },
  {
    name: 'a base with a body and method GET',
    run: ({ Request }) => new Request(new Request(base, post()), { method: 'GET' }).method,
  },
  {
    name: 'headers of a request made of a request are its own',
    run: ({ Request }) => {
      const first = new Request(base, { headers: { a: '1' } });
      const second = new Request(first);
      second.headers.set('a', '2');
      return [first.headers.get('a'), second.headers.get('a')];
    },
  },
  {
    name: 'headers can be changed',
    run: ({ Request }) => {
      const request = new Request(base);
      request.headers.set('a', '1');
      return [[...request.headers], new Set([request.headers, request.headers]).size];
    },
  },
  {
    name: 'the signal follows the given one',
    run: ({ Request }) => {
      const controller = new AbortController();
      const request = new Request(base, { signal: controller.signal });
      const same = request.signal === controller.signal;
      const before = request.signal.aborted;
      controller.abort('why');
      return [same, before, request.signal.aborted, request.signal.reason];
    },
  },
  {
    name: 'the signal of a clone follows too',
    run: ({ Request }) => {
      const controller = new AbortController();
      const clone = new Request(base, { signal: controller.signal }).clone();
      controller.abort('why');
      return [clone.signal.aborted, clone.signal.reason];
    },
  },
  {
    name: 'the signal of a request made of a request follows it',
    run: ({ Request }) => {
      const controller = new AbortController();
      const second = new Request(new Request(base, { signal: controller.signal }));
      const third = new Request(second, { signal: null });
      controller.abort('why');
      return [second.signal.aborted, third.signal.aborted];
    },
  },
  {
    name: 'signal is one object',
    run: ({ Request }) => {
      const request = new Request(base);
      return [
        new Set([request.signal, request.signal]).size,
        request.signal instanceof AbortSignal,
      ];
    },
  },
  made('a clone', ({ Request }) => new Request(base, post({ headers: { a: '1' } })).clone()),
  {
    name: 'a clone and the first are read apart',
    run: async ({ Request }) => {
      const first = new Request(base, post());
      const clone = first.clone();
      return [await first.text(), clone.bodyUsed, await clone.text()];
    },
  },
  {
    name: 'clone after reading',
    run: async ({ Request }) => {
      const first = new Request(base, post());
      await first.text();
      return first.clone().method;
    },
  },
  {
    name: 'a getter refuses a wrong this',
    run: ({ Request }) => Object.getOwnPropertyDescriptor(Request.prototype, 'url')?.get?.call({}),
  },
  {
    name: 'text refuses a wrong this',
    run: ({ Request }) => Request.prototype.text.call({} as never),
  },
  { name: 'a call without new', run: ({ Request }) => (Request as never as () => unknown)() },
  {
    name: 'name, length, tag',
    run: ({ Request }) => [Request.name, Request.length, String(new Request(base))],
  },
  {
    name: 'no properties of its own',
    run: ({ Request }) => Object.getOwnPropertyNames(new Request(base)),
  },
  {
    name: 'a subclass works',
    run: async ({ Request }) => {
      class Mine extends Request {
        get path(): string {
          return new URL(this.url).pathname;
        }
      }
      const mine = new Mine(base, post());
      return [
        mine.path,
        mine instanceof Request,
        await mine.text(),
        new Request(new Mine(base)).url,
      ];
    },
  },
];

compare('Request', requestCases);
test.run();
