import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { type Fixture, open, tick } from '../../../tests/support/channel.ts';
import { logged } from '../../../tests/support/console.ts';
import type { MirrorAnswer } from '../../../tests/support/engine_mirror.ts';
import { until } from '../../../tests/support/wait.ts';
import { Request } from '../fetch/request.ts';
import { Response } from '../fetch/response.ts';
import * as abi from './abi.gen.ts';
import type { ProtocolError } from './protocol_error.ts';

const done = () => new Response('done');

/** What a promise is rejected with. */
const failure = (promise: Promise<unknown>): Promise<Error & { code?: string }> =>
  promise.then(
    () => new Error('it should have failed'),
    (error) => error,
  );

/** What a function throws. */
function thrown(run: () => unknown): Error & { code?: string } {
  try {
    run();
  } catch (error) {
    return error as Error;
  }
  return new Error('it should have thrown');
}

/** A body that comes in pieces, and the trailers that the handler finds behind it. */
function reading(use: (request: Request) => unknown = (request) => request.text()): {
  fixture: Fixture;
  result: () => Promise<[string, string][]>;
} {
  let result: Promise<[string, string][]> = Promise.resolve([]);
  const fixture = open((request) => {
    const read = Promise.resolve(use(request));
    result = read.then(async () => [...(await fixture.server.requestTrailers(request))]);
    result.catch(() => {});
    return result.then(done);
  });
  return { fixture, result: () => result };
}

test('trailers of a request are there when its body has been read', async () => {
  const { fixture, result } = reading();
  const { mirror, doorbell } = fixture;
  mirror.request({ method: 'POST', bodyLength: null, slot: 3 });
  mirror.chunk(3, 'body', false);
  mirror.trailers(3, [
    ['X-Sum', '17'],
    ['x-two', 'a: b'],
    ['Empty', ''],
  ]);
  doorbell.ring();
  assert.equal(await result(), [
    ['empty', ''],
    ['x-sum', '17'],
    ['x-two', 'a: b'],
  ]);
  assert.is((await fixture.answers(1))[0]?.status, 200);
});

test('trailers behind a body that came with the head are there too, and behind none at all', async () => {
  for (const body of ['whole body', '']) {
    let text = '';
    const { fixture, result } = reading(async (request) => {
      text = await request.text();
    });
    fixture.mirror.request({ method: 'POST', body, trailers: true, slot: 1 });
    fixture.mirror.trailers(1, [['x-sum', '1']]);
    fixture.doorbell.ring();
    assert.equal(await result(), [['x-sum', '1']]);
    assert.is(text, body);
  }
});

test('a request without trailers has none, whether its body is whole, in pieces or absent', async () => {
  const whole = reading();
  whole.fixture.ask({ method: 'POST', body: 'abc' });
  assert.equal(await whole.result(), []);
  const none = reading();
  none.fixture.ask();
  assert.equal(await none.result(), []);
  const pieces = reading();
  pieces.fixture.mirror.request({ method: 'POST', bodyLength: 3, slot: 0 });
  pieces.fixture.mirror.chunk(0, 'abc', true);
  pieces.fixture.doorbell.ring();
  assert.equal(await pieces.result(), []);
});

test('trailers that are asked for without the body let all of it come, and drop it', async () => {
  const { fixture, result } = reading((request) => {
    setImmediate(() => assert.ok(request.bodyUsed));
  });
  const { mirror, doorbell } = fixture;
  mirror.request({ method: 'POST', bodyLength: null, slot: 0 });
  doorbell.ring();
  await tick();
  // Twice the credit: without a grant it would end here.
  const piece = Buffer.alloc(abi.CHUNK_BYTES_MAX);
  let granted = mirror.block.creditBytes;
  for (let sent = 0; sent < 2 * mirror.block.creditBytes; sent += piece.length) {
    await until(() => {
      doorbell.ring();
      for (const { kind, grant } of mirror.answers()) {
        assert.is(kind, abi.KIND_REQUEST_CREDIT);
        granted += grant;
      }
      return granted >= sent + piece.length;
    }, 'credit');
    assert.ok(mirror.chunk(0, piece, false));
  }
  mirror.trailers(0, [['x-sum', '2']]);
  doorbell.ring();
  assert.equal(await result(), [['x-sum', '2']]);
});

