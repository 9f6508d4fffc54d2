import { existsSync, mkdtempSync, readdirSync, readlinkSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { stopAll } from '../support/process.ts';
import { testUnless } from '../support/skip.ts';
import { connect, exchange, type RawClient } from '../support/socket.ts';
import { serveApp, startEngine, stopEngine } from '../support/target.ts';
import { until } from '../support/wait.ts';

// Files that cannot be served as they should, and many at a time: their own requests pay, nobody else's.
const test = suite('files');
const get = (path: string): string => `GET ${path} HTTP/1.1\r\nHost: a\r\n\r\n`;

test.after(stopAll);

const noSysfs = existsSync('/sys/class/net/lo/speed') ? undefined : 'there is no sysfs';

testUnless(test, noSysfs, 'a file that cannot be read costs its own request alone', async () => {
  const server = await startEngine({ files: '/sys/class/net/lo', workers: 1 });
  const client = await connect(server.port);
  // read(2) answers EINVAL to the first; the second has fewer bytes than it says.
  for (const path of ['/files/speed', '/files/address', '/files/speed']) {
    await client.send(get(path) + get('/hello'));
    const response = await client.response();
    assert.is(response.status, 500, path);
    assert.match(response.body.toString(), 'file_unreadable');
    assert.is((await client.response()).status, 200, 'the connection goes on');
  }
  client.destroy();
  assert.is((await exchange(server.port, get('/files/nothing'))).status, 404);
  await stopEngine(server);
});

/** A folder with `count` files that are too large for the cache of contents. */
function folderOf(count: number): string {
  const folder = mkdtempSync(join(tmpdir(), 'gyrfalcon-files-'));
  for (let n = 0; n < count; n += 1)
    writeFileSync(join(folder, `${n}.bin`), Buffer.alloc(70_000, n));
  return folder;
}

test('files that wait behind a slow response hold few descriptors, and all come', async () => {
  const count = 63;
  const folder = folderOf(count);
  const server = await serveApp.start({ files: folder, openFiles: 0, workers: 1 });
  const opened = (): number => readdirSync(`/proc/${server.child.pid}/fd`).length;
  const before = opened();
  const connections = 40;
  const clients = await Promise.all(
    Array.from({ length: connections }, () => connect(server.port)),
  );
  const pipeline = Array.from({ length: count }, (_, n) => get(`/files/${n}.bin`)).join('');
  for (const client of clients) await client.send(get('/wait') + pipeline);
  await until(() => opened() > before + connections, 'the files to be opened');
  // Somebody else is served meanwhile.
  assert.is((await exchange(server.port, get('/hello'))).status, 200);
  // That one's connection may still be on its way out.
  const held = (): number => opened() - before - connections;
  await until(() => held() <= 4 * connections, 'no more than four files for each connection');
  await exchange(server.port, get('/release'));
  for (const client of clients.slice(0, 5)) {
    assert.is((await client.response()).status, 200);
    for (let n = 0; n < count; n += 1) {
      const { status, body } = await client.response();
      assert.is(status, 200);
      assert.ok(body.equals(Buffer.alloc(70_000, n)), `file ${n}`);
    }
  }
  for (const client of clients) client.destroy();
  await until(() => opened() <= before + 130, 'the files to be closed');
  await serveApp.stop(server);
  rmSync(folder, { recursive: true });
});

/** How many descriptors the process has of the file, also when it was removed. */
function descriptorsOf(pid: number, file: string): number {
  const folder = `/proc/${pid}/fd`;
  let count = 0;
  for (const name of readdirSync(folder)) {
    try {
      if (readlinkSync(join(folder, name)).startsWith(file)) count += 1;
    } catch {
      // It was closed meanwhile.
    }
  }
  return count;
}

/** Clients to each of which the large file is being sent, from another byte on. */
async function sendToMany(port: number, count: number): Promise<RawClient[]> {
  const clients = await Promise.all(Array.from({ length: count }, () => connect(port)));
  for (const [n, client] of clients.entries()) {
    const range = `Range: bytes=${n}-\r\n`;
    await client.send(`GET /files/large.bin HTTP/1.1\r\nHost: a\r\n${range}\r\n`);
  }
  // All have begun, and none is done: the file is larger than what sockets hold.
  for (const client of clients) {
    await client.readAhead();
    client.socket.pause();
  }
  return clients;
}

test('a large file that is sent to many at once is open once', async () => {
  const folder = folderOf(0);
  const bytes = Buffer.alloc(8 * 1024 * 1024, 'large');
  const file = join(folder, 'large.bin');
  writeFileSync(file, bytes);
  const server = await serveApp.start({ files: folder, workers: 2 });
  const pid = server.child.pid as number;
  // The first one opens it, when it has not changed for a while.
  await until(async () => {
    await exchange(server.port, get('/files/large.bin'));
    return descriptorsOf(pid, file) === 1;
  }, 'the file to be kept open');
  // A worker does not wait for another that was interrupted with the lock: it opens the file by
  // itself. That is seldom, so that one of some attempts meets none of it.
  let clients = await sendToMany(server.port, 40);
  for (let n = 0; n < 5 && descriptorsOf(pid, file) > 1; n += 1) {
    for (const client of clients) client.destroy();
    await until(() => descriptorsOf(pid, file) === 1, 'the others to be closed');
    clients = await sendToMany(server.port, 40);
  }
  assert.is(descriptorsOf(pid, file), 1);
  for (const client of clients.splice(3)) client.destroy();
  for (const [n, client] of clients.entries()) {
    client.socket.resume();
    const { status, body } = await client.response();
    assert.is(status, 206);
    assert.ok(body.equals(bytes.subarray(n)), `the part from ${n} on`);
    client.destroy();
  }
  rmSync(file);
  assert.is((await exchange(server.port, get('/files/large.bin'))).status, 404);
  await until(() => descriptorsOf(pid, file) === 0, 'the file to be closed');
  await serveApp.stop(server);
  rmSync(folder, { recursive: true });
});

test.run();
