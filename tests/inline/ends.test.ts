/** How processes and threads end whose engine runs inline, and who gets which mode. */
import { Response, type ServeOptions, serve } from 'gyrfalcon';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import {
  listening,
  loader,
  project,
  type Running,
  type RunningServer,
  start,
  startApp,
  stopAll,
} from '../support/process.ts';
import { serversOf } from '../support/servers.ts';
import { connect } from '../support/socket.ts';
import { within } from '../support/wait.ts';

const test = suite('ends of inline servers');
const servers = serversOf(test);
const own = process.env.GYRFALCON_MODE;

test.after.each(() => {
  if (own === undefined) delete process.env.GYRFALCON_MODE;
  else process.env.GYRFALCON_MODE = own;
});
test.after(stopAll);

/** A program of fixtures/ends.ts. */
function program(what: string): Running {
  const fixture = project('tests', 'inline', 'fixtures', 'ends.ts');
  return start(process.execPath, [...loader, fixture, what]);
}

/** Sends requests over so many connections until their ends. */
async function load(port: number, connections = 10): Promise<void> {
  const clients = await Promise.all(Array.from({ length: connections }, () => connect(port)));
  const request = 'GET / HTTP/1.1\r\nHost: a\r\n\r\n';
  for (const { socket } of clients) {
    socket.on('data', () => socket.write(request));
    socket.write(request);
  }
}

async function ended(running: RunningServer | Running): Promise<string> {
  const { code, signal } = await within(running.ended, 'the end of the program', 60_000);
  return `${signal ?? code}\n${running.stdout().replace(/^http.*\n/m, '')}${running.stderr()}`;
}

test('process.exit() in a handler ends the process, and runs what listens for it', async () => {
  const server = await listening(program('exit'));
  await load(server.port);
  assert.match(await ended(server), /^7\nexit 7\n/);
});

test('an exception that nobody catches ends the process', async () => {
  const server = await listening(program('throw'));
  await load(server.port);
  assert.match(await ended(server), /^1\nexit 1\n.*Error: on purpose/s);
});

test('a process with an unref’d server ends under load', async () => {
  const server = await listening(program('unref'));
  await load(server.port);
  assert.match(await ended(server), /^0\nexit 0\n/);
});

test('a server that is alone keeps its process running, and a stop ends it', async () => {
  const server = await listening(program('stop'));
  await load(server.port, 3);
  assert.match(await ended(server), /^0\nexit 0\n/);
});

for (const what of ['thread exit', 'thread terminate', 'thread blocked']) {
  test(`a thread that serves ends, and leaves no listener: ${what}`, async () => {
    assert.is(await ended(program(what)), '0\nrefused\nrefused\nexit 0\n');
  });
}

test('a signal ends the command after what is in flight', async () => {
  const app = project('tests', 'inline', 'fixtures', 'slow_app.ts');
  const server = await startApp(app, ['--mode', 'inline']);
  const asked = fetch(server.url).then((response) => response.text());
  await within(
    (async () => {
      while (!server.stdout().includes('asked')) await new Promise((go) => setTimeout(go, 5));
    })(),
    'the request',
  );
  const ending = await server.stop();
  assert.equal(ending, { code: 0, signal: null });
  assert.is(await asked, 'slow');
  assert.match(server.stderr(), /1 workers inline \(configured\), \d+ MiB/);
});

test('options that want threads of the engine do not go with inline mode', () => {
  const refused: [ServeOptions, RegExp][] = [
    [
      { threads: 2, workers: 1, module: import.meta.url },
      /workers is 1: each of 2 threads has one/,
    ],
    [{ threads: 2, pin: true, module: import.meta.url }, /pin is true/],
    [{ workers: 2 }, /workers is 2: there is one/],
    [{ pin: true }, /pin is true/],
    [{ mode: 'fibers' as 'inline' }, /'auto', 'inline' or 'threads'/],
  ];
  for (const [options, message] of refused) {
    const all = { port: 0, mode: 'inline', fetch: () => new Response(''), ...options } as const;
    assert.throws(
      () => serve(all as ServeOptions),
      (error: { code: string; message: string }) =>
        error.code === 'GYR_OPTION_INVALID' && message.test(error.message),
    );
  }
});

test('the environment is asked where the option says nothing, and options count for more', () => {
  const modeOf = (environment: string, options: ServeOptions = {}): string => {
    process.env.GYRFALCON_MODE = environment;
    let told = '';
    servers.open({
      fetch: () => new Response(''),
      onListen: ({ mode, modeReason }) => {
        told = `${mode}: ${modeReason}`;
      },
      ...options,
    });
    return told;
  };
  assert.is(modeOf('threads'), 'threads: GYRFALCON_MODE');
  assert.is(modeOf('inline', { mode: 'threads' }), 'threads: configured');
  assert.is(modeOf('inline', { workers: 2 }), 'threads: as other options want them');
  if (process.platform === 'linux') {
    assert.is(modeOf('inline'), 'inline: GYRFALCON_MODE');
    assert.is(modeOf('threads', { mode: 'inline' }), 'inline: configured');
  }
  assert.is(servers.log, '');
  assert.match(modeOf('fibers'), /^(?:inline|threads): /);
  assert.match(servers.log, /GYRFALCON_MODE is "fibers": auto, inline or threads would be right/);
});

test.run();
