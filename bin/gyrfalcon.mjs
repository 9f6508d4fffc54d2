#!/usr/bin/env node
// The `gyrfalcon` command. In a checkout it first builds what is missing or stale; GYRFALCON_SETUP=0 leaves that out. An
// installed package has nothing to build with.
import { existsSync } from 'node:fs';

const setup = new URL('../scripts/lib/setup.mjs', import.meta.url);
const { node } = process.versions;

if (Number.parseInt(node, 10) < 20) {
  // Nothing of dist/ is imported: how much of it an old Node.js can read is not known.
  const cure = 'get one from https://nodejs.org/';
  console.error(
    `error: Gyrfalcon needs Node.js 20 or later, and this is ${node} (${cure}) [GYR_NODE_TOO_OLD]`,
  );
  process.exitCode = 1;
} else if (existsSync(setup) && process.env.GYRFALCON_SETUP !== '0') {
  const scripts = await import(setup.href);
  await scripts.main(() => scripts.setup({ quiet: true }));
}
if (process.exitCode === undefined) await import('../dist/cli/main.js');
