import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { ask } from '../https/server.ts';
import { Authority, lackOfTls } from '../support/certificates.ts';
import { start, startZig, stopAll } from '../support/process.ts';
import { testUnless } from '../support/skip.ts';
import { connect, exchange } from '../support/socket.ts';
import { patternOf, zigProgram } from '../support/target.ts';
import { until, within } from '../support/wait.ts';

// Run by the stage `wine`: executables of Windows, under wine.
const test = suite('executables of Windows');
const parent = mkdtempSync(join(tmpdir(), 'gyrfalcon-windows-'));
const folder = join(parent, 'site');
const big = patternOf(3_000_000);

test.before(() => {
  mkdirSync(join(folder, 'Sub'), { recursive: true });
  mkdirSync(join(parent, 'outside'));
  writeFileSync(join(parent, 'outside', 'secret.txt'), 'secret');
  writeFileSync(join(folder, 'a.txt'), 'a\n');
  writeFileSync(join(folder, 'big.bin'), big);
  writeFileSync(join(folder, 'Sub', 'A long file name.txt'), 'long\n');
  writeFileSync(join(folder, 'Sub', 'index.html'), 'index\n');
  writeFileSync(join(folder, 'x~1.txt'), 'tilde\n');
  // Wine shows links of the system below it as Windows shows its own.
  symlinkSync(join(parent, 'outside'), join(folder, 'out'));
  symlinkSync(join(parent, 'outside', 'secret.txt'), join(folder, 'out.txt'));
  symlinkSync('a.txt', join(folder, 'in.txt'));
});

test.after(async () => {
  await stopAll();
  rmSync(parent, { recursive: true, force: true });
});

const get = (path: string): string =>
  `GET ${path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n`;

const serve = (...args: string[]) =>
  startZig('gyrfalcon', ['serve', folder, '--host', '127.0.0.1', '--port', '0', ...args]);

/** What paths of the folder are answered with. */
const paths: readonly [path: string, status: number][] = [
  ['/a.txt', 200],
  ['/x~1.txt', 200],
  ['/Sub/', 200],
  ['/Sub', 301],
  ['/Sub/A%20long%20file%20name.txt', 200],
  // Another case, and a name of eight letters and three, are other names.
  ['/A.txt', 404],
  ['/a.TXT', 404],
  ['/sub/', 404],
  ['/Sub/ALONGF~1.TXT', 404],
  // The system would drop these endings.
  ['/a.txt.', 404],
  ['/a.txt%20', 404],
  ['/Sub./index.html', 404],
  // Alternate streams, drives, other machines.
  ['/a.txt::$DATA', 404],
  ['/a.txt%3a:%24DATA', 404],
  ['/a.txt:stream', 404],
  ['/C:/windows/win.ini', 404],
  ['/c%3a/windows/win.ini', 404],
  ['//server/share/a.txt', 404],
  ['/%3f%3f/C:/windows/win.ini', 404],
  // Devices.
  ...['con', 'NUL', 'nul.txt', 'Aux', 'prn.html', 'COM1', 'com%C2%B9', 'lpt9.a', 'CONIN$'].map(
    (name): [string, number] => [`/${name}`, 404],
  ),
  ['/Sub/nul', 404],
  // What separates names.
  ['/Sub\\index.html', 400],
  ['/Sub%5cindex.html', 400],
  ['/..%5c..%5coutside%5csecret.txt', 400],
  ['/Sub%2findex.html', 400],
  ['/../outside/secret.txt', 400],
  // Links, wherever they lead.
  ['/out/secret.txt', 404],
  ['/out.txt', 404],
  ['/in.txt', 404],
  ['/a*', 404],
  ['/%3f', 404],
];

test('a file is served by the name that its directory has for it, and by no other', async () => {
  const server = await serve();
  for (const [path, status] of paths) {
    assert.is((await exchange(server.port, get(path))).status, status, path);
  }
  assert.is((await exchange(server.port, get('/a.txt'))).body.toString(), 'a\n');
  assert.is((await exchange(server.port, get('/Sub/'))).body.toString(), 'index\n');
  assert.equal(await server.stop(), { code: 0, signal: null }, server.stderr());
});

test('a large file is sent whole, to a slow client too, and in part', async () => {
  const server = await serve();
  assert.ok((await exchange(server.port, get('/big.bin'))).body.equals(big));
  const range = get('/big.bin').replace('Host', 'Range: bytes=1000000-1999999\r\nHost');
  const part = await exchange(server.port, range);
  assert.is(part.status, 206);
  assert.ok(part.body.equals(big.subarray(1_000_000, 2_000_000)));
  const slow = await connect(server.port);
  slow.socket.pause();
  await slow.send(get('/big.bin').repeat(2).replace('Connection: close\r\n', ''));
  const fast = await exchange(server.port, get('/a.txt'));
  assert.is(fast.status, 200);
  slow.socket.resume();
  for (let i = 0; i < 2; i += 1) assert.ok((await slow.response()).body.equals(big));
  // One that leaves in the middle holds nothing up.
  const gone = await connect(server.port);
  gone.socket.pause();
  await gone.send(get('/big.bin'));
  gone.reset();
  assert.equal(await server.stop(), { code: 0, signal: null }, server.stderr());
});

