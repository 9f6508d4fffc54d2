import { spawn, spawnSync } from 'node:child_process';
import { copyFileSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { connect as connectSocket, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import type { TLSSocket } from 'node:tls';
import { Response, serve } from 'gyrfalcon';
import * as assert from 'uvu/assert';
import { Authority, noTls } from '../support/certificates.ts';
import { stopAll } from '../support/process.ts';
import { sideBySide } from '../support/side_by_side.ts';
import { testUnless } from '../support/skip.ts';
import { connect, exchange } from '../support/socket.ts';
import { until, within } from '../support/wait.ts';
import {
  ask,
  askJson,
  connectHttps,
  type HttpsServer,
  refusal,
  serving,
  startHttps,
  stopHttps,
} from './server.ts';

// HTTP over TLS, from the options of serve() to what clients and handlers see of it.
const suiteOf = sideBySide('https');
const test = (name: string, run: () => Promise<void>): void =>
  testUnless(suiteOf, noTls, name, run);

const authority = noTls === undefined ? new Authority() : (undefined as unknown as Authority);
const issued = noTls === undefined ? authority.issue(['a.test', '127.0.0.1']) : undefined;
const pair = { cert: issued?.certFile, key: issued?.keyFile };
const trusting = { ca: authority?.cert };

suiteOf.after(async () => {
  await stopAll();
  authority?.remove();
});

let shared: Promise<HttpsServer> | undefined;

/** A test whose connections may be beside those of others, at a server with the certificate and nothing else. */
function sharing(name: string, run: (server: HttpsServer) => Promise<void>): void {
  test(name, async () => {
    shared ??= startHttps({ tls: pair });
    await run(await shared);
  });
}

sharing('handlers see https, and what was agreed on', async (server) => {
  assert.match(server.stdout(), `URL https://127.0.0.1:${server.port}/`);
  const { url, ip, tls, subject } = await askJson(server.port, '/a?b=c', {
    ...trusting,
    ALPNProtocols: ['http/1.1'],
    headers: { host: 'a.test:8443' },
  });
  assert.is(url, 'https://a.test:8443/a?b=c');
  assert.is(ip, '127.0.0.1');
  assert.is(subject, null);
  const { cipher, ...rest } = tls as { cipher: string };
  assert.match(cipher, /^TLS_(AES|CHACHA20)/);
  assert.equal(rest, {
    version: 'TLSv1.3',
    alpn: 'http/1.1',
    sni: 'a.test',
    authorized: false,
    resumed: false,
    earlyData: false,
  });
});

test('a client of TLS 1.2 is served where that is allowed, and told what it has', async () => {
  const old = { ...trusting, maxVersion: 'TLSv1.2', servername: 'a.test' } as const;
  await serving({ tls: { ...pair, minVersion: '1.2' } }, async ({ port }) => {
    const { tls } = await askJson(port, '/', old);
    const { version, cipher, sni } = tls as Record<string, unknown>;
    assert.equal({ version, sni }, { version: 'TLSv1.2', sni: 'a.test' });
    assert.match(String(cipher), /^TLS_ECDHE_(ECDSA|RSA)_WITH_(AES|CHACHA20)/);
    const size = 3 * 1024 * 1024 + 1;
    const down = await ask(port, `/size/${size}`, old);
    assert.ok(down.body.equals(Buffer.alloc(size, 'what goes over TLS')));
    const sent = Buffer.alloc(1024 * 1024 + 1, 'upload');
    assert.ok((await ask(port, '/echo', { ...old, method: 'POST' }, sent)).body.equals(sent));
    const modern = (await askJson(port, '/', { ...trusting, servername: 'a.test' })).tls;
    assert.is((modern as { version: string }).version, 'TLSv1.3');
  });
  await serving({ tls: pair }, async ({ port }) => {
    assert.match(await refusal(ask(port, '/', old)), /protocol.version/i);
  });
});

test('large bodies pass whole, both ways, and files do', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'gyrfalcon-https-'));
  const bytes = Buffer.alloc(9 * 1024 * 1024 + 7, 'a file over TLS ');
  writeFileSync(join(folder, 'large.bin'), bytes);
  writeFileSync(join(folder, 'small.txt'), 'small');
  await serving({ tls: pair, files: folder }, async ({ port }) => {
    const size = 20 * 1024 * 1024 + 3;
    const down = await ask(port, `/size/${size}`, trusting);
    assert.ok(down.body.equals(Buffer.alloc(size, 'what goes over TLS')));
    const sent = Buffer.alloc(5 * 1024 * 1024 + 1, 'upload');
    const up = await ask(port, '/echo', { ...trusting, method: 'POST' }, sent);
    assert.ok(up.body.equals(sent));
    for (let n = 0; n < 3; n += 1) {
      assert.ok((await ask(port, '/files/large.bin', trusting)).body.equals(bytes));
      assert.is((await ask(port, '/files/small.txt', trusting)).body.toString(), 'small');
    }
    const range = { ...trusting, headers: { range: 'bytes=1000000-1000009' } };
    const part = await ask(port, '/files/large.bin', range);
    assert.is(part.status, 206);
    assert.ok(part.body.equals(bytes.subarray(1_000_000, 1_000_010)));
  });
  rmSync(folder, { recursive: true });
});

