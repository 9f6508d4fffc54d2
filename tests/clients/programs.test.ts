import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { goProgram } from '../support/go.ts';
import {
  lacks,
  project,
  type RunningServer,
  start,
  startApp,
  stopAll,
} from '../support/process.ts';
import { testUnless } from '../support/skip.ts';
import { within } from '../support/wait.ts';

// Clients that are programs in other languages: Python's http.client, Go's net/http, ApacheBench.

interface Context {
  server: RunningServer;
  url: string;
}

const test = suite<Context>('client programs', {} as Context);
const folder = mkdtempSync(join(tmpdir(), 'gyrfalcon-programs-'));

test.before(async (context) => {
  context.server = await startApp(project('tests', 'clients', 'fixtures', 'app.ts'));
  context.url = context.server.url;
});
test.after(async ({ server }) => {
  const { code } = await server.stop();
  rmSync(folder, { recursive: true, force: true });
  await stopAll();
  assert.is(code, 0, server.stderr());
});

/** Runs a client to its end; what it printed. */
async function outputOf(command: string, ...args: string[]): Promise<string> {
  const running = start(command, args);
  const { code } = await within(running.ended, `the end of ${command}`, 60_000);
  assert.is(code, 0, running.stderr() + running.stdout());
  return running.stdout();
}

testUnless(test, lacks('python3'), 'Python http.client', async ({ server }) => {
  const client = project('tests', 'clients', 'fixtures', 'client.py');
  assert.is(await outputOf('python3', client, String(server.port)), 'ok\n');
});

testUnless(test, lacks('go', 'version'), 'Go net/http', async ({ url }) => {
  assert.is(await outputOf(goProgram('client', folder), url), 'ok\n');
});

const withoutAb = lacks('ab', '-V');

for (const [what, path, args] of [
  ['HTTP/1.0 with keep-alive', 'constant', ['-k']],
  ['a connection for each request', 'hello/ab', []],
  ['bodies', 'echo', ['-k', '-p', project('README.md'), '-T', 'text/plain']],
] as const) {
  testUnless(test, withoutAb, `ab: ${what}, no failure`, async ({ url }) => {
    const report = await outputOf('ab', '-q', '-n', '500', '-c', '16', ...args, `${url}${path}`);
    assert.match(report, /^Complete requests: +500$/m);
    assert.match(report, /^Failed requests: +0$/m);
    assert.not.match(report, /Non-2xx/);
    if (args.includes('-k' as never)) assert.match(report, /^Keep-Alive requests: +500$/m);
  });
}

test.run();
