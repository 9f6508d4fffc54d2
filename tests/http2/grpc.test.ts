import { EventEmitter, once } from 'node:events';
import { readFileSync } from 'node:fs';
import {
  type ClientDuplexStream,
  credentials,
  Metadata,
  type ServiceError,
  status,
} from '@grpc/grpc-js';
import type { ServeOptions, Server } from 'gyrfalcon';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import app from '../../examples/07-grpc/app.ts';
import { type Codec, GrpcError, grpc } from '../../examples/07-grpc/grpc.ts';
import { serversOf } from '../support/servers.ts';
import { testUnless } from '../support/skip.ts';
import { connect } from '../support/socket.ts';
import { until, within } from '../support/wait.ts';
import { ask, session } from './client.ts';
import { type Greeter, greeter, sayHello, type Text, textsOf } from './greeter.ts';
import { type Way, ways } from './ways.ts';

// gRPC through handlers in TypeScript, with @grpc/grpc-js as the client: the example, and methods of these tests.
const test = suite('gRPC');
const servers = serversOf(test);
const clients: Greeter[] = [];

test.after.each(() => {
  for (const client of clients.splice(0)) client.close();
});

function open<Paths extends string>(
  way: Way,
  options: ServeOptions<Paths>,
): { server: Server; client: Greeter } {
  const server = servers.open({ ...way.options, ...options } as ServeOptions);
  const root = way.trusted === undefined ? undefined : readFileSync(way.trusted);
  const channel = root === undefined ? credentials.createInsecure() : credentials.createSsl(root);
  const client = greeter(server.port, channel);
  clients.push(client);
  return { server, client };
}

function both(name: string, run: (way: Way) => Promise<void>): void {
  for (const way of ways) testUnless(test, way.lack, `${name}, ${way.name}`, () => run(way));
}

/** `message Text` again, of texts below 128 bytes. */
const text: Codec<string> = {
  encode: (message) => Buffer.concat([Buffer.from([0x0a, message.length]), Buffer.from(message)]),
  decode: (bytes) => Buffer.from(bytes.subarray(2)).toString(),
};

async function failure(call: Promise<unknown>): Promise<ServiceError> {
  try {
    await call;
  } catch (error) {
    return error as ServiceError;
  }
  throw new Error('it did not fail');
}

const next = async (chat: ClientDuplexStream<Text, Text>): Promise<string> =>
  ((await within(once(chat, 'data'), 'an answer')) as [Text])[0].text;

both('unary calls, one by one and a thousand at once', async (way) => {
  const { client } = open(way, app);
  assert.is(await sayHello(client, 'Ada'), 'Hello Ada');
  const names = Array.from({ length: 1000 }, (_, n) => `n${n}`);
  const answers = await Promise.all(names.map((name) => sayHello(client, name)));
  assert.equal(
    answers,
    names.map((name) => `Hello ${name}`),
  );
});

both('messages up to 4 MiB, and none above', async (way) => {
  const { client } = open(way, { ...app, maxRequestBodySize: 2 ** 30 });
  const large = 'x'.repeat(4 * 2 ** 20 - 100);
  assert.is((await sayHello(client, large)).length, large.length + 6);
  const { code } = await failure(sayHello(client, 'x'.repeat(5 * 2 ** 20)));
  assert.is(code, status.RESOURCE_EXHAUSTED);
  assert.is(await sayHello(client, 'Ada'), 'Hello Ada');
});

both('a stream of answers', async (way) => {
  const { client } = open(way, app);
  assert.equal(await textsOf(client.CountDown({ text: '3' })), ['3', '2', '1', 'lift-off']);
});

both('a stream of messages', async (way) => {
  const { client } = open(way, app);
  const answered = new Promise<string | undefined>((resolve, reject) => {
    const call = client.Join((error, answer) => (error ? reject(error) : resolve(answer?.text)));
    for (let n = 0; n < 500; n += 1) call.write({ text: `${n}` });
    call.end();
  });
  const expected = Array.from({ length: 500 }, (_, n) => `${n}`).join(' ');
  assert.is(await within(answered, 'the answer'), expected);
});

both('conversations, twenty at a time, each message answered before the next', async (way) => {
  const { client } = open(way, app);
  await Promise.all(
    Array.from({ length: 20 }, async (_, k) => {
      const metadata = new Metadata();
      metadata.set('name', `n${k}`);
      const chat = client.Chat(metadata);
      for (let n = 0; n < 30; n += 1) {
        chat.write({ text: `${n}` });
        assert.is(await next(chat), `n${k}: ${n}`);
      }
      chat.end();
      const [{ code }] = (await within(once(chat, 'status'), 'its end')) as [{ code: number }];
      assert.is(code, status.OK);
    }),
  );
});

both('a conversation outlives every timeout while both are silent', async (way) => {
  const short = { headerTimeout: 200, keepAliveTimeout: 200, writeTimeout: 200, rateGrace: 200 };
  const { client, server } = open(way, { ...app, ...short });
  const chat = client.Chat();
  chat.write({ text: 'before' });
  assert.is(await next(chat), 'you: before');
  // As long as it takes the server to end five connections that say nothing, one after the other.
  for (let n = 0; n < 5; n += 1) {
    const silent = await connect(server.port);
    await until(() => silent.ended, 'the end of who is silent');
  }
  chat.write({ text: 'after' });
  assert.is(await next(chat), 'you: after');
  chat.end();
  await within(once(chat, 'status'), 'its end');
});

