// `npm run test:io`: the black-box suite, once on each backend that this system has beside the one that is taken by
// itself.
//   npm run test:io -- io_uring --filter faults   one backend; other arguments are those of npm test
//   npm run test:io -- kqueue                     kqueue on Linux, in a copy of the project (lib/kqueue.mjs)
//   npm run test:io -- iocp                       executables of Windows, under wine where that is installed
//   npm run test:io -- inline                     not a backend, but the inline mode, of what TypeScript serves; GYRFALCON_IO
//                                                 names the backend
//   npm run test:io -- --smoke                    one test file: that the backend is there and runs
import { parseArgs } from 'node:util';
import { at, root, SetupError } from './lib/project.mjs';
import { run } from './lib/run.mjs';
import { main } from './lib/setup.mjs';

/** The stages of npm test that each of them is. */
const stages = {
  io_uring: 'io_uring',
  epoll: 'blackbox',
  kqueue: 'kqueue',
  iocp: 'wine',
  inline: 'inline',
};

await main(async () => {
  const { values, positionals } = parseArgs({
    options: { filter: { type: 'string' }, smoke: { type: 'boolean', default: false } },
    allowPositionals: true,
  });
  const wrong = positionals.find((name) => !(name in stages));
  if (wrong !== undefined)
    throw new SetupError(
      `No backend is called ${wrong}: there are ${Object.keys(stages).join(', ')}`,
    );
  const filter = values.smoke ? 'io/choice' : values.filter;
  for (const backend of positionals.length > 0 ? positionals : ['io_uring']) {
    const args = ['--only', stages[backend]];
    if (filter !== undefined) args.push('--filter', filter);
    console.log(`\n=== ${backend}`);
    const { code } = await run(process.execPath, [at('scripts', 'test.mjs'), ...args], {
      cwd: root,
      echo: true,
      env: backend === 'inline' ? process.env : { ...process.env, GYRFALCON_IO: backend },
    });
    if (code !== 0) process.exitCode = 1;
  }
});
