import { compareApp } from './compare.ts';

await compareApp('h3.ts');
