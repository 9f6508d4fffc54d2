import { compareApp } from './compare.ts';

await compareApp('react-router.tsx');
