import { compareApp } from './compare.ts';

await compareApp('koa.ts');