sharing('a client that does not read is waited for, and others are served', async ({ port }) => {
  const slow = await connectHttps(port, trusting);
  slow.pause();
  slow.write('GET /size/30000000 HTTP/1.1\r\nHost: a\r\n\r\n');
  for (let n = 0; n < 5; n += 1) await askJson(port, '/', trusting);
  let received = 0;
  slow.on('data', (piece: Buffer) => {
    received += piece.length;
  });
  slow.resume();
  await until(() => received > 30_000_000, 'all of it');
  slow.destroy();
});

sharing('every byte may come by itself', async ({ port }) => {
  // A proxy that passes on one byte at a time, either way.
  const proxy = createServer((client) => {
    const server = connectSocket({ port, host: '127.0.0.1', noDelay: true });
    client.setNoDelay(true);
    for (const [from, to] of [
      [client, server],
      [server, client],
    ] as const) {
      from.on('data', (piece: Buffer) => {
        for (const byte of piece) to.write(Buffer.from([byte]));
      });
      from.on('error', () => to.destroy());
      from.on('end', () => to.end());
    }
  });
  await new Promise<void>((resolve) => proxy.listen(0, '127.0.0.1', resolve));
  const { port: at } = proxy.address() as { port: number };
  const { body } = await ask(at, '/size/3000', trusting);
  assert.ok(body.equals(Buffer.alloc(3000, 'what goes over TLS')));
  proxy.close();
});

sharing(
  'HTTP where TLS is spoken is answered in words, in the form that is asked for',
  async (server) => {
    const { port } = server;
    const text = await exchange(port, 'GET / HTTP/1.1\r\nHost: a\r\n\r\n');
    assert.is(text.status, 400);
    assert.match(text.body.toString(), 'tls_required');
    const accept = 'Accept: application/json\r\n';
    const json = await exchange(port, `GET / HTTP/1.1\r\nHost: a\r\n${accept}\r\n`);
    assert.is(JSON.parse(json.body.toString()).code, 'tls_required');
    await until(() => /^ERROR tls_required$/m.test(server.stdout()), 'the hook to hear of it');
    // A beginning that is too short to tell is waited with, and no longer.
    const parted = await connect(port);
    await parted.send('GE');
    await delay(20);
    await parted.send('T / HTTP/1.1\r\nHost: a\r\n\r\n');
    await until(() => parted.ended, 'the end of the one in parts');
    assert.match(parted.received.toString(), /^HTTP\/1\.1 400 /);
    // What is neither ends without a word.
    const other = await connect(port);
    await other.send('\x00\x01\x02\x03\x04\x05\x06\x07');
    await until(() => other.ended, 'the end');
    assert.is(other.received.length, 0);
  },
);

