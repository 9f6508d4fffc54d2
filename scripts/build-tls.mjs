// `npm run build:tls`: OpenSSL and picotls for this machine, as static archives in .toolchain/tls, and then the engine with
// them in it.
//   npm run build:tls -- linux.arm64 linux-musl.x64   the archives alone, for these systems
//   npm run build:tls -- --list                       the systems, and why one cannot be built for yet
import { parseArgs } from 'node:util';
import { buildEngine } from './lib/build.mjs';
import { MissingError, SetupError } from './lib/project.mjs';
import { Progress } from './lib/run.mjs';
import { main, setup } from './lib/setup.mjs';
import { targetHere, targets } from './lib/targets.mjs';
import { buildTls, isTlsOff, tlsLackOf } from './lib/tls.mjs';

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
  if (isTlsOff()) throw new SetupError('GYRFALCON_TLS is off.');
  const { zig } = await setup({ engine: false });
  const progress = new Progress();
  const here = targetHere();
  const lacking = [];
  for (const target of positionals.length === 0 ? [here] : positionals.map(targetOf)) {
    try {
      await buildTls(target, zig, progress);
    } catch (error) {
      if (!(error instanceof MissingError)) throw error;
      lacking.push(`  ${target.name}: ${error.message}`);
      continue;
    }
    if (target.name === here.name) await buildEngine(zig, progress);
  }
  if (lacking.length > 0) throw new MissingError(`not built:\n${lacking.join('\n')}`);
});

function targetOf(name) {
  const found = targets.find((target) => target.name === name);
  if (found !== undefined) return found;
  const known = targets.map((target) => target.name).join(', ');
  throw new SetupError(`nothing is built for "${name}"; there are ${known}`);
}
