import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { open, type TestHandler, tick } from '../../../tests/support/channel.ts';
import { logged } from '../../../tests/support/console.ts';
import type { MirrorAnswer } from '../../../tests/support/engine_mirror.ts';
import { until } from '../../../tests/support/wait.ts';
import type { Request } from '../fetch/request.ts';
import { Response } from '../fetch/response.ts';
import * as abi from './abi.gen.ts';
import type { SocketAddress } from './address.ts';
import { IncomingBody } from './incoming_body.ts';

test('a synchronous handler is answered within the turn, in one record', () => {
  const { ask } = open(() => new Response('hi', { status: 201, headers: { 'x-a': 'b' } }));
  const [answer, ...rest] = ask() as [MirrorAnswer];
  assert.is(rest.length, 0);
  assert.is(answer.status, 201);
  assert.is(answer.contentType, 'text/plain;charset=UTF-8');
  assert.equal(answer.fields, [['x-a', 'b']]);
  assert.is(answer.body.toString(), 'hi');
  assert.ok(answer.end);
});

test('a request is read as it was received, also when its place in the ring is long reused', () => {
  const fields: [string, string][] = [
    ['Host', 'example.test:8080'],
    ['X-Long-Field-Name', 'a value of more than twelve characters'],
    ['Accept', 'a'],
    ['ACCEPT', 'b'],
    ['Cookie', 'a=1'],
    ['cookie', 'b=2'],
    ['Empty', ''],
    ['Latin', '\xe9'],
  ];
  const seen: Request[] = [];
  const { ask } = open(
    (request) => {
      seen.push(request);
      return new Response(null);
    },
    { names: ['id', '*'] },
  );
  ask({ method: 'PUT', target: '/users/4%202/a/b?x=1', fields, params: ['4%202', 'a/b'] });
  for (let i = 0; i < 2000; i++) ask({ target: '/other/path', params: ['other', 'path'] });
  const old = seen[0] as Request;
  assert.is(old.method, 'PUT');
  assert.is(old.url, 'http://example.test:8080/users/4%202/a/b?x=1');
  assert.equal({ ...old.params }, { id: '4 2', '*': 'a/b' });
  assert.is(old.headers.get('x-long-field-name'), 'a value of more than twelve characters');
  assert.is(old.headers.get('accept'), 'a, b');
  assert.is(old.headers.get('cookie'), 'a=1; b=2');
  assert.is(old.headers.get('empty'), '');
  assert.is(old.headers.get('latin'), '\xe9');
  assert.is(old.headers.get('absent'), null);
  assert.is([...old.headers].length, 6);
});

test('a method without a number is spelled out', () => {
  let method = '';
  const { ask } = open((request) => {
    method = request.method;
    return new Response(null);
  });
  ask({ method: 'PROPFIND' });
  assert.is(method, 'PROPFIND');
});

test('a target in absolute form is the URL', () => {
  let url = '';
  const { ask } = open((request) => {
    url = request.url;
    return new Response(null);
  });
  ask({ target: 'http://other.test/x?y' });
  assert.is(url, 'http://other.test/x?y');
});

test('the address of the client is told, IPv4 and IPv6', () => {
  let address: SocketAddress | null = null;
  const { ask, server } = open((request) => {
    address = server.requestIP(request);
    return new Response(null);
  });
  ask({ peer: { family: 4, bytes: [192, 0, 2, 7], port: 5555 } });
  assert.equal(address, { address: '192.0.2.7', family: 'IPv4', port: 5555 });
  const six = (text: number[]) => ({ family: 6 as const, bytes: text, port: 1 });
  const cases: [number[], string][] = [
    [[0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1], '2001:db8::1'],
    [[0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1], '::1'],
    [[0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0], '::'],
    [[0, 1, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 1], '1:0:0:1::1'],
    [[0xfe, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0], 'fe80::'],
    [[0, 1, 0, 2, 0, 3, 0, 4, 0, 5, 0, 6, 0, 0, 0, 8], '1:2:3:4:5:6:0:8'],
  ];
  for (const [bytes, text] of cases) {
    ask({ peer: six(bytes) });
    assert.is((address as SocketAddress | null)?.address, text);
  }
  ask();
  assert.is(address, null);
});

