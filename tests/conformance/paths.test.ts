import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { project, type RunningServer, startApp, stopAll } from '../support/process.ts';
import { connect, exchange, type RawResponse } from '../support/socket.ts';
import { engine } from '../support/target.ts';

// One normaliser (zig/http/uri.zig) stands before everybody who looks at a path: what one of them
// takes for "/hello", all of them do.

interface Context {
  app: RunningServer;
  zig: RunningServer;
}

const test = suite<Context>('paths', {} as Context);
test.before(async (context) => {
  context.app = await startApp(project('tests', 'conformance', 'fixtures', 'paths_app.ts'));
  context.zig = await engine.start({ workers: 1 });
});
test.after(async ({ app, zig }) => {
  const { code } = await app.stop();
  assert.is(code, 0, app.stderr());
  await engine.stop(zig);
  await stopAll();
});

const get = (target: string): string => `GET ${target} HTTP/1.1\r\nHost: a\r\n\r\n`;

/** Who answers "hello" under which prefix. */
const targets: readonly [name: string, prefix: string, port: (context: Context) => number][] = [
  ['a Zig handler', '', ({ zig }) => zig.port],
  ['a TypeScript handler', '/handler', ({ app }) => app.port],
  ['a directory', '/dir', ({ app }) => app.port],
  ['Hono', '/hono', ({ app }) => app.port],
];

/** Behind the prefix: the same resource, in other words. */
const same = [
  '/hello',
  '//hello',
  '///hello',
  '/./hello',
  '/%2e/hello',
  '/.//./hello',
  '/%68ello',
  '/%68%65%6C%6c%6F',
  '/x/../hello',
  '/x/%2e%2e/hello',
  '/x/.%2E/hello',
  '/x//../hello',
  '/hello?//../%00',
];

/** Another resource, however much it looks like it. */
const other = [
  '/hello/',
  '/hello//',
  '/hello/.',
  '/Hello',
  '/hello%20',
  '/hello%2520',
  '/%2568ello',
  '/..;/hello',
  '/x/..;/hello',
  '/.../hello',
  '/hello;v=1',
  '/hello%3f',
  '/hello%23',
  '/%ef%bc%8fhello', // a full-width solidus
  '/%e2%80%ae/hello',
];

/** An encoded slash separates nothing: no file has one in its name, a handler may mean it. */
const encodedSlash = ['/hello%2f', '/hello%2F', '/%2fhello', '/x%2f..%2fhello', '/..%2Fhello'];

/** What readers would disagree about is answered with 400 and its code, and the connection closes. */
const refused: readonly [path: string, code: string][] = [
  ['/hello%', 'invalid_percent_encoding'],
  ['/hello%4', 'invalid_percent_encoding'],
  ['/hello%zz', 'invalid_percent_encoding'],
  ['/hello%u0068', 'invalid_percent_encoding'],
  ['/\\hello', 'ambiguous_separator'],
  ['/x\\..\\hello', 'ambiguous_separator'],
  ['/%5chello', 'ambiguous_separator'],
  ['/x%5C..%5chello', 'ambiguous_separator'],
  ['/hello%00', 'control_character_in_path'],
  ['/hello%00.html', 'control_character_in_path'],
  ['/hello%0d%0aX:%20y', 'control_character_in_path'],
  ['/hello%7f', 'control_character_in_path'],
  ['/%c0%ae%c0%ae/hello', 'invalid_utf8_in_path'],
  ['/%c0%ae/hello', 'invalid_utf8_in_path'],
  ['/x%c0%afhello', 'invalid_utf8_in_path'],
  ['/%e0%80%af', 'invalid_utf8_in_path'],
  ['/%ff', 'invalid_utf8_in_path'],
  ['/%ed%a0%80', 'invalid_utf8_in_path'],
  ['/../../hello', 'path_escapes_root'],
  ['/%2e%2e/%2E./hello', 'path_escapes_root'],
  ['/x/..//../../hello', 'path_escapes_root'],
];

