// `npm run bootstrap`: sets the project up and runs the main example. With --no-start it only sets up (`npm run build`).
import { main, setup } from './lib/setup.mjs';

await main(async () => {
  const args = process.argv.slice(2);
  await setup();
  if (args.includes('--no-start')) return;
  await import('./start.mjs');
});
