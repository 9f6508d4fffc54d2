import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { loadEngine } from '../bridge/engine.ts';
import { GyrfalconError } from '../core/errors.ts';
import { PlatformResponse } from '../fetch/originals.ts';
import { Response } from '../fetch/response.ts';
import { dir } from '../server/dir.ts';
import { type ExplainedRoute, type Explanation, explain } from './explanation.ts';
import { explanationText } from './explanation_text.ts';

const handler = () => new Response('x');

function explained(
  options: Record<string, unknown>,
  written: unknown = options.fetch,
): Promise<Explanation> {
  return explain({ name: 'app.ts', options, written }, loadEngine());
}

const first = async (options: Record<string, unknown>): Promise<ExplainedRoute> =>
  (await explained(options)).routes[0] as ExplainedRoute;

test('fetch gets what no route takes, also by its method; without it the engine answers', async () => {
  const routes = { '/a': { POST: handler } };
  const alone = await explained({ routes });
  assert.is(alone.fetch, null);
  assert.equal(alone.routes[0]?.methods, {
    GET: { by: 'engine', status: 405, allow: 'POST' },
    HEAD: { by: 'engine', status: 405, allow: 'POST' },
    POST: { by: 'route', route: 0 },
    PUT: { by: 'engine', status: 405, allow: 'POST' },
    DELETE: { by: 'engine', status: 405, allow: 'POST' },
    OPTIONS: { by: 'engine', status: 405, allow: 'POST' },
    PATCH: { by: 'engine', status: 405, allow: 'POST' },
    other: { by: 'engine', status: 405, allow: 'POST' },
  });
  const both = await explained({ routes, fetch: handler });
  assert.is(both.fetch?.name, 'handler');
  assert.equal(both.routes[0]?.methods.OPTIONS, { by: 'fetch' });
  assert.equal(both.unusual, {
    TRACE: { by: 'engine', status: 501, allow: null },
    CONNECT: { by: 'engine', status: 501, allow: null },
    'OPTIONS *': { by: 'fetch' },
  });
  const open = await explained({ routes, fetch: handler, trace: true, connect: true });
  assert.equal(open.unusual.TRACE, { by: 'engine', status: 200, allow: null });
  assert.equal(open.unusual.CONNECT, { by: 'fetch' });
});

test('fetch is told as its author wrote it', async () => {
  function authors() {}
  const { fetch } = await explained({ fetch: () => authors() }, authors);
  assert.is(fetch?.name, 'authors');
});

test('a constant whose bytes have to be waited for is one, unless they do not come', async () => {
  const platform = await first({ routes: { '/': new PlatformResponse('text') } });
  assert.is(platform.target.kind, 'constant');
  const endless = new ReadableStream({ pull: () => new Promise(() => {}) });
  const { target } = await first({ routes: { '/': new Response(endless) } });
  assert.ok(target.kind === 'javascript' && target.file === null);
  if (target.kind === 'javascript') assert.match(target.why, 'has not ended');
});

test('files answer GET and HEAD alone, and an entry for another method is warned of', async () => {
  const { routes, warnings } = await explained({
    routes: { '/a/*': dir('.', { cache: false }), '/b/*': { POST: dir('.'), GET: handler } },
  });
  assert.equal(routes[0]?.methods.HEAD, { by: 'route', route: 0 });
  assert.equal(routes[0]?.methods.POST, { by: 'engine', status: 405, allow: 'GET, HEAD' });
  const { target } = routes[0] as ExplainedRoute;
  assert.is(target.kind === 'files' && target.cacheBytes, 0);
  assert.equal(warnings, ['POST of /b/* answers 405 always: files are there for GET, HEAD']);
});

test('what crosses the ring depends on parameters, TLS and websocket', async () => {
  const parts = async (options: Record<string, unknown>): Promise<string[]> => {
    const { target } = await first(options);
    return target.kind === 'javascript' ? target.crosses.map(({ part }) => part) : [];
  };
  const plain = ['head', 'path', 'query', 'body', 'client'];
  assert.equal(await parts({ routes: { '/': handler } }), plain);
  const named = ['head', 'path', 'query', 'parameters', 'body', 'client'];
  assert.equal(await parts({ routes: { '/:a': handler } }), named);
  const all = { routes: { '/': handler }, tls: 'self-signed', websocket: { message() {} } };
  assert.equal(await parts(all), [...plain, 'tls', 'upgrade']);
});

test('what serve() refuses is refused with its code', async () => {
  const cases: [Record<string, unknown>, string][] = [
    [{}, 'GYR_NO_HANDLER'],
    [{ fetch: handler, prot: 1 }, 'GYR_OPTION_UNKNOWN'],
    [{ routes: { a: handler } }, 'GYR_ROUTE_PATTERN'],
    [{ routes: { '/*/a': handler } }, 'GYR_ROUTE_PATTERN'],
    [{ routes: { '/*': dir('/there/is/none') } }, 'GYR_ROUTE_DIRECTORY'],
    [{ routes: { '/': 7 } }, 'GYR_ROUTE_VALUE'],
  ];
  for (const [options, code] of cases) {
    const refused = await explained(options).then(
      () => null,
      (error: unknown) => error,
    );
    assert.instance(refused, GyrfalconError);
    assert.is((refused as GyrfalconError).code, code);
  }
});

test('the text groups the methods that others answer, and names few of many patterns', async () => {
  const many = Object.fromEntries(Array.from({ length: 9 }, (_, i) => [`/p${i}`, handler]));
  const text = explanationText(
    await explained({
      routes: { '/*': { GET: handler }, ...many, '/p0/:x': { HEAD: handler, POST: handler } },
    }),
    '/',
  );
  assert.match(
    text,
    /\n\/\*\n {2}GET, HEAD {5}JavaScript: handler, .*\n +behind \/p0, \/p1, \/p2, \/p3, \/p4, \/p5 and 4 more\n/,
  );
  assert.ok(text.includes(`\n  ${'GET'.padEnd(14)}GET of /* (/p0/x)\n`));
  assert.match(
    text,
    '  PUT, DELETE, OPTIONS, PATCH, other  405 by the engine, Allow: GET, HEAD, POST\n',
  );
  assert.not.match(text, 'of each request:\n  parameters');
});

test.run();