test('asynchronous handlers are answered in the order in which they finish, published once', async () => {
  const finish: ((text: string) => void)[] = [];
  const { ask, mirror, channel, doorbell } = open(
    () => new Promise((resolve) => finish.push((text) => resolve(new Response(text)))),
  );
  assert.is(ask().length, 0);
  assert.is(ask().length, 0);
  assert.is(channel.pending, 2);
  mirror.workerAsleep = true;
  const wakes = doorbell.wakes;
  finish[1]?.('second');
  finish[0]?.('first');
  await tick();
  const answers = mirror.answers();
  assert.equal(
    answers.map(({ slot, body }) => [slot, body.toString()]),
    [
      [1, 'second'],
      [0, 'first'],
    ],
  );
  assert.is(doorbell.wakes, wakes + 1);
  assert.is(channel.pending, 0);
});

test('a handler that throws, or rejects, or gives no response, is the engine’s 500 and a line in the log', async () => {
  const bad: TestHandler[] = [
    () => {
      throw new Error('thrown');
    },
    () => Promise.reject(new Error('rejected')),
    () => undefined,
    async () => 'text',
    () => Response.error(),
  ];
  for (const handler of bad) {
    const { mirror, ask } = open(handler);
    const lines = await logged(async () => {
      const now = ask();
      await tick();
      const [answer] = [...now, ...mirror.answers()];
      assert.is(answer?.kind, abi.KIND_RESPONSE_ABORT);
    });
    assert.is(lines.length, 1);
  }
});

test('error() answers for a handler, synchronously or not; when it fails too, a 500 does', async () => {
  const boom = () => {
    throw new Error('boom');
  };
  const now = open(boom, {
    error: (error) => new Response((error as Error).message, { status: 418 }),
  });
  assert.is(now.ask()[0]?.status, 418);
  const later = open(boom, { error: async () => new Response('x', { status: 419 }) });
  assert.is(later.ask().length, 0);
  assert.is((await later.answers(1))[0]?.status, 419);
  for (const error of [boom, () => Promise.reject(new Error('again')), () => 7]) {
    const failing = open(boom, { error });
    const lines = await logged(async () => {
      failing.ask();
      failing.channel.turn();
      await tick();
    });
    assert.is(lines.length, 1);
  }
});

test('a response that does not fit one record goes out in chunks that keep to the credit', async () => {
  const { ask, mirror, doorbell } = open(() => new Response('x'.repeat(150_000)), {
    creditBytes: 65_536,
  });
  const answers = ask();
  const sum = (list: MirrorAnswer[]) => list.reduce((n, { body }) => n + body.length, 0);
  assert.is(answers[0]?.length, 150_000);
  assert.is(sum(answers), 65_536);
  assert.not(answers.some(({ end }) => end));
  mirror.credit(0, 65_536);
  doorbell.ring();
  answers.push(...mirror.answers());
  assert.is(sum(answers), 131_072);
  mirror.credit(0, 65_536);
  doorbell.ring();
  answers.push(...mirror.answers());
  assert.is(sum(answers), 150_000);
  assert.equal(answers.map(({ end }) => end).indexOf(true), answers.length - 1);
});

test('more answers than a call takes arguments wait for room, and all go', () => {
  const count = 150_000;
  const { mirror, doorbell } = open(() => new Response('x'));
  const request = { fields: [['Host', 'a']] as [string, string][] };
  for (let asked = 0; asked < count; ) {
    while (asked < count && mirror.request(request) !== null) asked++;
    doorbell.ring();
  }
  const answered = new Set<number>();
  for (let turns = 0; answered.size < count && turns < count; turns += 1) {
    for (const { slot } of mirror.answers()) answered.add(slot);
    doorbell.ring();
  }
  assert.is(answered.size, count);
});

