import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import * as assert from 'uvu/assert';
import { project } from '../support/process.ts';

/**
 * The client that is written in Go: the test run has built it. A test file by itself builds it into `folder`, which takes
 * a while the first time.
 */
export function goClient(folder: string): string {
  const built = process.env.GYRFALCON_GO_CLIENT;
  if (built !== undefined) return built;
  const output = join(folder, 'client');
  const source = project('tests', 'clients', 'fixtures', 'go', 'main.go');
  const { status, stderr } = spawnSync('go', ['build', '-o', output, source], {
    encoding: 'utf8',
    env: { ...process.env, GOFLAGS: '-mod=mod' },
  });
  assert.is(status, 0, `go build: ${stderr}`);
  return output;
}
