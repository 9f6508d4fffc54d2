/** The workloads of the race, as those of bench/peers/bun_work.mjs. */
import { defineApp } from 'gyrfalcon';
import { routes } from '../peers/work.mjs';
import { limits } from './limits.ts';

export default defineApp({ ...limits, routes, fetch: () => new Response('Hello, World!') });
