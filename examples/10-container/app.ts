/**
 * An app as it runs in a container: two paths for who looks after it, one for everybody else. The Dockerfile beside it makes
 * an image of it, compose.yaml and kubernetes.yaml run that (docs/DEPLOYMENT.md).
 *
 *     npx gyrfalcon start examples/10-container/app.ts
 *
 *     curl http://localhost:3000/
 *     curl http://localhost:3000/livez
 *     curl http://localhost:3000/readyz
 */
import type { ServeOptions } from 'gyrfalcon';

/** Who this app cannot do without, a database say, is asked here. */
const isReady = (): boolean => true;

export default {
  routes: {
    '/': () => new Response('Hello from a container\n'),

    // A function and no constant: constants are the engine's, who answers them when JavaScript no longer does.
    '/livez': () => new Response('alive\n'),

    // A 503 keeps new clients away, and restarts nothing.
    '/readyz': () =>
      isReady() ? new Response('ready\n') : new Response('not ready\n', { status: 503 }),
  },
} satisfies ServeOptions;
