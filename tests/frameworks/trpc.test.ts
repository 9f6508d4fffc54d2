import { compareApp } from './compare.ts';

await compareApp('trpc.ts');
