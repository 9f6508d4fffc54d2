import { compareApp } from './compare.ts';

await compareApp('express.ts');
