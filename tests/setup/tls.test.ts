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
// @ts-expect-error: a script, without types
import { targetHere } from '../../scripts/lib/targets.mjs';
// @ts-expect-error: a script, without types
import { changes } from '../../scripts/lib/tls.mjs';
import { project, start, stopAll } from '../support/process.ts';
import { within } from '../support/wait.ts';

/** A checkout of its own whose Zig only notes what it is asked for, and folders that stand in for the libraries. */
interface Context {
  checkout: string;
  /** The environment of who has the libraries at hand. */
  atHand: Record<string, string>;
}

const test = suite<Context>('setup of TLS and of compression', { checkout: '', atHand: {} });
const { name } = targetHere() as { name: string };

test.before.each((context) => {
  const checkout = mkdtempSync(join(tmpdir(), 'gyrfalcon-tls-'));
  const configs = ['package.json', 'package-lock.json', 'tsconfig.json', 'tsconfig.build.json'];
  for (const part of ['scripts', 'bin', 'build.zig', ...configs]) {
    cpSync(project(part), join(checkout, part), { recursive: true });
  }
  symlinkSync(project('node_modules'), join(checkout, 'node_modules'));
  write(join(checkout, 'zig', 'node.zig'), '');
  write(join(checkout, 'ts', 'src', 'index.ts'), 'export {};\n');
  write(join(checkout, 'path', 'zig'), zig(join(checkout, 'asked')));
  chmodSync(join(checkout, 'path', 'zig'), 0o755);
  context.checkout = checkout;
  context.atHand = {
    GYRFALCON_OPENSSL_LIBRARIES: opensslIn(join(checkout, 'openssl'), '5'),
    GYRFALCON_PICOTLS_SOURCE: picotlsIn(join(checkout, 'picotls')),
  };
});
test.after.each(({ checkout }) => rmSync(checkout, { recursive: true, force: true }));
test.after(stopAll);

function write(path: string, text: string): void {
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(path, text);
}

/** It makes each file that it is asked for, but node-zigar's addon, with which each setup here ends. */
function zig(asked: string): string {
  return `#!/bin/sh
case "$1" in
  version) echo 0.14.1; exit ;;
  ar) printf '!<arch>\\n' >"$3"; exit ;;
esac
[ "$2" = node-module ] && echo "$*" >>'${asked}'
while [ $# -gt 1 ]; do
  case "$1" in
    -o) : >"$2" ;;
    --prefix) /bin/mkdir -p "$2"; : >"$2/${name}.so"; : >"$2/${name}.dylib" ;;
  esac
  shift
done
`;
}

/** What OpenSSL 3.x would install. */
function opensslIn(folder: string, minor: string): string {
  const version = `# define OPENSSL_VERSION_MAJOR  3\n# define OPENSSL_VERSION_MINOR  ${minor}\n`;
  write(join(folder, 'include', 'openssl', 'opensslv.h'), version);
  for (const part of ['crypto', 'ssl']) write(join(folder, 'lib64', `lib${part}.a`), '!<arch>\n');
  return folder;
}

/** Sources that have in them what is changed in picotls. */
function picotlsIn(folder: string): string {
  write(join(folder, 'include', 'picotls.h'), '');
  const places = new Map<string, string[]>();
  for (const { file, behind, find } of changes as { [key: string]: string }[]) {
    const text = typeof find === 'string' ? find : '';
    places.set(`${file}\n${behind}`, [...(places.get(`${file}\n${behind}`) ?? []), text]);
  }
  const matched = 'key_schedule_extract(); assert(ctx->aesgcm != NULL);';
  const files: Record<string, string> = {};
  for (const [place, finds] of places) {
    const [file = '', behind] = place.split('\n');
    files[file] = `${files[file] ?? ''}${behind}\n${finds.join('\n')}\n${matched}\n`;
  }
  for (const [file, text] of Object.entries(files)) write(join(folder, 'lib', file), text);
  return folder;
}

async function script({ checkout }: Context, args: string[], env: Record<string, string> = {}) {
  const [file = '', ...rest] = args;
  const own = { PATH: join(checkout, 'path'), XDG_CACHE_HOME: join(checkout, 'cache') };
  const options = { cwd: checkout, env: { ...own, ...env } };
  const running = start(process.execPath, [join(checkout, 'scripts', file), ...rest], options);
  const { code } = await within(running.ended, `the end of ${file}`);
  const said = running.stderr();
  assert.not(/^ +at /m.test(said), said);
  return { code, said };
}

const build = (context: Context, env?: Record<string, string>) =>
  script(context, ['bootstrap.mjs', '--no-start'], env);
const buildTls = (context: Context, env?: Record<string, string>) =>
  script(context, ['build-tls.mjs'], env);

