// What only a Zig handler, or a configuration, brings about.
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { type RunningServer, stopAll } from '../support/process.ts';
import { connect, exchange } from '../support/socket.ts';
import { patternOf, startEngine, stopEngine } from '../support/target.ts';
import { until } from '../support/wait.ts';

const test = suite('messages');
let server: RunningServer;
const port = (): number => server.port;
const get = (path: string, method = 'GET'): string =>
  `${method} ${path} HTTP/1.1\r\nHost: a\r\n\r\n`;

test.before(async () => {
  server = await startEngine({ workers: 1 });
});
test.after(stopAll);

test('a file shorter than was promised ends the connection, not the message', async () => {
  const client = await connect(port());
  await client.send(get('/short-file') + get('/hello'));
  const received = await client.readToEnd();
  assert.match(received.toString('latin1'), 'Content-Length: 4194304\r\n');
  assert.not.match(received.toString('latin1'), 'Hello from the engine');
  await until(() => server.stderr().includes('a file became shorter'), 'the line in the log');
});

test('trailers follow a file of any size, in a pipeline too', async () => {
  const client = await connect(port());
  const sizes = [0, 1, 60_000, 3_000_000, 1000];
  await client.send(sizes.map((size) => get(`/file-trailers/${size}`)).join(''));
  for (const size of sizes) {
    const response = await client.response();
    assert.ok(response.body.equals(patternOf(size)), `${size} bytes`);
    assert.is(response.trailers.get('x-sum'), String(size));
  }
  client.destroy();
});

test('the Server field can be switched off, the Date field is always there', async () => {
  const quiet = await startEngine({ workers: 1, server_name: '' });
  for (const request of [get('/hello'), 'nonsense\r\n\r\n']) {
    const response = await exchange(quiet.port, request);
    assert.is(response.headers.get('server'), undefined);
    assert.match(response.headers.get('date') ?? '', / GMT$/);
  }
  await stopEngine(quiet);
});

test('the server ends in order after all of that', async () => {
  await stopEngine(server);
});
test.run();
