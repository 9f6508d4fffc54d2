import { mkdtempSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import * as assert from 'uvu/assert';
import { held, withPython } from '../support/held_socket.ts';
import {
  lacks,
  listening,
  programOf,
  project,
  type RunningServer,
  start,
  startCommand,
  stopAll,
} from '../support/process.ts';
import { sideBySide } from '../support/side_by_side.ts';
import { testUnless } from '../support/skip.ts';
import { connect, exchange, freePort } from '../support/socket.ts';
import { zigProgram } from '../support/target.ts';
import { until, within } from '../support/wait.ts';
import { Hammer, isServed } from './hammer.ts';

// Sockets with a path, sockets that were inherited, ports that processes share: docs/DEPLOYMENT.md, run.
const test = sideBySide('sharing');
const app = project('tests', 'listening', 'fixtures', 'app.ts');
const folder = mkdtempSync(join(tmpdir(), 'gyr-'));
const get = (path: string): string =>
  `GET ${path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n`;

test.after(async () => {
  await stopAll();
  rmSync(folder, { recursive: true });
});

/** The command at a unix socket. */
async function startAt(path: string, ...args: string[]) {
  const running = startCommand(['start', app, '--unix', path, ...args]);
  await until(() => running.stdout().includes('Listening'), 'the socket').catch((error) => {
    throw new Error(`${error}\n${running.stderr()}`);
  });
  return running;
}

async function ask(path: string, target: string): Promise<string> {
  const client = await connect(0, path);
  await client.send(get(target));
  const { body } = await client.response();
  client.destroy();
  return body.toString();
}

test('a unix socket serves, says so of its clients, has its mode, and is gone after the stop', async () => {
  const path = join(folder, 'a.sock');
  const running = await startAt(path, '--unix-mode', '640');
  assert.match(running.stdout(), `Listening on unix://${path}`);
  assert.is(statSync(path).mode & 0o777, 0o640);
  const [url, client] = JSON.parse(await ask(path, '/who'));
  assert.is(url, 'http://a/who');
  assert.equal(client, { address: 'unix', family: 'unix', port: 0 });
  const second = startCommand(['start', app, '--unix', path]);
  assert.is((await within(second.ended, 'the refusal')).code, 1);
  assert.match(second.stderr(), 'GYR_ADDRESS_IN_USE');
  running.child.kill('SIGTERM');
  assert.is((await within(running.ended, 'the end')).code, 0);
  assert.throws(() => statSync(path), /ENOENT/);
});

test('a socket that a killed process left behind is replaced; a file that is no socket is not', async () => {
  const path = join(folder, 'stale.sock');
  const killed = await startAt(path);
  killed.child.kill('SIGKILL');
  await killed.ended;
  assert.ok(statSync(path).isSocket());
  const running = await startAt(path);
  assert.is(await ask(path, '/pid'), String(running.child.pid));
  running.child.kill('SIGTERM');
  await running.ended;
  const refused = startCommand(['start', app, '--unix', app]);
  assert.is((await within(refused.ended, 'the refusal')).code, 1);
  assert.match(refused.stderr(), /is no socket.*GYR_ADDRESS_IN_USE/);
});

test('a path that is too long is refused with a code', async () => {
  const refused = startCommand(['start', app, '--unix', `/tmp/${'a'.repeat(103)}`]);
  assert.is((await within(refused.ended, 'the refusal')).code, 1);
  assert.match(refused.stderr(), /108 bytes, and the system takes 107.*GYR_ADDRESS_INVALID/s);
});

test('an abstract name is listened at', async () => {
  const name = `gyr-${process.pid}`;
  const running = await startAt(`@${name}`);
  assert.match(running.stdout(), `Listening on unix:@${name}`);
  running.child.kill('SIGTERM');
  assert.is((await within(running.ended, 'the end')).code, 0);
});

/** Starts `next` beside a server under load, stops that, and fails unless every client got its answers. */
async function handOver(
  hammer: Hammer,
  old: { child: { pid?: number; kill(signal: NodeJS.Signals): boolean }; ended: Promise<unknown> },
  next: () => Promise<{ child: { pid?: number } }>,
): Promise<void> {
  const answered = (pid: number | undefined): number => hammer.answers.get(String(pid)) ?? 0;
  try {
    await until(() => answered(old.child.pid) > 50, 'the load');
    const { child } = await next();
    old.child.kill('SIGTERM');
    await within(old.ended, 'the end of the old one');
    const before = answered(child.pid);
    await until(() => answered(child.pid) > before + 50, 'answers of the new one');
  } finally {
    await hammer.stop();
  }
  assert.equal(hammer.failures, []);
}

test('a process that takes a unix socket over loses no client of the one before it', async () => {
  const path = join(folder, 'over.sock');
  const old = await startAt(path);
  const hammer = new Hammer({ path });
  let next: Awaited<ReturnType<typeof startAt>> | undefined;
  await handOver(hammer, old, async () => {
    next = await startAt(path, '--reuse-port');
    return next;
  });
  assert.ok(await isServed(path));
  next?.child.kill('SIGTERM');
  await next?.ended;
  assert.throws(() => statSync(path), /ENOENT/);
});

test('a process beside the old one on its port restarts without a refused or reset connection', async () => {
  const port = await freePort();
  const open = (): Promise<RunningServer> =>
    listening(
      startCommand(['start', app, '--host', '127.0.0.1', '--port', `${port}`, '--reuse-port']),
    );
  const old = await open();
  const hammer = new Hammer({ port });
  await handOver(hammer, old, open);
  const refused = startCommand(['start', app, '--host', '127.0.0.1', '--port', `${port}`]);
  assert.is((await within(refused.ended, 'the refusal')).code, 1);
  assert.match(refused.stderr(), 'GYR_ADDRESS_IN_USE');
});

testUnless(
  test.alone,
  lacks('python3'),
  'sockets that are handed over are taken without an option, and a restart keeps nobody waiting',
  async () => {
    const { port, fd, close } = held();
    const open = (): Promise<RunningServer> =>
      listening(
        start(
          'sh',
          [
            '-c',
            `LISTEN_PID=$$ LISTEN_FDS=1 exec "$@"`,
            'sh',
            process.execPath,
            project('bin', 'gyrfalcon.mjs'),
            'start',
            app,
          ],
          { env: { GYRFALCON_SETUP: '0' }, fds: [fd] },
        ),
      );
    const old = await open();
    assert.is(old.port, port);
    const hammer = new Hammer({ port });
    await handOver(hammer, old, open);
    assert.ok(hammer.slowest < 900, `a client waited ${hammer.slowest} ms`);
    close();
  },
);

testUnless(
  test,
  lacks('python3'),
  'a Zig program listens at a socket that it is started with; one that does not listen is refused',
  async () => {
    const { port, fd, close } = held();
    const running = await listening(
      start(zigProgram('engine_app'), ['--listen=fd:3'], { fds: [fd] }),
    );
    assert.is(running.port, port);
    assert.is((await exchange(port, get('/hello'))).status, 200);
    assert.is((await running.stop()).code, 0);
    close();
    const refused = startCommand(['start', app, '--fd', '0']);
    assert.is((await within(refused.ended, 'the refusal')).code, 1);
    assert.match(refused.stderr(), /Descriptor 0.*GYR_ADDRESS_FD/);
  },
);

/** The executable, serving this folder. */
const executable = (...args: string[]): [string, string[]] => [
  zigProgram('gyrfalcon'),
  ['serve', project('tests', 'listening'), ...args],
];

testUnless(
  test,
  lacks('python3'),
  'the executable listens at a socket that it is started with: --fd, or LISTEN_FDS',
  async () => {
    const { port, fd, close } = held();
    const [program, args] = executable();
    const handed = ['-c', 'LISTEN_PID=$$ LISTEN_FDS=1 exec "$0" "$@"', program, ...args];
    for (const [command, list] of [executable('--fd', '3'), ['sh', handed] as const]) {
      const running = await listening(start(command, list, { fds: [fd] }));
      assert.is(running.port, port);
      const { status, body } = await exchange(port, get('/sharing.test.ts'));
      assert.is(status, 200);
      assert.match(body.toString(), 'the executable listens at a socket');
      assert.is((await running.stop()).code, 0);
    }
    close();
  },
);

test('the executable listens at a unix socket, and removes it when it stops', async () => {
  const path = join(folder, 'executable.sock');
  const running = start(...executable('--unix', path, '--unix-mode', '640'));
  await until(() => running.stdout().includes(`Listening on unix://${path}`), 'the socket');
  assert.is(statSync(path).mode & 0o777, 0o640);
  assert.match(await ask(path, '/sharing.test.ts'), 'removes it when it stops');
  const second = start(...executable('--unix', path));
  assert.is((await within(second.ended, 'the refusal')).code, 1);
  assert.match(second.stderr(), /A server listens at .*GYR_ADDRESS_IN_USE/);
  running.child.kill('SIGTERM');
  assert.is((await within(running.ended, 'the end')).code, 0);
  assert.throws(() => statSync(path), /ENOENT/);
});

test('the executable refuses places that contradict each other, and what is no socket', async () => {
  const refusals: [args: string[], code: number, told: RegExp][] = [
    [['--unix', join(folder, 'x'), '--port', '0'], 2, /one of --host and --port, --unix, --fd/],
    [['--fd', '3', '--host', '127.0.0.1'], 2, /one of --host and --port, --unix, --fd/],
    [['--unix-mode', '640'], 2, /--unix-mode goes with --unix/],
    [['--unix', join(folder, 'x'), '--unix-mode', '888'], 2, /octal rights from 0 to 777, got 888/],
    [['--fd', 'three'], 2, /--fd takes a number/],
    [['--fd', '0'], 1, /Descriptor 0.*GYR_ADDRESS_FD/],
    [['--fd', '77'], 1, /Descriptor 77: is not open.*GYR_ADDRESS_FD/],
    [['--unix', join(folder, 'none', 'x')], 1, /The folder of .* does not exist.*make the folder/],
  ];
  for (const [args, code, told] of refusals) {
    const refused = start(...executable(...args));
    assert.is((await within(refused.ended, 'the refusal')).code, code, args.join(' '));
    assert.match(refused.stderr(), told);
  }
});

testUnless(
  test,
  lacks('systemd-socket-activate'),
  'systemd hands its socket over, at the first connection',
  async () => {
    const port = await freePort();
    const node = [process.execPath, project('bin', 'gyrfalcon.mjs'), 'start', app];
    const running = start(
      'systemd-socket-activate',
      ['-l', `127.0.0.1:${port}`, '-E', 'GYRFALCON_SETUP=0', ...node],
      {},
    );
    await until(() => running.stderr().includes('Listening on'), 'the activator');
    assert.is((await exchange(port, get('/pid'))).body.toString(), String(running.child.pid));
    running.child.kill('SIGTERM');
    assert.is((await within(running.ended, 'the end')).code, 0);
  },
);

test('workers of node:cluster share a port', async () => {
  const port = await freePort();
  const fixture = programOf('tests', 'listening', 'fixtures', 'cluster.ts');
  const running = start(process.execPath, [...fixture, `${port}`]);
  await until(() => running.stdout().split('ready').length === 3, 'both workers');
  const pids = new Set<string>();
  await until(async () => {
    pids.add((await exchange(port, get('/'))).body.toString());
    return pids.size === 2;
  }, 'an answer of each');
  running.child.kill('SIGTERM');
  assert.is((await within(running.ended, 'the end')).code, 0);
});

/** Breaks a listening socket for everybody who has it. */
const shutDown = (fd: number): void => withPython(fd, 's.shutdown(socket.SHUT_RDWR)');

testUnless(
  test,
  lacks('python3'),
  'a listening socket that breaks is told once, and the command ends with exit code 1 when none is left',
  async () => {
    for (const more of [[], ['--threads', '2']]) {
      const { port, fd, close } = held();
      const args = ['start', app, '--fd', '3', ...more];
      const running = await listening(startCommand(args, { fds: [fd] }));
      const slow = await connect(port);
      await slow.send(get('/slow'));
      await exchange(port, get('/pid')); // the slow one has been accepted before it
      shutDown(fd);
      const { code } = await within(running.ended, 'the end');
      assert.is((await slow.response()).status, 200, 'what is in flight is finished');
      assert.is(code, 1);
      const told = running.stderr().match(/the socket that listened on .* failed/g);
      assert.is(told?.length, 1, running.stderr());
      assert.match(running.stderr(), 'nothing is listened on any more');
      close();
    }
  },
);

testUnless(
  test,
  lacks('python3'),
  'one of several listening sockets that breaks leaves the others, and onError hears of it',
  async () => {
    const { port, fd, close } = held();
    const script = `
      import { serve } from ${JSON.stringify(pathToFileURL(project('dist', 'index.js')).href)};
      const server = serve({
        listen: [{ fd: 3 }, { hostname: '127.0.0.1', port: 0 }], workers: 1,
        onError: ({ code }, self) => console.log('TOLD', code, self.addresses.length),
        fetch: () => new Response('still here'),
      });
      console.log('PORT', server.addresses[1].port);
      process.once('SIGTERM', () => server.stop());`;
    const running = start(process.execPath, ['--input-type=module', '-e', script], { fds: [fd] });
    const other = await until(() => /PORT (\d+)/.exec(running.stdout())?.[1], 'the port');
    assert.is((await exchange(port, get('/'))).status, 200);
    shutDown(fd);
    await until(() => running.stdout().includes('TOLD'), 'onError');
    for (let i = 0; i < 5; i += 1) {
      assert.is((await exchange(Number(other), get('/'))).body.toString(), 'still here');
    }
    running.child.kill('SIGTERM');
    assert.is((await within(running.ended, 'the end')).code, 0);
    assert.equal(running.stdout().match(/TOLD.*/g), ['TOLD GYR_LISTENER_FAILED 1']);
    close();
  },
);

test.run();
