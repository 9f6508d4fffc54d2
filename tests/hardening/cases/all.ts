import type { Case } from '../case.ts';
import { chunks } from './chunks.ts';
import { framing } from './framing.ts';

/** The whole table. */
export const cases: readonly Case[] = [...framing, ...chunks];

/** The name of every case, for documents that refer to them. */
export const caseNames: readonly string[] = cases.map(({ name }) => name);
