/**
 * A registry of this machine that has the packages of this checkout, with the engine for this system, until it is ended: to
 * try by hand what npm makes of them.
 *
 *   node --import ./scripts/ts.mjs tests/packages/serve.ts
 */
import { packAll } from './packed.ts';
import { Registry } from './registry.ts';
import { withRegistry } from './tools.ts';

await withRegistry(async () => {
  const packed = await packAll();
  const registry = await Registry.start();
  const end = (): void => {
    registry.stop().then(() => process.exit(0));
  };
  process.once('SIGINT', end);
  process.once('SIGTERM', end);
  await registry.publish(packed.map(({ file }) => file));
  console.log(`${registry.url} has the packages. In a folder that is empty:\n`);
  console.log(`  npm install --registry ${registry.url} gyrfalcon`);
});