test('a record that cannot be taken is not taken again', async () => {
  let body: ReadableStreamDefaultReader<Uint8Array> | undefined;
  const { ask, mirror, doorbell } = open((request) => {
    body = request.body?.getReader();
    return new Promise(() => {});
  });
  ask({ method: 'POST', bodyLength: null });
  const read = body?.read();
  const { push } = IncomingBody.prototype;
  let calls = 0;
  IncomingBody.prototype.push = () => {
    calls += 1;
    throw new RangeError('no memory');
  };
  try {
    mirror.chunk(0, 'lost', false);
    assert.throws(() => doorbell.ring(), 'no memory');
  } finally {
    IncomingBody.prototype.push = push;
  }
  mirror.chunk(0, 'next', false);
  doorbell.ring();
  assert.is(Buffer.from((await read)?.value ?? []).toString(), 'next');
  assert.is(calls, 1);
});

test('text that is not ASCII is sent as UTF-8, short and long', () => {
  const texts = ['é', 'ab€cd', '😀'.repeat(30), `${'x'.repeat(50)}é`, '\ud800', 'é'.repeat(12_000)];
  for (const text of texts) {
    const { ask } = open(() => new Response(text), { creditBytes: 1 << 20 });
    const body = Buffer.concat(ask().map((answer) => answer.body));
    assert.equal(body, Buffer.from(text));
  }
});

test('a stream is sent as it comes and ends with an empty chunk', async () => {
  let controller: ReadableStreamDefaultController<Uint8Array> | undefined;
  const { ask, answers } = open(
    () =>
      new Response(
        new ReadableStream({
          start(c) {
            controller = c;
          },
        }),
      ),
  );
  const [head] = ask();
  assert.is(head?.length, -1);
  assert.not(head?.end);
  controller?.enqueue(Buffer.from('one'));
  assert.is((await answers(1))[0]?.body.toString(), 'one');
  controller?.enqueue(Buffer.from('two'));
  controller?.close();
  const rest = await answers(2);
  assert.equal(
    rest.map(({ body, end }) => [body.toString(), end]),
    [
      ['two', false],
      ['', true],
    ],
  );
});

test('a stream is not read ahead of the credit', async () => {
  let pulled = 0;
  const stream = new ReadableStream(
    {
      pull(c) {
        pulled++;
        c.enqueue(new Uint8Array(32_768));
      },
    },
    { highWaterMark: 0 },
  );
  const { ask, answers, mirror } = open(() => new Response(stream), { creditBytes: 65_536 });
  ask();
  await answers(2);
  for (let i = 0; i < 20; i++) await tick();
  assert.is(pulled, 3);
  mirror.credit(0, 32_768);
  await answers(1);
  for (let i = 0; i < 20; i++) await tick();
  assert.is(pulled, 4);
});

test('a stream that fails, or gives what is neither bytes nor text, breaks the response off', async () => {
  const failing = new ReadableStream({
    pull(c) {
      c.error(new Error('disk'));
    },
  });
  const wrong = new ReadableStream({
    pull(c) {
      c.enqueue(7 as unknown as Uint8Array);
    },
  });
  for (const stream of [failing, wrong]) {
    const { ask, answers, channel } = open(() => new Response(stream));
    const lines = await logged(async () => {
      ask();
      assert.is((await answers(1))[0]?.kind, abi.KIND_RESPONSE_ABORT);
    });
    assert.match(lines[0] as string, 'GYR_RESPONSE_BODY');
    assert.is(channel.pending, 0);
  }
});

test('a foreign stream that cannot be cancelled costs its own response alone', async () => {
  const body = {
    getReader: () => {
      throw new Error('no reader');
    },
  };
  const foreign = Object.create(null, { [Symbol.toStringTag]: { value: 'Response' } });
  Object.assign(foreign, { status: 200, headers: new Headers(), body, bodyUsed: false });
  const { ask, channel } = open(() => foreign);
  await logged(() => {
    assert.is(ask().at(-1)?.kind, abi.KIND_RESPONSE_ABORT);
    assert.is(ask({ method: 'HEAD' })[0]?.status, 200);
  });
  assert.is(channel.pending, 0);
});

