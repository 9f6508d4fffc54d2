// What TLS is made of: OpenSSL (libcrypto, libssl) and picotls. Their sources come through cargo and pip, as those are set
// up on this machine, are checked by their hashes, and are compiled by `zig cc` into static archives, once for a target.
import { createHash } from 'node:crypto';
import {
  chmodSync,
  copyFileSync,
  cpSync,
  existsSync,
  mkdirSync,
  readFileSync,
  realpathSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { availableParallelism } from 'node:os';
import { join, relative } from 'node:path';
import { hideSymbols } from './archives.mjs';
import { fetchCrate, named } from './crates.mjs';
import { keep, takeKept } from './kept.mjs';
import {
  hashOf,
  MissingError,
  readIfThere,
  SetupError,
  toolchain,
  withLock,
  writeFileDeep,
} from './project.mjs';
import { run, tail } from './run.mjs';
import { tripleOf } from './targets.mjs';
import { findPython, zigVersion } from './toolchain.mjs';

/** The crate that carries OpenSSL's sources. The hash is that of the file that cargo fetches. */
export const openssl = {
  title: 'OpenSSL',
  crate: 'openssl-src',
  version: '300.5.5',
  checksum: '3f1787d533e03597a7934fd0a765f0d28e94ecc5fb7789f8053b1e699a56f709',
  variable: 'GYRFALCON_OPENSSL_SOURCE',
  libraries: 'GYRFALCON_OPENSSL_LIBRARIES',
};

/** The source distribution that has a current picotls in one of its folders. */
export const picotls = {
  project: 'aiopquic',
  version: '0.6.1',
  checksum: '72579146e0f22859a5a7c197246604fef460b9e1b578a2910156dff7679efd29',
  variable: 'GYRFALCON_PICOTLS_SOURCE',
};

/** OpenSSL is built for AEAD suites, elliptic curves, ML-KEM, X.509 and TLS 1.2 and 1.3 on kTLS; all else is left out. */
const opensslOptions = [
  'no-shared no-tests no-apps no-docs no-makedepend no-dso no-module no-engine no-legacy no-afalgeng',
  'no-autoload-config no-ui-console no-async no-thread-pool no-default-thread-pool',
  'no-ssl3 no-tls1 no-tls1_1 no-dtls no-quic no-comp no-psk no-srp no-srtp no-nextprotoneg',
  'no-cms no-cmp no-ct no-ts no-ocsp no-http no-rfc3779 no-dh no-dsa no-ec2m no-gost no-ml-dsa no-slh-dsa',
  'no-argon2 no-aria no-bf no-blake2 no-camellia no-cast no-des no-idea no-md4 no-mdc2 no-ocb no-rc2 no-rc4',
  'no-rmd160 no-scrypt no-seed no-siphash no-siv no-sm2 no-sm3 no-sm4 no-whirlpool',
  'enable-ktls enable-ec_nistp_64_gcc_128',
]
  .join(' ')
  .split(' ');

/** What Configure calls the systems that it is tried on, by `platform` and `arch` of scripts/lib/targets.mjs. */
const opensslNames = {
  'linux.x64': 'linux-x86_64',
  'linux.arm64': 'linux-aarch64',
  'linux-musl.x64': 'linux-x86_64',
  'linux-musl.arm64': 'linux-aarch64',
  'darwin.x64': 'darwin64-x86_64-cc',
  'darwin.arm64': 'darwin64-arm64-cc',
  'win32.x64': 'mingw64',
};

/**
 * What is changed in picotls: the first match of `find` behind `behind`, which is in its file once. Gyrfalcon has a record
 * layer of its own; picotls asks of one that it writes no ChangeCipherSpec, which is QUIC's rule. Then there are alerts
 * that are not those of RFC 8446, and memory that is not there.
 */
export const changes = [
  {
    file: 'picotls.c',
    behind: 'if (emitter->begin_message != begin_record_message)',
    find: 'PTLS_ALERT_UNEXPECTED_MESSAGE',
    put: '0',
  },
  {
    file: 'picotls.c',
    behind: 'ret = server_handle_hello(',
    find: 'PTLS_ALERT_HANDSHAKE_FAILURE',
    put: 'PTLS_ALERT_UNEXPECTED_MESSAGE',
  },
  {
    file: 'picotls.c',
    behind: 'ret = server_handle_finished(',
    find: 'PTLS_ALERT_HANDSHAKE_FAILURE',
    put: 'PTLS_ALERT_UNEXPECTED_MESSAGE',
  },
  {
    file: 'picotls.c',
    behind: 'ptls_mem_equal(message.base + PTLS_HANDSHAKE_HEADER_SIZE',
    find: 'PTLS_ALERT_HANDSHAKE_FAILURE',
    put: 'PTLS_ALERT_DECRYPT_ERROR',
  },
  {
    file: 'picotls.c',
    behind: 'new_instance(ctx, 1)',
    find: ';',
    put: '; if (tls == NULL) return NULL;',
  },
  {
    file: 'picotls.c',
    behind: 'assert(tls->ctx->encrypt_ticket != NULL)',
    find: ';',
    put: '; if (msghash_backup == NULL) return PTLS_ERROR_NO_MEMORY;',
  },
  {
    file: 'picotls.c',
    behind: 'assert(tls->key_schedule->generation == 1);',
    find: /key_schedule_extract\([^;]*\)/,
    put: 'if ((ret = $&) != 0) goto Exit',
  },
  {
    file: 'picotls.c',
    behind: 'psk_index == SIZE_MAX || tls->ctx->require_client_authentication',
    find: /key_schedule_extract\([^;]*\)/,
    put: 'if ((ret = $&) != 0) goto Exit',
  },
  {
    file: 'fusion.c',
    behind: 'static int non_temporal_setup(',
    find: /assert\(ctx->aesgcm != NULL[^;]*;/,
    put: 'if (ctx->aesgcm == NULL) return PTLS_ERROR_NO_MEMORY;',
  },
  {
    file: 'openssl.c',
    behind: 'static int do_sign(',
    find: 'size_t siglen;',
    put: 'size_t siglen = 0;',
  },
  {
    // Without memory it may be told that there is a signature, of any length.
    file: 'openssl.c',
    behind: 'static int do_sign(',
    find: 'outbuf->off += siglen;',
    put: 'if (siglen == 0 || siglen > 1024) { ret = PTLS_ERROR_LIBRARY; goto Exit; } $&',
  },
  {
    file: 'openssl.c',
    behind: 'ptls_openssl_lookup_signature_schemes(EVP_PKEY *key)',
    find: 'EC_KEY *eckey = EVP_PKEY_get1_EC_KEY(key);',
    put: '$& if (eckey == NULL) break;',
  },
  {
    file: 'openssl.c',
    behind: 'if (EVP_DigestVerify(ctx, signature.base',
    find: 'PTLS_ERROR_LIBRARY',
    put: 'PTLS_ALERT_DECRYPT_ERROR',
  },
  // Shares of a key that are of no use: RFC 8446 §4.2.8.2, RFC 7748 §6.1.
  {
    file: 'openssl.c',
    behind: '/* decode peer key */',
    find: 'PTLS_ALERT_DECODE_ERROR',
    put: 'PTLS_ALERT_ILLEGAL_PARAMETER',
  },
  {
    file: 'openssl.c',
    behind: 'if (ECDH_compute_key(secret->base, secret->len, peer_point, privkey, NULL) <= 0)',
    find: 'PTLS_ALERT_HANDSHAKE_FAILURE',
    put: 'PTLS_ALERT_ILLEGAL_PARAMETER',
  },
  {
    file: 'openssl.c',
    behind: 'if (peerkey.len != ctx->super.pubkey.len)',
    find: 'PTLS_ALERT_DECRYPT_ERROR',
    put: 'PTLS_ALERT_ILLEGAL_PARAMETER',
  },
  {
    file: 'openssl.c',
    behind: 'if (EVP_PKEY_derive(evpctx, secret->base, &secret->len) <= 0)',
    find: 'PTLS_ERROR_LIBRARY',
    put: 'PTLS_ALERT_ILLEGAL_PARAMETER',
  },
  {
    file: 'openssl.c',
    behind: 'EVP_PKEY_set1_encoded_public_key(',
    find: 'PTLS_ERROR_LIBRARY',
    put: 'PTLS_ALERT_ILLEGAL_PARAMETER',
  },
  {
    file: 'openssl.c',
    behind: 'EVP_PKEY_set1_encoded_public_key(',
    find: 'evpctx =',
    put: 'EVP_PKEY_CTX_free(evpctx); $&',
  },
];

/** What its files are compiled with, and on some systems. */
const opensslFlags = ({ platform }) => [
  ...['-O2', '-fvisibility=hidden', '-fPIC'],
  ...(opensslDefines[platform] ?? []),
];

const opensslDefines = {
  // Zig has no headers of CommonCrypto: randomness comes by getentropy.
  darwin: ['-DOPENSSL_NO_APPLE_CRYPTO_RANDOM'],
  // As if it had been included: <windows.h> asks for all intrinsics of the processor, which takes most of the time that a
  // file is compiled in. OpenSSL uses none of them.
  win32: ['-D__X86INTRIN_H'],
};

/** picotls takes memory from zig/tls/heap.zig, which counts and bounds it; OpenSSL is told to when it runs. */
const heap = ['malloc', 'calloc', 'realloc', 'free', 'aligned_alloc', 'posix_memalign'].map(
  (name) => `-D${name}=gyrfalcon_tls_${name}`,
);

const picotlsFlags = [
  ...['-O3', '-c', '-fPIC', '-fvisibility=hidden', '-w', '-D_GNU_SOURCE', '-DNDEBUG'],
  ...['-DPTLS_HAVE_LOG=0', ...heap],
];

/** Where the archives and headers for one of `targets` lie, once they are built: lib/ and include/ in it. */
export function tlsFolder({ name }) {
  return join(toolchain, 'tls', name);
}

/** The archives in such a folder; none where there is no folder. */
export function archivesIn(folder) {
  if (folder === undefined) return [];
  return parts.flatMap(({ archives }) => archives.map((name) => archiveOf(folder, name)));
}

/**
 * Where the archives for a target are, when they are built and current: what is built then has TLS. Undefined when they
 * are not, and with GYRFALCON_TLS=off.
 */
export function tlsThere(target) {
  if (isTlsOff()) return undefined;
  const isThere = parts.every((part) => isCurrent(part, target, originOf(part, target)));
  return isThere ? tlsFolder(target) : undefined;
}

/** Whether somebody has had them built: they are kept up to date then. */
export function wasTlsBuilt(target) {
  return !isTlsOff() && existsSync(archiveOf(tlsFolder(target), 'crypto'));
}

/** What tells build.zig so. */
export function tlsOption(folder) {
  return `-Dtls=${folder ?? 'off'}`;
}

/** Whether a person wants what is built to be without TLS: `GYRFALCON_TLS=off`. */
export function isTlsOff() {
  const { GYRFALCON_TLS: value = '' } = process.env;
  if (value === '' || value === 'off') return value === 'off';
  throw new SetupError(`GYRFALCON_TLS is ${value}; it may be off, or not set.`);
}

/** Why the archives cannot be built for a target from here; undefined when they can. */
export function tlsLackOf({ name }) {
  if (opensslNames[name] === undefined) return 'OpenSSL has not been tried there';
  if (process.platform === 'win32') return 'OpenSSL is not built on Windows, but on another system';
  return undefined;
}

/**
 * As `buildTls`, where this machine can: else what is built goes without TLS, and the reason is told. What was made from
 * sources or libraries that a person had named then is left alone.
 *
 * @returns {Promise<string | undefined>} the reason; undefined when the archives are there
 */
export async function tryTls(target, zig, progress, options) {
  if (isTlsOff()) return 'GYRFALCON_TLS is off';
  if (tlsThere(target) !== undefined) return undefined;
  try {
    await buildTls(target, zig, progress, options);
    return undefined;
  } catch (error) {
    if (!(error instanceof MissingError)) throw error;
    progress.note(`${target.name} goes without TLS: ${error.message}`);
    return error.message;
  }
}

/**
 * Builds the archives for a target, unless they are there and made in the same way from the sources that are named now.
 * Throws a MissingError for what this machine lacks. `isBackground`: OpenSSL takes what processors others leave.
 */
export async function buildTls(target, zig, progress, { isBackground = false } = {}) {
  const folder = tlsFolder(target);
  // What somebody else has built may be another thing each time.
  const isDone = (part) => !process.env[part.from.libraries] && isCurrent(part, target);
  if (parts.every(isDone)) {
    progress.fresh(`OpenSSL and picotls for ${target.name}`);
    return;
  }
  const lack = tlsLackOf(target);
  if (lack !== undefined) throw new MissingError(lack);
  const waiting = (pid) => progress.note(`waiting for the build in process ${pid}`);
  await withLock('tls', waiting, async () => {
    // A part may be made anew because the one before it was.
    for (const part of parts) {
      if (isDone(part)) continue;
      const partial = join(folder, 'build');
      rmSync(stampOf(folder, part.name), { force: true });
      rmSync(partial, { recursive: true, force: true });
      mkdirSync(join(folder, 'lib'), { recursive: true });
      const compiler = writeCompiler(partial, target, zig);
      await part.make({ folder, partial, target, compiler, zig, progress, isBackground });
      for (const name of part.archives) hideSymbols(archiveOf(folder, name));
      rmSync(partial, { recursive: true, force: true });
      const origin = originNow(part);
      const hash = hashFor(part, target, origin);
      writeFileSync(stampOf(folder, part.name), origin === '' ? hash : `${hash}\n${origin}`);
    }
  });
}

/** What is built, each once what is above it is there. */
const parts = [
  { name: 'openssl', from: openssl, archives: ['crypto', 'ssl'], make: makeOpenssl },
  { name: 'picotls', from: picotls, archives: ['picotls'], make: makePicotls },
];

/** Whether it is there, and what it would be now. `origin`: what it is to be made from. */
function isCurrent(part, target, origin = originNow(part)) {
  const stamp = readIfThere(stampOf(tlsFolder(target), part.name))?.split('\n')[0];
  return stamp === hashFor(part, target, origin);
}

/** What a person has named for a part to be made from; empty when nothing. */
function originNow({ from }) {
  return process.env[from.variable] || process.env[from.libraries] || '';
}

/** What a part was made from, unless something is named now. */
function originOf(part, target) {
  const [, origin = ''] = readIfThere(stampOf(tlsFolder(target), part.name))?.split('\n') ?? [];
  return originNow(part) || origin;
}

const stampOf = (folder, name) => join(folder, `${name}.stamp`);

const archiveOf = (folder, name) => join(folder, 'lib', `lib${name}.a`);

/** Of everything that the archives of a part depend on. */
function hashFor({ name }, target, origin) {
  const texts = [zigVersion, target.name, compilerText('', target), origin];
  if (name === 'openssl') {
    const flags = opensslFlags(target).join(' ');
    return hashOf([], [...texts, openssl.checksum, ...opensslOptions, flags, 'unplaced']);
  }
  const changesText = JSON.stringify(changes, (_, value) =>
    value instanceof RegExp ? value.source : value,
  );
  const below = readIfThere(stampOf(tlsFolder(target), 'openssl')) ?? '';
  return hashOf([], [...texts, below, picotls.checksum, changesText, ...picotlsFlags]);
}

// The sources.

/** Where OpenSSL's sources are. */
async function fetchOpenssl(progress) {
  const own = named(openssl, 'Configure');
  if (own !== undefined) return own;
  const byHand = `Or set ${openssl.variable} to a folder with the sources of OpenSSL 3.5.`;
  const crate = await fetchCrate(openssl, join(toolchain, 'tls', 'crate'), byHand, progress);
  return join(crate, 'openssl');
}

/** Where a copy of picotls's sources is, which has been changed. */
async function fetchPicotls(progress) {
  const folder = join(toolchain, 'tls', 'picotls');
  const own = named(picotls, 'lib/picotls.c');
  if (own === undefined) {
    const archive = await downloadPicotls(progress);
    const partial = `${folder}.partial`;
    rmSync(partial, { recursive: true, force: true });
    mkdirSync(partial, { recursive: true });
    const inside = `${picotls.project}-${picotls.version}/third_party/picotls`;
    const names = ['include', 'lib', 'README.md'].map((name) => `${inside}/${name}`);
    const args = ['-xzf', archive, '-C', partial, '--strip-components=3', ...names];
    const { code, missing, output } = await run('tar', args);
    if (missing) throw new MissingError(`tar is not on PATH; picotls is unpacked with it.`);
    if (code !== 0) throw new SetupError(`tar could not unpack ${archive}.\n${tail(output)}`);
    rmSync(folder, { recursive: true, force: true });
    renameSync(partial, folder);
  } else {
    rmSync(folder, { recursive: true, force: true });
    for (const name of ['include', 'lib']) {
      cpSync(join(own, name), join(folder, name), { recursive: true });
    }
  }
  for (const change of changes) mend(join(folder, 'lib', change.file), change);
  return folder;
}

/** Where pip has put the source distribution, whose hash it has checked. */
async function downloadPicotls(progress) {
  const folder = join(toolchain, 'tls', 'sdist');
  const archive = join(folder, `${picotls.project}-${picotls.version}.tar.gz`);
  const isThere = () => existsSync(archive) && sha256(archive) === picotls.checksum;
  if (isThere()) return archive;
  const byHand = `Or set ${picotls.variable} to a folder with the sources of picotls.`;
  const python = pythonFor(byHand);
  // pip asks a distribution's build backend what it is before it keeps the file. One of ours answers, so that nothing of
  // the distribution runs, and its own backend need not be there.
  const backend = join(folder, 'backend');
  writeFileDeep(join(backend, 'setuptools', '__init__.py'), '');
  writeFileDeep(join(backend, 'setuptools', 'build_meta.py'), backendText());
  const requirements = join(folder, 'requirements.txt');
  const wanted = `${picotls.project}==${picotls.version} --hash=sha256:${picotls.checksum}\n`;
  writeFileDeep(requirements, wanted);
  const args = [...python.args, '-m', 'pip', 'download', '--no-deps', '--no-binary', ':all:'];
  args.push('--ignore-requires-python', '--no-build-isolation', '--require-hashes', '--quiet');
  args.push('--dest', folder, '--requirement', requirements);
  const env = { ...process.env, PYTHONPATH: backend, PIP_DISABLE_PIP_VERSION_CHECK: '1' };
  const about = `picotls: pip download ${picotls.project} ${picotls.version}`;
  const { code, output } = await progress.work(about, () => run(python.command, args, { env }));
  if (code === 0 && isThere()) return archive;
  throw new MissingError(
    `pip could not download ${picotls.project} ${picotls.version}; it needs the network. ${byHand}\n${tail(output)}`,
  );
}

function pythonFor(byHand) {
  try {
    return findPython('picotls', byHand);
  } catch (error) {
    throw new MissingError(error.message);
  }
}

function backendText() {
  const name = `${picotls.project}-${picotls.version}.dist-info`;
  return `import os

def prepare_metadata_for_build_wheel(folder, config_settings=None):
    os.mkdir(os.path.join(folder, "${name}"))
    with open(os.path.join(folder, "${name}", "METADATA"), "w") as file:
        file.write("Metadata-Version: 2.1\\nName: ${picotls.project}\\nVersion: ${picotls.version}\\n")
    return "${name}"
`;
}

const sha256 = (path) => createHash('sha256').update(readFileSync(path)).digest('hex');

function mend(path, { behind, find, put }) {
  const source = readFileSync(path, 'utf8');
  const parts = source.split(behind);
  if (parts.length !== 2) {
    throw new SetupError(`${path} is another picotls: it has ${parts.length - 1} times ${behind}`);
  }
  const [before, rest] = parts;
  const changed = rest.replace(find, put);
  if (changed === rest) {
    throw new SetupError(`${path} is another picotls: behind ${behind} there is no ${find}`);
  }
  writeFileSync(path, before + behind + changed);
}

// Compiling.

/**
 * `zig cc` reads the host's headers for what comes from its standard input: OpenSSL's Configure, which asks for kTLS in
 * that way, would not find the target's.
 */
function compilerText(zig, target) {
  const cpu = `${target.cpu}`;
  return `#!/bin/sh
if [ "$*" = "-E -" ]; then
  cat >"$0.c"
  set -- -E "$0.c"
fi
exec '${zig}' cc -target ${tripleOf(target)} -mcpu=${cpu} -g0 -fno-sanitize=undefined "$@"
`;
}

function writeCompiler(folder, target, zig) {
  const path = join(folder, 'compiler');
  writeFileDeep(path, compilerText(zig, target));
  chmodSync(path, 0o755);
  return path;
}

async function makeOpenssl(context) {
  const { target, progress, folder } = context;
  const libraries = process.env[openssl.libraries];
  if (libraries) return takeLibraries(libraries, folder);
  const about = `openssl for ${target.name}`;
  const build = async () => {
    const source = await fetchOpenssl(progress);
    await progress.work(`${about}: zig cc`, () => buildOpenssl(source, context));
  };
  if (process.env[openssl.variable]) return build();
  const name = `openssl-${target.name}`;
  const hash = hashFor({ name: 'openssl' }, target, '');
  if (takeKept(name, hash, folder, progress)) return progress.note(`${about}, kept from before`);
  await build();
  const archives = ['crypto', 'ssl'].map((part) => join('lib', `lib${part}.a`));
  keep(name, hash, folder, [...archives, join('include', 'openssl')], progress);
}

/** Copies OpenSSL's libraries, as they were built by somebody else, and its headers. */
function takeLibraries(from, folder) {
  const refuse = (why) => {
    throw new SetupError(`${openssl.libraries} is ${from}: ${why}.`);
  };
  const header = readIfThere(join(from, 'include', 'openssl', 'opensslv.h'));
  if (header === undefined) refuse('there is no include/openssl/opensslv.h');
  const [major, minor] = ['MAJOR', 'MINOR'].map((part) =>
    Number(new RegExp(`OPENSSL_VERSION_${part} +(\\d+)`).exec(header)?.[1]),
  );
  if (major !== 3 || minor < 5) refuse(`that is OpenSSL ${major}.${minor}, 3.5 is needed`);
  for (const name of ['crypto', 'ssl']) {
    const places = ['lib', 'lib64'].map((place) => join(from, place, `lib${name}.a`));
    const archive = places.find((path) => existsSync(path));
    if (archive === undefined) refuse(`there is no lib/lib${name}.a`);
    copyFileSync(archive, archiveOf(folder, name));
  }
  const include = join(folder, 'include', 'openssl');
  cpSync(join(from, 'include', 'openssl'), include, { recursive: true, dereference: true });
}

async function buildOpenssl(source, { folder, partial, target, compiler, zig, isBackground }) {
  const build = join(partial, 'openssl');
  mkdirSync(build, { recursive: true });
  const env = {
    ...process.env,
    CC: compiler,
    AR: `${zig} ar`,
    RANLIB: `${zig} ranlib`,
    ZIG_LOCAL_CACHE_DIR: join(partial, 'cache'),
    // What a person has set for builds of his own.
    CFLAGS: '',
    CPPFLAGS: '',
    LDFLAGS: '',
    PERL5LIB: '',
  };
  const options = [...opensslOptions, ...opensslFlags(target), ...unplaced(source, build)];
  const configure = [join(source, 'Configure'), opensslNames[target.name], ...options];
  await step('perl', configure, { cwd: build, env, isBackground }, 'perl');
  const jobs = `-j${availableParallelism()}`;
  await step('make', [jobs, '-s', 'build_libs'], { cwd: build, env, isBackground }, 'make');
  for (const name of ['crypto', 'ssl']) {
    copyFileSync(join(build, `lib${name}.a`), archiveOf(folder, name));
  }
  for (const from of [join(source, 'include'), join(build, 'include')]) {
    const keep = (path) => !/\.(?:in|pm)$/.test(path);
    cpSync(join(from, 'openssl'), join(folder, 'include', 'openssl'), {
      recursive: true,
      filter: keep,
    });
  }
}

/**
 * What has a file call itself by its path in the sources: errors tell where they come from, and that is not to be where
 * this machine keeps its files. Configure names them from the folder that it builds in.
 */
function unplaced(source, build) {
  const seen = relative(realpathSync(build), realpathSync(source)).replaceAll('\\', '/');
  return [source, seen].map((path) => `-fmacro-prefix-map=${path}/=`);
}

async function step(command, args, options, debian) {
  const { code, missing, output } = await run(command, args, options);
  if (missing) {
    throw new MissingError(
      `${command} is not on PATH; OpenSSL is built with it (on Debian: apt install ${debian}).`,
    );
  }
  if (code !== 0) throw new SetupError(`OpenSSL did not build.\n${tail(output, 40)}`);
}

/** The files of picotls, with what their code asks of the processor: what goes beyond is chosen when it runs. */
function picotlsFiles({ arch }) {
  const files = ['picotls', 'openssl', 'hpke'].map((name) => ({ name, flags: [] }));
  const fused = ['avx2', 'aes', 'pclmul', 'vaes', 'vpclmulqdq'].map((name) => `-m${name}`);
  return arch === 'x64' ? [...files, { name: 'fusion', flags: fused }] : files;
}

/**
 * What picotls includes and Windows has under other names, or not at all. (Its own code for Windows is for another
 * compiler.) Returns the options that put it in the way.
 */
function writePosix(folder) {
  for (const name of ['sys/socket.h', 'arpa/inet.h', 'netinet/in.h', 'pthread.h', 'all.h']) {
    writeFileDeep(join(folder, name), posixHeaders[name] ?? '');
  }
  return [`-I${folder}`, '-include', join(folder, 'all.h')];
}

const posixHeaders = {
  'sys/socket.h': '#include <winsock2.h>\n#include <ws2tcpip.h>\n',
  'all.h':
    '#include <stdlib.h>\nvoid *aligned_alloc(size_t, size_t);\nint posix_memalign(void **, size_t, size_t);\n',
};

async function makePicotls(context) {
  const { target, progress } = context;
  const source = await fetchPicotls(progress);
  await progress.work(`picotls for ${target.name}: zig cc`, () => buildPicotls(source, context));
}

async function buildPicotls(source, { folder, partial, target, compiler, zig }) {
  const include = join(folder, 'include');
  cpSync(join(source, 'include'), include, { recursive: true });
  const system = target.platform === 'win32' ? writePosix(join(partial, 'posix')) : [];
  const env = { ...process.env, ZIG_LOCAL_CACHE_DIR: join(partial, 'cache') };
  const compiled = picotlsFiles(target).map(async (file) => {
    const object = join(partial, `${file.name}.o`);
    const own = [
      ...file.flags,
      ...system,
      `-I${include}`,
      `-fmacro-prefix-map=${source}/=`,
      join(source, 'lib', `${file.name}.c`),
    ];
    const { code, output } = await run(compiler, [...picotlsFlags, ...own, '-o', object], { env });
    if (code !== 0) throw new SetupError(`picotls did not compile.\n${tail(output, 40)}`);
    return object;
  });
  const objects = await Promise.all(compiled);
  const archive = archiveOf(folder, 'picotls');
  rmSync(archive, { force: true });
  const { code, output } = await run(zig, ['ar', 'rcs', archive, ...objects]);
  if (code !== 0) throw new SetupError(`picotls: zig ar failed.\n${tail(output)}`);
}