test('it says that it runs on IOCP', async () => {
  const server = await serve();
  // As `npm run test:io -- iocp` it is asked for.
  const line = /: iocp \((?:the one of this system|GYRFALCON_IO)\)/;
  await until(() => line.test(server.stderr()), 'the line');
  assert.equal(await server.stop(), { code: 0, signal: null });
});

test('Ctrl-C finishes what is in flight and closes what is idle; a second one ends it', async () => {
  const server = await startZig('engine_app', ['--shutdown_timeout_ms=60000']);
  const idle = await connect(server.port);
  const busy = await connect(server.port);
  await busy.send('POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\na');
  await until(() => server.stdout().includes('http'), 'its URL');
  server.child.kill('SIGINT');
  await idle.closed();
  await busy.send('b');
  assert.is((await busy.response()).body.toString(), 'ab');
  assert.equal(await within(server.ended, 'its end', 10_000), { code: 0, signal: null });

  const other = await startZig('engine_app', ['--shutdown_timeout_ms=60000']);
  const stuck = await connect(other.port);
  await stuck.send('POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\na');
  other.child.kill('SIGINT');
  await until(() => other.stderr().includes('stopping'), 'the first');
  other.child.kill('SIGINT');
  await stuck.closed();
  assert.equal(await within(other.ended, 'its end', 10_000), { code: 0, signal: null });
});

test('what Windows has not is refused with a code, and with what to do instead', async () => {
  const cases: readonly [string, string, RegExp][] = [
    [
      '--unix',
      join(parent, 'socket'),
      /no unix sockets on Windows .*127\.0\.0\.1.*GYR_ADDRESS_INV/,
    ],
    ['--fd', '3', /Descriptor 3: Windows hands no sockets over .*\[GYR_ADDRESS_FD\]/],
    ['--reuse-port', '--port', /Windows gives a port to one server .*GYR_ADDRESS_INVALID/],
  ];
  for (const [option, value, told] of cases) {
    const tcp = value === '--port' ? ['--host', '127.0.0.1', '--port', '0'] : [value];
    const server = start(zigProgram('gyrfalcon'), ['serve', folder, option, ...tcp]);
    const { code } = await within(server.ended, 'its end', 20_000);
    assert.is(code, 1, server.stderr());
    assert.match(server.stderr(), told);
  }
});

test('healthcheck asks a server, and tells of one that is not there', async () => {
  const server = await serve();
  const asked = async (path: string): Promise<{ code: number | null; err: string }> => {
    const args = ['healthcheck', new URL(path, server.url).href];
    const running = start(zigProgram('gyrfalcon'), args);
    const { code } = await within(running.ended, 'the end of the command', 20_000);
    return { code, err: running.stderr() };
  };
  const found = await asked('/a.txt');
  assert.is(found.code, 0, found.err);
  const lost = await asked('/nowhere');
  assert.is(lost.code, 1);
  assert.match(lost.err, /\/nowhere answered 404/);
  assert.equal(await server.stop(), { code: 0, signal: null }, server.stderr());
  const gone = await asked('/');
  assert.is(gone.code, 1);
  assert.match(gone.err, /nothing listens at http:/);
});

test('the Zig examples answer', async () => {
  const hello = await startZig('hello');
  assert.match((await exchange(hello.port, get('/hello?name=Ada'))).body.toString(), 'Hello Ada');
  assert.equal(await hello.stop(), { code: 0, signal: null }, hello.stderr());
  const counter = await startZig('counter');
  assert.is((await exchange(counter.port, get('/'))).body.toString(), '0\n');
  assert.equal(await counter.stop(), { code: 0, signal: null }, counter.stderr());
});

testUnless(test, lackOfTls(), 'the executable speaks TLS', async () => {
  const authority = new Authority();
  try {
    const { certFile, keyFile } = authority.issue(['a.test']);
    const server = await startZig('gyrfalcon', [
      ...['serve', folder, '--host', '127.0.0.1', '--port', '0'],
      ...['--tls-cert', certFile, '--tls-key', keyFile],
    ]);
    const { body } = await ask(server.port, '/big.bin', { ca: authority.cert });
    assert.equal(body, big);
    assert.equal(await server.stop(), { code: 0, signal: null }, server.stderr());
  } finally {
    authority.remove();
  }
});

test.run();