test('the version below is refused by its alert, and told', () =>
  serving({ tls: pair }, async (server) => {
    const old = connectHttps(server.port, { ...trusting, maxVersion: 'TLSv1.2' });
    assert.match(await refusal(old), /protocol.version/i);
    await until(() => /^ERROR tls_failed$/m.test(server.stdout()), 'the hook to hear of it');
  }));

test('a place sends its clients to https, but for challenges of ACME', () => {
  const listen = [
    { hostname: '127.0.0.1', port: 0 },
    { hostname: '127.0.0.1', port: 0, redirect: true },
    { hostname: '127.0.0.1', port: 0, tls: false },
  ];
  return serving({ tls: pair, listen }, async ({ ports: [https = 0, http = 0, plain = 0] }) => {
    const moved = await exchange(
      http,
      'POST /a/%7Eb?c=d HTTP/1.1\r\nHost: a.test:1\r\nContent-Length: 2\r\n\r\nhi',
    );
    assert.is(moved.status, 308);
    assert.is(moved.headers.get('location'), `https://a.test:${https}/a/~b?c=d`);
    const six = await exchange(http, 'GET / HTTP/1.1\r\nHost: [::1]:80\r\n\r\n');
    assert.is(six.headers.get('location'), `https://[::1]:${https}/`);
    assert.is((await exchange(http, 'GET / HTTP/1.0\r\n\r\n')).status, 421);
    const path = '/.well-known/acme-challenge/token';
    const challenge = await exchange(http, `GET ${path} HTTP/1.1\r\nHost: a.test\r\n\r\n`);
    assert.is(JSON.parse(challenge.body.toString()).url, `http://a.test${path}`);
    const without = await exchange(plain, 'GET /x HTTP/1.1\r\nHost: a.test\r\n\r\n');
    assert.is(JSON.parse(without.body.toString()).url, 'http://a.test/x');
    assert.is(
      (await askJson(https, '/x', { ...trusting, headers: { host: 'b' } })).url,
      'https://b/x',
    );
  });
});

sharing('a target of the other scheme is misdirected', async ({ port }) => {
  const get = async (target: string): Promise<number> => (await ask(port, target, trusting)).status;
  assert.is(await get('http://a.test/x'), 421);
  assert.is(await get('https://a.test/x'), 200);
});

test('names choose certificates', () => {
  const b = authority.issue(['b.test', '*.wild.test']);
  const second = { cert: b.cert, key: b.key };
  return serving({ tls: { ...pair, certificates: [second] } }, async ({ port }) => {
    const subjectFor = async (servername: string): Promise<string> => {
      const socket = await connectHttps(port, { rejectUnauthorized: false, servername });
      const { subject } = socket.getPeerCertificate();
      socket.destroy();
      return String(subject.CN);
    };
    assert.is(await subjectFor('a.test'), 'a.test');
    assert.is(await subjectFor('B.test'), 'b.test');
    assert.is(await subjectFor('x.wild.test'), 'b.test');
    assert.is(await subjectFor('none.test'), 'a.test');
    assert.is(
      (await askJson(port, '/', { ...trusting, servername: 'b.test' })).url,
      `https://127.0.0.1:${port}/`,
    );
  });
});

test('names that no certificate has are refused where that is asked for', () =>
  serving({ tls: { ...pair, strictServerName: true } }, async ({ port }) => {
    const other = connectHttps(port, { rejectUnauthorized: false, servername: 'none.test' });
    assert.match(await refusal(other), /UNRECOGNIZED_NAME/i);
    await askJson(port, '/', trusting);
  }));