/** What Zig was asked for the engine's last build: the value of -Dtls, or of another option. */
function tlsAsked({ checkout }: Context, option = 'tls'): string | undefined {
  const asked = readFileSync(join(checkout, 'asked'), 'utf8').trim().split('\n');
  return new RegExp(` -D${option}=(\\S+)`).exec(asked.at(-1) ?? '')?.[1];
}

test('where nobody has built OpenSSL the engine goes without TLS', async (context) => {
  const { said } = await build(context);
  assert.match(said, `✓ engine for ${name}, without TLS: zig build`);
  assert.is(tlsAsked(context), 'off');
});

test('once it is built the engine is built with it, and stays so', async (context) => {
  await build(context);
  const { said } = await buildTls(context, context.atHand);
  assert.match(said, `✓ engine for ${name}, with TLS: zig build`);
  const folder = join(context.checkout, '.toolchain', 'tls', name);
  assert.is(tlsAsked(context), folder);
  for (const part of ['crypto', 'ssl', 'picotls']) {
    assert.ok(existsSync(join(folder, 'lib', `lib${part}.a`)), part);
  }
  // What it was made from need not be named again.
  assert.match((await build(context)).said, `✓ engine for ${name}, with TLS\n`);
});

test('the engine is built anew when its libraries have changed', async (context) => {
  await buildTls(context, context.atHand);
  assert.match((await buildTls(context, context.atHand)).said, `✓ engine for ${name}, with TLS\n`);
  write(join(context.checkout, 'openssl', 'lib64', 'libssl.a'), '!<arch>\n\n');
  const { said } = await buildTls(context, context.atHand);
  assert.match(said, `✓ engine for ${name}, with TLS: zig build`);
});

test('GYRFALCON_TLS=off makes one without; another value is refused', async (context) => {
  await buildTls(context, context.atHand);
  const { said } = await build(context, { GYRFALCON_TLS: 'off' });
  assert.match(said, `✓ engine for ${name}, without TLS: zig build`);
  assert.is(tlsAsked(context), 'off');
  assert.match((await build(context)).said, `✓ engine for ${name}, with TLS: zig build`);
  const refused = await build(context, { GYRFALCON_TLS: 'no' });
  assert.match(refused.said, 'error: GYRFALCON_TLS is no; it may be off, or not set.');
});

test('a machine without cargo is told what it lacks, and builds go on without TLS', async (context) => {
  const { code, said } = await buildTls(context);
  assert.is(code, 69, said);
  assert.match(said, /not built:\n +\S+: cargo is not on PATH/);
  assert.match((await build(context)).said, `✓ engine for ${name}, without TLS: zig build`);
});

/** Files that stand in for the sources of zlib-ng. */
function zlibNgIn(folder: string): string {
  for (const file of ['zlib-ng.h.in', 'zconf-ng.h.in', 'zlib_name_mangling.h.empty', 'deflate.c']) {
    write(join(folder, file), '@ZLIB_SYMBOL_PREFIX@zng_deflate');
  }
  return folder;
}

test('once the sources of zlib-ng are there the engine has compression, and keeps it', async (context) => {
  const { checkout } = context;
  assert.match((await build(context)).said, `✓ engine for ${name}, without TLS: zig build`);
  assert.is(tlsAsked(context, 'deflate'), 'off');
  const env = { GYRFALCON_ZLIB_NG_SOURCE: zlibNgIn(join(checkout, 'zlib-ng')) };
  const { said } = await script(context, ['build-deflate.mjs'], env);
  const form = `✓ engine for ${name}, without TLS, with compression`;
  assert.match(said, `${form}: zig build`);
  const folder = join(checkout, '.toolchain', 'zlib-ng');
  assert.is(tlsAsked(context, 'deflate'), folder);
  assert.is(readFileSync(join(folder, 'include', 'zlib-ng.h'), 'utf8'), 'zng_deflate');
  // What it was made from need not be named again.
  assert.match((await build(context)).said, `${form}\n`);
});

test('where cargo is not there that is said, and builds go on without compression', async (context) => {
  const { code, said } = await script(context, ['build-deflate.mjs']);
  assert.is(code, 69, said);
  assert.match(said, 'cargo is not on PATH; zlib-ng');
  assert.match((await build(context)).said, `✓ engine for ${name}, without TLS: zig build`);
  assert.is(tlsAsked(context, 'deflate'), 'off');
});

test('libraries that do not fit are refused in a sentence', async (context) => {
  const tooOld = opensslIn(join(context.checkout, 'old'), '0');
  const old = await buildTls(context, { ...context.atHand, GYRFALCON_OPENSSL_LIBRARIES: tooOld });
  assert.is(old.code, 1);
  assert.match(old.said, /LIBRARIES is \S+: that is OpenSSL 3\.0, 3\.5 is needed\./);
  rmSync(join(context.checkout, 'openssl', 'lib64', 'libssl.a'));
  const half = await buildTls(context, context.atHand);
  assert.match(half.said, /LIBRARIES is \S+: there is no lib\/libssl\.a\./);
});

test.run();
