import { existsSync } from 'node:fs';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
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
import { type Way, ways } from './ways.ts';

// h2spec: 145 cases of RFC 9113 and RFC 7541.

/**
 * What fails in clear text, and has to: what does not begin with HTTP/2's preface is HTTP/1 at a port that speaks both, and
 * is answered with HTTP/1's 400 before the connection closes. h2spec takes nothing but the close.
 */
const ofHttp1 = 'Sends invalid connection preface';

const test = suite('h2spec');
const own = project('.toolchain', 'h2spec', 'h2spec');
const program = existsSync(own) ? own : 'h2spec';
const lacking = lacks(program)?.replace(own, 'h2spec');
const running = new Map<Way, RunningServer>();

test.before(async () => {
  if (lacking !== undefined) return;
  for (const way of ways.filter(({ lack }) => lack === undefined)) {
    const app = project('tests', 'clients', 'fixtures', 'app.ts');
    running.set(way, await startApp(app, way.args));
  }
});
test.after(async () => {
  const endings = await Promise.all([...running.values()].map((server) => server.stop()));
  await stopAll();
  for (const { code } of endings) assert.is(code, 0);
});

for (const way of ways) {
  const lack = way.lack ?? lacking;
  testUnless(test, lack, `all of its cases pass, ${way.name}`, async () => {
    const { port } = running.get(way) as RunningServer;
    const secured = way.scheme === 'https' ? ['-t', '-k'] : [];
    const args = ['-h', '127.0.0.1', '-p', String(port), '-P', '/constant', '-o', '5', ...secured];
    const asked = start(program, args);
    await within(asked.ended, 'the end of h2spec', 100_000);
    const output = asked.stdout();
    const [failed = '', summary = ''] = [
      /^Failures: $[\s\S]*/m.exec(output)?.[0],
      /^145 tests, .*$/m.exec(output)?.[0],
    ];
    const failures = [...failed.matchAll(/× \d+: (.*)$/gm)].map(([, name]) => name);
    assert.equal(failures, secured.length > 0 ? [] : [ofHttp1], output.slice(-4000));
    assert.is(
      summary,
      `145 tests, ${145 - failures.length} passed, 0 skipped, ${failures.length} failed`,
    );
  });
}

test.run();
