import { spawnSync } from 'node:child_process';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import {
  lacks,
  project,
  type RunningServer,
  startApp,
  startZig,
  stopAll,
} from '../support/process.ts';
import { testUnless } from '../support/skip.ts';
import { connect } from '../support/socket.ts';

// What httplint, which knows the specifications by heart, says of our responses.

const python = {
  ...process.env,
  PYTHONPATH: project('.toolchain', 'httplint'),
  PYTHONDONTWRITEBYTECODE: '1',
};

function lacksHttplint(): string | undefined {
  const { status } = spawnSync('python3', ['-c', 'import httplint'], { env: python });
  return status === 0
    ? undefined
    : 'httplint is not installed: python3 -m pip install --target .toolchain/httplint httplint';
}

const lacking = lacks('python3') ?? lacksHttplint();

interface Exchange {
  readonly name: string;
  readonly request: string;
  readonly head: string;
  /** Base64. */
  readonly body: string;
}

interface Note {
  readonly name: string;
  readonly level: string;
  readonly text: string;
}

interface Context {
  zig: RunningServer;
  typescript: RunningServer;
}

const test = suite<Context>('httplint', {} as Context);

test.before(async (context) => {
  if (lacking !== undefined) return;
  context.zig = await startZig('engine_app', []);
  context.typescript = await startApp(project('tests', 'clients', 'fixtures', 'app.ts'));
});
test.after(() => stopAll());

const fields = 'User-Agent: httplint\r\n';
const get = (target: string, more = ''): string =>
  `GET ${target} HTTP/1.1\r\nHost: localhost\r\n${fields}${more}\r\n`;

/** Sends one request; `sent` is what is written when it differs from what httplint is to see. */
async function exchange(
  { port }: RunningServer,
  name: string,
  request: string,
  sent = request,
): Promise<Exchange> {
  const client = await connect(port);
  try {
    await client.send(sent);
    const { head, body } = await client.response(/^\S+/.exec(request)?.[0]);
    const end = request.indexOf('\r\n\r\n') + 4;
    return { name, request: request.slice(0, end), head, body: body.toString('base64') };
  } finally {
    client.destroy();
  }
}

/** Complaints that say nothing of the server, and why. */
const explained: readonly [name: RegExp, why: string][] = [
  [/^FRESHNESS_HEURISTIC$/, 'how long a response stays fresh is for the application to say'],
  [/^STATUS_/, 'says again what the status says, and it was asked for'],
];

/** The notes that are complaints, without the explained. */
function complaints(exchanges: readonly Exchange[]): string[] {
  const { status, stdout, stderr } = spawnSync(
    'python3',
    [project('tests', 'tools', 'fixtures', 'lint.py')],
    { env: python, input: JSON.stringify(exchanges), encoding: 'utf8' },
  );
  assert.is(status, 0, stderr);
  return (JSON.parse(stdout) as Note[][]).flatMap((notes, index) =>
    notes
      .filter(({ level }) => level === 'BAD' || level === 'WARN')
      .filter(({ name }) => !explained.some(([pattern]) => pattern.test(name)))
      .map(({ name, level, text }) => `${exchanges[index]?.name}: ${level} ${name}: ${text}`),
  );
}

testUnless(test, lacking, 'nothing to say of Zig handlers', async ({ zig }) => {
  const post = `POST /echo HTTP/1.1\r\nHost: localhost\r\n${fields}Content-Type: text/plain\r\nContent-Length: 5\r\n\r\nhello`;
  const found = complaints([
    await exchange(zig, 'static', get('/hello')),
    await exchange(zig, 'HEAD', get('/hello').replace('GET', 'HEAD')),
    await exchange(zig, 'JSON', get('/describe')),
    await exchange(zig, 'written', get('/size/70000')),
    await exchange(zig, 'file', get('/file/5000')),
    await exchange(zig, 'empty', get('/size/0')),
    await exchange(zig, '204', get('/status/204')),
    await exchange(zig, 'body', post),
    await exchange(zig, 'not found', get('/nowhere')),
    await exchange(zig, 'failed handler', get('/error')),
    await exchange(zig, 'close', get('/close')),
  ]);
  assert.equal(found, []);
});

testUnless(test, lacking, 'nothing to say of TypeScript handlers and files', async (context) => {
  const { typescript } = context;
  const file = await exchange(typescript, 'file', get('/files/page.txt'));
  const etag = /\r\nETag: (.+)\r\n/i.exec(file.head)?.[1];
  assert.type(etag, 'string', 'files have an entity tag');
  const found = complaints([
    file,
    await exchange(typescript, 'HEAD of a file', get('/files/page.txt').replace('GET', 'HEAD')),
    await exchange(typescript, '304', get('/files/page.txt', `If-None-Match: ${etag}\r\n`)),
    await exchange(typescript, '206', get('/files/page.txt', 'Range: bytes=2-5\r\n')),
    await exchange(typescript, '416', get('/files/page.txt', 'Range: bytes=99-\r\n')),
    await exchange(typescript, '412', get('/files/page.txt', 'If-Match: "no"\r\n')),
    await exchange(typescript, 'constant', get('/constant')),
    await exchange(typescript, 'parameter', get('/hello/Ada')),
    await exchange(typescript, 'JSON', get('/late')),
    await exchange(typescript, 'chunked', get('/stream')),
    await exchange(typescript, 'not found', get('/nowhere')),
    await exchange(typescript, 'method', get('/constant').replace('GET', 'DELETE')),
    await exchange(typescript, 'OPTIONS', get('/constant').replace('GET', 'OPTIONS')),
  ]);
  assert.equal(found, []);
});

testUnless(test, lacking, 'nothing to say of the pages for refused requests', async ({ zig }) => {
  const found = await Promise.all(
    ['', 'Accept: application/json\r\n'].map(async (accept) => {
      const shown = get('/hello', accept);
      const refused = (name: string, sent: string) => exchange(zig, name, shown, sent);
      return complaints([
        await refused('no Host', `GET / HTTP/1.1\r\n${accept}\r\n`),
        await refused('bare line feed', `GET / HTTP/1.1\nHost: a\r\n${accept}\r\n`),
        await refused('version', `GET / HTTP/2.0\r\nHost: a\r\n${accept}\r\n`),
        await refused('target', get(`/${'a'.repeat(9000)}`, accept)),
        await refused('fields', get('/', accept + 'X: y\r\n'.repeat(200))),
        await refused('coding', get('/', `${accept}Transfer-Encoding: gzip, chunked\r\n`)),
        await refused('expectation', get('/', `${accept}Expect: x\r\n`)),
        await refused('length', get('/', `${accept}Content-Length: 99999999999\r\n`)),
        await refused('method', get('/', accept).replace('GET', 'TRACE')),
      ]);
    }),
  );
  assert.equal(found.flat(), []);
});

test.run();
