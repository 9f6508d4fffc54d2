import { compareApp } from './compare.ts';

await compareApp('connect.ts');
