import { createHash, randomBytes } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Client, Pool } from 'undici';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import {
  lacks,
  project,
  type RunningServer,
  start,
  startApp,
  stopAll,
} from '../support/process.ts';
import { testUnless } from '../support/skip.ts';
import { within } from '../support/wait.ts';

interface Context {
  server: RunningServer;
  url: string;
  folder: string;
}

const test = suite<Context>('clients', {} as Context);
const withoutCurl = lacks('curl');
const withoutWrk = lacks('wrk');

test.before(async (context) => {
  context.folder = mkdtempSync(join(tmpdir(), 'gyrfalcon-clients-'));
  context.server = await startApp(project('tests', 'clients', 'fixtures', 'app.ts'));
  context.url = context.server.url;
});
test.after(async ({ server, folder }) => {
  const { code } = await server.stop();
  rmSync(folder, { recursive: true, force: true });
  await stopAll();
  assert.is(code, 0, server.stderr());
});

const hash = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex');

/** fetch, but never for ever. */
function ask(url: string, init: RequestInit = {}): Promise<Response> {
  return fetch(url, { ...init, signal: AbortSignal.timeout(20_000) });
}

/** Runs curl, quietly, and gives what it printed. */
async function curl(...args: string[]): Promise<string> {
  const running = start('curl', ['-sS', '--max-time', '30', ...args]);
  const { code } = await within(running.ended, 'the end of curl', 40_000);
  assert.is(code, 0, running.stderr());
  return running.stdout();
}

test('fetch: constant, parameter, late and file answers', async ({ url }) => {
  assert.is(await (await ask(`${url}constant`)).text(), 'constant\n');
  assert.is(await (await ask(`${url}hello/Ada`)).text(), 'Hello Ada\n');
  assert.equal(await (await ask(`${url}late`)).json(), { late: true });
  assert.is(await (await ask(`${url}files/page.txt`)).text(), 'a page of text\n');
  assert.is((await ask(`${url}constant`, { method: 'HEAD' })).headers.get('content-length'), '9');
  assert.is((await ask(`${url}nowhere`)).status, 404);
});

test('fetch: bodies both ways, whole and streamed', async ({ url }) => {
  const bytes = randomBytes(300_000);
  const echoed = await ask(`${url}echo`, { method: 'POST', body: bytes });
  assert.is(hash(Buffer.from(await echoed.arrayBuffer())), hash(bytes));
  const streamed = await ask(`${url}echo`, {
    method: 'PUT',
    duplex: 'half',
    body: new Blob([bytes]).stream(),
  } as RequestInit);
  assert.is(hash(Buffer.from(await streamed.arrayBuffer())), hash(bytes));
  const stream = await ask(`${url}stream`);
  assert.is((await stream.arrayBuffer()).byteLength, 16 * 64 * 1024);
});

test('fetch: a hundred requests at once', async ({ url }) => {
  const names = Array.from({ length: 100 }, (_, index) => `n${index}`);
  const answers = await Promise.all(
    names.map(async (name) => (await ask(`${url}hello/${name}`)).text()),
  );
  assert.equal(
    answers,
    names.map((name) => `Hello ${name}\n`),
  );
});

test('undici: pipelined requests of mixed kinds are answered in order', async ({ url }) => {
  const client = new Client(url, { pipelining: 10 });
  const paths = ['late', 'constant', 'stream', 'hello/x', 'files/page.txt', 'late', 'constant'];
  const answers = await Promise.all(
    paths.map(async (path) => {
      const { body } = await client.request({ path: `/${path}`, method: 'GET' });
      return (await body.bytes()).length;
    }),
  );
  await client.close();
  assert.equal(answers, [13, 9, 16 * 64 * 1024, 8, 15, 13, 9]);
});

test('undici: a pool of connections with bodies of many sizes', async ({ url }) => {
  const pool = new Pool(url, { connections: 8 });
  const sizes = [0, 1, 1023, 16_384, 16_385, 65_536, 262_145, 1_000_000];
  await Promise.all(
    [...sizes, ...sizes].map(async (size) => {
      const bytes = randomBytes(size);
      const { body } = await pool.request({ path: '/echo', method: 'POST', body: bytes });
      assert.is(hash(await body.bytes()), hash(bytes), `${size} bytes`);
    }),
  );
  await pool.close();
});

testUnless(test, withoutCurl, 'curl: two requests share a connection', async ({ url }) => {
  const connects = await curl('-w', '%{num_connects}', `${url}constant`, `${url}hello/Ada`);
  assert.is(connects, 'constant\n1Hello Ada\n0');
});

testUnless(test, withoutCurl, 'curl: HTTP/1.0 is answered and closed', async ({ url }) => {
  const text = await curl('-i', '--http1.0', `${url}constant`);
  assert.match(text, /^HTTP\/1\.[01] 200 OK\r\n/);
  assert.match(text, /\r\n\r\nconstant\n$/);
});

testUnless(test, withoutCurl, 'curl: HEAD has the length and no body', async ({ url }) => {
  const text = await curl('-I', `${url}files/page.txt`);
  assert.match(text, /\r\nContent-Length: 15\r\n/i);
  assert.match(text, /\r\n\r\n$/);
});

testUnless(test, withoutCurl, 'curl: a large upload asks to continue first', async (context) => {
  const bytes = randomBytes(2_000_000);
  const [sent, got] = [join(context.folder, 'sent'), join(context.folder, 'got')];
  writeFileSync(sent, bytes);
  const args = ['-H', 'Expect: 100-continue', '--data-binary', `@${sent}`, '-o', got];
  const verbose = start('curl', ['-sv', '--max-time', '30', ...args, `${context.url}echo`]);
  const { code } = await within(verbose.ended, 'the end of curl', 40_000);
  assert.is(code, 0, verbose.stderr());
  assert.match(verbose.stderr(), '< HTTP/1.1 100 Continue');
  assert.is(hash(readFileSync(got)), hash(bytes));
});

testUnless(test, withoutCurl, 'curl: a chunked upload comes back', async ({ url, folder }) => {
  const bytes = randomBytes(500_000);
  const [sent, got] = [join(folder, 'chunked'), join(folder, 'back')];
  writeFileSync(sent, bytes);
  await curl('-T', sent, '-H', 'Transfer-Encoding: chunked', '-o', got, `${url}echo`);
  assert.is(hash(readFileSync(got)), hash(bytes));
});

testUnless(test, withoutCurl, 'curl: a range of a file', async ({ url }) => {
  assert.is(await curl('-r', '2-5', `${url}files/page.txt`), 'page');
});

for (const path of ['constant', 'hello/wrk', 'late', 'files/page.txt']) {
  testUnless(test, withoutWrk, `wrk: /${path} under load, no error`, async ({ url }) => {
    const running = start('wrk', ['-t1', '-c32', '-d1s', `${url}${path}`]);
    const { code } = await within(running.ended, 'the end of wrk', 30_000);
    assert.is(code, 0);
    assert.not.match(running.stdout(), /Socket errors|Non-2xx/);
    assert.match(running.stdout(), /^ +[1-9]\d* requests in/m);
  });
}

test.run();
