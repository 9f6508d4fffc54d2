import { connect as connectSocket, createServer, type Socket } from 'node:net';
import { connect as connectTls } from 'node:tls';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { Authority, noTls } from '../support/certificates.ts';
import { stopAll } from '../support/process.ts';
import { testUnless } from '../support/skip.ts';
import { until, within } from '../support/wait.ts';
import { connectHttps, startHttps, stopHttps } from './server.ts';

// A burst of handshakes beside a connection that is there.
const test = suite('https: a flood of handshakes');

test.after(stopAll);

/** What a client of TLS says first. */
async function clientHello(): Promise<Buffer> {
  const listener = createServer().listen(0, '127.0.0.1');
  await until(() => listener.listening, 'a listener');
  const heard = new Promise<Buffer>((resolve) => {
    listener.once('connection', (socket) => {
      socket.on('error', () => {});
      socket.once('data', (bytes: Buffer) => {
        resolve(bytes);
        socket.destroy();
      });
    });
  });
  const { port } = listener.address() as { port: number };
  connectTls({ host: '127.0.0.1', port, servername: 'a.test' }).on('error', () => {});
  const hello = await within(heard, 'a ClientHello');
  listener.close();
  return hello;
}

async function connected(port: number): Promise<Socket> {
  const socket = connectSocket(port, '127.0.0.1').setNoDelay(true);
  await within(new Promise((resolve) => socket.once('connect', resolve)), 'a connection');
  return socket;
}

testUnless(
  test,
  noTls,
  'a request is answered between the handshakes, and all of them are',
  async () => {
    const authority = new Authority();
    const { certFile, keyFile } = authority.issue(['a.test']);
    const tls = { cert: certFile, key: keyFile };
    const server = await startHttps({ tls, workers: 1 });
    const open = await connectHttps(server.port, { ca: authority.cert });
    const count = 400;
    const hello = await clientHello();
    const flood = await Promise.all(Array.from({ length: count }, () => connected(server.port)));
    let answered = 0;
    for (const socket of flood)
      socket.once('data', () => {
        answered += 1;
      });
    let before = 0;
    const response = new Promise((resolve) => {
      open.once('data', (bytes: Buffer) => {
        before = answered;
        resolve(bytes.toString());
      });
    });
    // The server finds all hellos, and the request behind them, when it goes on.
    server.child.kill('SIGSTOP');
    for (const socket of flood) await new Promise((resolve) => socket.write(hello, resolve));
    await new Promise((resolve) =>
      open.write('GET /hello HTTP/1.1\r\nHost: a.test\r\n\r\n', resolve),
    );
    server.child.kill('SIGCONT');
    assert.match(String(await within(response, 'a response')), /^HTTP\/1\.1 200 OK\r\n/);
    assert.ok(before < count / 2, `${before} of ${count} handshakes came first`);
    await until(() => answered === count, 'all other handshakes');
    for (const socket of flood) socket.destroy();
    open.destroy();
    await stopHttps(server);
    authority.remove();
  },
);

test.run();
