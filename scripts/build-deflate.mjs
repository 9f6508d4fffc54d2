// `npm run build:deflate`: fetches the sources of zlib-ng to .toolchain/zlib-ng, runs the tests of what is compiled with
// them, and builds the engine with them in it.
import { buildEngine } from './lib/build.mjs';
import { fetchDeflate } from './lib/deflate.mjs';
import { root, SetupError } from './lib/project.mjs';
import { Progress, run, tail } from './lib/run.mjs';
import { main, setup } from './lib/setup.mjs';

await main(async () => {
  const { zig } = await setup({ engine: false });
  const progress = new Progress();
  await fetchDeflate(progress);
  await progress.work('zlib-ng: zig build test-deflate', async () => {
    const { code, output } = await run(zig, ['build', 'test-deflate'], { cwd: root });
    if (code !== 0) throw new SetupError(`the tests of compression fail.\n${tail(output, 40)}`);
  });
  await buildEngine(zig, progress);
});