test('clients show certificates, and handlers are told whose', async () => {
  const client = authority.issue(['client.test']);
  const own = { cert: client.cert, key: client.key };
  const strangers = new Authority('Strangers');
  const stranger = strangers.issue(['stranger.test']);
  const asked = { ...pair, ca: authority.certFile, requestCert: true };
  await serving({ tls: asked }, async ({ port }) => {
    const { subject, tls } = await askJson(port, '/', { ...trusting, ...own });
    assert.is(subject, 'CN=client.test');
    assert.is((tls as { authorized: boolean }).authorized, true);
    assert.match(await refusal(ask(port, '/', trusting)), /CERTIFICATE_REQUIRED/i);
    const foreign = { ...trusting, cert: stranger.cert, key: stranger.key };
    assert.match(await refusal(ask(port, '/', foreign)), /UNKNOWN_CA/i);
  });
  await serving({ tls: { ...asked, rejectUnauthorized: false } }, async ({ port }) => {
    const none = await askJson(port, '/', trusting);
    assert.equal([none.subject, (none.tls as { authorized: boolean }).authorized], [null, false]);
    const foreign = { ...trusting, cert: stranger.cert, key: stranger.key };
    const { subject, tls } = await askJson(port, '/', foreign);
    assert.is(subject, 'CN=stranger.test');
    assert.is((tls as { authorized: boolean }).authorized, false);
  });
  strangers.remove();
});

/** A session that a client may resume, from a connection that has made a request. */
async function sessionFrom(port: number, options: object = {}): Promise<Buffer> {
  const socket = await connectHttps(port, { ...trusting, ...options });
  const session = within(
    new Promise<Buffer>((resolve) => socket.once('session', resolve)),
    'a session',
  );
  socket.write('GET /hello HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n');
  socket.resume();
  const bytes = await session;
  socket.destroy();
  return bytes;
}

async function resumes(port: number, session: Buffer, options: object = {}): Promise<boolean> {
  const { tls } = await askJson(port, '/', { ...trusting, session, ...options } as object);
  return (tls as { resumed: boolean }).resumed;
}

test('sessions are resumed, also by another server that has the same keys', async () => {
  const ticketKeys = ['07'.repeat(32)];
  await serving({ tls: { ...pair, ticketKeys } }, async ({ port }) => {
    const session = await sessionFrom(port);
    assert.is(await resumes(port, session), true);
    await serving(
      { tls: { ...pair, ticketKeys: ['08'.repeat(32), ...ticketKeys] } },
      async (other) => assert.is(await resumes(other.port, session), true),
    );
    await serving({ tls: pair }, async (other) =>
      assert.is(await resumes(other.port, session), false),
    );
  });
  await serving({ tls: { ...pair, sessionTickets: false } }, async ({ port }) => {
    const socket = await connectHttps(port, trusting);
    socket.on('session', () => assert.unreachable('a session'));
    socket.write('GET /hello HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n');
    socket.resume();
    await within(new Promise((resolve) => socket.once('close', resolve)), 'the end');
  });
});

/** What `openssl s_client` gets that sends `input` once hands are shaken. */
async function opensslClient(port: number, args: string[], input = ''): Promise<string> {
  const at = ['-connect', `127.0.0.1:${port}`, '-servername', 'a.test', '-ign_eof'];
  const client = spawn('openssl', ['s_client', ...at, ...args], {
    stdio: ['pipe', 'pipe', 'ignore'],
  });
  const pieces: Buffer[] = [];
  client.stdout.on('data', (piece: Buffer) => pieces.push(piece));
  client.stdin.on('error', () => {}); // what it has received tells
  client.stdin.end(input);
  const ended = new Promise((resolve) => client.once('close', resolve));
  await within(ended, 'the end of openssl').finally(() => client.kill());
  return Buffer.concat(pieces).toString();
}

/** What it gets that resumes a session and sends `request` ahead, and `later` behind the handshake. */
function sendEarly(port: number, session: string, request: string, later = ''): Promise<string> {
  const early = `${session}.early`;
  writeFileSync(early, request);
  return opensslClient(port, ['-sess_in', session, '-early_data', early, '-quiet'], later);
}

