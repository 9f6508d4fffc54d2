// Fastify for the race, on Gyrfalcon and on node:http.
import Fastify from 'fastify';

export const node = Fastify();
node.get('/', (_request, reply) => reply.type('text/plain').send('Hello, World!'));

export const listen = (port) => node.listen({ port, host: '127.0.0.1', backlog: 2048 });
