import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { checkMode, chooseMode, type ModeOptions } from './mode.ts';

const own = { mode: process.env.GYRFALCON_MODE, io: process.env.GYRFALCON_IO };

test.before.each(() => {
  delete process.env.GYRFALCON_MODE;
  delete process.env.GYRFALCON_IO;
});
test.after.each(() => {
  for (const [name, value] of [
    ['GYRFALCON_MODE', own.mode],
    ['GYRFALCON_IO', own.io],
  ] as const) {
    if (value === undefined) delete process.env[name];
    else process.env[name] = value;
  }
});

const handler = () => new Response('');

/** The mode and why, on so many CPUs. */
function chosen(options: ModeOptions, cpuCount: number, inlineLack: string | null = null): string {
  const { mode, reason } = chooseMode(options, { cpuCount, inlineLack });
  return `${mode}: ${reason}`;
}

test('handlers on one CPU have the worker inline, on more it has threads', () => {
  for (const options of [{ fetch: handler }, { fetch: handler, mode: 'auto' }] as const) {
    assert.is(chosen(options, 1), 'inline: one CPU');
    assert.is(chosen(options, 2), 'threads: 2 CPUs');
    assert.is(chosen(options, 64), 'threads: 64 CPUs');
  }
});

test('what needs no JavaScript has threads on one CPU too', () => {
  const constant = new Response('');
  const none = 'threads: one CPU, and no handlers';
  assert.is(chosen({}, 1), none);
  assert.is(chosen({ routes: { '/': constant, '/a': { GET: constant } } }, 1), none);
  assert.is(chosen({ routes: { '/': constant, '/a': handler } }, 1), 'inline: one CPU');
  assert.is(chosen({ routes: { '/': { GET: constant, POST: handler } } }, 1), 'inline: one CPU');
});

test('options that want threads have them, and one worker is what inline mode has', () => {
  for (const options of [{ threads: 1 }, { workers: 2 }, { pin: true }]) {
    assert.is(chosen({ fetch: handler, ...options }, 1), 'threads: as other options want them');
  }
  assert.is(chosen({ fetch: handler, workers: 1, threads: 0 }, 1), 'inline: one CPU');
  assert.is(chosen({ fetch: handler, mode: 'threads' }, 1), 'threads: configured');
  assert.is(chosen({ fetch: handler, mode: 'inline' }, 8), 'inline: configured');
});

test('threads have a worker each where the option asks for inline mode, and nobody else does', () => {
  const options = { fetch: handler, threads: 3 };
  const configured = 'inline: configured';
  assert.is(chosen({ ...options, mode: 'inline' }, 8), configured);
  for (const workers of [0, 3])
    assert.is(chosen({ ...options, mode: 'inline', workers }, 8), configured);
  assert.is(chosen({ ...options, mode: 'auto' }, 1), 'threads: as other options want them');
  process.env.GYRFALCON_MODE = 'inline';
  assert.is(chosen(options, 8), 'threads: as other options want them');
});

test('other options that do not go with inline mode are refused beside it', () => {
  const refused = (options: ModeOptions): string => {
    try {
      checkMode({ mode: 'inline', ...options });
      return '';
    } catch (error) {
      const { code, message, hint } = error as { code: string; message: string; hint: string };
      assert.is(code, 'GYR_OPTION_INVALID');
      assert.is(hint, "leave it out, or mode: 'threads'");
      return message;
    }
  };
  for (const options of [{}, { threads: 2 }, { threads: 2, workers: 2 }, { workers: 1 }])
    assert.is(refused(options), '');
  assert.match(refused({ threads: 2, workers: 1 }), 'workers is 1: each of 2 threads has one');
  assert.match(refused({ threads: 1, workers: 2 }), 'workers is 2: each of 1 threads has one');
  assert.match(refused({ workers: 2 }), 'workers is 2: there is one');
  assert.match(refused({ threads: 2, pin: true }), 'pin is true');
});

test('where inline mode cannot be had there are threads, unless it was insisted on', () => {
  const lack = 'it runs on Linux alone';
  assert.is(chosen({ fetch: handler }, 1, lack), `threads: ${lack}`);
  process.env.GYRFALCON_MODE = 'inline';
  assert.is(chosen({ fetch: handler }, 8, lack), `threads: ${lack}`);
  assert.throws(
    () => chosen({ fetch: handler, mode: 'inline' }, 1, lack),
    (error: { code: string }) => error.code === 'GYR_MODE_UNAVAILABLE',
  );
});

test('a backend that no other loop can wait for has threads', () => {
  const reason = 'threads: it runs on epoll and io_uring alone';
  assert.is(chosen({ fetch: handler, io: 'kqueue' }, 1), reason);
  for (const io of ['epoll', 'io_uring', 'auto'])
    assert.is(chosen({ fetch: handler, io }, 1), 'inline: one CPU');
  process.env.GYRFALCON_IO = 'kqueue';
  assert.is(chosen({ fetch: handler }, 1), reason);
  assert.is(chosen({ fetch: handler, io: 'epoll' }, 1), 'inline: one CPU');
});

test('the environment counts for more than the number of CPUs', () => {
  process.env.GYRFALCON_MODE = 'threads';
  assert.is(chosen({ fetch: handler }, 1), 'threads: GYRFALCON_MODE');
  process.env.GYRFALCON_MODE = 'inline';
  assert.is(chosen({}, 8), 'inline: GYRFALCON_MODE');
  process.env.GYRFALCON_MODE = 'auto';
  assert.is(chosen({ fetch: handler }, 1), 'inline: one CPU');
});

test('a system that cannot run it is asked for nothing where threads are meant', () => {
  const engine = {
    cpuCount: 4,
    get inlineLack(): string | null {
      throw new Error('asked');
    },
  };
  assert.is(chooseMode({ fetch: handler }, engine).mode, 'threads');
});

test.run();