test('requests ahead of the handshake: safe ones alone, told to handlers', async () => {
  const session = join(authority.folder, 'session');
  const save = (port: number): Promise<string> => {
    const asked = 'GET /hello HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n';
    return opensslClient(port, ['-sess_out', session], asked);
  };
  await serving({ tls: { ...pair, earlyData: true } }, async ({ port }) => {
    await save(port);
    const get = (path: string): string =>
      `GET ${path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n`;
    const first = await sendEarly(port, session, get('/'));
    assert.match(first, '"earlyData":true', first);
    assert.match(first, '"sni":"a.test"', first);
    // A ticket brings data ahead once: what comes again is answered behind the handshake, where it is said once more.
    const again = await sendEarly(port, session, get('/nothing'), get('/'));
    assert.match(again, '"earlyData":false', again);
    await save(port);
    assert.match(
      await sendEarly(port, session, get('/early/425')),
      /^HTTP\/1\.1 425 Too Early\r\n/,
    );
    await save(port);
    const post =
      'POST /echo HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: 2\r\n\r\nhi';
    const refused = await sendEarly(port, session, post);
    assert.match(refused, /^HTTP\/1\.1 425 Too Early\r\n/, refused);
    assert.match(refused, 'too_early');
  });
  await serving({ tls: pair }, async ({ port }) => {
    await save(port);
    const { tls } = await askJson(port, '/', trusting);
    assert.is((tls as { earlyData: boolean }).earlyData, false);
  });
});

test('certificates are read anew when their files change, and when that is asked for', async () => {
  const [old, fresh] = [authority.issue(['old.test']), authority.issue(['fresh.test'])];
  const [cert, key] = [join(authority.folder, 'live.pem'), join(authority.folder, 'live.key')];
  const put = (one: { certFile: string; keyFile: string }): void => {
    copyFileSync(one.keyFile, key);
    copyFileSync(one.certFile, cert);
  };
  const nameOf = (socket: TLSSocket): string => String(socket.getPeerCertificate().subject.CN);
  const served = async (port: number): Promise<string> => {
    const socket = await connectHttps(port, { rejectUnauthorized: false });
    const name = nameOf(socket);
    socket.destroy();
    return name;
  };
  put(old);
  await serving({ tls: { cert, key, reloadInterval: 50 } }, async (server) => {
    const { port } = server;
    const kept = await connectHttps(port, { rejectUnauthorized: false });
    assert.is(nameOf(kept), 'old.test');
    put(fresh);
    await until(async () => (await served(port)) === 'fresh.test', 'the fresh certificate');
    // The connection from before goes on.
    kept.write('GET /hello HTTP/1.1\r\nHost: a\r\n\r\n');
    const [text] = await within(
      new Promise<[Buffer]>((resolve) => kept.once('data', (piece) => resolve([piece]))),
      'a response',
    );
    assert.match(text.toString(), /^HTTP\/1\.1 200/);
    kept.destroy();
    writeFileSync(cert, 'nothing of use');
    // One of a key that is there before its certificate may have come already.
    const warning = `${cert} holds no certificate`;
    await until(() => server.stderr().includes(warning), 'a warning');
    assert.match(server.stderr(), 'are not taken');
    assert.is(await served(port), 'fresh.test');
  });
  put(old);
  await serving({ tls: { cert, key, reloadInterval: 0 } }, async (server) => {
    put(fresh);
    server.child.kill('SIGUSR2');
    await until(() => /^RELOADED$/m.test(server.stdout()), 'the reload');
    assert.is(await served(server.port), 'fresh.test');
    writeFileSync(key, readFileSync(old.keyFile));
    server.child.kill('SIGUSR2');
    await until(() => /^REFUSED /m.test(server.stdout()), 'a refusal');
    assert.match(server.stdout(), /is not that of a certificate .*GYR_TLS_CERTIFICATE/s);
    assert.is(await served(server.port), 'fresh.test');
    rmSync(key);
    assert.is(spawnSync('mkfifo', [key]).status, 0);
    server.child.kill('SIGUSR2');
    await until(() => /^REFUSED .*is no file/m.test(server.stdout()), 'a refusal of the pipe');
    assert.is(await served(server.port), 'fresh.test');
  });
});

