import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { ignoredLine, type Refuse, type Shape, shapeOf } from './shapes.ts';

const refuse: Refuse = (message, hint) => new Error(`${message} (${hint})`);
const of = (app: unknown): Shape => shapeOf({ default: app }, 'a.ts', refuse);
type Fetch = (...args: unknown[]) => unknown;
const fetchOf = (app: unknown): Fetch => of(app).options.fetch as Fetch;
/** What the first, second and third argument of a call of its fetch are. */
const argumentsOf = (app: unknown) => fetchOf(app)('request', 'server', 'context');

test('options are taken as they are, an object of a class by its fetch alone', () => {
  class App {
    routes = [{ path: '/' }];
    name = 'app';
    fetch(...rest: unknown[]) {
      return [this.name, ...rest];
    }
  }
  assert.equal(of({ routes: {} }), { options: { routes: {} }, ignored: [] });
  const { options } = of({ fetch: () => 'x', port: 1 });
  assert.equal(Object.keys(options), ['fetch', 'port']);
  assert.equal(Object.keys(of(new App()).options), ['fetch']);
  assert.equal(argumentsOf(new App()), ['app', 'request', 'server', 'context']);
});

test('fetch is told as its author wrote it, whatever is around it', () => {
  const fetch = (request: unknown, _env: unknown, _context: unknown) => request;
  const pass = (_: unknown, next: () => unknown) => next();
  assert.is(of({ fetch, middleware: [pass] }).written, fetch);
  assert.is(of({ fetch, scheduled() {} }).written, fetch);
  assert.is(of(fetch).written, fetch);
  assert.is(of({ routes: {} }).written, undefined);
});

test('onProtocolError may be an export of its own', () => {
  const onProtocolError = () => {};
  const exported = { default: { fetch: () => 'x' }, onProtocolError };
  assert.is(shapeOf(exported, 'a.ts', refuse).options.onProtocolError, onProtocolError);
});

test('a function is a fetch, unless it has one, as GraphQL Yoga’s has', () => {
  assert.equal(
    argumentsOf((request: unknown, server: unknown) => [request, server]),
    ['request', 'server'],
  );
  const yoga = Object.assign(() => assert.unreachable('it takes Node.js’s objects'), {
    schema: 's',
    fetch(...rest: unknown[]) {
      return [this.schema, rest[0]];
    },
  });
  assert.equal(argumentsOf(yoga), ['s', 'request']);
});

test('fetch finds the object that it is of', () => {
  const app = {
    port: 5,
    fetch() {
      return this.port;
    },
  };
  assert.is(argumentsOf(app), 5);
});

test('handlers of Workers get the environment and a context', () => {
  const seen = (...rest: unknown[]) => rest;
  const expected = ['request', process.env, 'context'];
  assert.equal(
    argumentsOf({ fetch: (r: unknown, e: unknown, c: unknown) => seen(r, e, c) }),
    expected,
  );
  const scheduled = { fetch: (...rest: unknown[]) => seen(...rest), scheduled() {} };
  assert.equal(argumentsOf(scheduled), expected);
  assert.equal(of(scheduled).ignored, ['scheduled (Workers)']);
  class Entrypoint {
    fetch(request: unknown, env: unknown, context: unknown) {
      return [request, env, context];
    }
  }
  assert.equal(argumentsOf(new Entrypoint()), expected);
  const bun = { fetch: (r: unknown, s: unknown) => [r, s], websocket: {} };
  assert.equal(argumentsOf(bun), ['request', 'server']);
});

test('what other runtimes are told is ignored, and said in one line', () => {
  const shape = of({
    fetch: () => 'x',
    websocket: { message() {} },
    idleTimeout: 30,
    port: '8080',
    gracefulShutdown: true,
    trace: true,
    development: undefined,
  });
  assert.equal(Object.keys(shape.options), ['fetch', 'websocket', 'port', 'trace']);
  assert.is(shape.options.port, 8080);
  assert.equal(shape.ignored, ['idleTimeout (Bun)', 'gracefulShutdown (srvx)']);
  assert.is(
    ignoredLine('a.ts', shape),
    `gyrfalcon: a.ts: ignored, as other runtimes' own: ${shape.ignored.join(', ')}`,
  );
  assert.equal(of({ fetch: () => 'x', trace() {} }).ignored, ['trace (Workers)']);
  assert.is(ignoredLine('a.ts', of({ fetch: () => 'x' })), null);
});

test('srvx’s middleware runs around fetch, in order', async () => {
  const order: string[] = [];
  const app = {
    middleware: [
      async (_: unknown, next: () => unknown) => {
        order.push('first');
        const response = await next();
        order.push('behind');
        return response;
      },
      (request: unknown, next: () => unknown) => {
        order.push(`second of ${request}`);
        return next();
      },
    ],
    fetch: (...rest: unknown[]) => {
      order.push('fetch');
      return rest;
    },
  };
  assert.equal(await argumentsOf(app), ['request', 'server', 'context']);
  assert.equal(order, ['first', 'second of request', 'fetch', 'behind']);
  assert.equal(Object.keys(of(app).options), ['fetch']);
  assert.is(fetchOf({ fetch: () => 'x', middleware: [() => 'guarded'] })('request'), 'guarded');
});

test('what would open what its author has closed is refused', () => {
  const fetch = () => 'x';
  const tls = { cert: 'a.pem', key: 'a.key' };
  assert.is(of({ fetch, tls }).options.tls, tls);
  assert.throws(() => of({ fetch, plugins: [] }), /has plugins/);
  assert.throws(() => of({ fetch, routes: {}, middleware: [] }), /around fetch/);
  assert.throws(() => of({ fetch, middleware: {} }), /array of functions/);
});

test('exports that cannot be served are refused', () => {
  for (const app of [undefined, 5, null, { port: 1 }, new (class {})(), class App {}]) {
    assert.throws(() => of(app), /a\.ts/);
  }
});

test.run();
