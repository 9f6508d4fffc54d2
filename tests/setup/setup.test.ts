import {
  chmodSync,
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { project, type Running, start, stopAll } from '../support/process.ts';
import { until, within } from '../support/wait.ts';

const { allOf } = (await import(project('scripts', 'lib', 'run.mjs'))) as {
  allOf(promises: readonly Promise<unknown>[]): Promise<unknown[]>;
};

/** A checkout of its own, with the packages there and nothing else, and a PATH that has nothing. */
const test = suite<{ checkout: string; path: string }>('setup', { checkout: '', path: '' });

test.before.each((context) => {
  const checkout = mkdtempSync(join(tmpdir(), 'gyrfalcon-setup-'));
  for (const name of ['scripts', 'bin', 'build.zig', 'package.json', 'package-lock.json']) {
    cpSync(project(name), join(checkout, name), { recursive: true });
  }
  symlinkSync(project('node_modules'), join(checkout, 'node_modules'));
  mkdirSync(join(checkout, 'zig'));
  writeFileSync(join(checkout, 'zig', 'node.zig'), '');
  context.checkout = checkout;
  context.path = join(checkout, 'path');
  mkdirSync(context.path);
});
test.after.each(({ checkout }) => rmSync(checkout, { recursive: true, force: true }));
test.after(stopAll);

/** Puts a program into the checkout's PATH. */
function program(path: string, name: string, script: string): void {
  const file = join(path, name);
  writeFileSync(file, `#!/bin/sh\n${script}\n`);
  chmodSync(file, 0o755);
}

function bootstrap({ checkout, path }: { checkout: string; path: string }): Running {
  const args = [join(checkout, 'scripts', 'bootstrap.mjs'), '--no-start'];
  return start(process.execPath, args, { cwd: checkout, env: { PATH: path } });
}

async function failure(context: { checkout: string; path: string }): Promise<string> {
  const running = bootstrap(context);
  const { code } = await within(running.ended, 'the end of the setup');
  assert.is(code, 1, running.stderr());
  assert.not.match(running.stderr(), /^ +at /m, running.stderr());
  return running.stderr();
}

test('of steps side by side the first that fails is told, once none is at work any more', async () => {
  let end = (): void => {};
  const other = new Promise<string>((resolve) => {
    end = () => resolve('done');
  });
  let told: unknown;
  const all = allOf([
    other,
    Promise.reject(new Error('second')),
    Promise.reject(new Error('third')),
  ]);
  const ended = all.catch((error: Error) => {
    told = error.message;
  });
  await new Promise((resolve) => setImmediate(resolve));
  assert.is(told, undefined);
  end();
  await ended;
  assert.is(told, 'second');
  assert.equal(await allOf([other, Promise.resolve(1)]), ['done', 1]);
});

test('without Python it says what is missing and what else would do', async (context) => {
  assert.match(await failure(context), /error: Python 3 is missing;.*Or put Zig 0\.14\.1 on PATH/);
});

test('a Python 2 is no Python 3', async (context) => {
  program(context.path, 'python', 'echo Python 2.7.18');
  assert.match(await failure(context), 'error: Python 3 is missing');
});

test('without pip it says how to get it', async (context) => {
  const script = 'case "$*" in --version) echo Python 3.11.2 ;; *) exit 1 ;; esac';
  program(context.path, 'python3', script);
  assert.match(
    await failure(context),
    /error: Python 3 has no pip \(on Debian: apt install python3-pip\)/,
  );
});

test('when pip cannot install, it shows what pip said and leaves nothing behind', async (context) => {
  const script = `case "$*" in
    --version) echo Python 3.11.2 ;;
    *--version*) echo pip 23.0 ;;
    *) echo "ERROR: no route to host" >&2; exit 1 ;;
  esac`;
  program(context.path, 'python3', script);
  const message = await failure(context);
  assert.match(message, /error: pip could not install ziglang 0\.14\.1; it needs the network/);
  assert.match(message, 'ERROR: no route to host');
  assert.not(existsSync(join(context.checkout, '.toolchain', 'zig-0.14.1')));
});

test('pip installs into the project, apart from the system and without asking for more', async (context) => {
  const script = `case "$*" in
    --version) echo Python 3.11.2 ;;
    *--version*) echo pip 23.0 ;;
    *) echo "$*" > "${context.path}/arguments"
       while [ "$1" != --target ]; do shift; done
       /bin/mkdir -p "$2/ziglang"
       printf '#!/bin/sh\\necho 0.14.1\\n' > "$2/ziglang/zig"
       /bin/chmod +x "$2/ziglang/zig" ;;
  esac`;
  program(context.path, 'python3', script);
  const message = await failure(context); // this Zig builds nothing
  assert.match(message, '✓ Zig 0.14.1: installing ziglang from PyPI');
  assert.match(message, /error: The engine did not build for \S+\.\n.*was not made/);
  const given = readFileSync(join(context.path, 'arguments'), 'utf8');
  assert.match(
    given,
    /^-m pip install --target \S+\/\.toolchain\/\S+ --no-deps .*ziglang==0\.14\.1$/m,
  );
  assert.match(await failure(context), /✓ Zig 0\.14\.1\n/);
});

test('a Zig of another version on PATH is passed over', async (context) => {
  program(context.path, 'zig', 'echo 0.15.2');
  assert.match(await failure(context), 'Python 3 is missing');
});

test('the Zig on PATH is taken when it is the right version', async (context) => {
  program(context.path, 'zig', 'echo 0.14.1');
  assert.match(await failure(context), '✓ Zig 0.14.1 (on PATH)');
});

test('without npm it says so', async (context) => {
  rmSync(join(context.checkout, 'node_modules'));
  const running = start(process.execPath, [join(context.checkout, 'scripts/bootstrap.mjs')], {
    cwd: context.checkout,
    env: { PATH: context.path, npm_execpath: '' },
  });
  await within(running.ended, 'the end of the setup');
  assert.match(running.stderr(), 'error: npm is not on PATH');
});

test('a second setup waits for the first; one whose process is gone holds nobody up', async (context) => {
  program(context.path, 'zig', 'echo 0.14.1');
  const lock = join(context.checkout, '.toolchain', 'setup.lock');
  mkdirSync(dirname(lock));
  writeFileSync(lock, String(process.pid));
  const running = bootstrap(context);
  await until(
    () => running.stderr().includes(`waiting for the setup in process ${process.pid}`),
    'the wait',
  );
  const gone = start(process.execPath, ['--version']);
  await gone.ended;
  writeFileSync(lock, String(gone.child.pid));
  await within(running.ended, 'the end of the setup');
  assert.match(running.stderr(), '✓ Zig 0.14.1 (on PATH)');
  assert.not(existsSync(lock));
});

test('an old Node.js is told which one is needed', async () => {
  const module = (await import(project('scripts', 'lib', 'toolchain.mjs'))) as {
    checkNode(version: string): void;
  };
  assert.throws(() => module.checkNode('18.20.4'), /needs Node\.js 20 or later, this is 18\.20\.4/);
  module.checkNode('20.0.0');
});

test.run();
