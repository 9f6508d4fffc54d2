/**
 * Hello: a constant answer, a handler, parameters and JSON.
 *
 *     npm start                                    sets everything up first
 *     npx gyrfalcon start examples/01-hello/app.ts
 *
 *     curl http://localhost:3000/
 *     curl http://localhost:3000/time
 *     curl http://localhost:3000/hello/Ada
 *     curl http://localhost:3000/sum -d '{"numbers": [1, 2, 3]}'
 */
import { defineApp } from 'gyrfalcon';

export default defineApp({
  routes: {
    // A Response in the table is a constant: the engine answers it, JavaScript is not asked.
    '/': new Response('Hello from Gyrfalcon\n'),

    '/time': () => new Response(`${new Date().toISOString()}\n`),

    // `req.params` has a property for each parameter of the pattern, and TypeScript knows which.
    '/hello/:name': (req) => Response.json({ hello: req.params.name }),

    '/sum': {
      POST: async (req) => {
        const { numbers } = (await req.json()) as { numbers: number[] };
        return Response.json({ sum: numbers.reduce((sum, number) => sum + number, 0) });
      },
    },
  },

  // Everything that no route takes.
  fetch: (req) => new Response(`Nothing at ${new URL(req.url).pathname}\n`, { status: 404 }),

  // What a handler throws, or rejects with.
  error: (error) => Response.json({ error: error.message }, { status: 400 }),
});
