import type { Case } from '../case.ts';
import { chunks } from './chunks.ts';
import { framing } from './framing.ts';
import { limits } from './limits.ts';
import { lines } from './lines.ts';
import { paths } from './paths.ts';
import { pipelines } from './pipelines.ts';
import { targets } from './targets.ts';

/** The whole table. */
export const cases: readonly Case[] = [
  ...framing,
  ...chunks,
  ...lines,
  ...targets,
  ...pipelines,
  ...limits,
  ...paths,
];

/** The name of every case, for documents that refer to them. */
export const caseNames: readonly string[] = cases.map(({ name }) => name);