test('who is reading the body goes on reading it while trailers are waited for', async () => {
  let text = '';
  const { fixture, result } = reading((request) => {
    request.text().then((whole) => {
      text = whole;
    });
  });
  fixture.mirror.request({ method: 'POST', bodyLength: null, slot: 0 });
  fixture.mirror.chunk(0, 'still ', false);
  fixture.doorbell.ring();
  fixture.mirror.chunk(0, 'read', false);
  fixture.mirror.trailers(0, [['a', 'b']]);
  fixture.doorbell.ring();
  assert.equal(await result(), [['a', 'b']]);
  assert.is(text, 'still read');
});

test('a reader that has let go of the stream leaves the rest to be dropped', async () => {
  const { fixture, result } = reading(async (request) => {
    const reader = (request.body as ReadableStream<Uint8Array>).getReader();
    await reader.read();
    reader.releaseLock();
  });
  fixture.mirror.request({ method: 'POST', bodyLength: null, slot: 0 });
  fixture.mirror.chunk(0, 'one', false);
  fixture.doorbell.ring();
  fixture.mirror.chunk(0, 'two', false);
  fixture.mirror.trailers(0, [['a', 'b']]);
  fixture.doorbell.ring();
  assert.equal(await result(), [['a', 'b']]);
});

test('trailers of a client that leaves are rejected with an AbortError, waited for or not', async () => {
  const { fixture, result } = reading(() => {});
  fixture.mirror.request({ method: 'POST', bodyLength: null, slot: 0 });
  fixture.doorbell.ring();
  fixture.mirror.note(abi.KIND_REQUEST_ABORT, 0);
  fixture.doorbell.ring();
  assert.is((await failure(result())).name, 'AbortError');
  let late: Promise<unknown> = Promise.resolve();
  const other = open(async (request) => {
    await new Promise((resolve) => request.signal.addEventListener('abort', resolve));
    late = other.server.requestTrailers(request);
    late.catch(() => {});
  });
  other.mirror.request({ method: 'POST', bodyLength: null, slot: 0 });
  other.doorbell.ring();
  other.mirror.note(abi.KIND_REQUEST_ABORT, 0);
  other.doorbell.ring();
  await tick();
  assert.is((await failure(late)).name, 'AbortError');
});

test('trailers that come behind the response are rejected with GYR_BODY_UNREAD', async () => {
  const waiting: Promise<unknown>[] = [];
  const fixture = open((request) => {
    waiting.push(fixture.server.requestTrailers(request));
    setImmediate(() => waiting.push(fixture.server.requestTrailers(request)));
    return done();
  });
  fixture.mirror.request({ method: 'POST', bodyLength: null, slot: 0 });
  fixture.doorbell.ring();
  await until(() => waiting.length === 2, 'both calls');
  for (const promise of waiting) assert.is((await failure(promise)).code, 'GYR_BODY_UNREAD');
});

test('a request that did not come to the server is refused by every method', async () => {
  const { server } = open(done);
  let foreign: Request | undefined;
  open((request) => {
    foreign = request;
    return done();
  }).ask();
  for (const request of [
    foreign as Request,
    new Request('http://a/'),
    (foreign as Request).clone(),
  ]) {
    const codes = [
      thrown(() => server.earlyHints(request, {})).code,
      thrown(() => server.responseTrailers(request, {})).code,
      (await failure(server.requestTrailers(request))).code,
    ];
    assert.equal(codes, Array(3).fill('GYR_REQUEST_FOREIGN'));
  }
});

