import { spawnSync } from 'node:child_process';
import { lookup } from 'node:dns/promises';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { GyrfalconError, type ServeOptions, serve } from 'gyrfalcon';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { project, start, stopAll } from '../support/process.ts';
import { serversOf } from '../support/servers.ts';
import { testUnless } from '../support/skip.ts';
import { connect } from '../support/socket.ts';
import { within } from '../support/wait.ts';

// Names and addresses: what can be listened on is, under a URL that is true; the rest is refused with a code.
const test = suite('hosts');
const servers = serversOf(test);
const folder = mkdtempSync(join(tmpdir(), 'gyrfalcon-hosts-'));
const fetch200 = () => new Response('here');

test.after(async () => {
  await stopAll();
  rmSync(folder, { recursive: true });
});

function refusal(options: ServeOptions): GyrfalconError {
  try {
    servers.keep(serve({ port: 0, workers: 1, fetch: fetch200, ...options }) as never);
  } catch (error) {
    assert.instance(error, GyrfalconError);
    return error as GyrfalconError;
  }
  throw new Error(`${JSON.stringify(options)} was taken`);
}

test('a host that cannot be listened on is refused with a code and a hint, and the process goes on', () => {
  const hosts: [string, RegExp][] = [
    ['fe80::1', /one link alone \(name the interface behind it: fe80::1%eth0/],
    ['ff02::1', /many hosts/],
    ['224.0.0.1', /many hosts/],
    ['fe80::1%nowhere', /`ip link` lists them/],
    ['192.0.2.1', /no address of this machine/],
    ['2001:db8::1', /no address of this machine/],
    ['localhost:3000', /the port is an option/],
    ['http://localhost', /alone/],
    ['/run/app.sock', /option unix/],
    ['a b', /no host name/],
    ['\0', /no host name/],
    ['a'.repeat(300), /253 bytes/],
    ['bücher.example', /write it as xn--bcher-kva\.example/],
    ['no.such.host.invalid', /leads to no address/],
  ];
  for (const [hostname, message] of hosts) {
    const error = refusal({ hostname });
    assert.is(error.code, 'GYR_ADDRESS_INVALID', hostname);
    assert.match(error.message, message);
  }
});

test('every interface, and addresses in every spelling, are listened on, and the URL is true', async () => {
  const hosts: [string, string][] = [
    ['', '::'],
    ['*', '::'],
    ['::0', '::'],
    ['0::0', '::'],
    ['[::]', '::'],
    ['0.0.0.0', '0.0.0.0'],
    ['[::1]', '::1'],
    ['::1', '::1'],
    ['::ffff:127.0.0.1', '127.0.0.1'],
    ['127.0.0.1', '127.0.0.1'],
  ];
  for (const [given, hostname] of hosts) {
    const server = servers.open({ hostname: given, fetch: fetch200 });
    assert.ok(
      [hostname, hostname === '::' ? '0.0.0.0' : hostname].includes(server.hostname),
      given,
    );
    assert.is(server.addresses[0]?.port, server.port);
    assert.is(await (await fetch(server.url)).text(), 'here');
    if (hostname === '::') assert.is(server.url.hostname, 'localhost');
  }
});

test('localhost is listened on at all its addresses, on one port', async () => {
  const server = servers.open({ hostname: 'localhost', fetch: fetch200 });
  const wanted = (await lookup('localhost', { all: true })).map(({ address }) => address);
  assert.equal(server.addresses.map(({ address }) => address).sort(), [...new Set(wanted)].sort());
  assert.is(server.url.href, `http://localhost:${server.port}/`);
  for (const { address, port } of server.addresses) {
    assert.is(port, server.port);
    (await connect(port, address)).destroy();
  }
});

test('several places are listened on at once', async () => {
  const listen = [
    { hostname: '127.0.0.1', port: 0 },
    { hostname: '::1', port: 0 },
  ];
  const server = servers.keep(serve({ listen, workers: 1, fetch: fetch200 }) as never);
  assert.is(server.addresses.length, 2);
  for (const { address, port, family } of server.addresses) {
    const host = family === 'IPv6' ? `[${address}]` : address;
    assert.is(await (await fetch(`http://${host}:${port}/`)).text(), 'here');
  }
});

/** Whether a network of one's own can be had, and names of one's own. */
function cannotIsolate(): string | undefined {
  const { status } = spawnSync('unshare', ['-rnm', 'ip', 'link', 'set', 'lo', 'up']);
  return status === 0 ? undefined : 'no network namespaces here';
}

/** Runs the command in a network of its own, in which a shell has done `prepare`. */
async function isolated(prepare: string, args: readonly string[], script: string) {
  const command = `ip link set lo up && ${prepare} && node ${project('bin/gyrfalcon.mjs')} start ${project('tests/listening/fixtures/app.ts')} ${args.join(' ')} & server=$!; ${script}; kill $server; wait $server`;
  const running = start('unshare', ['-rnm', 'sh', '-c', command], {
    env: { GYRFALCON_SETUP: '0' },
  });
  await within(running.ended, 'the end of the script', 30_000);
  return running.stdout();
}

testUnless(
  test,
  cannotIsolate(),
  'an address of one link is listened on at its interface, and told with it',
  async () => {
    const ask = 'until curl -sf "http://[fe80::99%25lo]:8123/who"; do sleep 0.1; done 2>/dev/null';
    const out = await isolated(
      'ip address add fe80::99/64 dev lo nodad',
      ['--host', 'fe80::99%lo', '--port', '8123'],
      ask,
    );
    assert.match(out, 'Listening on http://[fe80::99%25lo]:8123/');
    assert.match(out, '"IPv6"');
  },
);

testUnless(test, cannotIsolate(), 'a name of both families is listened on in both', async () => {
  const hosts = join(folder, 'hosts');
  writeFileSync(hosts, '127.0.0.1 both.test\n::1 both.test\n192.0.2.7 both.test\n');
  const ask =
    'for host in 127.0.0.1 "[::1]"; do until curl -sf "http://$host:8124/who"; do sleep 0.1; done; done 2>/dev/null';
  const out = await isolated(
    `mount --bind ${hosts} /etc/hosts`,
    ['--host', 'both.test', '--port', '8124'],
    ask,
  );
  assert.match(out, 'Listening on http://both.test:8124/');
  assert.match(out, '"IPv4"');
  assert.match(out, '"IPv6"');
});

testUnless(
  test,
  cannotIsolate(),
  'a client whose link goes down is found, and its handler hears of it',
  async () => {
    // Keep-alive after a second, three probes a second apart; data that nobody acknowledges ends likewise.
    const app = join(folder, 'stream.mjs');
    writeFileSync(
      app,
      `export default { tcpKeepAlive: 1000, writeTimeout: 1000, fetch(request) {
      request.signal.addEventListener('abort', () => console.log('ABORTED'));
      return new Response(new ReadableStream({ start(c) { c.enqueue(new TextEncoder().encode('begun')); } }));
    } };`,
    );
    const command = `ip link set lo up; node ${project('bin/gyrfalcon.mjs')} start ${app} --host 127.0.0.1 --port 8125 > ${folder}/told & server=$!
    curl -sN --retry 20 --retry-connrefused --retry-delay 1 http://127.0.0.1:8125/ > ${folder}/got & client=$!
    until grep -q begun ${folder}/got; do sleep 0.1; done; ip link set lo down
    timeout 20 sh -c 'until grep ABORTED ${folder}/told; do sleep 0.1; done'; kill -9 $client $server; wait`;
    const running = start('unshare', ['-rnm', 'sh', '-c', command], {
      env: { GYRFALCON_SETUP: '0' },
    });
    await within(running.ended, 'the end of the script', 40_000);
    assert.match(running.stdout(), 'ABORTED');
  },
);

test('the command refuses a host in a sentence, with exit code 1', async () => {
  const args = ['start', project('tests/listening/fixtures/app.ts'), '--host', 'ff02::1'];
  const running = start(process.execPath, [project('bin/gyrfalcon.mjs'), ...args], {
    env: { GYRFALCON_SETUP: '0' },
  });
  assert.is((await within(running.ended, 'the end')).code, 1);
  assert.match(running.stderr(), /error: ff02::1 is an address of many hosts.*GYR_ADDRESS_INVALID/);
});

test.run();
