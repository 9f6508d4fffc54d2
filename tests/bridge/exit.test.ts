/** How a process ends while its server is busy. */
import * as assert from 'uvu/assert';
import { listening, loader, programOf, project, start } from '../support/process.ts';
import { sideBySide } from '../support/side_by_side.ts';
import { connect } from '../support/socket.ts';
import { within } from '../support/wait.ts';

const test = sideBySide('exit');
const fixture = programOf('tests', 'bridge', 'fixtures', 'unref_server.ts');

test('a process with an unref’d server ends cleanly under load', async () => {
  for (let round = 0; round < 5; round++) {
    const program = await listening(start(process.execPath, fixture));
    const clients = await Promise.all(Array.from({ length: 20 }, () => connect(program.port)));
    const request = 'GET / HTTP/1.1\r\nHost: a\r\n\r\n';
    for (const { socket } of clients) {
      socket.on('data', () => socket.write(request));
      socket.write(request);
    }
    const ending = await within(program.ended, 'the end of the program', 10_000);
    for (const client of clients) client.destroy();
    assert.equal(ending, { code: 0, signal: null }, program.stderr());
  }
});

test('a thread that serves may be terminated; the process goes on', async () => {
  const program = start(process.execPath, [
    ...loader,
    project('tests', 'bridge', 'fixtures', 'serving_thread.ts'),
  ]);
  const ending = await within(program.ended, 'the end of the program', 15_000);
  assert.equal(ending, { code: 0, signal: null }, program.stderr());
  assert.match(program.stdout(), 'still here');
});

test.run();