test('a foreign response of anything but text costs its own request alone', async () => {
  const responses: [status: unknown, fields: unknown[][], isSent: boolean][] = [
    [200, [[7, null]], true], // as Headers would take it
    [200, [['x', { toString: 1 }]], false],
    [200, [['x', Symbol('y')]], false],
    [200, [['x', 'a\r\nb: c']], false],
    ['OK', [], false],
    [Number.NaN, [], false],
  ];
  let next = 0;
  const { ask, channel } = open(() => {
    const [status, fields] = responses[next] as (typeof responses)[number];
    const headers = Object.assign(fields, { get: () => null });
    const foreign = Object.create(null, { [Symbol.toStringTag]: { value: 'Response' } });
    return Object.assign(foreign, { status, headers, body: null, bodyUsed: false, statusText: '' });
  });
  await logged(() => {
    for (const [, , isSent] of responses) {
      const kind = isSent ? abi.KIND_RESPONSE_HEAD : abi.KIND_RESPONSE_ABORT;
      assert.is(ask().at(-1)?.kind, kind, `response ${next}`);
      next++;
    }
  });
  assert.is(channel.pending, 0);
});

test('a response whose fields do not fit is the engine’s 500', async () => {
  const { ask } = open(() => new Response('', { headers: { 'x-big': 'x'.repeat(20_000) } }));
  const lines = await logged(() => assert.is(ask()[0]?.kind, abi.KIND_RESPONSE_ABORT));
  assert.match(lines[0] as string, 'GYR_RESPONSE_HEAD_TOO_LARGE');
});

test('HEAD cancels a stream and announces what it declares', () => {
  let cancelled = false;
  const { ask } = open(
    () =>
      new Response(
        new ReadableStream({
          cancel() {
            cancelled = true;
          },
        }),
        { headers: { 'content-length': '77' } },
      ),
  );
  const [head, ...rest] = ask({ method: 'HEAD' });
  assert.ok(head?.end);
  assert.is(head?.length, 77);
  assert.is(rest.length, 0);
  assert.ok(cancelled);
});

test('a client that leaves aborts the signal, fails the body and cancels the stream', async () => {
  let signal: AbortSignal | undefined;
  let body: Promise<string> | undefined;
  let cancelled = false;
  const { ask, mirror, doorbell, channel } = open((request) => {
    signal = request.signal;
    body = request.text();
    body.catch(() => {});
    return new Response(
      new ReadableStream({
        cancel() {
          cancelled = true;
        },
      }),
    );
  });
  ask({ method: 'POST', bodyLength: 100 });
  assert.not(signal?.aborted);
  mirror.note(abi.KIND_REQUEST_ABORT, 0);
  doorbell.ring();
  assert.ok(signal?.aborted);
  assert.ok(cancelled);
  assert.is(channel.pending, 0);
  let name = '';
  await body?.catch((error: Error) => {
    name = error.name;
  });
  assert.is(name, 'AbortError');
});

test('a late answer to a client that has left goes nowhere', async () => {
  let finish: (response: Response) => void = () => {};
  const { ask, mirror, doorbell } = open(
    () =>
      new Promise((resolve) => {
        finish = resolve;
      }),
  );
  ask();
  mirror.note(abi.KIND_REQUEST_ABORT, 0);
  doorbell.ring();
  finish(new Response('late'));
  await tick();
  assert.is(mirror.answers().length, 0);
});

test('a client that has closed its sending side aborts the signal and is answered', async () => {
  const { ask, mirror, doorbell, answers } = open(
    (request) =>
      new Promise((resolve) => {
        request.signal.onabort = () => resolve(new Response('bye'));
      }),
  );
  ask();
  mirror.note(abi.KIND_REQUEST_EOF, 0);
  doorbell.ring();
  assert.is((await answers(1))[0]?.body.toString(), 'bye');
});

