/** What handlers may do wrong: each costs its own request, never the process or the next request. */
import { Readable } from 'node:stream';
import { Response, type Server } from 'gyrfalcon';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { serversOf } from '../support/servers.ts';
import { connect } from '../support/socket.ts';

const test = suite('handlers');
const servers = serversOf(test);

/** Serves one handler, whatever it gives, beside /alive. */
function open(handler: () => unknown, error?: (error: Error) => Response): Server {
  return servers.open({
    ...(error === undefined ? {} : { error }),
    routes: { '/': handler as () => Response, '/alive': () => new Response('alive') },
  });
}

/** The status of GET / (or of another method), and whether the server answers afterwards. */
async function statusOf(handler: () => unknown, method = 'GET'): Promise<number> {
  const server = open(handler);
  const client = await connect(server.port);
  client.send(`${method} / HTTP/1.1\r\nHost: a\r\n\r\n`);
  const { status } = await client.response(method);
  client.destroy();
  assert.is(await (await fetch(new URL('/alive', server.url))).text(), 'alive');
  return status;
}

const hostile = new Proxy(
  {},
  {
    get() {
      throw new Error('get');
    },
    getPrototypeOf() {
      throw new Error('getPrototypeOf');
    },
  },
);

test('a handler that gives something hostile is a 500', async () => {
  const throwing = {
    // biome-ignore lint/suspicious/noThenProperty: that is what it is about
    get then() {
      throw new Error('then');
    },
  };
  assert.is(await statusOf(() => hostile), 500);
  assert.is(await statusOf(async () => ({ inner: hostile })), 500);
  assert.is(await statusOf(() => throwing), 500);
});

test('a thenable that throws, or settles twice, is answered once', async () => {
  const thenable = (then: (resolve: (value: unknown) => void) => void) => ({
    then,
  });
  const throwing = thenable(() => {
    throw new Error('then');
  });
  const twice = thenable((resolve) => {
    resolve(new Response(new Blob(['first']).stream()));
    resolve(new Response('second'));
  });
  assert.is(await statusOf(() => throwing), 500);
  assert.is(await statusOf(() => twice), 200);
});

test('a field that Fetch allows and HTTP does not goes to the error hook, with its code', async () => {
  const codes: unknown[] = [];
  const values = ['a\x01b', 'a\x7f', `${'long '.repeat(20)}\x1f`];
  for (const value of values) {
    const handler = async () => new Response('x', { headers: { 'x-a': value } });
    const error = (thrown: Error) => {
      codes.push((thrown as { code?: unknown }).code);
      return new Response('from error', { status: 502 });
    };
    const server = open(handler, error);
    assert.is((await fetch(server.url)).status, 502);
    assert.is(await statusOf(handler), 500);
  }
  assert.equal(
    codes,
    values.map(() => 'GYR_RESPONSE_FIELD'),
  );
  assert.is(await statusOf(() => new Response('x', { headers: { 'x-a': 'a\tb' } })), 200);
});

test('a handler that throws what cannot even be shown is a 500', async () => {
  const unshowable = {
    [Symbol.for('nodejs.util.inspect.custom')]() {
      throw new Error('inspect');
    },
  };
  for (const thrown of [unshowable, hostile, Object.create(null), Symbol('s'), null, undefined]) {
    const handler = () => {
      throw thrown;
    };
    assert.is(await statusOf(handler), 500);
  }
});

test('what a handler gave up for its client has left is no line in the log', async () => {
  const { port } = servers.open({
    fetch: ({ signal }) =>
      new Promise<Response>((_, reject) => {
        signal.addEventListener('abort', () => reject(signal.reason));
      }),
  });
  const client = await connect(port);
  await client.send('GET / HTTP/1.1\r\nHost: a\r\n\r\n');
  client.end();
  assert.is((await client.response()).status, 500);
  assert.is(servers.log, '');
});

test('error() is given an Error for whatever was thrown', async () => {
  for (const thrown of ['text', Object.create(null), Symbol('s'), undefined]) {
    const handler = () => {
      throw thrown;
    };
    const server = open(handler, (error) => {
      assert.instance(error, Error);
      assert.is(error.cause, thrown);
      return new Response('told', { status: 418 });
    });
    assert.is((await fetch(server.url)).status, 418);
  }
});

test('the response of another library is sent, whatever kind of stream its body is', async () => {
  const foreign = (body: unknown) => () => ({
    [Symbol.toStringTag]: 'Response',
    status: 200,
    statusText: '',
    url: '',
    headers: new Headers({ 'content-type': 'text/plain' }),
    bodyUsed: false,
    body,
  });
  const server = open(foreign(Readable.from([Buffer.from('from '), Buffer.from('Node')])));
  assert.is(await (await fetch(server.url)).text(), 'from Node');
  assert.is(await statusOf(() => foreign(Readable.from(['x']))(), 'HEAD'), 200);
  assert.is(await statusOf(foreign(null)), 200);
  assert.is(await statusOf(foreign('text')), 200);
  assert.is(await statusOf(foreign(7)), 500);
  assert.is(await statusOf(async () => foreign({ cancel: 1 })()), 500);
});

test('HEAD of a stream announces no length, for nobody knows it', async () => {
  const server = open(() => new Response(new Blob(['text']).stream()));
  const client = await connect(server.port);
  for (let i = 0; i < 3; i++) {
    client.send('HEAD / HTTP/1.1\r\nHost: a\r\n\r\n');
    const { status, headers } = await client.response('HEAD');
    assert.is(status, 200);
    assert.is(headers.get('content-length'), undefined);
    client.send('GET / HTTP/1.1\r\nHost: a\r\n\r\n');
    assert.is((await client.response('GET')).body.length, 4);
  }
  client.destroy();
});

test.run();
