#!/usr/bin/env node
// The `gyrfalcon` command. In a checkout it first builds what is missing or stale; GYRFALCON_SETUP=0 leaves that out.
import { existsSync } from 'node:fs';

const setup = new URL('../scripts/lib/setup.mjs', import.meta.url);

if (existsSync(setup) && process.env.GYRFALCON_SETUP !== '0') {
  const scripts = await import(setup.href);
  await scripts.main(() => scripts.setup({ quiet: true }));
}
if (process.exitCode === undefined) await import('../dist/cli/main.js');
