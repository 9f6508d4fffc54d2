/** What is told when a sandbox refuses a call that a start needs. */
import { spawnSync } from 'node:child_process';
import { tmpdir } from 'node:os';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { project } from '../support/process.ts';
import { testUnless } from '../support/skip.ts';
import { zigProgram } from '../support/target.ts';

const test = suite('refused calls');
const launcher = project('tests', 'support', 'refuse.py');

/** The end of the launcher where there is no seccomp. */
const missing = 69;

function refusing(calls: string, ...command: string[]) {
  const { status, signal, stderr } = spawnSync('python3', [launcher, calls, ...command], {
    encoding: 'utf8',
    timeout: 20_000,
  });
  return { status, signal, stderr };
}

const probe = refusing('clone3', 'true').status;
const why = probe === 0 ? undefined : `needs python3 and seccomp on Linux (${probe ?? missing})`;

const serve = (...where: string[]) => [
  zigProgram('gyrfalcon'),
  'serve',
  project('tests', 'support'),
  '--workers',
  '2',
  ...where,
];
const tcp = serve('--host', '127.0.0.1', '--port', '0');

/** Whatever backend the suite is run on. */
const onEpoll = ['env', 'GYRFALCON_IO=epoll', ...tcp];

/** The calls that are refused, and what is to be told of it. */
const starts: readonly [calls: string, command: string[], told: RegExp][] = [
  ['rt_sigaction', tcp, /SIGINT and SIGTERM cannot be caught \(.*must allow rt_sigaction/],
  ['clone3', tcp, /A thread could not be started \(fewer workers.*must allow clone/],
  ['eventfd2', tcp, /The system refused what the engine needs \(.*must allow epoll and eventfd/],
  ['epoll_create1', onEpoll, /The system refused what the engine needs \(.*must allow epoll/],
  ['socket', tcp, /Port 0 on 127\.0\.0\.1 may not be opened by this process \(.*allow socket/],
  ['setsockopt', tcp, /may not be opened by this process \(.*GYR_ADDRESS_DENIED/],
  ['bind', tcp, /may not be opened by this process \(.*GYR_ADDRESS_DENIED/],
  ['listen', tcp, /may not be opened by this process \(.*GYR_ADDRESS_DENIED/],
  [
    'bind',
    serve('--unix', `${tmpdir()}/gyrfalcon-refused-${process.pid}`),
    /may not be made by this process \(.*GYR_ADDRESS_DENIED/,
  ],
];

for (const [calls, command, told] of starts) {
  const kind = command.includes('--unix') ? 'a unix socket' : 'a port';
  testUnless(test, why, `${calls} refused: the start on ${kind} fails and says what helps`, () => {
    const { status, signal, stderr } = refusing(calls, ...command);
    assert.equal({ status, signal }, { status: 1, signal: null }, stderr);
    assert.match(stderr, told);
    assert.not.match(stderr, 'from 1024 on');
  });
}

testUnless(test, why, 'serve() says which calls a sandbox must allow', () => {
  const program = `
    const { serve } = await import('gyrfalcon');
    try {
      serve({ port: 0, hostname: '127.0.0.1', fetch: () => new Response('x') });
    } catch (error) {
      console.error(error.code, error.message);
    }
  `;
  const flags = ['--input-type=module', '--eval', program];
  const { status, stderr } = refusing('setsockopt', process.execPath, ...flags);
  assert.is(status, 0, stderr);
  assert.match(stderr, /GYR_ADDRESS_DENIED .*this process.*must allow socket, setsockopt/);
});

test.run();