/** The answer to a request whose handler declares trailers. */
async function trailing(
  body: ConstructorParameters<typeof Response>[0],
  ...declared: Parameters<Fixture['server']['responseTrailers']>[1][]
): Promise<MirrorAnswer[]> {
  const fixture = open((request) => {
    for (const fields of declared) fixture.server.responseTrailers(request, fields);
    return new Response(body);
  });
  fixture.mirror.request();
  const all: MirrorAnswer[] = [];
  await until(() => {
    fixture.doorbell.ring();
    all.push(...fixture.mirror.answers());
    return all.some(({ kind, end }) => end || kind >= abi.KIND_RESPONSE_TRAILERS);
  }, 'the end');
  return all;
}

const bodies: Record<string, () => ConstructorParameters<typeof Response>[0]> = {
  text: () => 'the body',
  bytes: () => Buffer.from('the body'),
  stream: () => new Blob(['the body']).stream(),
  iterable: () =>
    (async function* () {
      yield 'the ';
      yield 'body';
    })(),
};

for (const [name, make] of Object.entries(bodies)) {
  test(`trailers end a body of ${name}, which has no length then`, async () => {
    const answers = await trailing(make(), { 'X-Sum': '1' }, () => [['x-late', '2']]);
    const [head] = answers as [MirrorAnswer];
    const last = answers.at(-1) as MirrorAnswer;
    assert.is(head.kind, abi.KIND_RESPONSE_HEAD);
    assert.is(head.length, -1);
    assert.equal(head.fields.at(-1), ['trailer', 'x-sum']);
    assert.is(Buffer.concat(answers.map(({ body }) => body)).toString(), 'the body');
    assert.ok(!answers.some(({ end }) => end));
    assert.is(last.kind, abi.KIND_RESPONSE_TRAILERS);
    assert.equal(last.fields, [
      ['x-sum', '1'],
      ['x-late', '2'],
    ]);
  });
}

test('a response without a body has trailers all the same', async () => {
  const [head, last] = (await trailing(null, { a: 'b' })) as [MirrorAnswer, MirrorAnswer];
  assert.equal([head.length, head.end], [-1, false]);
  assert.equal(last.fields, [['a', 'b']]);
});

test('a function is called when the last byte has been sent, and may take its time', async () => {
  const order: string[] = [];
  const answers = await trailing(
    (async function* () {
      yield 'x';
      order.push('body');
    })(),
    async () => {
      order.push('called');
      await tick();
      order.push('answered');
      return new Headers({ a: 'b' });
    },
  );
  assert.equal(order, ['body', 'called', 'answered']);
  assert.equal(answers.at(-1)?.fields, [['a', 'b']]);
});

test('a function that gives no fields ends the body as usual', async () => {
  const answers = await trailing('x', () => ({}));
  assert.ok(answers.at(-1)?.end);
});

test('trailers without a place are dropped, and what makes them is not called', async () => {
  const cases: [MirrorAnswer[], string][] = [];
  for (const [request, status, label] of [
    [{ minor: 0 }, 200, 'HTTP/1.0'],
    [{ method: 'HEAD' }, 200, 'HEAD'],
    [{}, 204, '204'],
    [{}, 205, '205'],
    [{}, 304, '304'],
  ] as const) {
    const fixture = open((it) => {
      fixture.server.responseTrailers(it, () => {
        throw new Error(label);
      });
      return new Response(status === 200 ? 'body' : null, { status });
    });
    cases.push([fixture.ask(request), label]);
  }
  await tick();
  for (const [answers, label] of cases) {
    assert.is(answers.length, 1, label);
    assert.ok(answers[0]?.end, label);
    assert.not.ok(answers[0]?.fields.some(([name]) => name === 'trailer'));
  }
});