both('statuses and their messages come as they were thrown', async (way) => {
  const { client } = open(way, app);
  const error = await failure(sayHello(client, ''));
  assert.equal([error.code, error.details], [status.INVALID_ARGUMENT, 'Who are you?']);
  const unknown = open(way, {
    routes: {
      '/greeter.Greeter/SayHello': {
        POST: grpc(text, text, async function* () {
          throw new GrpcError(42, 'ünüsual, 100 %');
          // biome-ignore lint/correctness/noUnreachable: it makes this a generator of texts
          yield '';
        }),
      },
    },
  });
  const strange = await failure(sayHello(unknown.client, 'x'));
  assert.equal([strange.code, strange.details], [42, 'ünüsual, 100 %']);
});

both('an error of a method’s own stays on the server', async (way) => {
  const { client } = open(way, {
    routes: {
      '/greeter.Greeter/SayHello': {
        POST: grpc(text, text, async function* () {
          yield* [];
          throw new Error('the password is x');
        }),
      },
    },
  });
  const error = await failure(sayHello(client, 'x'));
  assert.equal([error.code, error.details], [status.UNKNOWN, 'Something went wrong']);
  assert.match(servers.log, 'the password is x');
});

both('a method that there is none of is unimplemented', async (way) => {
  const { client } = open(way, { fetch: app.fetch as NonNullable<typeof app.fetch> });
  assert.is((await failure(sayHello(client, 'Ada'))).code, status.UNIMPLEMENTED);
});

/** What a method waits for that never comes: until its signal is aborted, upon which it goes on, or fails. */
const waits: Record<string, (signal: AbortSignal) => Promise<unknown>> = {
  'goes on': (signal) => once(signal, 'abort'),
  fails: (signal) => once(new EventEmitter(), 'never', { signal }),
};

/** A server whose CountDown never ends by itself, and what became of it. */
function endless(way: Way, wait = waits['goes on'] as (signal: AbortSignal) => Promise<unknown>) {
  const seen: string[] = [];
  const opened = open(way, {
    routes: {
      '/greeter.Greeter/CountDown': {
        POST: grpc(text, text, async function* (_, { signal }) {
          seen.push('begun');
          signal.addEventListener('abort', () => seen.push('aborted'));
          try {
            for (let n = 0; ; n += 1) {
              yield String(n);
              await wait(signal);
            }
          } finally {
            seen.push('returned');
          }
        }),
      },
    },
  });
  return { ...opened, seen };
}

for (const [what, wait] of Object.entries(waits)) {
  both(`a client that cancels ends the method and its signal: one that ${what}`, async (way) => {
    const { client, seen } = endless(way, wait);
    const stream = client.CountDown({ text: '' });
    stream.on('error', () => {});
    await within(once(stream, 'data'), 'an answer');
    stream.cancel();
    await until(() => seen.includes('aborted') && seen.includes('returned'), 'both ends');
    // Nobody's fault, and no line of the log.
    assert.is((await failure(sayHello(client, 'x'))).code, status.UNIMPLEMENTED);
    assert.is(servers.log, '');
  });
}

both('a deadline ends the method and its signal, here and at the client', async (way) => {
  const { client, seen, server } = endless(way);
  const stream = client.CountDown({ text: '' }, { deadline: Date.now() + 300 });
  const { code } = await failure(textsOf(stream));
  assert.is(code, status.DEADLINE_EXCEEDED);
  await until(() => seen.includes('aborted') && seen.includes('returned'), 'both ends');
  // A client that waits for what the server says of it.
  const own = await session(`${way.scheme}://127.0.0.1:${server.port}`);
  const message = Buffer.from([0, 0, 0, 0, 0]);
  // Most clients count in smaller units than this one's library.
  for (const timeout of ['200m', '199999u', '99999999n']) {
    const headers = {
      ':method': 'POST',
      'content-type': 'application/grpc',
      te: 'trailers',
      'grpc-timeout': timeout,
    };
    const { trailers } = await ask(own, '/greeter.Greeter/CountDown', headers, message);
    assert.is(trailers?.['grpc-status'], String(status.DEADLINE_EXCEEDED), timeout);
  }
  own.close();
});

both('a stop waits for a conversation to end', async (way) => {
  const { client, server } = open(way, app);
  const chat = client.Chat();
  chat.write({ text: 'one' });
  assert.is(await next(chat), 'you: one');
  const stopped = server.stop();
  chat.write({ text: 'two' });
  assert.is(await next(chat), 'you: two');
  chat.end();
  const [{ code }] = (await within(once(chat, 'status'), 'its end')) as [{ code: number }];
  assert.is(code, status.OK);
  await within(stopped, 'the end of the server');
});

test('who does not speak gRPC is told so', async () => {
  const { server } = open(ways[0] as Way, app);
  const answer = await fetch(`${server.url}greeter.Greeter/SayHello`, { method: 'POST' });
  assert.is(answer.status, 415);
});

test.run();