for (const [name, prefix, port] of targets) {
  test(`${name}: one resource has one canonical path, however it is written`, async (context) => {
    for (const path of same) {
      for (const authority of ['', 'http://b:81']) {
        const target = authority + prefix + path;
        const response = await exchange(port(context), get(target));
        assert.is(response.status, 200, target);
        if (prefix !== '') assert.is(response.body.toString(), 'hello', target);
      }
    }
  });

  test(`${name}: what only looks like the path is another one`, async (context) => {
    for (const path of other) {
      assert.is((await exchange(port(context), get(prefix + path))).status, 404, path);
    }
  });

  test(`${name}: an encoded slash separates nothing`, async (context) => {
    for (const path of encodedSlash) {
      const { status } = await exchange(port(context), get(prefix + path));
      assert.is(status, name === 'a directory' ? 400 : 404, path);
    }
  });

  test(`${name}: an ambiguous path is refused with its code, and the connection closed`, async (context) => {
    for (const [path, code] of refused) {
      const client = await connect(port(context));
      await client.send(get(prefix + path) + get(`${prefix}/hello`));
      const response = await client.response();
      assert.is(response.status, 400, path);
      assert.match(response.body.toString(), new RegExp(`: ${code}\n`), path);
      assert.is(response.headers.get('connection'), 'close', path);
      assert.is((await client.readToEnd()).length, 0, path);
    }
  });
}

test('a route that stands before a directory is not got round by another spelling', async ({
  app,
}) => {
  for (const path of ['/@private/x', '/%40private/x', '//%40priv%61te/./x', '/x/..//@private/x']) {
    assert.is((await exchange(app.port, get(`/dir${path}`))).status, 403, path);
  }
});

test('a Zig handler sees the canonical path, the target as it was sent and the query untouched', async ({
  zig,
}) => {
  const seen = async (target: string): Promise<string[]> => {
    const { body } = await exchange(zig.port, get(target));
    const { path, query, target: raw } = JSON.parse(body.toString());
    return [path, query, raw];
  };
  for (const target of ['//describe?a=%2e&b=//', '/x/../%64escribe?a=%2e&b=//']) {
    assert.equal(await seen(target), ['/describe', 'a=%2e&b=//', target]);
  }
});

test('the path is canonical too when the body came in pieces', async ({ zig }) => {
  const client = await connect(zig.port);
  const request = 'POST /./%64escribe?q HTTP/1.1\r\nHost: a\r\nContent-Length: 6\r\n\r\nfoobar';
  await client.send(request, [request.length - 3]);
  const { path, bodyBytes, target } = JSON.parse((await client.response()).body.toString());
  assert.equal([path, bodyBytes, target], ['/describe', 6, '/./%64escribe?q']);
  client.destroy();
});

test('"*" and an absolute target without a path are what they were', async ({ zig }) => {
  const paths = ['*', 'http://b', 'http://b?q', '/'];
  for (const target of paths) {
    const method = target === '*' ? 'OPTIONS' : 'GET';
    const { status } = await exchange(zig.port, get(target).replace('GET', method));
    assert.is(status, 404, target);
  }
});

const body = (response: RawResponse): unknown => JSON.parse(response.body.toString());

test('TypeScript sees the canonical path in request.url, and parameters decoded once', async ({
  app,
}) => {
  const ask = async (target: string): Promise<unknown> =>
    body(await exchange(app.port, get(target)));
  assert.equal(await ask('/param//a%2fb/%c3%a4/../%41%2541//c?%2e=//'), [
    'a/b',
    'A%41/c',
    'http://a/param/a%2Fb/A%2541/c?%2e=//',
  ]);
  assert.equal(await ask('/param/%c3%a4/'), ['ä', '', 'http://a/param/%C3%A4/']);
  assert.equal(await ask('http://B:81/./param/%7eme/x'), ['~me', 'x', 'http://b:81/param/~me/x']);
});

test('a pattern means its canonical form', async ({ app }) => {
  for (const target of ['/pattern/%C3%A4', '/p%61ttern//%c3%a4']) {
    assert.is((await exchange(app.port, get(target))).body.toString(), 'pattern', target);
  }
});

test('a redirect to a directory leads to its canonical path on this host', async ({ app }) => {
  const cases = [
    ['/dir/sub', '/dir/sub/'],
    ['//dir//sub?a=//b', '/dir/sub/?a=//b'],
    ['/dir/%73ub', '/dir/sub/'],
    ['//evil.example/../dir/./sub', '/dir/sub/'],
    ['/dir', '/dir/'],
  ];
  for (const [target, location] of cases) {
    const response = await exchange(app.port, get(target as string));
    assert.is(response.status, 301, target);
    assert.is(response.headers.get('location'), location, target);
  }
});

test.run();
