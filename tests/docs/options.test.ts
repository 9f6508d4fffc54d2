import * as assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'uvu';
import { project } from '../support/process.ts';

/** Name and `@default` of each option, as the interfaces declare them. */
function declared(): Map<string, string> {
  const options = new Map<string, string>();
  for (const [file, name] of [
    ['server.ts', 'HandlerOptions'],
    ['options.ts', 'ServeOptions'],
    ['dir.ts', 'DirOptions'],
  ]) {
    const source = readFileSync(project('ts/src/server', file as string), 'utf8');
    const body = new RegExp(`export interface ${name}[^{]*\\{\\n(.*?)\\n\\}`, 's').exec(
      source,
    )?.[1];
    assert.ok(body, `${name} was found in ${file}`);
    for (const match of body.matchAll(/\/\*\*(.*?)\*\/\n {2}(\w+)\?:/gs)) {
      const comment = (match[1] as string).replace(/\s*\n\s*\*\s*/g, ' ').trim();
      options.set(match[2] as string, /@default (.*)$/.exec(comment)?.[1]?.trim() ?? '');
    }
  }
  return options;
}

/** First two columns of each table row that begins with an option. */
function documented(): Map<string, string> {
  const page = readFileSync(project('docs/OPTIONS.md'), 'utf8');
  const rows = page.matchAll(/^\| `(\w+)`\s*\|\s*(.*?)\s*\|/gm);
  return new Map([...rows].map((row) => [row[1] as string, row[2] as string]));
}

test('docs/OPTIONS.md has every option of serve() and dir() with its default, and no other', () => {
  const options = declared();
  assert.ok(options.size > 20, 'the interface was found');
  assert.deepEqual(
    Object.fromEntries([...documented()].sort()),
    Object.fromEntries([...options].sort()),
  );
});

test.run();
