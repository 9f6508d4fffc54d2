// `npm run release:version`: the version that package.json and all other files tell, which have to agree.
//   npm run release:version -- 1.2.3   writes another one into all of them, and a section for it into CHANGELOG.md
import { parseArgs } from 'node:util';
import { SetupError } from './lib/project.mjs';
import { main } from './lib/setup.mjs';
import { setVersion, versionOf } from './lib/version.mjs';

await main(async () => {
  const { positionals } = parseArgs({ allowPositionals: true });
  if (positionals.length > 1) throw new SetupError('One version is written at a time.');
  const [version] = positionals;
  if (version !== undefined) {
    for (const file of setVersion(version)) console.error(`  ✓ ${file}`);
  }
  console.log(versionOf());
});