test('a record of an older generation does not touch the slot’s next exchange', async () => {
  let signal: AbortSignal | undefined;
  const { ask, mirror, doorbell } = open((request) => {
    signal = request.signal;
    return new Promise(() => {});
  });
  ask({ slot: 3, generation: 7 });
  mirror.note(abi.KIND_REQUEST_ABORT, 3, 5);
  mirror.chunk(3, 'x', true, 5);
  doorbell.ring();
  assert.not(signal?.aborted);
  mirror.note(abi.KIND_REQUEST_ABORT, 3, 7);
  doorbell.ring();
  assert.ok(signal?.aborted);
});

test('a body that came with the head is read without waiting', async () => {
  const { ask, answers } = open(async (request) => new Response(await request.text()));
  ask({ method: 'POST', body: 'inline' });
  assert.is((await answers(1))[0]?.body.toString(), 'inline');
});

test('a body in chunks is gathered, and credit is given back as it arrives', async () => {
  const { ask, mirror, doorbell, answers } = open(
    async (request) => new Response(String((await request.bytes()).length)),
    { creditBytes: 32_768, ringBytes: 65_536 },
  );
  ask({ method: 'POST', bodyLength: null });
  let granted = 0;
  for (let i = 0; i < 10; i++) {
    assert.ok(mirror.chunk(0, 'x'.repeat(10_000), i === 9));
    doorbell.ring();
    for (const { grant } of mirror.answers()) granted += grant;
  }
  assert.ok(granted >= 60_000, `${granted}`);
  const last = (await answers(1)).at(-1);
  assert.is(last?.body.toString(), '100000');
});

test('a body that nobody reads gets no credit', () => {
  const { ask, mirror, doorbell } = open(() => new Promise(() => {}), { creditBytes: 32_768 });
  ask({ method: 'POST', bodyLength: 100_000 });
  mirror.chunk(0, 'x'.repeat(16_000), false);
  mirror.chunk(0, 'x'.repeat(16_000), false);
  doorbell.ring();
  assert.is(mirror.answers().length, 0);
});

test('a body is a byte stream, in fewer and larger pieces than it came in', async () => {
  let reader: ReadableStreamDefaultReader<Uint8Array> | undefined;
  const { ask, mirror, doorbell } = open(
    (request) => {
      reader = request.body?.getReader();
      return new Promise(() => {});
    },
    { creditBytes: 32_768 },
  );
  ask({ method: 'POST', bodyLength: 66_000 });
  const first = reader?.read();
  mirror.chunk(0, 'a'.repeat(10_000), false);
  mirror.chunk(0, 'b'.repeat(10_000), false);
  for (let n = 0; n < 4; n++) mirror.chunk(0, 'c'.repeat(11_500), n === 3);
  doorbell.ring();
  const pieces = [
    (await first)?.value,
    (await reader?.read())?.value,
    (await reader?.read())?.value,
  ];
  assert.equal(
    pieces.map((piece) => piece?.length),
    [10_000, 20_000, 36_000],
  );
  const bytes = Buffer.concat(pieces.map((piece) => piece ?? new Uint8Array(0)));
  assert.is(`${bytes}`, 'a'.repeat(10_000) + 'b'.repeat(10_000) + 'c'.repeat(46_000));
  assert.ok((await reader?.read())?.done);
  assert.is(mirror.answers().length, 0, 'a body that has ended needs no credit');
});

test('a body read as a stream gives credit back as it is read', async () => {
  let reader: ReadableStreamDefaultReader<Uint8Array> | undefined;
  const { ask, mirror, doorbell, answers } = open(
    (request) => {
      reader = request.body?.getReader();
      return new Promise(() => {});
    },
    { creditBytes: 32_768 },
  );
  ask({ method: 'POST', bodyLength: null });
  mirror.chunk(0, 'x'.repeat(10_000), false);
  doorbell.ring();
  assert.is(mirror.answers().length, 0, 'nobody has read it');
  await reader?.read();
  assert.is((await answers(1))[0]?.grant, 10_000);
});

