import { compareApp } from './compare.ts';

await compareApp('elysia.ts');
