import { readdirSync, readFileSync } from 'node:fs';
import { ERROR_CODES } from 'gyrfalcon';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { PROTOCOL_ERRORS } from '../../ts/src/bridge/abi.gen.ts';
import { project } from '../support/process.ts';

const test = suite('docs/ERRORS.md');
const text = readFileSync(project('docs', 'ERRORS.md'), 'utf8');
const documented = [...text.matchAll(/^### (GYR_\w+)$/gm)].map((match) => match[1]).sort();

test('it has every code, and no other', () => {
  assert.equal(documented, Object.keys(ERROR_CODES).sort());
});

test('the Zig sources use no code that is not in it', () => {
  const sources = readdirSync(project('zig'), { recursive: true, encoding: 'utf8' });
  for (const name of sources.filter((path) => path.endsWith('.zig'))) {
    for (const [code] of readFileSync(project('zig', name), 'utf8').matchAll(/GYR_[A-Z_]+[A-Z]/g)) {
      assert.ok(documented.includes(code), `${name}: ${code}`);
    }
  }
});

/** Every `code` of zig/http/problem.zig with its status; "–" where there is no answer. */
function statuses(): Map<string, string> {
  const source = readFileSync(project('zig', 'http', 'problem.zig'), 'utf8');
  const body = /pub fn statusOf\(.*?\{(.*?)\n\}\n/s.exec(source)?.[1] ?? '';
  const found = new Map<string, string>();
  for (const [, codes, status] of body.matchAll(/((?:\s*\.\w+,?)+)\s*=> (\d+),/g)) {
    for (const [, code] of codes!.matchAll(/\.(\w+)/g)) {
      found.set(code!, status === '0' ? '–' : status!);
    }
  }
  return found;
}

test('its table has every protocol error, in order, with the status and the words that clients see', () => {
  const rows = [...text.matchAll(/^\| `(\w+)` +\| (\S+) +\| (.+) \|$/gm)];
  const status = statuses();
  assert.equal(
    rows.map(([, ...cells]) => cells),
    [...PROTOCOL_ERRORS.values()].map(([code, words]) => [code, status.get(code), words]),
  );
});

test.run();
