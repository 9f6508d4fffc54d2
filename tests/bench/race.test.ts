/**
 * The race on a machine that lacks programs. The load generator and Zig are scripts here: what they would measure does
 * not matter, who is let race does.
 */
import {
  chmodSync,
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { lacks, project, start, stopAll } from '../support/process.ts';
import { testUnless } from '../support/skip.ts';
import { within } from '../support/wait.ts';

interface Context {
  checkout: string;
  path: string;
}

const test = suite<Context>('race', {} as Context);
const report = JSON.stringify({ requests: 10, duration_us: 1e6, p50: 1, p99: 2, errors: {} });
const loadScript = `echo 'GYR ${report}'`;
const why = lacks('taskset');

test.before.each((context) => {
  const checkout = mkdtempSync(join(tmpdir(), 'gyrfalcon-race-'));
  const copied = ['bench', 'bin', 'scripts', 'ts', 'zig', 'package.json', 'package-lock.json'];
  for (const name of copied) {
    cpSync(project(name), join(checkout, name), { recursive: true });
  }
  for (const name of ['tsconfig.json', 'tsconfig.build.json'])
    cpSync(project(name), join(checkout, name));
  symlinkSync(project('node_modules'), join(checkout, 'node_modules'));
  context.checkout = checkout;
  context.path = join(checkout, 'path');
  mkdirSync(context.path);
  // All that the race may run: nothing that could fetch something.
  for (const name of ['sh', 'taskset', 'true', 'chmod']) {
    symlinkSync(join('/usr/bin', name), join(context.path, name));
  }
  program(context.path, 'npm', 'echo "npm error network" >&2; exit 1');
});
test.after.each(({ checkout }) => rmSync(checkout, { recursive: true, force: true }));
test.after(stopAll);

function program(path: string, name: string, script: string): void {
  const file = join(path, name);
  writeFileSync(file, `#!/bin/sh\n${script}\n`);
  chmodSync(file, 0o755);
}

/** Runs the race; it may use nothing but the programs of `path`. */
async function race({ checkout, path }: Context, only: string, ...more: string[]) {
  const args = [join(checkout, 'bench', 'race.mjs'), '--smoke', '--only', only, ...more];
  const env = { PATH: path, npm_execpath: '' };
  const running = start(process.execPath, args, { cwd: checkout, env });
  const { code } = await within(running.ended, 'the end of the race', 60_000);
  return { code, said: running.stderr(), told: running.stdout() };
}

testUnless(
  test,
  why,
  'a peer that is not to be had is named with the reason, and the others race',
  async (context) => {
    program(context.path, 'wrk', loadScript);
    const { code, said, told } = await race(context, 'node,nginx,bun-static');
    assert.is(code, 0, said);
    assert.match(told, /^node +10 /m);
    if (!existsSync('/usr/sbin/nginx')) {
      assert.match(told, /^left out, nginx: nginx is not on PATH: install it$/m);
    }
    assert.match(told, /^left out, bun-static: npm could not install Bun\n +npm error network$/m);
  },
);

testUnless(
  test,
  why,
  'without wrk the load comes from the program that is built here',
  async (context) => {
    program(
      context.path,
      'zig',
      `case $1 in version) echo 0.14.1 ;; *)
      for word; do case $word in -femit-bin=*) output=\${word#-femit-bin=} ;; esac; done
      echo "#!/bin/sh" > "$output"; echo "${loadScript.replaceAll('"', '\\"')}" >> "$output"
      chmod +x "$output" ;;
    esac`,
    );
    const { code, said, told } = await race(context, 'node');
    assert.is(code, 0, said);
    assert.match(
      said,
      'wrk is not on PATH: install it; the load comes from bench/load.zig instead',
    );
    assert.match(told, /^node +10 /m);
  },
);

testUnless(
  test,
  why,
  'peers that have yet to be compiled are named in a smoke run, which does not begin that',
  async (context) => {
    program(context.path, 'wrk', loadScript);
    const { code, said, told } = await race(context, 'node,go,hyper');
    assert.is(code, 0, said);
    for (const [name, language] of [
      ['go', 'go'],
      ['hyper', 'rust'],
    ])
      assert.match(told, `left out, ${name}: the peers in bench/peers/${language} are not built`);
  },
);

testUnless(
  test,
  why,
  'one that answers wrongly behind the load is left out behind it, and the race fails',
  async (context) => {
    program(context.path, 'wrk', loadScript);
    writeFileSync(
      join(context.checkout, 'bench', 'peers', 'node_http.mjs'),
      `import { createServer } from 'node:http';
    let asked = 0;
    createServer((_, response) => {
      asked += 1;
      if (asked > 2) response.statusCode = 500;
      response.setHeader('Content-Type', 'text/plain').end('Hello, World!');
    }).listen(process.argv[2], '127.0.0.1');`,
    );
    const { code, said } = await race(context, 'node');
    assert.is(code, 1);
    assert.match(
      said,
      'node does not answer correctly behind the load: GET /: the status is not 200',
    );
  },
);

testUnless(
  test,
  why,
  'when nobody is left it says so and ends as one that misses something',
  async (context) => {
    program(context.path, 'wrk', loadScript);
    const { code, said } = await race(context, 'bun-static');
    assert.is(code, 69);
    assert.match(said, 'error: no contender is left');
  },
);

testUnless(
  test,
  why,
  'one that answers wrongly is left out, and the race fails',
  async (context) => {
    program(context.path, 'wrk', loadScript);
    writeFileSync(
      join(context.checkout, 'bench', 'peers', 'node_http.mjs'),
      `import { createServer } from 'node:http';
    createServer((_, response) => response.end('wrong')).listen(process.argv[2], '127.0.0.1');`,
    );
    const { code, said } = await race(context, 'node,bun-static');
    assert.is(code, 1);
    assert.match(said, 'node is left out: GET /: ');
  },
);

test('another Node.js races where it is asked for, and the race ends as it does', async (context) => {
  const name = `node-${process.platform}-${process.arch}`;
  const folder = join(context.checkout, '.toolchain', 'node-99', 'node_modules', name, 'bin');
  mkdirSync(folder, { recursive: true });
  program(folder, 'node', 'shift; echo "raced: $*"; exit 3');
  const other = await race(context, 'node', '--node', '99');
  assert.is(other.code, 3, other.said);
  assert.is(other.told, 'raced: --smoke --only node --node 99\n');
  const none = await race(context, 'node', '--node', 'lts');
  assert.is(none.code, 2);
  assert.match(none.said, "--node takes a whole number from 20 to 99, not 'lts'");
});

test.run();
