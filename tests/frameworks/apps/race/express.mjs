// Express for the race, on Gyrfalcon and on node:http.
import express from 'express';

export const node = express()
  .disable('etag')
  .disable('x-powered-by')
  .get('/', (_req, res) => res.type('text/plain').send('Hello, World!'));

export const listen = (port) => node.listen(port, '127.0.0.1', 2048);
