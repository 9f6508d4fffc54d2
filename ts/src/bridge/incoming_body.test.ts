import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { IncomingBody } from './incoming_body.ts';

const test = suite('the body of a request as it arrives');

/** Of a body that begins with `head` in the request's record. */
function bodyOf(head: string): { body: IncomingBody; record: Buffer; granted: () => number } {
  const record = Buffer.from(`${head}..........`);
  let granted = 0;
  const body = new IncomingBody({
    bodyIsInline: false,
    inlineBody: () => record.subarray(0, head.length),
    grant: (bytes) => {
      granted += bytes;
    },
  });
  return { body, record, granted: () => granted };
}

/** `count` bytes, each a piece of its own. */
function pushBytes(body: IncomingBody, from: number, count: number): Uint8Array {
  const bytes = Uint8Array.from({ length: count }, (_, i) => 97 + ((from + i) % 23));
  for (const byte of bytes) body.push(Uint8Array.of(byte), false);
  return bytes;
}

test('a body in pieces of one byte is held in few pieces', async () => {
  const { body, record, granted } = bodyOf('head');
  const sent = pushBytes(body, 0, 100_000);
  body.push(new Uint8Array(0), true);
  assert.is(record.toString(), 'head..........', 'nothing is written behind it');
  const reads: Uint8Array[] = [];
  for await (const bytes of body.stream()) reads.push(bytes);
  assert.ok(reads.length < 20, `${reads.length} reads`);
  assert.is(Buffer.concat(reads).toString(), `head${Buffer.from(sent)}`);
  assert.is(granted(), 0, 'of a body that has ended');
});

test('what a reader was given stays as it is while more comes', async () => {
  const { body, granted } = bodyOf('');
  const reader = body.stream().getReader();
  const reads: Uint8Array[] = [];
  const sent: Uint8Array[] = [];
  for (let i = 0; i < 50; i++) {
    sent.push(pushBytes(body, i, 1 + i * 13));
    reads.push((await reader.read()).value as Uint8Array);
  }
  body.push(new Uint8Array(0), true);
  for (let read = await reader.read(); !read.done; read = await reader.read()) {
    reads.push(read.value);
  }
  assert.is(Buffer.concat(reads).toString(), Buffer.concat(sent).toString());
  assert.is(granted(), Buffer.concat(reads.slice(0, 50)).length);
});

test('a body is collected whole, whatever the sizes of its pieces', async () => {
  const { body } = bodyOf('head');
  const whole = body.collect();
  let expected = 'head';
  for (const size of [1, 600, 1, 1, 511, 512, 513, 20_000, 3, 3, 16_384, 1]) {
    const bytes = new Uint8Array(size).fill(97 + (size % 23));
    expected += Buffer.from(bytes).toString();
    body.push(bytes, false);
  }
  body.push(Buffer.from('end'), true);
  assert.is(Buffer.from(await whole).toString(), `${expected}end`);
});

test('who asks for several pieces at once gets each of them, and the end once', async () => {
  for (const endsWithPiece of [false, true]) {
    const { body } = bodyOf('');
    const reader = body.stream().getReader();
    const reads = Array.from({ length: 4 }, () => reader.read());
    for (const piece of ['one', 'two', 'three']) {
      await new Promise(setImmediate); // the stream has begun; each comes in a turn of its own
      body.push(Buffer.from(piece), piece === 'three' && endsWithPiece);
    }
    if (!endsWithPiece) body.push(new Uint8Array(0), true);
    const seen = (await Promise.all(reads)).map(
      ({ value }) => value && Buffer.from(value).toString(),
    );
    assert.equal(seen, ['one', 'two', 'three', undefined]);
    await reader.closed;
  }
});

test('what comes in one turn is given in one piece, and its end with it', async () => {
  const { body, granted } = bodyOf('');
  const reader = body.stream().getReader();
  const reads = [reader.read(), reader.read()];
  await new Promise(setImmediate);
  for (const piece of ['one', 'two']) body.push(Buffer.from(piece), false);
  assert.is(Buffer.from((await reads[0])?.value ?? []).toString(), 'onetwo');
  assert.is(granted(), 6);
  for (const piece of ['three', 'four']) body.push(Buffer.from(piece), piece === 'four');
  assert.is(Buffer.from((await reads[1])?.value ?? []).toString(), 'threefour');
  assert.ok((await reader.read()).done);
});

test('what has come in the turn of a failure is given before it', async () => {
  const { body } = bodyOf('');
  const reader = body.stream().getReader();
  const reads = [reader.read(), reader.read()];
  await new Promise(setImmediate);
  body.push(Buffer.from('last'), false);
  body.fail(new Error('the client has gone'));
  assert.is(Buffer.from((await reads[0])?.value ?? []).toString(), 'last');
  await reads[1]?.then(
    () => assert.unreachable(),
    ({ message }) => assert.is(message, 'the client has gone'),
  );
});

test('a stream that is cancelled in the turn of the end ends without another word', async () => {
  const { body } = bodyOf('');
  const reader = body.stream().getReader();
  const asked = reader.read();
  await new Promise(setImmediate);
  body.push(Buffer.from('all'), true);
  await reader.cancel();
  assert.ok((await asked).done);
  await new Promise(setImmediate);
});

