import { release } from 'node:os';
import { GyrfalconError, type ListenInfo, Response, type ServeOptions, serve } from 'gyrfalcon';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import {
  cannotConfine,
  lockingAtMost,
  type Prefix,
  refusing,
  withSysctl,
} from '../support/confine.ts';
import { listening, project, start, stopAll } from '../support/process.ts';
import { serversOf } from '../support/servers.ts';
import { testUnless } from '../support/skip.ts';
import { exchange } from '../support/socket.ts';
import { zigProgram } from '../support/target.ts';

// Which backend runs is what was asked for, or what there is, and the server says so.
const test = suite('choice of the backend');
const servers = serversOf(test);
const own = process.env.GYRFALCON_IO;

test.after.each(() => {
  if (own === undefined) delete process.env.GYRFALCON_IO;
  else process.env.GYRFALCON_IO = own;
});
test.after(stopAll);

/** What a server of these options says it runs on, once it has answered. */
async function backendOf(options: ServeOptions, environment?: string): Promise<ListenInfo> {
  delete process.env.GYRFALCON_IO;
  if (environment !== undefined) process.env.GYRFALCON_IO = environment;
  let told: ListenInfo | undefined;
  const server = servers.open({
    fetch: () => new Response('here'),
    onListen: (info) => {
      told = info;
    },
    ...options,
  });
  const answer = await fetch(server.url);
  assert.is(await answer.text(), 'here');
  assert.ok(told);
  await server.stop();
  return told;
}

/** Why there is no io_uring here, or undefined. */
async function lack(): Promise<string | undefined> {
  let told: ListenInfo | undefined;
  const server = serve({
    port: 0,
    hostname: '127.0.0.1',
    workers: 1,
    io: 'io_uring',
    log: 'silent',
    fetch: () => new Response('here'),
    onListen: (info) => {
      told = info;
    },
  });
  await server.stop(true);
  return told?.backend === 'io_uring' ? undefined : told?.backendReason;
}

/** Why it makes no difference here how much memory may be locked, or undefined. */
function uncounted(): string | undefined {
  const [major = 0, minor = 0] = release().split('.').map(Number);
  const counts = (major - 6 || minor - 14) >= 0;
  return counts ? undefined : 'this kernel does not count what a ring takes as locked';
}

const none = process.platform === 'linux' ? await lack() : 'io_uring is Linux’s';

test('without a word it is the one that was measured as the fastest', async () => {
  const { backend, backendReason } = await backendOf({});
  assert.is(backend, 'epoll');
  assert.match(backendReason, 'fastest');
});

testUnless(
  test,
  none,
  'io_uring runs where it is asked for, by option or environment',
  async () => {
    const configured = await backendOf({ io: 'io_uring' });
    assert.equal([configured.backend, configured.backendReason], ['io_uring', 'configured']);
    const wished = await backendOf({}, 'io_uring');
    assert.equal([wished.backend, wished.backendReason], ['io_uring', 'GYRFALCON_IO']);
  },
);

test('an option that names a backend counts for more than the environment', async () => {
  const { backend, backendReason } = await backendOf({ io: 'epoll' }, 'io_uring');
  assert.equal([backend, backendReason], ['epoll', 'configured']);
});

test('a backend that another system has is refused, with the names of those that are here', () => {
  const missing = process.platform === 'win32' ? 'kqueue' : 'iocp';
  assert.throws(
    () => servers.open({ io: missing, fetch: () => new Response('here') }),
    (error: unknown) =>
      error instanceof GyrfalconError &&
      error.code === 'GYR_OPTION_INVALID' &&
      /Option io cannot be \(.*auto.* on this system/.test(error.message),
  );
});

const serveFolder = ['serve', project('tests', 'support'), '--host', '127.0.0.1', '--port', '0'];

test('a name in the environment that no backend has is told, and nothing else happens', async () => {
  const server = await listening(
    start(zigProgram('gyrfalcon'), serveFolder, { env: { GYRFALCON_IO: 'select' } }),
  );
  assert.match(server.stderr(), /GYRFALCON_IO is "select": auto, epoll.* would be right/);
  const get = 'GET /wait.ts HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n';
  assert.is((await exchange(server.port, get)).status, 200);
  assert.is((await server.stop()).code, 0);
});

interface Refusal {
  readonly what: string;
  readonly place: Prefix;
  /** Why it would make no difference here. */
  readonly missing?: string | undefined;
  readonly args?: readonly string[];
  readonly told: RegExp;
}

const refusals: readonly Refusal[] = [
  {
    what: 'a filter forbids io_uring',
    place: refusing('io_uring_setup'),
    told: /a seccomp filter forbids io_uring, .*: allow io_uring_setup/,
  },
  {
    what: 'a filter forbids to wait for it',
    place: refusing('io_uring_enter'),
    told: /a seccomp filter forbids io_uring/,
  },
  {
    what: 'the sysctl forbids it',
    place: [...withSysctl('kernel/io_uring_disabled', '2'), ...refusing('io_uring_setup')],
    told: /the sysctl kernel\.io_uring_disabled forbids io_uring: set it to 0/,
  },
  {
    what: 'the kernel has it not',
    place: refusing('io_uring_setup=ENOSYS'),
    told: /this kernel has no io_uring/,
  },
  {
    what: 'the kernel is older than 6.1',
    place: refusing('io_uring_setup=EINVAL'),
    told: /io_uring is of use from Linux 6\.1 on/,
  },
  {
    what: 'no memory may be locked',
    place: lockingAtMost(4),
    missing: uncounted(),
    told: /no memory that is locked: raise ulimit -l \(LimitMEMLOCK=\)/,
  },
  {
    what: 'memory may be locked for one worker, and there are several',
    place: lockingAtMost(292),
    missing: uncounted(),
    args: ['--workers', '8'],
    told: /no memory that is locked: raise ulimit -l \(LimitMEMLOCK=\)/,
  },
];

for (const { what, place, missing, args = [], told } of refusals) {
  const reason = none ?? missing ?? cannotConfine(place);
  testUnless(test, reason, `where ${what}, epoll takes over and the cure is told`, async () => {
    const [command = '', ...rest] = [...place, zigProgram('gyrfalcon'), ...serveFolder, ...args];
    const server = await listening(start(command, rest, { env: { GYRFALCON_IO: 'io_uring' } }));
    assert.match(server.stderr(), /GYR_IO_UNAVAILABLE: epoll takes over: /);
    assert.match(server.stderr(), told);
    const get = 'GET /wait.ts HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n';
    assert.is((await exchange(server.port, get)).status, 200);
    assert.is((await server.stop()).code, 0);
  });
}

test.run();
