// What runs programs for other processors here: qemu's emulators of a processor under this kernel (qemu-user). And those
// of Windows: wine.
import { chmodSync, existsSync, readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { at, writeFileDeep } from './project.mjs';
import { outputOf } from './run.mjs';

/** Node.js's names of processors, and those of everybody else. */
const others = { arm64: 'aarch64', x64: 'x86_64' };

/** The emulator of a processor, by its name on PATH; undefined when there is none. */
export function emulatorOf(arch) {
  const names = [`qemu-${others[arch]}-static`, `qemu-${others[arch]}`];
  return names.find((name) => outputOf(name, ['--version']) !== undefined);
}

/** Static executables that are built for tests; what is for another processor than this one needs an emulator. */
export const staticTargets = ['x64', 'arm64'].map((arch) => ({
  arch,
  triple: `${others[arch]}-linux-musl`,
  isForeign: arch !== process.arch,
}));

/** What runs programs of Windows, as a line of shell begins; undefined when there is no wine. Debian keeps it off PATH. */
export function wineCommand() {
  const names = ['wine64', '/usr/lib/wine/wine64'];
  const wine = names.find((name) => outputOf(name, ['--version']) !== undefined);
  return wine && `env WINEDEBUG=-all WINEPREFIX='${at('build', 'wine')}' ${wine}`;
}

/**
 * The folder of executables below `prefix`, as this machine can start them: for each one a line of shell that runs it in
 * the emulator. (With binfmt_misc the kernel would do that, but it belongs to the machine's administrator.)
 */
export function emulated(prefix, emulator) {
  const folder = `${prefix}-emulated`;
  rmSync(folder, { recursive: true, force: true });
  for (const part of ['bin', 'examples']) {
    for (const name of readdirSync(join(prefix, part)).filter((it) => !it.endsWith('.pdb'))) {
      const path = join(folder, part, name.replace(/\.exe$/, ''));
      writeFileDeep(path, `#!/bin/sh\nexec ${emulator} '${join(prefix, part, name)}' "$@"\n`);
      chmodSync(path, 0o755);
    }
  }
  return folder;
}

/** Where Debian's packages libc6-ARCH-cross and libstdc++6-ARCH-cross put the libraries that Node.js needs. */
export function librariesOf(arch) {
  const folder = `/usr/${others[arch]}-linux-gnu`;
  return existsSync(join(folder, 'lib', 'libstdc++.so.6')) ? folder : undefined;
}
