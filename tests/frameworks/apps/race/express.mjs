// Express for the race, on Gyrfalcon and on node:http.
import express from 'express';
import { list } from '../../../../bench/peers/work.mjs';

export const node = express()
  .disable('etag')
  .disable('x-powered-by')
  .get('/', (_req, res) => res.type('text/plain').send('Hello, World!'))
  .get('/json', (_req, res) => res.json(list()))
  .get('/users/:id', (req, res) =>
    res.json({ id: req.params.id, page: req.query.page, sort: req.query.sort }),
  )
  .post('/echo', express.raw(), (req, res) => res.type('text/plain').send(req.body));

export const listen = (port) => node.listen(port, '127.0.0.1', 2048);
