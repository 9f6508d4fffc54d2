// `npm run build:tls`: OpenSSL and picotls for this machine, as static archives in .toolchain/tls.
//   npm run build:tls -- linux.arm64 linux-musl.x64   for these systems
//   npm run build:tls -- --list                       the systems, and why one cannot be built for yet
import { parseArgs } from 'node:util';
import { MissingError, SetupError } from './lib/project.mjs';
import { Progress } from './lib/run.mjs';
import { main } from './lib/setup.mjs';
import { targets } from './lib/targets.mjs';
import { buildTls, tlsLackOf, tlsTargetHere } from './lib/tls.mjs';
import { findZig } from './lib/toolchain.mjs';

await main(async () => {
  const { values, positionals } = parseArgs({
    options: { list: { type: 'boolean', default: false } },
    allowPositionals: true,
  });
  if (values.list) {
    for (const target of targets) {
      const lack = tlsLackOf(target);
      console.log(lack === undefined ? target.name : `${target.name}: ${lack}`);
    }
    return;
  }
  const progress = new Progress();
  const chosen = positionals.length === 0 ? [tlsTargetHere()] : positionals.map(targetOf);
  const zig = await findZig(progress);
  const lacking = [];
  for (const target of chosen) {
    const lack = tlsLackOf(target);
    if (lack === undefined) await buildTls(target, zig, progress);
    else lacking.push(`  ${target.name}: ${lack}`);
  }
  if (lacking.length > 0) throw new MissingError(`not built:\n${lacking.join('\n')}`);
});

function targetOf(name) {
  const found = targets.find((target) => target.name === name);
  if (found !== undefined) return found;
  const known = targets.map((target) => target.name).join(', ');
  throw new SetupError(`nothing is built for "${name}"; there are ${known}`);
}