for (const [what, make] of Object.entries({
  'that throws': () => {
    throw new Error('intended');
  },
  'that gives a forbidden field': () => ({ 'content-length': '1' }),
  'that gives a value with CR and LF': () => ({ a: 'b\r\nc: d' }),
  'that gives more than fits': () => ({ a: 'x'.repeat(20_000) }),
})) {
  test(`a function ${what} breaks the response off and is told`, async () => {
    const fixture = open((request) => {
      fixture.server.responseTrailers(request, make);
      return new Response('body');
    });
    let answers: MirrorAnswer[] = [];
    const lines = await logged(async () => {
      fixture.mirror.request();
      answers = await fixture.answers(2);
    });
    assert.is(answers.at(-1)?.kind, abi.KIND_RESPONSE_ABORT);
    assert.match(lines.join('\n'), 'GYR_RESPONSE_TRAILERS');
  });
}

test('fields that cannot be trailers or hints are refused where they are given', () => {
  const codes: unknown[] = [];
  const fixture = open((request) => {
    const { server } = fixture;
    for (const name of ['Content-Length', 'transfer-encoding', 'Host', 'set-cookie', 'Trailer']) {
      codes.push(thrown(() => server.responseTrailers(request, { [name]: '1' })).code);
    }
    for (const name of ['Content-Length', 'transfer-encoding', 'Connection', 'upgrade']) {
      codes.push(thrown(() => server.earlyHints(request, { [name]: '1' })).code);
    }
    const malformed: [string, string][] = [
      ['a b', 'c'],
      ['a', 'b\r\nc: d'],
      ['a', 'b\0'],
      ['a', 'ā'],
      ['a', 'b\x01'], // the platform takes these two, the engine would refuse them
      ['a', 'b\x7fc'],
    ];
    for (const bad of malformed.map((pair) => [pair])) {
      assert.instance(
        thrown(() => server.responseTrailers(request, bad)),
        TypeError,
      );
      assert.instance(
        thrown(() => server.earlyHints(request, bad)),
        TypeError,
      );
    }
    const large = { a: 'x'.repeat(20_000) };
    assert.is(thrown(() => server.earlyHints(request, large)).code, 'GYR_RESPONSE_HEAD_TOO_LARGE');
    return done();
  });
  const answers = fixture.ask();
  assert.equal(codes, Array(9).fill('GYR_FIELD_FORBIDDEN'));
  assert.is(answers.length, 1);
  assert.ok(answers[0]?.end, 'what was refused leaves no trace');
});

test('trailers that are declared behind the response are refused', async () => {
  const errors: unknown[] = [];
  const fixture = open((request) => {
    setImmediate(() => {
      errors.push(thrown(() => fixture.server.responseTrailers(request, { a: 'b' })).code);
    });
    return done();
  });
  fixture.ask();
  const streaming = open((request) => {
    const body = (async function* () {
      yield 'x';
      errors.push(thrown(() => streaming.server.responseTrailers(request, { a: 'b' })).code);
    })();
    return new Response(body);
  });
  streaming.ask();
  await until(() => errors.length === 2, 'both');
  assert.equal(errors, ['GYR_TRAILERS_LATE', 'GYR_TRAILERS_LATE']);
});

test('early hints go before the response, more than once', async () => {
  const link = '</a.css>; rel=preload; as=style';
  const fixture = open(async (request) => {
    assert.not.ok(fixture.server.earlyHints(request, {}), 'nothing to say');
    assert.ok(fixture.server.earlyHints(request, { Link: link }));
    await tick();
    assert.ok(
      fixture.server.earlyHints(request, [
        ['link', '</b.js>'],
        ['link', '</c.js>'],
      ]),
    );
    return done();
  });
  const [first] = fixture.ask() as [MirrorAnswer];
  assert.is(first.kind, abi.KIND_RESPONSE_INTERIM);
  assert.is(first.status, 103);
  assert.equal(first.fields, [['link', link]]);
  const [second, response] = (await fixture.answers(2)) as [MirrorAnswer, MirrorAnswer];
  assert.equal(second.fields, [
    ['link', '</b.js>'],
    ['link', '</c.js>'],
  ]);
  assert.is(response.status, 200);
});

