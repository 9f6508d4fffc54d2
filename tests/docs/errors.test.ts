import { readdirSync, readFileSync } from 'node:fs';
import { ERROR_CODES } from 'gyrfalcon';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
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

test.run();
