import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { networkInterfaces, tmpdir } from 'node:os';
import { join } from 'node:path';
import * as assert from 'uvu/assert';
import {
  behind,
  CpuGroup,
  cannotConfine,
  mounting,
  networking,
  type Prefix,
  refusing,
} from '../support/confine.ts';
import { lacks, listening, type RunningServer, start, stopAll } from '../support/process.ts';
import { sideBySide } from '../support/side_by_side.ts';
import { testUnless } from '../support/skip.ts';
import { connect, exchange, type RawClient } from '../support/socket.ts';
import { zigProgram } from '../support/target.ts';
import { until } from '../support/wait.ts';
import { type Way, type WayOptions, waysOf } from '../support/ways.ts';

// Small and hostile places: in each of them a server starts, serves, tells the truth and drains, whichever way it is run.
const test = sideBySide('places', 2);
const folder = mkdtempSync(join(tmpdir(), 'gyrfalcon-places-'));
/** Above what is served from memory. */
const mediumBytes = 100_000;
/** More than sockets take, so that a client can leave it half read. */
const largeBytes = 16 * 1024 * 1024;
const hasIPv6 = Object.values(networkInterfaces()).some((addresses) =>
  addresses?.some(({ address }) => address === '::1'),
);
const group = CpuGroup.missing() === undefined ? new CpuGroup() : undefined;

test.before(() => {
  if (group !== undefined) group.quota = 50_000;
  writeFileSync(join(folder, 'small.txt'), 'small\n');
  writeFileSync(join(folder, 'medium.bin'), Buffer.alloc(mediumBytes, 'x'));
  writeFileSync(join(folder, 'large.bin'), Buffer.alloc(largeBytes, 'x'));
  symlinkSync('small.txt', join(folder, 'link.txt'));
  symlinkSync(join(folder, 'small.txt'), join(folder, 'absolute.txt'));
});
test.after(async () => {
  await stopAll();
  rmSync(folder, { recursive: true });
  group?.remove();
});

interface Place {
  name: string;
  prefix: Prefix;
  options?: WayOptions;
  environment?: NodeJS.ProcessEnv;
  /** What the start tells of the place. */
  told?: RegExp;
  /** Where clients come from. @default 127.0.0.1 */
  client?: string;
  /** Why it cannot be had, where a trial does not tell. */
  missing?: string | undefined;
  /** Workers that it starts by itself. */
  workers?: number;
}

const places: readonly Place[] = [
  {
    name: 'a container with the usual filter',
    prefix: refusing('container'),
  },
  {
    name: 'a container with the usual filter, where io_uring was asked for',
    prefix: refusing('container'),
    environment: { GYRFALCON_IO: 'io_uring' },
    told: /epoll takes over: a seccomp filter forbids io_uring.*: allow io_uring_setup/,
  },
  {
    name: 'a container whose filter knows no calls since 2019',
    prefix: refusing('container,openat2,clone3=ENOSYS'),
  },
  {
    name: '64 descriptors',
    prefix: behind('ulimit -n 64'),
    told: /limit of open files is 64 \(ulimit -n\): \d+ connections/,
  },
  {
    name: 'no /proc',
    prefix: mounting('mount -t tmpfs none /proc'),
  },
  {
    name: 'no /proc and no openat2',
    prefix: [...mounting('mount -t tmpfs none /proc'), ...refusing('openat2=ENOSYS')],
  },
  {
    name: 'a read-only file system',
    prefix: mounting('mount -o remount,bind,ro /'),
  },
  {
    name: 'one core',
    prefix: ['taskset', '-c', '0'],
    workers: 1,
  },
  {
    name: 'half a core of quota',
    prefix: group?.prefix ?? [],
    missing: CpuGroup.missing(),
    workers: 1,
  },
  {
    name: 'IPv4 only',
    prefix: refusing('socket:AF_INET6=EAFNOSUPPORT'),
    options: { hostname: '' },
    told: /listening on 0\.0\.0\.0:\d+/,
  },
  {
    name: 'IPv6 only',
    prefix: refusing('socket:AF_INET=EAFNOSUPPORT'),
    options: { hostname: '' },
    told: /listening on \[::\]:\d+/,
    client: '::1',
    missing: hasIPv6 ? undefined : 'this machine has no IPv6',
  },
  {
    name: 'a name with addresses of two kinds, and IPv4 only',
    prefix: refusing('socket:AF_INET6=EAFNOSUPPORT'),
    options: { hostname: 'localhost' },
    told: /listening on 127\.0\.0\.1:\d+:/,
  },
];

