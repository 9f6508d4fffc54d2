import { existsSync, readFileSync } from 'node:fs';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { caseNames } from '../hardening/cases/all.ts';
import { cases as hostileCases } from '../http2/hostile_cases.ts';
import { project } from '../support/process.ts';

const test = suite('docs/CONFORMANCE.md');
const page = readFileSync(project('docs', 'CONFORMANCE.md'), 'utf8');

/** By the key that the page gives it, the file of a test. */
const files = new Map(
  [...page.matchAll(/^\| `(\w+)` \| (\S+) \|$/gm)].map((row) => [
    row[1] as string,
    row[2] as string,
  ]),
);

interface Row {
  line: number;
  /** Section, requirement, what happens here, tests. */
  cells: string[];
}

const rows: Row[] = page.split('\n').flatMap((text, at) => {
  if (!/^\| \d/.test(text)) return [];
  return [{ line: at + 1, cells: text.slice(2, -2).split(' | ') }];
});

/** What a literal that may have `${…}` in it stands for. */
function patternOf(literal: string): RegExp {
  const parts = literal.replace(/\\(.)/g, '$1').split(/\$\{[^}]*\}/);
  return new RegExp(`^${parts.map((part) => part.replace(/[^\w ]/g, '\\$&')).join('.+')}$`);
}

/**
 * A test and its name: `test('…'` (beside others `beside`, `waiting`, `sharing` a server, or `alone`), the same in clear text
 * and over TLS (`both('…'`), or one that is skipped where something is lacking (`testUnless(test, lack, '…'`).
 */
const namedTest =
  /\b(?:test|alone|beside|waiting|sharing|both|testUnless\(test, \w+,)\(?\s*(['"`])((?:\\.|(?!\1)[^\\])*)\1/g;

/** The names of the tests in a file. */
function namesIn(path: string): RegExp[] {
  const text = readFileSync(project(path), 'utf8');
  if (path.endsWith('.zig')) {
    return [...text.matchAll(/^test "((?:\\.|[^"\\])*)"/gm)].map((match) =>
      patternOf(match[1] as string),
    );
  }
  if (path.startsWith('tests/hardening/')) return caseNames.map((name) => patternOf(name));
  if (path.endsWith('/hostile_cases.ts')) return hostileCases.map(({ name }) => patternOf(name));
  return [
    ...[...text.matchAll(namedTest)]
      .map((match) => match[2] as string)
      // A name that is made of others' alone would stand for any.
      .filter((name) => /\w/.test(name.replace(/\$\{[^}]*\}/g, '')))
      .map(patternOf),
    // Rows of a table that the title of one test is made from.
    ...[...text.matchAll(/^ {2}\[\s*'([^']*)',/gm)].map((match) =>
      patternOf(`${match[1]} is refused with \${status} and the connection closes`),
    ),
  ];
}

test('every file that it names is there and is referred to', () => {
  assert.ok(files.size > 20);
  for (const [key, path] of files) {
    assert.ok(existsSync(project(path)), path);
    assert.ok(page.includes(`${key} › `), key);
  }
});

test('every test that it names is there, in the file that it says', () => {
  const names = new Map([...files].map(([key, path]) => [key, namesIn(path)]));
  const wrong = rows.flatMap(({ line, cells }) =>
    (cells[3] ?? '').split('<br>').flatMap((reference) => {
      if (reference === '—') return [];
      const at = reference.indexOf(' › ');
      const known = names.get(reference.slice(0, at))?.some((name) => {
        return name.test(reference.slice(at + 3));
      });
      return known ? [] : [`docs/CONFORMANCE.md:${line}: ${reference}`];
    }),
  );
  assert.ok(wrong.length === 0, wrong.join('\n'));
});

test('every requirement has a test, or says why it has none', () => {
  const wrong = rows.filter(({ cells }) => {
    const [section, requirement, here, tests] = cells;
    if (cells.length !== 4 || !section || !requirement || !here || !tests) return true;
    return tests === '—' && !/\*\*(?:application|not applicable)\*\*/.test(here);
  });
  assert.equal(
    wrong.map(({ line }) => line),
    [],
  );
});

test('no row has been lost', () => {
  assert.ok(rows.length >= 470, `${rows.length} rows`);
});

test.run();
