// Hono for the race, on Gyrfalcon and on @hono/node-server.
import { serve } from '@hono/node-server';
import { Hono } from 'hono';

const app = new Hono().get('/', (c) => c.text('Hello, World!'));

export const { fetch } = app;
export const listen = (port) => serve({ fetch, port, hostname: '127.0.0.1' });
