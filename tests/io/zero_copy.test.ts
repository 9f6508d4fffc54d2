import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { Response, serve } from 'gyrfalcon';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { loader, start, stopAll } from '../support/process.ts';
import { serversOf } from '../support/servers.ts';
import { until, within } from '../support/wait.ts';

// What is sent from where it lies arrives whole, whoever reads how, and where it cannot be sent so.
const test = suite('sending without a copy');
const servers = serversOf(test);
test.after(stopAll);

const big = Buffer.alloc(
  12 * 2 ** 20,
  Uint8Array.from({ length: 251 }, (_, i) => i),
);

/** A client that has asked for `path`. */
async function ask(port: number, path: string): Promise<Socket> {
  const socket = connect({ port, host: '127.0.0.1' });
  await once(socket, 'connect');
  socket.write(`GET ${path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n`);
  return socket;
}

async function bodyOf(socket: Socket): Promise<Buffer> {
  const parts: Buffer[] = [];
  for await (const part of socket) parts.push(part as Buffer);
  const all = Buffer.concat(parts);
  return all.subarray(all.indexOf('\r\n\r\n') + 4);
}

for (const io of ['io_uring', 'epoll'] as const) {
  test(`large responses are whole, one after the other and at once, on ${io} or what takes over`, async () => {
    const server = servers.open({
      io,
      zeroCopy: true,
      log: 'error',
      routes: { '/constant': new Response(big) },
      fetch: () => new Response(big),
    });
    for (const path of ['/constant', '/handler']) {
      const sockets = await Promise.all([1, 2, 3, 4].map(() => ask(server.port, path)));
      // Two read at once, one begins when the others have gone, one leaves in the middle.
      const [first, second, late, leaver] = sockets as [Socket, Socket, Socket, Socket];
      await once(leaver, 'readable');
      leaver.resetAndDestroy();
      const soon = await within(Promise.all([bodyOf(first), bodyOf(second)]), 'the bodies');
      for (const body of soon) assert.ok(body.equals(big));
      assert.ok((await within(bodyOf(late), 'the late body')).equals(big));
    }
    await until(() => server.stats().connections === 0, 'the end of all connections');
    assert.is(server.stats().allocationsAfterStart, 0);
  });
}

test('where nothing can be sent without a copy that is told', async () => {
  const { backend } = await new Promise<{ backend: string }>((resolve) => {
    servers.keep(
      serve({
        port: 0,
        io: 'io_uring',
        log: 'silent',
        fetch: () => new Response(''),
        onListen: resolve,
      }),
    );
  });
  const program = `
    import { serve } from 'gyrfalcon';
    for (const io of ['epoll', 'io_uring']) {
      console.error('on', io);
      serve({ port: 0, io, zeroCopy: true, log: 'warn', fetch: () => new Response('') }).stop(true);
    }
  `;
  const args = [...loader, '--input-type=module', '--eval', program];
  const running = start(process.execPath, args);
  assert.is((await running.ended).code, 0);
  const [, onEpoll = '', onUring = ''] = running.stderr().split(/^on \w+\n/m);
  const told = /GYR_IO_UNAVAILABLE: what is sent is copied: /;
  assert.match(onEpoll, told);
  if (backend === 'io_uring') assert.not.match(onUring, told);
  else assert.match(onUring, told);
});

test.run();
