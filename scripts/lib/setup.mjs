// From a fresh clone to something that runs.
import { chmodSync, existsSync, symlinkSync } from 'node:fs';
import { buildEngine, buildTypeScript } from './build.mjs';
import { tryDeflate, wasDeflateFetched } from './deflate.mjs';
import { at, exitMissing, MissingError, SetupError, withLock } from './project.mjs';
import { allOf, Progress } from './run.mjs';
import { targetHere } from './targets.mjs';
import { tryTls, wasTlsBuilt } from './tls.mjs';
import { checkNode, findZig, installPackages } from './toolchain.mjs';

/**
 * Sets the project up: packages, Zig, the engine unless told otherwise, TypeScript. What is fresh is left alone. OpenSSL
 * and picotls take minutes, and are built for the engine where `tls` asks for it, and kept up to date where they have
 * been built: without them the engine has no TLS. So it is with zlib-ng and `deflate`, whose sources need cargo.
 * `isEngineLater`: the caller builds the engine, beside something else.
 *
 * @param {{ engine?: boolean, tls?: boolean, deflate?: boolean, quiet?: boolean, isEngineLater?: boolean }} options
 * @returns {Promise<{ zig: string, tlsLack: string | undefined, deflateLack: string | undefined }>} the path of Zig; and
 *   why there is no TLS, or no compression, which had been asked for
 */
export async function setup({
  engine = true,
  tls = false,
  deflate = false,
  quiet = false,
  isEngineLater = false,
} = {}) {
  const progress = new Progress({ quiet });
  checkNode();
  const waiting = (pid) => progress.note(`waiting for the setup in process ${pid}`);
  const zig = await withLock('setup', waiting, async () => {
    const [, found] = await allOf([installPackages(progress), findZig(progress)]);
    linkCommand();
    return found;
  });
  const here = targetHere();
  const isTlsWanted = tls || (engine && wasTlsBuilt(here));
  const tlsLack = isTlsWanted ? await tryTls(here, zig, progress) : undefined;
  const isDeflateWanted = deflate || (engine && wasDeflateFetched());
  const deflateLack = isDeflateWanted ? await tryDeflate(progress) : undefined;
  if (engine && !isEngineLater) await buildEngine(zig, progress);
  await buildTypeScript(progress);
  return { zig, tlsLack, deflateLack };
}

/** Lets `npx gyrfalcon` find the checkout's own command at once. Elsewhere npx finds it through package.json. */
function linkCommand() {
  if (process.platform === 'win32') return;
  const link = at('node_modules', '.bin', 'gyrfalcon');
  chmodSync(at('bin', 'gyrfalcon.mjs'), 0o755);
  if (!existsSync(link)) symlinkSync('../../bin/gyrfalcon.mjs', link);
}

/** Runs a script's main function; what the user can mend is told in a sentence, all else with its stack. */
export async function main(action) {
  try {
    await action();
  } catch (error) {
    if (!(error instanceof SetupError)) throw error;
    console.error(`error: ${error.message}`);
    process.exitCode = error instanceof MissingError ? exitMissing : 1;
  }
}
