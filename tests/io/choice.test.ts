import { type ListenInfo, Response, type ServeOptions, serve } from 'gyrfalcon';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { lacks, listening, project, start, stopAll } from '../support/process.ts';
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

const serveFolder = ['serve', project('tests', 'support'), '--host', '127.0.0.1', '--port', '0'];

test('a name in the environment that no backend has is told, and nothing else happens', async () => {
  const server = await listening(
    start(zigProgram('gyrfalcon'), serveFolder, { env: { GYRFALCON_IO: 'select' } }),
  );
  assert.match(server.stderr(), /GYRFALCON_IO is "select": auto, epoll or io_uring/);
  const get = 'GET /wait.ts HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n';
  assert.is((await exchange(server.port, get)).status, 200);
  assert.is((await server.stop()).code, 0);
});

const noFilter = none ?? lacks('python3');

testUnless(
  test,
  noFilter,
  'where a filter forbids io_uring, epoll takes over and says why',
  async () => {
    const launcher = project('tests', 'support', 'refuse.py');
    const command = [launcher, 'io_uring_setup', zigProgram('gyrfalcon'), ...serveFolder];
    const server = await listening(
      start('python3', command, { env: { GYRFALCON_IO: 'io_uring' } }),
    );
    assert.match(
      server.stderr(),
      /epoll takes over: io_uring is forbidden, by a container's seccomp/,
    );
    const get = 'GET /wait.ts HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n';
    assert.is((await exchange(server.port, get)).status, 200);
    assert.is((await server.stop()).code, 0);
  },
);

test.run();
