import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { ask } from '../https/server.ts';
import { Authority, lackOfTls } from '../support/certificates.ts';
import { project, startZig, stopAll } from '../support/process.ts';
import { testUnless } from '../support/skip.ts';
import { connect, exchange } from '../support/socket.ts';

// Run by the stage `static`, for each system that executables are built for.
const test = suite('static executables');
const target = process.env.GYRFALCON_TARGET ?? '';
const prefix = process.env.GYRFALCON_TARGET_PREFIX ?? '';

test.after(stopAll);

/** e_machine of elf(5). */
const machines: Readonly<Record<string, number>> = { x86_64: 62, aarch64: 183 };
/** Types of program headers. */
const dynamic = 2;
const interpreter = 3;

/** The types of an executable's program headers, and its machine. */
function elfOf(path: string): { machine: number; headers: number[] } {
  const file = readFileSync(path);
  assert.is(file.toString('latin1', 0, 4), '\x7fELF');
  const at = Number(file.readBigUInt64LE(32));
  const size = file.readUInt16LE(54);
  const headers = Array.from({ length: file.readUInt16LE(56) }, (_, i) =>
    file.readUInt32LE(at + i * size),
  );
  return { machine: file.readUInt16LE(18), headers };
}

for (const name of ['bin/gyrfalcon', 'examples/hello', 'examples/counter']) {
  test(`${target}: ${name} is for its processor and needs no library`, () => {
    const { machine, headers } = elfOf(join(prefix, name));
    assert.is(machine, machines[target.split('-')[0] as string]);
    assert.not(headers.includes(interpreter), 'no interpreter');
    assert.not(headers.includes(dynamic), 'no library');
  });
}

const get = (path: string): string =>
  `GET ${path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n`;

test(`${target}: the Zig examples answer, and end on SIGTERM`, async () => {
  const hello = await startZig('hello');
  assert.match((await exchange(hello.port, get('/hello?name=Ada'))).body.toString(), 'Hello Ada');
  assert.equal(await hello.stop(), { code: 0, signal: null }, hello.stderr());
  const counter = await startZig('counter');
  assert.is((await exchange(counter.port, get('/'))).body.toString(), '0\n');
  assert.equal(await counter.stop(), { code: 0, signal: null }, counter.stderr());
});

test(`${target}: the executable serves files, looks names up, and drains`, async () => {
  const folder = project('tests', 'support');
  const server = await startZig('gyrfalcon', [
    ...['serve', folder, '--host', 'localhost', '--port', '0'],
  ]);
  const page = await exchange(server.port, get('/wait.ts'));
  assert.is(page.status, 200);
  assert.equal(page.body, readFileSync(join(folder, 'wait.ts')));
  const idle = await connect(server.port);
  server.child.kill('SIGTERM');
  await idle.closed();
  assert.equal(await server.ended, { code: 0, signal: null }, server.stderr());
});

testUnless(test, lackOfTls(), `${target}: the executable speaks TLS`, async () => {
  const authority = new Authority();
  try {
    const { certFile, keyFile } = authority.issue(['a.test']);
    const server = await startZig('gyrfalcon', [
      ...['serve', project('tests', 'support'), '--host', '127.0.0.1', '--port', '0'],
      ...['--tls-cert', certFile, '--tls-key', keyFile],
    ]);
    const page = await ask(server.port, '/wait.ts', { ca: authority.cert });
    assert.equal(page.body, readFileSync(project('tests', 'support', 'wait.ts')));
    assert.equal(await server.stop(), { code: 0, signal: null }, server.stderr());
  } finally {
    authority.remove();
  }
});

test.run();
