import { test } from 'uvu';
import * as assert from 'uvu/assert';
import type { EngineListener } from '../bridge/engine.ts';
import type { GyrfalconError } from '../core/errors.ts';
import { enginePlaces, inheritedSockets, Listening, type ListenOptions } from './listen.ts';
import { TlsSets } from './tls.ts';

type Given = Readonly<Record<string, unknown>>;
const listens = (given: Given) => enginePlaces(given, new TlsSets());
const places = (given: Given) => listens(given)?.map(({ place }) => place);

function codeOf(run: () => unknown): string {
  try {
    run();
  } catch (error) {
    return (error as GyrfalconError).code;
  }
  return 'none';
}

const at = (address: string, place = 0, port = 3000): EngineListener => {
  const family = address.startsWith('/') || address.startsWith('@') ? 'unix' : undefined;
  return {
    place,
    address,
    family: family ?? (address.includes(':') ? 'IPv6' : 'IPv4'),
    port: family === undefined ? port : 0,
    failure: null,
  };
};

test('places are translated for the engine; a host and a port need no list', () => {
  assert.is(places({ hostname: '::1', port: 1 }), undefined);
  assert.equal(places({ unix: '/run/a' }), [{ unix: { path: '/run/a' } }]);
  assert.equal(places({ unix: '@a', unixMode: 0o660 }), [{ unix: { path: '@a', mode: 0o660 } }]);
  assert.equal(places({ listen: { fd: 3 } }), [{ fd: 3 }]);
  assert.equal(places({ listen: [{ port: 0 }, { hostname: 'a' }, { unix: 'b' }] }), [
    { tcp: { port: 0 } },
    { tcp: { hostname: 'a' } },
    { unix: { path: 'b' } },
  ]);
});

test('places are secured as the server is, unless they say otherwise', () => {
  const tls = { cert: 'cert.pem', key: 'key.pem' };
  const place = { tcp: { port: 1 } };
  const port = 1;
  assert.is(listens({ tls }), undefined);
  assert.equal(listens({ tls, unix: '/a' }), [{ place: { unix: { path: '/a' } }, tls: 0 }]);
  const other = { cert: 'b.pem', key: 'b.key' };
  const sets = new TlsSets();
  const listen = [{ port }, { port, tls: false }, { port, tls: other }, { port, redirect: true }];
  assert.equal(enginePlaces({ tls, listen }, sets), [
    { place, tls: 0 },
    { place },
    { place, tls: 1 },
    { place, redirect_port: 0 },
  ]);
  assert.is(sets.sets.length, 2);
  assert.equal(listens({ listen: { port, redirect: 8443 } }), [{ place, redirect_port: 8443 }]);
  for (const one of [
    { port, redirect: true },
    { port, redirect: 0 },
    { port, redirect: 70_000 },
    { port, redirect: 1, tls: other },
  ]) {
    assert.is(
      codeOf(() => listens({ listen: one })),
      'GYR_OPTION_INVALID',
    );
  }
});

test('places that cannot be are refused', () => {
  const bad: Record<string, unknown>[] = [
    { unix: '/a', port: 1 },
    { unix: '/a', hostname: 'a' },
    { unixMode: 1 },
    { unix: 5 },
    { unix: '\ud800' },
    { unix: '/a', unixMode: 0o1000 },
    { unix: '/a', unixMode: -1 },
    { listen: [] },
    { listen: null },
    { listen: {} },
    { listen: 3 },
    { listen: { fd: -1 } },
    { listen: { fd: 3, port: 1 } },
    { listen: { unix: 'a', fd: 3 } },
    { listen: { port: 70_000 } },
    { listen: { port: 1, mode: 0o600 } },
    { listen: { port: 1, host: 'a' } },
    { listen: { port: 1 }, port: 1 },
    { listen: { port: 1 }, unix: 'a' },
  ];
  for (const options of bad) {
    assert.is(
      codeOf(() => listens(options)),
      'GYR_OPTION_INVALID',
      JSON.stringify(options),
    );
  }
});

test('what a place has no option for is named, and not shown', () => {
  const listen = { port: 443, key: 'secret' };
  assert.throws(
    () => listens({ listen }),
    (error: Error) => /listen has no option key/.test(error.message) && !/secret/.test(`${error}`),
  );
});

