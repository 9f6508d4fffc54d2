import { existsSync } from 'node:fs';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { stopAll } from '../support/process.ts';
import { testUnless } from '../support/skip.ts';
import { connect, exchange } from '../support/socket.ts';
import { startEngine, stopEngine } from '../support/target.ts';

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

test.run();
