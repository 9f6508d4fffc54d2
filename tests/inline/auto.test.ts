/** mode: 'auto' in processes that may use one CPU, or more. */
import { Response } from 'gyrfalcon';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { CpuGroup, cannotConfine, type Prefix } from '../support/confine.ts';
import { listening, project, type RunningServer, start, stopAll } from '../support/process.ts';
import { serversOf } from '../support/servers.ts';
import { noInline, testUnless } from '../support/skip.ts';

const test = suite('the mode that is chosen');
const servers = serversOf(test);
const oneCpu: Prefix = ['taskset', '-c', '0'];
const noPinning = cannotConfine(oneCpu);
/** What a test run says for all servers is not said here. */
const unsaid = { GYRFALCON_SETUP: '0', GYRFALCON_MODE: '' };

test.after(stopAll);

/** Starts an app of fixtures/ in a place. */
function startIn(
  prefix: Prefix,
  app: string,
  args: readonly string[] = [],
): Promise<RunningServer> {
  const file = project('tests', 'inline', 'fixtures', app);
  const where = ['--host', '127.0.0.1', '--port', '0'];
  const [command = '', ...rest] = [
    ...prefix,
    ...[process.execPath, project('bin', 'gyrfalcon.mjs'), 'start', file, ...where],
    ...args,
  ];
  return listening(start(command, rest, { env: unsaid }));
}

async function inlineWorkers({ url }: RunningServer): Promise<number> {
  const stats = (await (await fetch(url)).json()) as { inline: number };
  return stats.inline;
}

testUnless(test, noInline ?? noPinning, 'on one CPU the worker is inline', async () => {
  const server = await startIn(oneCpu, 'auto_app.ts');
  assert.match(server.stderr(), /, 1 workers inline \(one CPU\), \d+ MiB/);
  assert.is(await inlineWorkers(server), 1);
  assert.equal(await server.stop(), { code: 0, signal: null });
});

testUnless(test, noPinning, 'on one CPU constants are a thread’s', async () => {
  const server = await startIn(oneCpu, 'constant_app.ts');
  assert.match(server.stderr(), /, 1 workers in threads \(one CPU, and no handlers\), \d+ MiB/);
  assert.is(await (await fetch(server.url)).text(), 'constant');
  assert.equal(await server.stop(), { code: 0, signal: null });
});

testUnless(test, noPinning, 'on one CPU threads are had by who asks for them', async () => {
  for (const [args, why] of [
    [['--threads', '2'], 'as other options want them'],
    [['--workers', '2'], 'as other options want them'],
    [['--mode', 'threads'], 'configured'],
  ] as const) {
    const server = await startIn(oneCpu, 'auto_app.ts', args);
    assert.match(server.stderr(), ` workers in threads (${why}), `);
    assert.is(await inlineWorkers(server), 0);
    await server.stop('SIGKILL');
  }
});

testUnless(
  test,
  noInline ?? CpuGroup.missing(),
  'a container’s quota of one CPU or less counts as one CPU',
  async () => {
    const group = new CpuGroup();
    try {
      for (const [quota, told] of [
        [100_000, /, 1 workers inline \(one CPU\)/],
        [50_000, /, 1 workers inline \(one CPU\)/],
        [-1, / workers (?:in threads \(\d+ CPUs\)|inline \(one CPU\))/],
      ] as const) {
        group.quota = quota;
        const server = await startIn(group.prefix, 'auto_app.ts');
        assert.match(server.stderr(), told);
        await inlineWorkers(server);
        await server.stop();
      }
    } finally {
      await stopAll();
      group.remove();
    }
  },
);

test('as many CPUs count as there are workers by default', async () => {
  const own = process.env.GYRFALCON_MODE;
  delete process.env.GYRFALCON_MODE;
  const told: { mode: string; modeReason: string; workers: number }[] = [];
  const open = (mode: 'auto' | 'threads') =>
    servers.open({
      mode,
      workers: 0,
      fetch: () => new Response(''),
      onListen: (info) => told.push(info),
    });
  try {
    open('threads');
    const { inline } = open('auto').stats();
    const [threads, auto] = told;
    const isOne = threads?.workers === 1;
    const isInline = isOne && process.platform === 'linux';
    assert.is(inline, Number(isInline));
    assert.is(auto?.mode, isInline ? 'inline' : 'threads');
    if (!isOne) assert.is(auto?.modeReason, `${threads?.workers} CPUs`);
  } finally {
    if (own !== undefined) process.env.GYRFALCON_MODE = own;
  }
});

test.run();