test('other certificates are taken in a reload, with what belongs to them, or nothing is', async () => {
  const fresh = authority.issue(['fresh.test']);
  const other = authority.issue(['other.test']);
  const reload = async (port: number, given: object): Promise<string> => {
    const options = { ...trusting, method: 'POST', rejectUnauthorized: false };
    return (
      await ask(port, '/reload', options, Buffer.from(JSON.stringify(given)))
    ).body.toString();
  };
  const served = async (port: number, servername: string): Promise<string> => {
    const socket = await connectHttps(port, { rejectUnauthorized: false, servername });
    const { subject } = socket.getPeerCertificate();
    socket.destroy();
    return String(subject.CN);
  };
  const listen = [
    { hostname: '127.0.0.1', port: 0 },
    { hostname: '127.0.0.1', port: 0, tls: { cert: other.cert, key: other.key } },
  ];
  const ticketKeys = ['07'.repeat(32)];
  await serving({ tls: pair, listen }, async ({ ports: [first = 0, second = 0] }) => {
    const own = { cert: fresh.cert, key: fresh.key, ticketKeys };
    const torn = [listen[0], { ...listen[1], tls: { cert: other.cert, key: fresh.key } }];
    assert.match(await reload(first, { tls: own, listen: torn }), /^GYR_TLS_CERTIFICATE /);
    assert.is(await served(first, ''), 'a.test');
    assert.match(await reload(first, { tls: own }), /^GYR_OPTION_INVALID .* 1 sets/);
    assert.is(await reload(first, { tls: own, listen }), 'done');
    assert.equal([await served(first, ''), await served(second, '')], ['fresh.test', 'other.test']);
    const session = await sessionFrom(first, { servername: 'fresh.test' });
    await serving({ tls: own }, async ({ port }) =>
      assert.is(await resumes(port, session, { servername: 'fresh.test' }), true),
    );
    // Handlers stay as they are, or are all given.
    assert.match(await reload(first, { paths: 'raw' }), /^GYR_NO_HANDLER /);
    assert.is(await reload(first, {}), 'done');
  });
});

testUnless(
  suiteOf.alone,
  noTls,
  'a handshake that stops is ended, and so is one that never begins',
  () =>
    serving({ tls: pair, headerTimeout: 300 }, async ({ port }) => {
      const silent = await connect(port);
      const halfway = await connect(port);
      await halfway.send(Buffer.from([22, 3, 1, 1, 0, 1, 0, 0, 252, 3, 3]));
      const shaken = await connectHttps(port, trusting);
      const closed = within(new Promise((resolve) => shaken.once('close', resolve)), 'its end');
      shaken.resume();
      await until(() => silent.ended && halfway.ended, 'their ends');
      await closed; // it has sent no request
    }),
);

test('of more handshakes than may be under way the oldest end', () =>
  serving({ tls: pair, maxHandshakes: 4, workers: 1, headerTimeout: 2000 }, async (server) => {
    const begun = await Promise.all(Array.from({ length: 40 }, () => connect(server.port)));
    for (const client of begun) await client.send(Buffer.from([22, 3, 1, 1, 0, 1]));
    await until(() => begun.filter(({ ended }) => ended).length >= 36, 'the oldest to end');
    for (let n = 0; n < 6; n += 1) await askJson(server.port, '/', trusting);
    await until(() => begun.every(({ ended }) => ended), 'all others to end');
    for (const client of begun) client.destroy();
  }));

sharing('connections end by close_notify, half-closed ones are answered', async ({ port }) => {
  const socket = await connectHttps(port, { ...trusting, allowHalfOpen: true } as object);
  const pieces: Buffer[] = [];
  socket.on('data', (piece: Buffer) => pieces.push(piece));
  const ended = within(new Promise((resolve) => socket.once('end', resolve)), 'the end');
  socket.end('GET /wait/50 HTTP/1.1\r\nHost: a\r\n\r\n');
  await ended;
  assert.match(Buffer.concat(pieces).toString(), /waited\n$/);
});

