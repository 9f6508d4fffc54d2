// Fastify for the race, on Gyrfalcon and on node:http.
import Fastify from 'fastify';
import { list } from '../../../../bench/peers/work.mjs';

export const node = Fastify();
node.addContentTypeParser('application/octet-stream', { parseAs: 'buffer' }, (_req, body, done) =>
  done(null, body),
);
node.get('/', (_request, reply) => reply.type('text/plain').send('Hello, World!'));
node.get('/json', (_request, reply) => reply.send(list()));
node.get('/users/:id', ({ params, query }, reply) =>
  reply.send({ id: params.id, page: query.page, sort: query.sort }),
);
node.post('/echo', ({ body }, reply) => reply.type('text/plain').send(body));

export const listen = (port) => node.listen({ port, host: '127.0.0.1', backlog: 2048 });
