// `npm run pack:packages`: the packages that npm installs, as files in build/packages: gyrfalcon, the engine for every system
// of scripts/lib/targets.mjs, create-gyrfalcon. What they hold is built first, where it is not: for all systems that takes
// minutes (npm run build:modules does the same). docs/PACKAGES.md tells how they are tried and published.
//   npm run pack:packages -- linux.x64            this engine alone, and the two that are for all
//   npm run pack:packages -- --to DIR             into another folder
//   npm run pack:packages -- --partial            also engines without TLS or without compression
//   npm run pack:packages -- --list               the names of engines and of their packages
import { relative } from 'node:path';
import { parseArgs } from 'node:util';
import { packagesFolder, packPackages } from './lib/packages.mjs';
import { SetupError } from './lib/project.mjs';
import { Progress } from './lib/run.mjs';
import { main, setup } from './lib/setup.mjs';
import { enginePackage, targets } from './lib/targets.mjs';

await main(async () => {
  const { values, positionals } = parseArgs({
    options: {
      list: { type: 'boolean', default: false },
      partial: { type: 'boolean', default: false },
      to: { type: 'string', default: packagesFolder },
    },
    allowPositionals: true,
  });
  const chosen = choose(positionals);
  if (values.list) {
    for (const target of chosen) console.log(`${target.name}: ${enginePackage(target)}`);
    return;
  }
  const { zig } = await setup({ engine: false, quiet: true });
  const options = { zig, to: values.to, isPartial: values.partial };
  await packPackages(chosen, options, new Progress({ quiet: true }), tell);
});

function choose(names) {
  const unknown = names.find((name) => !targets.some((target) => target.name === name));
  if (unknown !== undefined) {
    const known = targets.map(({ name }) => name).join(', ');
    throw new SetupError(`there is no engine for "${unknown}"; there are ${known}`);
  }
  return targets.filter(({ name }) => names.length === 0 || names.includes(name));
}

function tell({ name, file, packed, unpacked }) {
  const mb = (bytes) => `${(bytes / 1e6).toFixed(2)} MB`;
  console.log(`${name}: ${mb(packed)} packed, ${mb(unpacked)} unpacked: ${relative('', file)}`);
}
