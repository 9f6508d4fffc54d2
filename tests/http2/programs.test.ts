import { spawnSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { goProgram } from '../support/go.ts';
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
import { type Way, ways } from './ways.ts';

// Clients of HTTP/2 that are programs: curl, nghttp and h2load, Go's net/http, Python's httpx and h2, Chromium. Over both
// ways each does all that tests/clients has HTTP/1's do.

interface Serving {
  way: Way;
  server: RunningServer;
  /** Without a trailing slash. */
  url: string;
}

const test = suite('HTTP/2 by programs');
const folder = mkdtempSync(join(tmpdir(), 'gyrfalcon-http2-'));
const served = new Map<Way, Serving>();
const sent = join(folder, 'sent');
const bytes = randomBytes(2_000_000);

const pythonPath = { PYTHONPATH: project('.toolchain', 'httpx'), PYTHONDONTWRITEBYTECODE: '1' };

test.before(async () => {
  writeFileSync(sent, bytes);
  for (const way of ways.filter(({ lack }) => lack === undefined)) {
    const app = project('tests', 'clients', 'fixtures', 'app.ts');
    const server = await startApp(app, way.args);
    served.set(way, { way, server, url: `${way.scheme}://127.0.0.1:${server.port}` });
  }
});
test.after(async () => {
  const endings = await Promise.all([...served.values()].map(({ server }) => server.stop()));
  rmSync(folder, { recursive: true, force: true });
  await stopAll();
  for (const { code } of endings) assert.is(code, 0);
});

/** A test over each way, unless the machine lacks what it needs. */
function both(
  lack: string | undefined,
  name: string,
  run: (serving: Serving) => Promise<void>,
  among = ways,
): void {
  for (const way of among) {
    testUnless(test, way.lack ?? lack, `${name}, ${way.name}`, () => run(served.get(way) as never));
  }
}

/** Runs a program to its end; what it printed. */
async function outputOf(
  command: string,
  args: readonly string[],
  env: NodeJS.ProcessEnv = {},
): Promise<string> {
  const running = start(command, args, { env });
  const { code } = await within(running.ended, `the end of ${command}`, 60_000);
  assert.is(code, 0, running.stderr() + running.stdout());
  return running.stdout();
}

const withoutCurl = lacks('curl');

function curl({ way }: Serving, ...args: string[]): Promise<string> {
  const version = way.scheme === 'http' ? '--http2-prior-knowledge' : '--http2';
  return outputOf('curl', ['-sSk', version, '--max-time', '30', ...args]);
}

// curl 7.88, Debian 12's, fails at this in clear text, whatever the server.
const secured = ways.filter(({ scheme }) => scheme === 'https');

async function sharing(serving: Serving): Promise<void> {
  const { url } = serving;
  const told = ['-w', '%{http_version} %{num_connects}\n'];
  const one = await curl(serving, ...told, `${url}/constant`, `${url}/hello/Ada`);
  assert.is(one, 'constant\n2 1\nHello Ada\n2 0\n');
  const many = await curl(serving, '--parallel', ...told, `${url}/hello/[1-80]`);
  assert.is(many.match(/^Hello \d+$/gm)?.length, 80);
  assert.is(many.match(/^2 \d$/gm)?.length, 80);
}

both(withoutCurl, 'curl: requests share a connection, one by one and together', sharing, secured);

both(withoutCurl, 'curl: HEAD, a range, a status without content', async (serving) => {
  const { url } = serving;
  const head = await curl(serving, '-I', `${url}/files/page.txt`);
  assert.match(head, /^HTTP\/2 200 \r\n/);
  assert.match(head, /\r\ncontent-length: 15\r\n/);
  assert.is(await curl(serving, '-r', '2-5', `${url}/files/page.txt`), 'page');
  const tag = /^etag: (\S+)\r$/m.exec(head)?.[1] as string;
  const not = await curl(serving, '-i', '-H', `If-None-Match: ${tag}`, `${url}/files/page.txt`);
  assert.match(not, /^HTTP\/2 304 \r\n/);
});

both(
  withoutCurl,
  'curl: uploads of known and unknown length, and 100 (Continue)',
  async (serving) => {
    const { url } = serving;
    const got = join(folder, 'got');
    for (const args of [
      ['--data-binary', `@${sent}`],
      ['--data-binary', `@${sent}`, '-H', 'Expect: 100-continue'],
      ['-T', sent],
      ['-T', '-', '-H', 'Transfer-Encoding: chunked'],
    ]) {
      if (args[1] === '-') args.splice(1, 1, sent); // a length is left out with the field
      await curl(serving, ...args, '-o', got, `${url}/echo`);
      assert.ok(readFileSync(got).equals(bytes), args.join(' '));
    }
  },
);

testUnless(test, withoutCurl, 'curl: Upgrade: h2c goes on as HTTP/1', async () => {
  const { url } = served.get(ways[0] as Way) as Serving;
  const args = ['-sS', '--http2', '-w', '%{http_version}', '--max-time', '30', `${url}/constant`];
  assert.is(await outputOf('curl', args), 'constant\n1.1');
});

const withoutNghttp = lacks('nghttp');

both(withoutNghttp, 'nghttp: many at once, with windows of 1 KiB', async ({ url }) => {
  const paths = Array.from({ length: 40 }, (_, n) => `${url}/hello/n${n}`);
  const output = await outputOf('nghttp', ['-w10', '-W10', ...paths]);
  assert.is(output.match(/^Hello n\d+$/gm)?.length, 40);
  const stream = await outputOf('nghttp', ['-w10', '-W10', `${url}/stream`]);
  assert.is(stream.length, 16 * 64 * 1024);
});

both(withoutNghttp, 'nghttp: padding, CONTINUATION, trailers, priorities', async ({ url }) => {
  const output = await outputOf('nghttp', [
    ...['-v', '-b', '255', '--continuation'],
    ...['-d', sent, '--trailer', 'x-sum: 17', '-p', '250'],
    ...['-n', `${url}/echo`],
  ]);
  assert.match(output, ':status: 200');
  const lengths = [...output.matchAll(/recv DATA frame <length=(\d+)/g)];
  assert.is(
    lengths.reduce((total, [, length]) => total + Number(length), 0),
    bytes.length,
  );
  assert.not.match(output, /recv (?:GOAWAY|RST_STREAM)/);
});

testUnless(test, withoutNghttp, 'nghttp: Upgrade: h2c is not taken', async () => {
  const { url } = served.get(ways[0] as Way) as Serving;
  const { stderr, stdout } = spawnSync('nghttp', ['-u', `${url}/constant`], { encoding: 'utf8' });
  assert.match(stderr + stdout, /HTTP Upgrade failed/i);
});

const withoutH2load = lacks('h2load');

for (const [what, path, args] of [
  ['a constant', '/constant', []],
  ['a handler', '/hello/load', []],
  ['a file', '/files/page.txt', []],
  ['streams under windows of 1 KiB', '/stream', ['-w10', '-W14', '-n', '60']],
  ['uploads', '/echo', ['-d', project('README.md')]],
] as const) {
  both(withoutH2load, `h2load: ${what}, no failure`, async ({ url }) => {
    const count = (args as readonly string[]).includes('-n') ? '60' : '3000';
    const report = await outputOf('h2load', ['-n', count, '-c8', '-m32', ...args, url + path]);
    assert.match(report, `${count} succeeded, 0 failed, 0 errored, 0 timeout`);
    assert.match(report, `${count} 2xx, 0 3xx, 0 4xx, 0 5xx`);
  });
}

both(lacks('go', 'version'), 'Go net/http', async ({ url }) => {
  assert.is(await outputOf(goProgram('client', folder), [url, 'h2']), 'ok\n');
});

function lacksPython(): string | undefined {
  const program = ['-c', 'import h2, httpx'];
  const { status } = spawnSync('python3', program, { env: { ...process.env, ...pythonPath } });
  if (status === 0) return undefined;
  return "httpx is not installed: python3 -m pip install --target .toolchain/httpx 'httpx[http2]'";
}

both(lacks('python3') ?? lacksPython(), 'Python httpx and h2', async ({ url, server }) => {
  const client = project('tests', 'http2', 'fixtures', 'client.py');
  assert.is(await outputOf('python3', [client, url, String(server.port)], pythonPath), 'ok\n');
});

both(
  lacks('chromium'),
  'Chromium: a page that asks for sixty things and uploads',
  async ({ url }) => {
    const args = ['--headless', '--no-sandbox', '--disable-gpu', '--ignore-certificate-errors'];
    const own = [`--user-data-dir=${join(folder, 'chromium')}`, '--virtual-time-budget=20000'];
    const page = `${url}/files/page.html`;
    const document = await outputOf('chromium', [...args, ...own, '--dump-dom', page]);
    const told = /told: ([^.]*)\./.exec(document)?.[1];
    assert.is(told, `true true ${16 * 64 * 1024} h2`, document);
  },
  // Browsers speak HTTP/2 over TLS alone.
  secured,
);

test.run();
