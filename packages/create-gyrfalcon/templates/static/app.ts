import { fileURLToPath } from 'node:url';
import { defineApp, dir } from 'gyrfalcon';

/** Beside this file, wherever the server is started from. */
const folder = fileURLToPath(new URL('./public', import.meta.url));

export default defineApp({
  routes: {
    '/api/time': () => Response.json({ time: new Date().toISOString() }),
    // The engine serves the files by itself: types, validators, ranges, index.html.
    '/*': dir(folder),
  },
});
