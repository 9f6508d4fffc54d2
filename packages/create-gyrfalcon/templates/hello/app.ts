import { defineApp } from 'gyrfalcon';

export default defineApp({
  routes: {
    // A Response in the table is a constant: the engine answers it, JavaScript is not asked.
    '/': new Response('Hello\n'),
    '/hello/:name': (req) => Response.json({ hello: req.params.name }),
    '/sum': { POST: async (req) => Response.json(sumOf(await req.json())) },
  },
  // Everything that no route takes.
  fetch: () => new Response('Not found\n', { status: 404 }),
});

/** The sum of what is a list of numbers. */
function sumOf(value: unknown): { sum: number } | { error: string } {
  if (!Array.isArray(value)) return { error: 'a list of numbers, please' };
  return { sum: value.reduce((sum: number, one) => sum + Number(one), 0) };
}
