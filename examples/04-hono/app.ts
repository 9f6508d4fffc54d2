/**
 * A Hono application, as it would be written for any other runtime.
 *
 *     npx gyrfalcon start examples/04-hono/app.ts
 *
 *     curl http://localhost:3000/
 *     curl http://localhost:3000/books
 *     curl http://localhost:3000/books -H 'Content-Type: application/json' -d '{"title": "Emma"}'
 *     curl http://localhost:3000/count
 */
import { Hono } from 'hono';
import { stream } from 'hono/streaming';

interface Book {
  id: number;
  title: string;
}

const books: Book[] = [{ id: 1, title: 'Middlemarch' }];

const app = new Hono();

app.use(async (c, next) => {
  const begun = performance.now();
  await next();
  c.header('Server-Timing', `app;dur=${(performance.now() - begun).toFixed(2)}`);
});

app.get('/', (c) => c.text('Hello from Hono\n'));

app.get('/books', (c) => c.json(books));

app.get('/books/:id', (c) => {
  const book = books.find(({ id }) => id === Number(c.req.param('id')));
  return book === undefined ? c.notFound() : c.json(book);
});

app.post('/books', async (c) => {
  const { title } = await c.req.json<{ title?: unknown }>();
  if (typeof title !== 'string') return c.json({ error: 'title is missing' }, 400);
  const book = { id: books.length + 1, title };
  books.push(book);
  return c.json(book, 201);
});

app.get('/count', (c) =>
  stream(c, async (out) => {
    for (let count = 1; count <= 3; count += 1) await out.write(`${count}\n`);
  }),
);

app.onError((error, c) => c.json({ error: error.message }, 500));

export default app;