test('a name that is not ASCII is refused with its ASCII form', () => {
  assert.throws(() => listens({ hostname: 'bücher.example' }), /xn--bcher-kva\.example/);
  for (const hostname of ['bücher', '\ud800', '\u0130']) {
    assert.is(
      codeOf(() => listens({ hostname })),
      'GYR_ADDRESS_INVALID',
    );
    assert.is(
      codeOf(() => listens({ listen: { hostname } })),
      'GYR_ADDRESS_INVALID',
    );
  }
});

test('a server says where it is as it is', () => {
  const cases: [ListenOptions, EngineListener, string, string, string?][] = [
    [{}, at('::'), 'http://localhost:3000/', '::'],
    [{ hostname: '*' }, at('0.0.0.0'), 'http://localhost:3000/', '0.0.0.0'],
    [{ hostname: 'localhost' }, at('127.0.0.1'), 'http://localhost:3000/', 'localhost'],
    [{ hostname: '[::1]' }, at('::1'), 'http://[::1]:3000/', '::1'],
    [{ hostname: '::ffff:127.0.0.1' }, at('127.0.0.1'), 'http://127.0.0.1:3000/', '127.0.0.1'],
    [
      { hostname: 'fe80::1%2' },
      at('fe80::1%eth0'),
      'http://[fe80::1]:3000/',
      'fe80::1%eth0',
      'http://[fe80::1%25eth0]:3000/',
    ],
    [{ listen: { fd: 3 } }, at('127.0.0.1'), 'http://127.0.0.1:3000/', '127.0.0.1'],
    [{ tls: [] }, at('::', 0, 443), 'https://localhost/', '::', 'https://localhost:443/'],
    [
      { listen: [{ port: 80, redirect: true }, { port: 443 }], tls: [] },
      at('127.0.0.1', 0, 80),
      'http://127.0.0.1/',
      '127.0.0.1',
      'http://127.0.0.1:80/',
    ],
    [{ unix: '/run/my app' }, at('/run/my app'), 'unix:///run/my%20app', ''],
    [{ unix: '@a b' }, at('@a b'), 'unix:@a%20b', ''],
  ];
  for (const [options, listener, url, hostname, text = url] of cases) {
    const listening = new Listening(options, [listener]);
    assert.is(listening.url.href, url);
    assert.is(listening.hostname, hostname);
    assert.equal(listening.texts, [text]);
    assert.is(listening.port, listener.port);
  }
});

test('each place has one URL, however many addresses its name has', () => {
  const listen = [{ hostname: 'localhost' }, { port: 4000 }];
  const listeners = [at('127.0.0.1'), at('::1'), at('::', 1, 4000)];
  const listening = new Listening({ listen }, listeners);
  assert.equal(listening.texts, ['http://localhost:3000/', 'http://localhost:4000/']);
  assert.is(listening.addresses.length, 3);
});

test('a listener that fails is told once, and is no address any more', () => {
  const listeners = [at('127.0.0.1'), at('::1')];
  const listening = new Listening({ hostname: 'localhost' }, listeners);
  const failed = listeners.map((one, i) =>
    i === 1 ? { ...one, failure: 'InvalidArgument' } : one,
  );
  assert.equal(listening.lose(listeners), []);
  const [error, ...more] = listening.lose(failed);
  assert.is(more.length, 0);
  assert.is(error?.code, 'GYR_LISTENER_FAILED');
  assert.match(error?.message ?? '', /\[::1\]:3000 failed: InvalidArgument \(1 more go on\)/);
  assert.equal(listening.lose(failed), []);
  assert.equal(listening.addresses, [{ address: '127.0.0.1', family: 'IPv4', port: 3000 }]);
  const all = failed.map((one) => ({ ...one, failure: 'InvalidArgument' }));
  assert.match(listening.lose(all)[0]?.hint ?? '', 'nothing');
  assert.equal(listening.addresses, []);
});

test('inherited sockets are taken once, and only when they are meant for this process', () => {
  const give = (fds: string, pid: number) =>
    Object.assign(process.env, { LISTEN_FDS: fds, LISTEN_PID: String(pid), LISTEN_FDNAMES: 'a' });
  give('2', process.pid);
  assert.equal(inheritedSockets(), [{ fd: 3 }, { fd: 4 }]);
  assert.is(
    process.env.LISTEN_FDS ?? process.env.LISTEN_PID ?? process.env.LISTEN_FDNAMES,
    undefined,
  );
  assert.equal(inheritedSockets(), []);
  give('2', process.pid + 1);
  assert.equal(inheritedSockets(), []);
  give('two', process.pid);
  assert.is(codeOf(inheritedSockets), 'GYR_ADDRESS_FD');
});

test.run();
