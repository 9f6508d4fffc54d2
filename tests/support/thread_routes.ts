/** Routes of handlers that say which thread they are on, end it, and block it. */
import { threadId } from 'node:worker_threads';
import { Response } from 'gyrfalcon';

const never = () => new Promise<Response>(() => {});

/** Keeps the thread for so long, ms. */
export function block(ms: number): void {
  const end = performance.now() + ms;
  while (performance.now() < end);
}

export const threadRoutes = {
  '/constant': new Response('constant'),
  '/thread': () => new Response(String(threadId)),
  '/hang': never,
  '/exit': () => {
    setTimeout(() => process.exit(3), 10);
    return never();
  },
  '/throw-later': () => {
    setTimeout(() => {
      throw new Error('nobody catches this');
    }, 1);
    return never();
  },
  '/block/:ms': ({ params }: { params: { ms: string } }) => {
    block(Number(params.ms));
    return new Response('blocked');
  },
};
