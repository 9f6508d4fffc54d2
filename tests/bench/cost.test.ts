/** What bench/cost.mjs compares, how it reads what callgrind has counted, and the client that it asks by. */
import { createServer, type Socket } from 'node:net';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
// @ts-expect-error: a script, without types
import { countsIn } from '../../bench/lib/callgrind.mjs';
// @ts-expect-error: a script, without types
import { changes, table } from '../../bench/lib/cost.mjs';
// @ts-expect-error: a script, without types
import { askOneByOne } from '../../bench/lib/steady.mjs';

const test = suite('cost');

const dump = `# callgrind format
version: 1
positions: line
events: Ir Dr Dw I1mr D1mr D1mw ILmr DLmr DLmw
summary: 1131 0 0 11 13 7 0 0 0

ob=(1) /lib/libc.so.6
fl=(1) ???
fn=(1) memcpy
0 100 50 50 1 1 1
ob=(2) /build/engine.zigar/linux.x64.so
fl=(2) zig/net/worker.zig
fn=(2) turn
10 20 5 5 2
+3 7 1 1 1 2 3
cob=(1)
cfi=(1) ???
cfn=(1)
calls=3 0
* 100 50 50 1 1 1
-2 4
fn=(3) other
cfn=(2)
calls=1 10
+1 900
12 1 0 0 0 0 1

ob=(1)
fn=(4) free
0 1000 0 0 9 9 9

totals: 1131 0 0 11 13 7
`;

test('what the functions of one library execute themselves, by the names that a dump gives it', () => {
  const counts = { instructions: 32, codeMisses: 3, dataMisses: 6 };
  assert.equal(countsIn(dump, /engine\.zigar/), counts);
  assert.equal(countsIn(dump, /libc/), { instructions: 1100, codeMisses: 10, dataMisses: 20 });
  assert.equal(countsIn(dump, /nothing/), { instructions: 0, codeMisses: 0, dataMisses: 0 });
});

const before = { zig: { instructions: 2000, codeMisses: 100, dataMisses: 10 } };
const found = (more: Partial<typeof before.zig>) => ({ zig: { ...before.zig, ...more } });

test('a change within its tolerance is none', () => {
  for (const more of [{ instructions: 2040 }, { instructions: 1960 }, { codeMisses: 130 }])
    assert.equal(changes(before, found(more)), []);
  assert.equal(changes(before, found({ dataMisses: 30 })), []);
});

test('what costs more is told, what costs less too, and what nobody has kept', () => {
  assert.equal(changes(before, found({ instructions: 2041, codeMisses: 131 })), [
    'zig: 2041 instructions for a request, where it took 2000',
    'zig: 131 misses of the cache for code for a request, where it took 100',
  ]);
  assert.is(changes(before, found({ instructions: 1959 })).length, 1);
  assert.is(changes(before, found({ dataMisses: Number.NaN })).length, 1);
  assert.equal(changes({}, found({})), ['zig: bench/cost.json has no numbers of it']);
  assert.match(table({}, before), /^ +instructions .*\nzig +2000 \(none\) +100 \(none\)/);
});

/** A server that gives each request the next answer. */
async function answering(answers: readonly string[], run: (port: number) => Promise<void>) {
  const sockets = new Set<Socket>();
  let asked = 0;
  const server = createServer((socket) => {
    sockets.add(socket);
    socket.on('data', () => socket.write(answers[asked++ % answers.length] as string));
    socket.on('end', () => socket.end());
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  try {
    await run((server.address() as { port: number }).port);
  } finally {
    for (const socket of sockets) socket.destroy();
    server.close();
  }
  return asked;
}

const answer = (body: string): string =>
  `HTTP/1.1 200 OK\r\nContent-Length: ${body.length}\r\n\r\n${body}`;

async function messageOf(asking: Promise<void>): Promise<string> {
  return asking.then(
    () => 'no error',
    (error: Error) => error.message,
  );
}

test('the client asks as often as it is told, and takes no answer for another', async () => {
  const asked = await answering([answer('right')], (port) =>
    askOneByOne({ port, path: '/', requests: 5 }),
  );
  assert.is(asked, 5);
  await answering([answer('one'), answer('longer')], async (port) => {
    const message = await messageOf(askOneByOne({ port, path: '/', requests: 2 }));
    assert.match(message, /an answer of 44 bytes, where the first had 41/);
  });
  await answering(['HTTP/1.1 404 Not Found\r\n\r\n'], async (port) => {
    const message = await messageOf(askOneByOne({ port, path: '/', requests: 1 }));
    assert.match(message, /not an answer to count by: HTTP\/1\.1 404/);
  });
});

test.run();