const get = (path: string): string => `GET ${path} HTTP/1.1\r\nHost: a\r\n\r\n`;

function startIn({ prefix, environment: env }: Place, { command }: Way): Promise<RunningServer> {
  const [program, ...rest] = [...prefix, ...command] as [string, ...string[]];
  return listening(start(program, rest, { env: { GYRFALCON_IO: undefined, ...env } }));
}

async function textOf(client: RawClient, request: string): Promise<string> {
  await client.send(request);
  const { status, body } = await client.response();
  assert.is(status, 200, request);
  return body.toString('latin1');
}

/** What is asked for in every place. */
async function serves(client: RawClient, { name, files }: Way): Promise<void> {
  assert.is(await textOf(client, get(`${files}small.txt`)), 'small\n');
  assert.is(await textOf(client, get(`${files}link.txt`)), 'small\n');
  assert.is((await textOf(client, get(`${files}medium.bin`))).length, mediumBytes);
  if (name === 'the executable') return;
  const post = `POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n\r\n`;
  assert.is((await textOf(client, post + 'e'.repeat(100_000))).length, 100_000);
}

/** A response that is under way is finished, then the process ends. */
async function drains(server: RunningServer, { files }: Way, host?: string): Promise<void> {
  const client = await connect(server.port, host);
  client.socket.removeAllListeners('data').pause();
  await client.send(get(`${files}large.bin`));
  await until(() => client.socket.readableLength > 0, 'the head');
  server.child.kill('SIGTERM');
  await until(() => isGone(server.port, host), 'the listener to close');
  let length = 0;
  client.socket.on('data', (bytes: Buffer) => {
    if (length === 0) assert.match(bytes.toString('latin1', 0, 12), 'HTTP/1.1 200');
    length += bytes.length - (length === 0 ? bytes.indexOf('\r\n\r\n') + 4 : 0);
  });
  client.socket.resume();
  await client.closed();
  assert.is(length, largeBytes);
  assert.equal(await server.ended, { code: 0, signal: null }, server.stderr());
}

async function isGone(port: number, host?: string): Promise<boolean> {
  try {
    (await connect(port, host)).destroy();
    return false;
  } catch {
    return true;
  }
}

async function holds(place: Place, way: Way): Promise<void> {
  const server = await startIn(place, way);
  const said = server.stderr();
  assert.match(said, place.told ?? /listening on 127\.0\.0\.1:\d+: epoll/);
  if (place.workers !== undefined) assert.match(said, `, ${place.workers} worker`);
  const client = await connect(server.port, place.client);
  await serves(client, way);
  client.destroy();
  await drains(server, way, place.client);
  assert.not.match(server.stderr(), 'gyrfalcon error');
}

for (const place of places) {
  const { name, prefix, options, missing = cannotConfine(prefix) } = place;
  testUnless(test, missing, `${name}: it starts, serves and drains`, async () => {
    await Promise.all(waysOf(folder, options).map((way) => holds(place, way)));
  });
}

/** Runs the executable to its end in a place where it cannot start, and returns what it says. */
function refusedIn(prefix: Prefix, ...where: string[]): string {
  const [command, ...rest] = [...prefix, zigProgram('gyrfalcon'), 'serve', folder, ...where];
  const { status, signal, stderr } = spawnSync(command as string, rest, {
    encoding: 'utf8',
    timeout: 20_000,
  });
  assert.equal({ status, signal }, { status: 1, signal: null }, stderr);
  return stderr;
}

