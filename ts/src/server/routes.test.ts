import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { Background, ExecutionContext } from '../bridge/background.ts';
import { GyrfalconError } from '../core/errors.ts';
import { standardLog } from '../core/log.ts';
import { PlatformResponse } from '../fetch/originals.ts';
import { Request } from '../fetch/request.ts';
import { Response } from '../fetch/response.ts';
import { DirRoute, dir } from './dir.ts';
import { compileTable } from './routes.ts';
import type { Handler, RouteParams } from './server.ts';

const handler = () => new Response('x');
const context = new ExecutionContext(new Background(standardLog));

function codeOf(run: () => unknown): string {
  try {
    run();
  } catch (error) {
    assert.instance(error, GyrfalconError);
    return (error as GyrfalconError).code;
  }
  return '';
}

/** Compiles only when `A` and `B` are the same type. */
type Same<A, B> = [A] extends [B] ? ([B] extends [A] ? true : false) : false;

test('the parameters of a pattern are types', () => {
  const checks: [
    Same<RouteParams<'/'>, Record<never, string>>,
    Same<RouteParams<'/users/:id'>, { id: string }>,
    Same<RouteParams<'/a/:b/c/:d/*'>, { b: string; d: string; '*': string }>,
    Same<RouteParams<string>, Record<string, string>>,
  ] = [true, true, true, true];
  const typed: Handler<'/users/:id'> = (request) => new Response(request.params.id);
  assert.ok(checks.every(Boolean) && typed);
});

test('handlers get numbers from the first free one, and the names of their parameters', () => {
  const { table, routes } = compileTable(
    { routes: { '/a/:b/*': handler, '/c': { GET: handler, POST: handler } }, fetch: handler },
    2,
  );
  assert.equal(table.entries, [
    { pattern: '/a/:b/*', method: null, target: 0 },
    { pattern: '/c', method: 'GET', target: 1 },
    { pattern: '/c', method: 'POST', target: 2 },
  ]);
  assert.equal(
    table.targets.map((target) => target.kind === 'lane' && target.route),
    [2, 3, 4, 5],
  );
  assert.is(table.fallback, 3);
  assert.equal(
    routes.map((route) => route?.names),
    [undefined, undefined, ['b', '*'], [], [], []],
  );
});

test('a constant is laid out, and the Response can be used again', () => {
  const response = new Response('héllo', { status: 201, headers: { 'x-a': 'b' } });
  for (let i = 0; i < 2; i++) {
    const { table, late } = compileTable({ routes: { '/': response } }, 0);
    assert.is(late, null);
    assert.equal(table.targets, [
      {
        kind: 'constant',
        status: 201,
        fields: ['x-a', 'b', 'content-type', 'text/plain;charset=UTF-8'],
        body: Buffer.from('héllo').toString('base64'),
      },
    ]);
  }
});

test('a constant of bytes is laid out at once, one of the platform’s when its bytes are here', async () => {
  const bytes = compileTable({ routes: { '/': new Response(new Uint8Array([1, 2])) } }, 0);
  assert.equal(bytes.table.targets[0], { kind: 'constant', status: 200, fields: [], body: 'AQI=' });
  const platform = new PlatformResponse('text', { status: 203 });
  const { table, routes, late } = compileTable({ routes: { '/': platform } }, 0);
  assert.equal(table.targets[0], { kind: 'lane', route: 0 });
  const answer = (await routes[0]?.handler(new Request('http://a/'), null, context)) as Response;
  assert.is(answer.status, 203);
  assert.is(await answer.text(), 'text');
  await late;
  assert.is(table.targets[0]?.kind, 'constant');
});

test('a Response that was read, or stands for a failure, is refused as a constant', async () => {
  const used = new Response('x');
  await used.text();
  for (const response of [used, Response.error()]) {
    assert.is(
      codeOf(() => compileTable({ routes: { '/': response } }, 0)),
      'GYR_ROUTE_CONSTANT',
    );
  }
});

test('a directory becomes a target of the engine', () => {
  const folder = mkdtempSync(join(tmpdir(), 'gyrfalcon-'));
  const { table } = compileTable(
    { routes: { '/s/*': dir(folder, { maxAge: 60, cache: false }) } },
    0,
  );
  rmSync(folder, { recursive: true });
  assert.equal(table.targets, [{ kind: 'dir', root: folder, cache: false, max_age_s: 60 }]);
  assert.ok(dir('.').root.startsWith('/'));
});

test('what is no route is refused, with what would be right', () => {
  const cases: [Record<string, unknown>, string, RegExp][] = [
    [{ users: handler }, 'GYR_ROUTE_PATTERN', /write "\/users"/],
    [{ '/': 'text' }, 'GYR_ROUTE_VALUE', /is 'text'/],
    [{ '/': null }, 'GYR_ROUTE_VALUE', /is null/],
    [{ '/': {} }, 'GYR_ROUTE_VALUE', /is \{\}/],
    [{ '/': { get: handler } }, 'GYR_ROUTE_VALUE', /write GET/],
    [{ '/': { BREW: handler } }, 'GYR_ROUTE_VALUE', /methods are GET/],
    [
      { '/': { TRACE: handler } },
      'GYR_ROUTE_VALUE',
      /for TRACE.*leave it out.*option trace is true/,
    ],
    [
      { '/': { GET: handler, CONNECT: handler } },
      'GYR_ROUTE_VALUE',
      /comes to fetch where.*connect/,
    ],
    [{ '/': { trace: handler } }, 'GYR_ROUTE_VALUE', /for TRACE.*leave it out/],
    [{ '/': { GET: 7 } }, 'GYR_ROUTE_VALUE', /is 7/],
    [{ '/s': new DirRoute('/tmp', {}) }, 'GYR_ROUTE_PATTERN', /end the pattern in "\/\*"/],
  ];
  for (const [routes, code, message] of cases) {
    const compile = () => compileTable({ routes }, 0);
    assert.is(codeOf(compile), code);
    assert.throws(compile, message);
  }
  assert.is(
    codeOf(() => dir('')),
    'GYR_ROUTE_DIRECTORY',
  );
});

test.run();
