/** Importing this before all else lets an old Node.js hear what it is too old for. */
import { checkNode } from './node_version.ts';

checkNode();
