// `npm run pack:images`: the image of the executable, for each processor in one list, in build/images/gyrfalcon. Executables
// are compiled first, in minutes. Needs buildah, and root; docker builds it of packages/images/Dockerfile by itself.
// docs/DEPLOYMENT.md tells what is done with it.
//   npm run pack:images -- --executable arm64     compiles the executable for that processor alone, into build/images
//   npm run pack:images -- --partial              also executables without TLS or without compression
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, relative } from 'node:path';
import { parseArgs } from 'node:util';
import {
  architectures,
  imagesIn,
  needImages,
  prepareExecutable,
  Store,
  shellImage,
  sizesText,
  stageExecutables,
} from './lib/images.mjs';
import { at, SetupError } from './lib/project.mjs';
import { Progress } from './lib/run.mjs';
import { main, setup } from './lib/setup.mjs';

await main(async () => {
  const { values } = parseArgs({
    options: {
      executable: { type: 'string' },
      partial: { type: 'boolean', default: false },
    },
  });
  const chosen = choose(values.executable);
  if (values.executable === undefined) needImages();
  const { zig } = await setup({ engine: false, quiet: true });
  const progress = new Progress();
  const options = { isPartial: values.partial };
  for (const architecture of chosen) await prepareExecutable(architecture, zig, progress, options);
  if (values.executable === undefined) await pack(progress);
});

function choose(name) {
  const chosen = architectures.filter((one) => name === undefined || one.name === name);
  if (chosen.length > 0) return chosen;
  const known = architectures.map((one) => one.name).join(' and ');
  throw new SetupError(`there is no image for "${name}"; there are those for ${known}`);
}

async function pack(progress) {
  const to = at('build', 'images', 'gyrfalcon');
  const folder = mkdtempSync(join(tmpdir(), 'gyrfalcon-images-'));
  const store = new Store(join(folder, 'store'));
  try {
    const context = join(folder, 'context');
    stageExecutables(context);
    await progress.work('images: buildah', async () => {
      const file = join(context, 'packages', 'images', 'Dockerfile');
      // There is nothing to compile: a shell is enough.
      const args = { BUILDER: await shellImage(store, join(folder, 'shell')) };
      await store.build({ name: 'gyrfalcon', context, file, args });
      await store.save('gyrfalcon', to);
    });
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
  console.log(`${relative('', to)}\n${sizesText(await imagesIn(to))}`);
}
