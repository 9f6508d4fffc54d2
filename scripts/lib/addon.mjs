// node-zigar's addon, built from a copy of its sources that is mended: version 0.14.0 keeps a list of the threads that
// loaded a library, and writes into the library's table of functions, without a lock. Of many threads that begin or end
// at once some read freed memory, and the process ends by SIGSEGV.
import { cpSync, existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import {
  at,
  hashOf,
  readIfThere,
  SetupError,
  toolchain,
  withLock,
  writeFileDeep,
} from './project.mjs';
import { tail } from './run.mjs';
import { zigVersion } from './toolchain.mjs';

const lock = `
/* Added by Gyrfalcon. No function of Node-API is called while it is held. */
#if defined(_WIN32)
    #include <windows.h>
    static SRWLOCK list_lock = SRWLOCK_INIT;
    #define LOCKED(statement) do { \\
        AcquireSRWLockExclusive(&list_lock); statement; ReleaseSRWLockExclusive(&list_lock); \\
    } while (0)
#else
    #include <pthread.h>
    static pthread_mutex_t list_lock = PTHREAD_MUTEX_INITIALIZER;
    #define LOCKED(statement) do { \\
        pthread_mutex_lock(&list_lock); statement; pthread_mutex_unlock(&list_lock); \\
    } while (0)
#endif
`;

/** In src/addon.c: what is there once, and what comes in its place. */
const changes = [
  ['#include <stdarg.h>\n', `#include <stdarg.h>\n${lock}`],
  ['md->mod->imports->deinitialize();', 'LOCKED(md->mod->imports->deinitialize());'],
  [
    'redirect_io_functions(handle, path, mod->imports->override_write);',
    'LOCKED(redirect_io_functions(handle, path, mod->imports->override_write));',
  ],
  [
    'if (mod->imports->initialize(md) != OK) {',
    'result initialized;\n    LOCKED(initialized = mod->imports->initialize(md));\n    if (initialized != OK) {',
  ],
];

/** Builds the addon for one of `targets` into `folder`, unless it is there and made from the same sources. */
export async function buildAddon(folder, { platform, arch, name }, zig, progress) {
  const stamp = at('build', 'stamps', `addon.${name}`);
  const lockFile = readIfThere(at('package-lock.json')) ?? '';
  const hash = hashOf([], [lockFile, JSON.stringify(changes), name, zigVersion]);
  const path = join(folder, `${name}.node`);
  const isFresh = () => readIfThere(stamp) === hash && existsSync(path);
  if (isFresh()) return;
  const waiting = (pid) => progress.note(`waiting for the build in process ${pid}`);
  await withLock('addon', waiting, async () => {
    if (isFresh()) return;
    rmSync(stamp, { force: true });
    const target = { platform, arch, zigPath: zig };
    await progress.work(`node-zigar addon for ${name}: zig build`, () => build(path, target));
    writeFileDeep(stamp, hash);
  });
}

async function build(path, target) {
  rmSync(path, { force: true });
  const copy = join(toolchain, 'addon');
  rmSync(copy, { recursive: true, force: true });
  for (const name of ['node-zigar-addon', 'node-api-headers']) {
    cpSync(at('node_modules', name), join(copy, name), { recursive: true });
  }
  mend(join(copy, 'node-zigar-addon', 'src', 'addon.c'));
  const builder = createRequire(join(copy, 'index.js'))('./node-zigar-addon');
  try {
    const { outputPath } = await builder.buildAddon(dirname(path), target);
    if (outputPath !== path || !existsSync(path)) throw new Error(`${path} was not made`);
  } catch (error) {
    throw new SetupError(`node-zigar's addon did not build.\n${tail(String(error.message), 40)}`);
  }
}

function mend(path) {
  let source = readFileSync(path, 'utf8');
  for (const [before, after] of changes) {
    if (source.split(before).length !== 2) {
      throw new SetupError(`${path} is not node-zigar-addon 0.14.0: it has not once \`${before}\``);
    }
    source = source.replace(before, () => after);
  }
  writeFileSync(path, source);
}
