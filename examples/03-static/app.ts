/**
 * A static site: the engine serves the folder by itself, with types, validators, ranges and index files; a handler
 * beside it answers one route.
 *
 *     npx gyrfalcon start examples/03-static/app.ts
 *
 *     curl -i http://localhost:3000/
 *     curl -i -H 'Range: bytes=0-9' http://localhost:3000/style.css
 */
import { fileURLToPath } from 'node:url';
import { dir, type ServeOptions } from 'gyrfalcon';

// Relative to this file: a relative path would be taken from where the command is run.
const folder = fileURLToPath(new URL('./public', import.meta.url));

export default {
  routes: {
    '/api/time': () => Response.json({ time: Date.now() }),
    '/*': dir(folder),
  },
} satisfies ServeOptions;
