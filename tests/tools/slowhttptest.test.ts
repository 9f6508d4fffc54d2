import * as assert from 'uvu/assert';
import { lacks, type RunningServer, start, startZig, stopAll } from '../support/process.ts';
import { sideBySide } from '../support/side_by_side.ts';
import { testUnless } from '../support/skip.ts';
import { exchange } from '../support/socket.ts';
import { until, within } from '../support/wait.ts';

// Slow clients of every kind that slowhttptest knows. While they hold their connections the server
// serves others, and it closes them when their time is over.

const connections = 100;
const lacking = lacks('slowhttptest', '-h');

const test = sideBySide('slowhttptest');
test.after(() => stopAll());

const startServer = (): Promise<RunningServer> =>
  startZig('engine_app', [
    '--header_timeout_ms=2000',
    '--body_timeout_ms=2000',
    '--idle_timeout_ms=2000',
    '--write_timeout_ms=2000',
    '--rate_grace_ms=1000',
  ]);

const ask = (port: number, path: string) =>
  exchange(port, `GET ${path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n`);

const held = async (port: number): Promise<number> =>
  Number(JSON.parse((await ask(port, '/counters')).body.toString()).connections);

const attacks: readonly [mode: string, what: string, options: readonly string[]][] = [
  ['-H', 'heads that never end', ['-i', '1', '-u', '/hello']],
  ['-B', 'bodies that hardly come', ['-i', '1', '-s', '8192', '-x', '10', '-u', '/echo']],
  ['-R', 'ranges without number', ['-a', '1', '-b', '3000', '-t', 'HEAD', '-u', '/file/5000']],
  [
    '-X',
    'readers of a byte at a time',
    ['-n', '1', '-z', '1', '-k', '3', '-w', '1', '-y', '2', '-u', '/static/4000000'],
  ],
];

for (const [mode, what, options] of attacks) {
  testUnless(test, lacking, `${mode}: ${what} keep nobody out and do not stay`, async () => {
    const { port, url } = await startServer();
    const given = options.map((option) => option.replace(/^\//, url));
    const attack = start('slowhttptest', [
      ...[
        mode,
        '-c',
        String(connections),
        '-r',
        String(connections),
        '-l',
        '5',
        '-p',
        '3',
        '-v',
        '0',
      ],
      ...given,
    ]);
    let over = false;
    void attack.ended.then(() => {
      over = true;
    });
    let [served, most] = [0, 0];
    while (!over) {
      assert.is((await ask(port, '/hello')).status, 200, `${served} were served before`);
      served += 1;
      most = Math.max(most, await held(port));
    }
    const { code } = await within(attack.ended, 'the end of slowhttptest', 30_000);
    assert.is(code, 0, attack.stdout() + attack.stderr());
    assert.ok(served > 10, `${served} served during the attack`);
    if (mode !== '-R') assert.ok(most > connections / 2, `${most} connections at most`);
    // Only the one that asks is left.
    let left = 0;
    await until(async () => {
      left = await held(port);
      return left === 1;
    }, 'the end of the slow connections');
  });
}

test.run();
