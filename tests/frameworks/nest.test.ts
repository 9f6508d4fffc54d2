import { compareApp } from './compare.ts';

await compareApp('nest.ts');
