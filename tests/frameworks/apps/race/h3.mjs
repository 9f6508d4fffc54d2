// h3 2 for the race, on Gyrfalcon and on srvx.
import { H3 } from 'h3';
import { serve } from 'srvx';

const app = new H3().get('/', () => 'Hello, World!');

export const { fetch } = app;
export const listen = (port) => serve({ fetch, port, hostname: '127.0.0.1', silent: true });
