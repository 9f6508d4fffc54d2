// Another Node.js than the one at hand for a program of this folder.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { nodeOf } from '../../scripts/lib/nodes.mjs';
import { Progress } from '../../scripts/lib/run.mjs';

/**
 * Runs a program again under the latest Node.js of a major version, which comes from npm, and ends as that does. Returns
 * where this is that version already.
 *
 * @param {number} major
 * @param {string} program  its path
 * @param {string[]} args
 */
export async function runUnder(major, program, args) {
  if (process.versions.node.split('.')[0] === String(major)) return;
  const node = await nodeOf(String(major), new Progress());
  const child = spawn(node, [program, ...args], { stdio: 'inherit' });
  process.once('exit', () => child.kill());
  const [code] = await once(child, 'exit');
  process.exit(code ?? 1);
}
