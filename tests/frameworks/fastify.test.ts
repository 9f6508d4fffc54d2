import { compareApp } from './compare.ts';

await compareApp('fastify.ts');