test('a BYOB reader gets the bytes and the end', async () => {
  let reader: ReadableStreamBYOBReader | undefined;
  const { ask, mirror, doorbell } = open((request) => {
    reader = request.body?.getReader({ mode: 'byob' });
    return new Promise(() => {});
  });
  ask({ method: 'POST', bodyLength: null });
  const first = reader?.read(new Uint8Array(4));
  mirror.chunk(0, 'abcdef', false);
  doorbell.ring();
  assert.is(Buffer.from((await first)?.value as Uint8Array).toString(), 'abcd');
  const second = await reader?.read(new Uint8Array(4));
  assert.is(Buffer.from(second?.value as Uint8Array).toString(), 'ef');
  const third = reader?.read(new Uint8Array(4));
  mirror.chunk(0, '', true);
  doorbell.ring();
  assert.ok((await third)?.done);
});

test('a cancelled body is drained', async () => {
  const { ask, mirror, doorbell } = open(
    (request) => {
      void request.body?.cancel();
      return new Promise(() => {});
    },
    { creditBytes: 32_768 },
  );
  ask({ method: 'POST', bodyLength: 100_000 });
  let granted = 0;
  for (let i = 0; i < 8; i++) {
    mirror.chunk(0, 'x'.repeat(10_000), false);
    doorbell.ring();
    for (const { grant } of mirror.answers()) granted += grant;
  }
  assert.ok(granted >= 70_000, `${granted}`);
});

test('a body that is still being read when the response has been sent fails with GYR_BODY_UNREAD', async () => {
  let body: Promise<string> | undefined;
  const { ask } = open((request) => {
    body = request.text();
    return new Response('done');
  });
  ask({ method: 'POST', bodyLength: 100 });
  let code = '';
  await body?.catch((error: { code: string }) => {
    code = error.code;
  });
  assert.is(code, 'GYR_BODY_UNREAD');
});

test('a full response ring loses nothing and keeps the order of each body', async () => {
  const count = 60;
  const { mirror, doorbell, channel } = open((request) => new Response(request.url.repeat(100)), {
    ringBytes: 65_536,
  });
  for (let i = 0; i < count; i++) mirror.request({ target: `/${i}` });
  doorbell.ring();
  assert.is(mirror.control(abi.LANE_CONTROL_RESPONSE_WANTED), 1);
  assert.ok(channel.pending > 0);
  const bodies = new Map<number, string>();
  await until(() => {
    for (const { slot, body } of mirror.answers()) {
      bodies.set(slot, (bodies.get(slot) ?? '') + body.toString());
    }
    doorbell.ring();
    return channel.pending === 0 && mirror.responses.hasMore() === false;
  }, 'all answers');
  for (let i = 0; i < count; i++) {
    assert.is(bodies.get(i), `http://example.test/${i}`.repeat(100), `slot ${i}`);
  }
});

test('the thread sleeps when there is nothing to do, and not before', () => {
  const { mirror, ask } = open(() => new Response(null));
  assert.ok(mirror.threadAsleep);
  ask();
  assert.ok(mirror.threadAsleep);
});

test('a number without a route is the engine’s 500', () => {
  const { ask } = open(() => new Response(null));
  assert.is(ask({ route: 99 })[0]?.kind, abi.KIND_RESPONSE_ABORT);
});

test('listeners that fail are told of, each time that more have failed, and the channel goes on', () => {
  const { mirror, doorbell, ask, lost, stopped } = open(() => new Response('still here'));
  mirror.loseListener();
  doorbell.ring();
  doorbell.ring();
  assert.is(lost(), 1);
  assert.is(ask()[0]?.body.toString(), 'still here');
  mirror.loseListener();
  mirror.stop();
  doorbell.ring();
  assert.is(lost(), 2);
  assert.ok(stopped());
});

test('the engine’s end closes the channel, once', () => {
  const { mirror, doorbell, stopped } = open(() => new Response(null));
  mirror.stop();
  doorbell.ring();
  assert.ok(stopped());
  assert.ok(doorbell.closed);
  doorbell.ring();
});

test.run();
