import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { parse } from './arguments.ts';
import { listenFrom } from './listen.ts';

const given = (args: string, app: Record<string, unknown> = {}) => {
  const where = listenFrom(app, parse(['start', 'a.ts', ...args.split(' ').filter(Boolean)]));
  return Object.fromEntries(Object.entries(where).filter(([, value]) => value !== undefined));
};

test.before.each(() => {
  delete process.env.PORT;
});

test('options of the command say where, over the app and the environment', () => {
  assert.equal(given(''), {});
  assert.equal(given('--port 1 --host ::1'), { port: 1, hostname: '::1' });
  assert.equal(given('--fd 3'), { listen: { fd: 3 } });
  assert.equal(given('--unix /a --unix-mode 0660'), { listen: { unix: '/a', mode: 0o660 } });
  assert.equal(given('--reuse-port --port 1'), { port: 1, reusePort: true });
  process.env.PORT = '5';
  assert.equal(given(''), { port: 5 });
  assert.equal(given('--host a'), { hostname: 'a', port: 5 });
  assert.equal(given('', { port: 6 }), {});
  assert.equal(given('', { unix: '/a' }), {});
  assert.equal(given('--unix /a'), { listen: { unix: '/a' } });
});

test('what the app says is taken back when the command says otherwise', () => {
  const app = { unix: '/a', unixMode: 1 };
  const where = listenFrom(app, parse(['start', 'a.ts', '--port', '1']));
  assert.equal({ ...app, ...where }.unix, undefined);
  assert.ok('listen' in where && 'unixMode' in where);
});

test('a service manager’s sockets are listened at, and nothing else beside them', () => {
  const hand = () =>
    Object.assign(process.env, { LISTEN_FDS: '1', LISTEN_PID: String(process.pid) });
  hand();
  assert.equal(given('', { port: 1, hostname: 'a' }), { listen: [{ fd: 3 }] });
  hand();
  assert.throws(() => given('--port 1'), /--port and LISTEN_FDS both say where to listen/);
});

test('what does not go together is refused', () => {
  assert.throws(() => given('--unix /a --port 1'), /both say where/);
  assert.throws(() => given('--unix /a --fd 3'), /both say where/);
  assert.throws(() => given('--unix-mode 600'), /needs --unix/);
  for (const mode of ['888', '1000', 'rw', ''])
    assert.throws(() => given(`--unix /a --unix-mode=${mode}`), /octal/);
  process.env.PORT = 'x';
  assert.throws(() => given(''), /PORT is no port number/);
});

test('TLS by options: at the port itself, or beside one that sends there', () => {
  const strings = { 'tls-cert': 'a.pem', 'tls-key': 'a.key' };
  const tls = { cert: 'a.pem', key: 'a.key' };
  const from = (app: object, numbers: object, given: object = strings) =>
    listenFrom(app as Record<string, unknown>, {
      numbers: numbers as Record<string, number>,
      strings: given as Record<string, string>,
      switches: new Set(),
    });
  assert.equal(from({}, { port: 1 }), { tls, port: 1 });
  const both = [{ port: 443 }, { port: 80, redirect: true }];
  const { listen, tls: own } = from({}, { port: 80, 'https-port': 443 });
  assert.equal([listen, own], [both, tls]);
  const named = from({ hostname: 'a.test', port: 80, tls }, { 'https-port': 443 }, {});
  assert.equal(named.listen, [
    { hostname: 'a.test', port: 443 },
    { hostname: 'a.test', port: 80, redirect: true },
  ]);
  assert.throws(() => from({}, {}, { 'tls-cert': 'a.pem' }), /go together/);
  const selfSigned = (strings: Record<string, string>) =>
    listenFrom({}, { numbers: {}, strings, switches: new Set(['tls-self-signed']) });
  assert.is(selfSigned({}).tls, 'self-signed');
  assert.throws(() => selfSigned({ 'tls-cert': 'a.pem', 'tls-key': 'a.key' }), /in the place of/);
  assert.throws(() => from({}, { 'https-port': 1 }, {}), /needs --tls-cert/);
  assert.throws(() => from({}, { 'https-port': 1, fd: 3 }), /beside --fd/);
});

test.run();