test('the memory that a piece came in may be written again at once', async () => {
  const { body } = bodyOf('head');
  const ring = Buffer.alloc(70_000);
  const reader = body.stream().getReader();
  const reads: string[] = [];
  const read = async (): Promise<void> => {
    reads.push(Buffer.from((await reader.read()).value ?? []).toString());
  };
  await read();
  let expected = 'head';
  for (const [round, size] of [10, 600, 40_000, 70_000, 1, 64 * 1024, 3].entries()) {
    const asked = round % 2 === 0 ? read() : undefined;
    ring.fill(97 + round);
    expected += ring.subarray(0, size).toString();
    body.push(ring.subarray(0, size), false);
    ring.fill(0);
    await asked;
  }
  body.push(ring.subarray(0, 0), true);
  for (let before = -1; before !== reads.join('').length; ) {
    before = reads.join('').length;
    await read();
  }
  assert.is(reads.join(''), expected);
});

test('what waits takes no more than twice its bytes, and is taken without another copy', async () => {
  const { body } = bodyOf('');
  for (let n = 0; n < 100; n += 1) body.push(Buffer.alloc(32 * 1024, n), false);
  body.push(new Uint8Array(0), true);
  let [held, bytes] = [0, 0];
  for await (const piece of body.stream()) {
    held += piece.buffer.byteLength;
    bytes += piece.length;
  }
  assert.is(bytes, 100 * 32 * 1024);
  assert.ok(held <= 2 * bytes, `${held} bytes`);
});

test('a reader with memory of its own gets all bytes in order, whatever the sizes of pieces, reads and pauses', async () => {
  for (let seed = 1; seed <= 40; seed += 1) {
    const random = numbersFrom(seed);
    const { body, granted } = bodyOf('head');
    const reader = body.stream().getReader({ mode: 'byob' });
    const sent = [Buffer.from('head')];
    const got: Uint8Array[] = [];
    const bytesOf = (list: Uint8Array[]): number => list.reduce((sum, one) => sum + one.length, 0);
    let reading: Promise<boolean> | null = null;
    const read = async (): Promise<boolean> => {
      const { value, done } = await reader.read(new Uint8Array(1 + random(seed % 2 ? 300 : 4000)));
      if (value !== undefined) got.push(value);
      return done;
    };
    for (let n = 0; n < 60; n += 1) {
      reading ??= random(2) === 0 ? read() : null;
      const piece = Uint8Array.from({ length: random(1500) }, () => random(256));
      sent.push(Buffer.from(piece));
      body.push(piece, false);
      piece.fill(0); // the ring is written again
      if (reading !== null && random(3) > 0) {
        if (bytesOf(sent) > bytesOf(got)) await reading;
        reading = null;
      }
    }
    body.push(new Uint8Array(0), true);
    await reading;
    while (!(await read()));
    assert.ok(Buffer.concat(got).equals(Buffer.concat(sent)), `seed ${seed}`);
    assert.ok(granted() <= bytesOf(sent), 'no more than was taken');
    await reader.closed;
  }
});

test('what a reader with memory of its own has let go of is given to the next', async () => {
  for (const endsWithPiece of [false, true]) {
    const { body } = bodyOf('');
    const stream = body.stream();
    const first = stream.getReader({ mode: 'byob' });
    const asked = first.read(new Uint8Array(4)).catch(({ name }: Error) => name);
    await new Promise(setImmediate);
    first.releaseLock();
    assert.is(await asked, 'TypeError');
    const next = stream.getReader();
    const read = next.read();
    await new Promise(setImmediate);
    body.push(Buffer.from('given'), endsWithPiece);
    let got = '';
    for (let piece = await read; !piece.done; piece = await next.read()) {
      got += Buffer.from(piece.value).toString();
      if (got.length === 5 && !endsWithPiece) body.push(new Uint8Array(0), true);
    }
    assert.is(got, 'given');
  }
});

test('a body that ends within an element of a view fails its reader, and nothing else', async () => {
  for (const inOne of [false, true]) {
    const { body } = bodyOf('');
    const reader = body.stream().getReader({ mode: 'byob' });
    const read = reader.read(new Uint16Array(4)).then(
      () => '',
      ({ name }: Error) => name,
    );
    await new Promise(setImmediate);
    body.push(Uint8Array.of(1), inOne);
    await new Promise(setImmediate);
    if (!inOne) body.push(new Uint8Array(0), true);
    assert.is(await read, 'TypeError');
    await new Promise(setImmediate);
  }
});

test('a reader with memory of its own costs no memory outside the heap', async () => {
  const { body } = bodyOf('');
  const reader = body.stream().getReader({ mode: 'byob' });
  const ring = Buffer.alloc(48 * 1024, 'x');
  let memory = new ArrayBuffer(64 * 1024);
  let most = 0;
  for (let n = 0; n < 200; n += 1) {
    // Half of the pieces come while none is asked for.
    if (n % 2 === 0) body.push(ring, false);
    const asked = reader.read(new Uint8Array(memory));
    if (n % 2 === 1) body.push(ring, false);
    const { value } = await asked;
    assert.is(value?.length, ring.length);
    memory = (value as Uint8Array<ArrayBuffer>).buffer;
    const { arrayBuffers } = process.memoryUsage();
    if (n === 10) most = arrayBuffers + ring.length;
    if (n > 10) assert.ok(arrayBuffers < most, `read ${n}: ${arrayBuffers} bytes`);
  }
});

/** Whole numbers from 0 to below a bound, the same for a seed each time. */
function numbersFrom(seed: number): (bound: number) => number {
  let state = seed;
  return (bound) => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return Math.floor((state / 2 ** 32) * bound);
  };
}

test.run();
