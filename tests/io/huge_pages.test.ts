/** The engine's pools lie in huge pages where that is asked for and to be had; what that changes is counted in mappings. */
import { existsSync, readFileSync } from 'node:fs';
import { Response } from 'gyrfalcon';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { serversOf } from '../support/servers.ts';
import { testUnless } from '../support/skip.ts';
import { connect, exchange } from '../support/socket.ts';

const test = suite('huge pages');
const servers = serversOf(test);
const setting = '/sys/kernel/mm/transparent_hugepage/enabled';
const lack =
  !existsSync(setting) || readFileSync(setting, 'utf8').includes('[never]')
    ? 'the system gives none'
    : undefined;

/** Bytes of this process in mappings that are to have huge pages. */
function advised(): number {
  let bytes = 0;
  let size = 0;
  for (const line of readFileSync('/proc/self/smaps', 'utf8').split('\n')) {
    const [, from, to] = /^([0-9a-f]+)-([0-9a-f]+) /.exec(line) ?? [];
    if (from !== undefined && to !== undefined)
      size = Number(BigInt(`0x${to}`) - BigInt(`0x${from}`));
    if (/^VmFlags:.* hg/.test(line)) bytes += size;
  }
  return bytes;
}

testUnless(test, lack, 'pools are in them where that is asked for, and given back', async () => {
  const before = advised();
  const large = 'x'.repeat(5 * 2 ** 20);
  const options = { globals: false, routes: { '/large': new Response(large) } };
  const plain = servers.open({ ...options, fetch: () => new Response('plain') });
  assert.is(advised(), before);
  await plain.stop(true);
  const server = servers.open({
    ...options,
    hugePages: true,
    fetch: async (request) => new Response(await request.text()),
  });
  assert.ok(advised() > before + 64 * 2 ** 20, `${advised() - before} bytes`);
  const get = (path: string) => exchange(server.port, `GET ${path} HTTP/1.1\r\nHost: a\r\n\r\n`);
  assert.is((await get('/large')).body.length, large.length);
  const clients = await Promise.all(Array.from({ length: 50 }, () => connect(server.port)));
  for (const [index, client] of clients.entries()) {
    client.send(`POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 7\r\n\r\nbody ${10 + index}`);
  }
  for (const [index, client] of clients.entries()) {
    assert.is((await client.response()).body.toString(), `body ${10 + index}`);
    client.destroy();
  }
  assert.is(server.stats().allocationsAfterStart, 0);
  await server.stop(true);
  assert.is(advised(), before);
  assert.is(servers.log, '');
});

test.run();
