import { compareApp } from './compare.ts';

await compareApp('hono.ts');
