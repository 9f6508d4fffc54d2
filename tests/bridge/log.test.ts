import type { ListenInfo, LogLevel, ServeOptions } from 'gyrfalcon';
import * as assert from 'uvu/assert';
import { backendHere } from '../support/backend.ts';
import {
  programOf,
  project,
  type Running,
  start,
  startApp,
  startCommand,
  startZig,
  stopAll,
} from '../support/process.ts';
import { sideBySide } from '../support/side_by_side.ts';
import { exchange } from '../support/socket.ts';
import { until } from '../support/wait.ts';

// What a server tells on stderr, and how it is told to be quiet.
const test = sideBySide('log');

test.after(stopAll);

interface Given {
  log?: LogLevel;
  told?: boolean;
  maxConnections?: number;
  workers?: number;
  mode?: ServeOptions['mode'];
}

interface App extends Running {
  ports: readonly number[];
  listened: readonly ListenInfo[];
}

/** Starts tests/bridge/fixtures/log_app.ts with a server for each of `options`. */
async function open(...options: Given[]): Promise<App> {
  const app = programOf('tests', 'bridge', 'fixtures', 'log_app.ts');
  const running = start(process.execPath, [...app, JSON.stringify(options)]);
  await until(() => running.stdout().includes('\n'), 'the ports');
  return { ...running, ...(JSON.parse(running.stdout()) as Omit<App, keyof Running>) };
}

async function end(app: App): Promise<string> {
  app.child.kill('SIGTERM');
  await app.ended;
  return app.stderr();
}

const ask = (port: number, path: string) =>
  exchange(port, `GET ${path} HTTP/1.1\r\nHost: a\r\n\r\n`);

test('the line at the start is on stderr before serve() returns, by a system call', async () => {
  const app = await open({});
  assert.match(
    await end(app),
    new RegExp(
      `^before\ngyrfalcon info: listening on \\S+:\\d+: ${backendHere} \\(.*\\), 1 workers (?:inline|in threads) \\(.*\\), \\d+ MiB of pools\nafter\n$`,
    ),
  );
});

test('a warning of the engine’s start is written as the other lines are', async () => {
  // More than any limit of open files allows here.
  const app = await open({ maxConnections: 2 ** 24, log: 'warn' });
  const stderr = await end(app);
  assert.match(stderr, /^before\ngyrfalcon warn: the limit of open files is \d+ .*\nafter\n$/);
});

test('onListen takes the place of the line', async () => {
  const app = await open({ told: true });
  assert.is(await end(app), 'before\nafter\n');
  assert.is(app.listened.length, 1);
  const [told] = app.listened;
  assert.equal([told?.port, told?.backend, told?.workers], [app.ports[0], backendHere, 1]);
});

test('each level has the lines of those before it, of engine and handlers alike', async () => {
  const levels: LogLevel[] = ['silent', 'error', 'warn', 'info', 'debug'];
  const kinds = [
    /the handler failed/,
    /GYR_RESPONSE_FRAMING/,
    /info: listening/,
    /debug: \d+ workers, /,
  ];
  for (const [count, log] of levels.entries()) {
    // An inline worker is not counted: there is one.
    const app = await open({ log, workers: 0, mode: 'threads' });
    const [port] = app.ports as [number];
    assert.is((await ask(port, '/fails')).status, 500);
    assert.is((await ask(port, '/')).status, 200);
    const stderr = await end(app);
    const shown = kinds.map((kind) => kind.test(stderr));
    assert.equal(shown, [count > 0, count > 1, count > 2, count > 3], `${log}: ${stderr}`);
    if (log === 'silent') assert.is(stderr, 'before\nafter\n');
  }
});

test('the level is that of each server, not of the process', async () => {
  const app = await open({ log: 'silent' }, { log: 'info' }, { log: 'error' });
  const [silent, info, error] = app.ports as [number, number, number];
  for (const port of [silent, info, error]) assert.is((await ask(port, '/fails')).status, 500);
  const stderr = await end(app);
  assert.equal(
    [...stderr.matchAll(/listening on \S+:(\d+)/g)].map((match) => Number(match[1])),
    [info],
  );
  assert.is(stderr.match(/the handler failed/g)?.length, 2);
});

test('the command is quiet when it is told to be', async () => {
  const app = project('tests', 'cli', 'fixtures', 'options.ts');
  const usual = await startApp(app, ['--log', 'info']);
  await until(() => /^Listening on http/.test(usual.stdout()), 'the URL');
  await until(() => /info: listening/.test(usual.stderr()), 'the line');
  const { port } = usual; // it is free again
  await usual.stop();
  assert.match(usual.stderr(), /SIGTERM: finishing/);
  for (const quiet of [['--quiet'], ['-q'], ['--log', 'silent'], ['--log=warn']]) {
    const running = await startQuiet(app, port, quiet);
    running.child.kill('SIGTERM');
    assert.is((await running.ended).code, 0);
    assert.equal([running.stdout(), running.stderr()], ['', ''], quiet.join(' '));
  }
});

/** Starts a command that says nothing, and waits until it answers. */
async function startQuiet(app: string, port: number, quiet: readonly string[]): Promise<Running> {
  const args = ['start', app, '--host', '127.0.0.1', '--port', String(port), ...quiet];
  const running = startCommand(args);
  await answers(port);
  return running;
}

const answers = (port: number): Promise<unknown> =>
  until(() => ask(port, '/').then(Boolean, () => false), `an answer on port ${port}`);

test('the executable is quiet when it is told to be', async () => {
  const usual = await startZig('gyrfalcon', ['serve', project('docs'), '--port', '0']);
  await until(() => /^Listening on http/.test(usual.stdout()), 'the URL');
  await until(() => /info: listening/.test(usual.stderr()), 'the line');
  const { port } = usual;
  await usual.stop();
  assert.match(usual.stderr(), /info: stopping/);
  const prefix = process.env.GYRFALCON_ZIG_PREFIX ?? project('build', 'zig');
  for (const quiet of [['--quiet'], ['--log', 'silent'], ['--log', 'error']]) {
    const args = ['serve', project('docs'), '--port', String(port), ...quiet];
    const running = start(`${prefix}/bin/gyrfalcon`, args);
    await answers(port);
    running.child.kill('SIGTERM');
    assert.is((await running.ended).code, 0);
    assert.equal([running.stdout(), running.stderr()], ['', ''], quiet.join(' '));
  }
  const refused = start(`${prefix}/bin/gyrfalcon`, ['serve', '.', '--log', 'loud']);
  assert.is((await refused.ended).code, 2);
  assert.is(
    refused.stderr(),
    'gyrfalcon: --log takes one of silent, error, warn, info, debug, got loud\n',
  );
});

test.run();
