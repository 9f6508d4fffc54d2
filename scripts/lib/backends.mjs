// The backends of this system beside the one that servers have where they ask for none.
import { pathToFileURL } from 'node:url';
import { enginePath } from './build.mjs';
import { at, root } from './project.mjs';
import { run } from './run.mjs';

/** What `npm test` runs on each of them: that it is there, and what has once been broken. */
export const smoke = /^tests\/(?:io|regression)\//;

const program = `
  const { serve } = await import(${JSON.stringify(pathToFileURL(at('dist', 'index.js')).href)});
  serve({
    port: 0,
    hostname: '127.0.0.1',
    workers: 1,
    log: 'silent',
    io: process.argv[1],
    fetch: () => new Response(''),
    onListen: (info, server) => {
      if (info.backend !== process.argv[1]) console.log('lacks:', info.backendReason);
      server.stop(true);
    },
  });
`;

/** Why `backend` cannot be had here, in the server's own words; null when it can. */
export async function lackOf(backend) {
  const args = ['--input-type=module', '--eval', program, backend];
  const env = { ...process.env, GYRFALCON_ENGINE: enginePath, GYRFALCON_SETUP: '0' };
  const { code, output } = await run(process.execPath, args, { cwd: root, env });
  if (code !== 0) throw new Error(`no server starts with io: '${backend}'\n${output}`);
  return /^lacks: (.*)$/m.exec(output)?.[1] ?? null;
}