/** Where it cannot start, and what it says of that. */
const starts: readonly [name: string, prefix: Prefix, where: string[], told: RegExp][] = [
  [
    '9 descriptors are too few',
    behind('ulimit -n 9'),
    ['--host', '127.0.0.1', '--port', '0', '--workers', '2'],
    /There are no descriptors left.*\(a higher limit of open files \(ulimit -n\), or fewer workers/,
  ],
  [
    'a unix socket cannot be made in a read-only file system',
    mounting('mount -o remount,bind,ro /'),
    ['--unix', join(folder, 'socket')],
    /socket may not be made: its file system is read-only \(.*\[GYR_ADDRESS_DENIED\]/,
  ],
  [
    'an IPv6 address without IPv6',
    refusing('socket:AF_INET6=EAFNOSUPPORT'),
    ['--host', '::1', '--port', '0'],
    /\[::1\]:0 cannot be listened on: this system has no IPv6 .*\[GYR_ADDRESS_INVALID\]/,
  ],
  [
    'an IPv4 address without IPv4',
    refusing('socket:AF_INET=EAFNOSUPPORT'),
    ['--host', '127.0.0.1', '--port', '0'],
    /127\.0\.0\.1:0 cannot be listened on: this system has no IPv4 .*\[GYR_ADDRESS_INVALID\]/,
  ],
];

for (const [name, prefix, where, told] of starts) {
  testUnless(test, cannotConfine(prefix), `${name}: the start fails and says what helps`, () => {
    assert.match(refusedIn(prefix, ...where), told);
  });
}

test('with 64 descriptors serve() tells as many connections as its log', async () => {
  const server = await startIn(
    { name: '', prefix: behind('ulimit -n 64') },
    waysOf(folder, { workers: 2 })[1],
  );
  const most = Number(/(\d+) connections are served/.exec(server.stderr())?.[1]);
  assert.ok(most > 0 && most < 40, server.stderr());
  const client = await connect(server.port);
  assert.is(JSON.parse(await textOf(client, get('/counters'))).maxConnections, most);
  client.destroy();
  await server.stop();
});

const noProc = mounting('mount -t tmpfs none /proc');

testUnless(
  test,
  cannotConfine(noProc),
  'without /proc a link by an absolute path is not found, as no path can be told of a folder',
  async () => {
    const [, , executable] = waysOf(folder);
    for (const [prefix, status] of [
      [[], 200],
      [noProc, 404],
    ] as const) {
      const server = await startIn({ name: '', prefix }, executable);
      assert.is((await exchange(server.port, get('/absolute.txt'))).status, status);
      await server.stop();
    }
  },
);

/** Networks whose interface has addresses of one kind alone, though the system knows both. */
const networks: readonly [name: string, prefix: Prefix, told: RegExp, url: string][] = [
  [
    'IPv6 is switched off',
    networking('{ sysctl -q net.ipv6.conf.all.disable_ipv6=1 || true; }'),
    /listening on \[::\]:\d+/,
    'http://127.0.0.1',
  ],
  [
    'no IPv4 address',
    networking('ip address del 127.0.0.1/8 dev lo'),
    /listening on \[::\]:\d+/,
    'http://[::1]',
  ],
];

for (const [name, prefix, told, url] of networks) {
  const missing = cannotConfine(prefix) ?? lacks('nsenter') ?? lacks('curl');
  testUnless(test, missing, `a network with ${name}: every interface is listened on`, async () => {
    const [, , executable] = waysOf(folder, { hostname: '' });
    const server = await startIn({ name, prefix }, executable);
    assert.match(server.stderr(), told);
    const { stdout, stderr } = spawnSync(
      'nsenter',
      [
        ...[`--target=${server.child.pid}`, '--net'],
        ...(process.getuid?.() === 0 ? [] : ['--user']),
        ...['curl', '-sS', `${url}:${server.port}/small.txt`],
      ],
      { encoding: 'utf8' },
    );
    assert.is(stdout, 'small\n', stderr);
    assert.is((await server.stop()).code, 0);
  });
}

test.run();
