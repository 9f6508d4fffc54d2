import { pathToFileURL } from 'node:url';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import type { GyrfalconError } from '../core/errors.ts';
import { type EngineTls, TlsSets } from './tls.ts';

const pem = '-----BEGIN CERTIFICATE-----\n';

function translated(option: unknown): EngineTls {
  const sets = new TlsSets();
  sets.indexOf('tls', option);
  return sets.sets[0] as EngineTls;
}

function mistake(option: unknown): GyrfalconError {
  try {
    translated(option);
  } catch (error) {
    return error as GyrfalconError;
  }
  throw new Error('no error');
}

const pair = { cert: 'cert.pem', key: 'key.pem' };
const file = (path: string) => ({ file: path });

test('text, bytes, paths and URLs are told apart', () => {
  assert.equal(translated(pair).certificates, [
    { certificate: file('cert.pem'), key: file('key.pem') },
  ]);
  assert.equal(translated({ cert: pem, key: Buffer.from(pem) }).certificates, [
    { certificate: { text: pem }, key: { text: pem } },
  ]);
  const url = pathToFileURL('/etc/a b.pem');
  assert.equal(translated({ cert: url, key: url, ocsp: url }).certificates, [
    { certificate: file('/etc/a b.pem'), key: file('/etc/a b.pem'), staple: file('/etc/a b.pem') },
  ]);
});

test('several certificates come as an array, or beside the first', () => {
  const other = { cert: 'b.pem', key: 'b.key', serverName: ['b.test', '*.b.test'] };
  const expected = [
    { certificate: file('cert.pem'), key: file('key.pem') },
    { certificate: file('b.pem'), key: file('b.key'), names: ['b.test', '*.b.test'] },
  ];
  assert.equal(translated([pair, other]).certificates, expected);
  assert.equal(translated({ ...pair, certificates: [other] }).certificates, expected);
  assert.equal(translated({ certificates: [pair, other] }).certificates, expected);
  assert.equal(translated({ ...pair, serverName: 'a.test' }).certificates[0]?.names, ['a.test']);
});

test('a certificate for development stands in the place of others', () => {
  const expected = { certificates: [], self_signed: true };
  assert.equal(translated('self-signed'), expected);
  assert.equal(translated({ selfSigned: true }), expected);
  assert.equal(translated({ selfSigned: true, minVersion: '1.2' }).version_min, 'tls12');
  assert.equal(translated({ ...pair, selfSigned: false }), translated(pair));
  for (const option of [
    { ...pair, selfSigned: true },
    { selfSigned: true, certificates: [pair] },
  ])
    assert.match(mistake(option).message, /selfSigned stands beside/);
  assert.match(mistake({ selfSigned: 'yes' }).message, /selfSigned/);
  assert.is(mistake('signed').code, 'GYR_OPTION_INVALID');
});

test('options are translated', () => {
  const { certificates: _, ...all } = translated({
    ...pair,
    minVersion: '1.2',
    strictServerName: true,
    ca: 'ca.pem',
    requestCert: true,
    rejectUnauthorized: false,
    sessionTickets: false,
    ticketKeys: [Buffer.alloc(32, 1), '02'.repeat(32)],
    sessionTimeout: 60,
    hsts: { maxAge: 60, includeSubDomains: true, preload: true },
    keyLog: 'keys.log',
    ktls: false,
    reloadInterval: 0,
  });
  assert.equal(all, {
    version_min: 'tls12',
    strict_names: true,
    tickets: false,
    ticket_lifetime_s: 60,
    reload_ms: 0,
    client_authorities: file('ca.pem'),
    client_certificates: 'request',
    ticket_secrets: ['01'.repeat(32), '02'.repeat(32)],
    hsts: 'max-age=60; includeSubDomains; preload',
    key_log: 'keys.log',
    ktls: false,
  });
  assert.is(translated({ ...pair, earlyData: true }).early_data_bytes_max, 16_384);
  assert.is(translated({ ...pair, earlyData: 1 }).early_data_bytes_max, 1);
  assert.is(translated({ ...pair, earlyData: false }).early_data_bytes_max, undefined);
  assert.is(translated({ ...pair, hsts: true }).hsts, 'max-age=31536000');
  assert.is(translated({ ...pair, minVersion: 'TLSv1.3' }).version_min, undefined);
  assert.is(translated({ ...pair, ca: pem, requestCert: true }).client_certificates, 'require');
});

test('what cannot be is named, and no key is shown', () => {
  const cases: [unknown, RegExp][] = [
    [null, /Option tls is null/],
    [[], /one certificate at least/],
    ['secret', /Option tls is string/],
    [['secret'], /Option tls\[0\] is string/],
    [{ certificates: { key: 'secret' } }, /Option tls\.certificates is object/],
    [{ ...pair, earlyData: true, sessionTickets: false }, /earlyData stands beside sessionTickets/],
    [
      { ...pair, earlyData: true, ca: pem, requestCert: true },
      /earlyData stands beside requestCert/,
    ],
    [{ key: 'a' }, /Option tls\.cert cannot be/],
    [{ cert: 'a' }, /Option tls\.key cannot be/],
    [[pair, { cert: 'a' }], /Option tls\[1\]\.key cannot be/],
    [{ ...pair, cert: new URL('https://a.test/') }, /file: URL/],
    [{ ...pair, key: Buffer.from('secret') }, /PEM/],
    [{ ...pair, serverName: [] }, /a host name, or some/],
    [{ ...pair, minVersion: '1.1' }, /'1\.2' or '1\.3'/],
    [{ ...pair, ca: 'ca.pem' }, /without requestCert/],
    [{ ...pair, requestCert: true }, /needs ca/],
    [{ ...pair, requestCert: 1 }, /a boolean/],
    [{ ...pair, ticketKeys: ['secret'] }, /Option tls\.ticketKeys\[0\] cannot be/],
    [{ ...pair, sessionTimeout: 0 }, /an integer from 1 to 604800/],
    [{ ...pair, earlyData: 70_000 }, /an integer from 1 to 65536/],
    [{ ...pair, hsts: { maxAge: -1 } }, /a number of seconds/],
    [{ ...pair, keyLog: 3 }, /a path/],
    [{ ...pair, ktls: 'auto' }, /a boolean/],
  ];
  for (const [option, expected] of cases) {
    const error = mistake(option);
    assert.is(error.code, 'GYR_OPTION_INVALID');
    assert.match(error.message, expected);
    assert.not.match(error.message, 'secret');
  }
  assert.is(mistake({ ...pair, certificate: 'a' }).code, 'GYR_OPTION_UNKNOWN');
});

test.run();
