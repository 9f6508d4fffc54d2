// Elysia for the race, on Gyrfalcon and on @hono/node-server (on srvx it answers in chunks).
import { serve } from '@hono/node-server';
import { Elysia } from 'elysia';

const app = new Elysia().get('/', () => 'Hello, World!');

export const fetch = (request) => app.fetch(request);
export const listen = (port) => serve({ fetch, port, hostname: '127.0.0.1' });
