// `npm run build:modules`: the engine's Node.js module, and what loads it, for every system of scripts/lib/targets.mjs, on
// whichever of them this is. Each has TLS where that can be built for it, which takes minutes the first time; what goes
// without is told, with the reason.
//   npm run build:modules -- linux.arm64 linux-musl.x64   these alone
//   npm run build:modules -- --list                       their names, and why one cannot be built yet
import { parseArgs } from 'node:util';
import { buildFor } from './lib/build.mjs';
import { MissingError, SetupError } from './lib/project.mjs';
import { Progress } from './lib/run.mjs';
import { main, setup } from './lib/setup.mjs';
import { targets } from './lib/targets.mjs';
import { tryTls } from './lib/tls.mjs';

await main(async () => {
  const { values, positionals } = parseArgs({
    options: { list: { type: 'boolean', default: false } },
    allowPositionals: true,
  });
  const chosen = choose(positionals);
  if (values.list) {
    for (const { name, lacks } of chosen) console.log(lacks ? `${name}: ${lacks}` : name);
    return;
  }
  const { zig } = await setup({ engine: false });
  const progress = new Progress();
  for (const target of chosen.filter(({ lacks }) => lacks === undefined)) {
    await tryTls(target, zig, progress);
    await buildFor(target, zig, progress);
  }
  refuse(chosen.filter(({ lacks }) => lacks !== undefined));
});

function choose(names) {
  const unknown = names.find((name) => !targets.some((target) => target.name === name));
  if (unknown !== undefined) {
    const known = targets.map(({ name }) => name).join(', ');
    throw new SetupError(`no module is built for "${unknown}"; there are ${known}`);
  }
  return targets.filter(({ name }) => names.length === 0 || names.includes(name));
}

/** What is not there is no success: who packs the modules must not miss one unseen. */
function refuse(unported) {
  if (unported.length === 0) return;
  const lines = unported.map(({ name, lacks }) => `  ${name}: ${lacks}`);
  throw new MissingError(`not built:\n${lines.join('\n')}`);
}
