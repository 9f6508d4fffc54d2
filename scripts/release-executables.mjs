// `npm run release:executables`: the executable for every system of scripts/lib/executables.mjs, as releases have it, packed
// into build/executables: an archive each, and for Linux Debian's package. For all systems that takes minutes the first time.
//   npm run release:executables -- linux-musl.x64   this one alone
//   npm run release:executables -- --to DIR         into another folder
//   npm run release:executables -- --partial        also without TLS or without compression
//   npm run release:executables -- --list           the systems
import { join, relative } from 'node:path';
import { parseArgs } from 'node:util';
import { buildExecutable, executableTarget, executableTargets } from './lib/executables.mjs';
import { at } from './lib/project.mjs';
import { packExecutable, releaseTime } from './lib/release.mjs';
import { Progress } from './lib/run.mjs';
import { main, setup } from './lib/setup.mjs';
import { tripleOf } from './lib/targets.mjs';
import { versionOf } from './lib/version.mjs';

await main(async () => {
  const { values, positionals } = parseArgs({
    options: {
      list: { type: 'boolean', default: false },
      partial: { type: 'boolean', default: false },
      to: { type: 'string', default: at('build', 'executables') },
    },
    allowPositionals: true,
  });
  const chosen = positionals.length === 0 ? executableTargets : positionals.map(executableTarget);
  if (values.list) {
    for (const target of chosen) console.log(`${target.name}: ${tripleOf(target)}`);
    return;
  }
  const { zig } = await setup({ engine: false, quiet: true });
  const progress = new Progress({ quiet: true });
  const release = { version: versionOf(), time: releaseTime(), zig };
  for (const target of chosen) {
    const options = { isPartial: values.partial };
    const executable = await buildExecutable(target, zig, progress, options);
    for (const name of packExecutable(release, target, executable, values.to)) {
      console.log(relative('', join(values.to, name)));
    }
  }
});
