import { Hono } from 'hono';

const app = new Hono();

app.get('/', (c) => c.text('Hello from Hono\n'));

app.get('/hello/:name', (c) => c.json({ hello: c.req.param('name') }));

app.notFound((c) => c.text('Not found\n', 404));

export default app;
