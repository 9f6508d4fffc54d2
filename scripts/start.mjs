// `npm start`: sets the project up, then runs the main example. Options go to `gyrfalcon start`:
// `npm start -- --port 8080`.
import { at } from './lib/project.mjs';
import { main, setup } from './lib/setup.mjs';

await main(async () => {
  await setup();
  process.argv.splice(2, 0, 'start', at('examples', '01-hello', 'app.ts'));
  await import('../dist/cli/main.js');
});