test('Strict-Transport-Security goes with responses over TLS alone', () => {
  const listen = [
    { hostname: '127.0.0.1', port: 0 },
    { hostname: '127.0.0.1', port: 0, tls: false },
  ];
  const tls = { ...pair, hsts: { maxAge: 60, includeSubDomains: true } };
  return serving({ tls, listen }, async ({ ports: [https = 0, http = 0] }) => {
    for (const path of ['/', '/hello', '/none'])
      assert.is(
        (await ask(https, path, trusting)).headers['strict-transport-security'],
        'max-age=60; includeSubDomains',
      );
    const own = await ask(https, '/own-hsts', trusting);
    assert.is(own.headers['strict-transport-security'], 'max-age=1');
    const plain = await exchange(http, 'GET / HTTP/1.1\r\nHost: a\r\n\r\n');
    assert.not.ok(plain.headers.has('strict-transport-security'));
  });
});

test('keys are logged where that is asked for', async () => {
  const keyLog = join(authority.folder, 'keys.log');
  await serving({ tls: { ...pair, keyLog } }, async ({ port }) => {
    await askJson(port, '/', trusting);
  });
  const lines = readFileSync(keyLog, 'utf8');
  for (const name of ['CLIENT_HANDSHAKE_TRAFFIC_SECRET', 'SERVER_TRAFFIC_SECRET_0'])
    assert.match(lines, new RegExp(`^${name} [0-9a-f]{64} [0-9a-f]{64,96}$`, 'm'));
});

test('what cannot be used is refused at the start, with what helps', async () => {
  const other = authority.issue(['other.test']);
  // Opening it would wait for who writes to it, or reads from it.
  const fifo = join(authority.folder, 'a.fifo');
  assert.is(spawnSync('mkfifo', [fifo]).status, 0);
  const cases: [object, RegExp][] = [
    [{ ...pair, key: other.keyFile }, /is not that of a certificate/],
    [{ ...pair, cert: '/none/cert.pem' }, /\/none\/cert\.pem cannot be read/],
    [{ ...pair, cert: issued?.keyFile }, /holds no certificate/],
    [
      { ...pair, key: '-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n' },
      /option key is broken/,
    ],
    [{ ...pair, keyLog: '/none/keys.log' }, /keys cannot be logged to \/none\/keys\.log/],
    [{ ...pair, cert: '/' }, /\/ is a directory/],
    [{ ...pair, key: '/dev/null' }, /\/dev\/null is no file/],
    [{ ...pair, key: fifo }, /a\.fifo is no file/],
    [{ ...pair, ocsp: fifo }, /a\.fifo is no file/],
    [{ ...pair, ca: fifo, requestCert: true }, /a\.fifo is no file/],
    [{ ...pair, keyLog: fifo }, /keys cannot be logged to .*a\.fifo/],
  ];
  for (const [tls, expected] of cases) {
    const started = async () =>
      serve({ hostname: '127.0.0.1', port: 0, tls, fetch: () => new Response('') });
    const told = await refusal(started());
    assert.match(told, expected);
    assert.match(told, 'GYR_TLS_CERTIFICATE');
  }
  // A program that does not catch it ends, and has said so.
  const [[tls, expected]] = cases as [(typeof cases)[0]];
  assert.match(await refusal(startHttps({ tls })), expected);
});

test('a server that stops finishes what is in flight', async () => {
  const server = await startHttps({ tls: pair });
  const waiting = ask(server.port, '/wait/300', trusting);
  const idle = await connectHttps(server.port, trusting);
  const ended = within(new Promise((resolve) => idle.once('end', resolve)), 'close_notify');
  idle.resume();
  await until(async () => (await askJson(server.port, '/', trusting)) !== null, 'the server');
  const stopped = stopHttps(server);
  assert.is((await waiting).body.toString(), 'waited\n');
  await ended;
  await stopped;
});

testUnless(suiteOf.alone, noTls, 'the server that tests have shared ends in order', async () => {
  if (shared !== undefined) await stopHttps(await shared);
});

suiteOf.run();
