/** Clients of tests that are written in Go. */
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import * as assert from 'uvu/assert';
import { project } from './process.ts';

/** The folder of each program's source. scripts/lib/stages.mjs builds those that are named here. */
const sources = {
  client: ['tests', 'clients', 'fixtures', 'go'],
  tls_client: ['tests', 'https', 'fixtures', 'go'],
};

/**
 * The path of a program: the test run has built it. A test file by itself builds it into `folder`, which takes a while
 * the first time.
 */
export function goProgram(name: keyof typeof sources, folder: string): string {
  const built = process.env.GYRFALCON_GO_PROGRAMS;
  if (built !== undefined) return join(built, name);
  const output = join(folder, name);
  const source = project(...sources[name], 'main.go');
  const { status, stderr } = spawnSync('go', ['build', '-o', output, source], {
    encoding: 'utf8',
    env: { ...process.env, GOFLAGS: '-mod=mod' },
  });
  assert.is(status, 0, `go build: ${stderr}`);
  return output;
}