test('early hints that come too late, to HTTP/1.0 or to nobody go nowhere', async () => {
  const sent: boolean[] = [];
  const hint = (fixture: Fixture, request: Request) =>
    sent.push(fixture.server.earlyHints(request, { link: '</a>' }));
  const old = open((request) => {
    hint(old, request);
    return done();
  });
  assert.is(old.ask({ minor: 0 }).length, 1);
  const late = open((request) => {
    setImmediate(() => hint(late, request));
    return done();
  });
  assert.is(late.ask().length, 1);
  const gone = open(async (request) => {
    await new Promise((resolve) => request.signal.addEventListener('abort', resolve));
    hint(gone, request);
  });
  gone.mirror.request({ slot: 0 });
  gone.doorbell.ring();
  gone.mirror.note(abi.KIND_REQUEST_ABORT, 0);
  gone.doorbell.ring();
  await until(() => sent.length === 3, 'all three');
  assert.equal(sent, [false, false, false]);
  assert.equal([late.mirror.answers(), gone.mirror.answers()], [[], []]);
});

test('a full ring drops early hints, and makes trailers wait', async () => {
  const fixture = open(
    async (request) => {
      if (request.url.endsWith('/fill')) return new Response('y'.repeat(30_000));
      fixture.server.responseTrailers(request, () => ({ a: 'b' }));
      await tick();
      return new Response(request.url.endsWith('/hint') ? String(hinted(request)) : 'body');
    },
    { ringBytes: 64 * 1024 },
  );
  const hinted = (request: Request) =>
    fixture.server.earlyHints(request, { link: 'x'.repeat(9000) });
  for (const target of ['/fill', '/fill', '/hint', '/trail']) fixture.mirror.request({ target });
  fixture.doorbell.ring();
  await tick();
  await tick();
  // 60 of 64 KiB are taken and nothing has been read.
  const answers = await fixture.answers(6);
  const bodies = answers.map(({ body }) => body.toString()).filter((body) => body.length < 10);
  assert.ok(bodies.includes('false'));
  assert.is(answers.filter(({ kind }) => kind === abi.KIND_RESPONSE_TRAILERS).length, 2);
});

/** The number of a code, and its sentence. */
function numbered(code: string): [number, string] {
  for (const [number, [name, message]] of abi.PROTOCOL_ERRORS) {
    if (name === code) return [number, message];
  }
  throw new Error(`there is no code ${code}`);
}

test('a refused message is told with its code, its sentence and its address, and no more', async () => {
  const errors: ProtocolError[] = [];
  const fixture = open(done, { protocolError: (error) => errors.push(error) });
  const [code, message] = numbered('obs_fold');
  fixture.mirror.protocolError({
    code,
    status: 400,
    dropped: 7,
    peer: { family: 4, bytes: [192, 0, 2, 1], port: 4711 },
  });
  fixture.mirror.protocolError({ code: 9999, status: 0 });
  fixture.doorbell.ring();
  assert.equal(errors, [
    {
      status: 400,
      code: 'obs_fold',
      message,
      address: { address: '192.0.2.1', family: 'IPv4', port: 4711 },
      dropped: 7,
    },
    { status: 0, code: 'unknown', message: '', address: null, dropped: 0 },
  ]);
});

test('what onProtocolError throws is logged, and the channel goes on', async () => {
  let calls = 0;
  const fixture = open(done, {
    protocolError: () => {
      calls++;
      if (calls === 1) throw new Error('thrown');
      return Promise.reject(new Error('rejected'));
    },
  });
  const lines = await logged(async () => {
    for (let i = 0; i < 2; i++) fixture.mirror.protocolError({ code: 0, status: 400 });
    fixture.doorbell.ring();
    await tick();
  });
  assert.is(lines.length, 2);
  assert.match(lines.join('\n'), /onProtocolError failed.*thrown.*rejected/s);
  assert.is(fixture.ask()[0]?.status, 200);
});

test.run();
