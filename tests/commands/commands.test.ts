import { readdirSync, readFileSync } from 'node:fs';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { project } from '../support/process.ts';
import { testUnless } from '../support/skip.ts';
import { commandsOf } from './markdown.ts';
import { readPages } from './pages.ts';
import { rowOf, rows } from './table.ts';

// What the stage `commands` runs is all that Markdown names, and all programs that are to be run are named.

const test = suite('commands');
const { names, commands, strays } = readPages();
const why =
  names.length === 0 ? 'this is no git clone: which pages are its own is unknown' : undefined;
const check = (name: string, body: () => void): void => testUnless(test, why, name, body);

function none(found: string[]): void {
  assert.ok(found.length === 0, found.join('\n'));
}

check('every command that Markdown names has a form in which the tests run it', () => {
  assert.ok(commands.size > 30, 'the commands were found');
  const unknown = [...commands.values()].filter(({ text }) => rowOf(text) === undefined);
  none(
    unknown.map(({ where, text }) => `${where}: tests/commands/table.ts has no row for: ${text}`),
  );
});

check(
  'no command stands where it would not be found: it belongs in a block of the language sh',
  () => {
    none([...strays]);
  },
);

check('every row of the table is for a command that Markdown names', () => {
  const used = new Set([...commands.keys()].map(rowOf));
  none(rows.filter((row) => !used.has(row)).map(({ pattern }) => `nothing matches ${pattern}`));
});

check('every script of package.json is named', () => {
  const { scripts } = JSON.parse(readFileSync(project('package.json'), 'utf8'));
  const isNamed = (script: string): boolean => {
    const call = ['start', 'test'].includes(script) ? `npm ${script}` : `npm run ${script}`;
    return [...commands.keys()].some((text) => text === call || text.startsWith(`${call} `));
  };
  none(Object.keys(scripts).filter((script) => !isNamed(script)));
});

check('every program below scripts/ and bench/ is named, or is a script of package.json', () => {
  const { scripts } = JSON.parse(readFileSync(project('package.json'), 'utf8'));
  const calls = [...commands.keys(), ...Object.values<string>(scripts)];
  const programs = ['scripts', 'bench', 'bench/micro'].flatMap((folder) =>
    readdirSync(project(folder))
      .filter((name) => name.endsWith('.mjs') && name !== 'contenders.mjs')
      .map((name) => `${folder}/${name}`),
  );
  assert.ok(programs.length > 8, 'the programs were found');
  none(programs.filter((path) => !calls.some((call) => call.includes(path))));
});

test('commands are found in shell blocks, consoles and running text, without their comments', () => {
  const page = [
    'Run `npm start`, or',
    '`node a.mjs',
    '--b`; `node:http`, `zig` and `npm` alone are names.',
    '```sh',
    'npm test   # all of them',
    '',
    '# nothing',
    'zig build \\',
    '  check',
    '```',
    '```console',
    '$ curl -d "#1" http://a/',
    'npm is what it said',
    '```',
    '```ts',
    "import { serve } from 'gyrfalcon';",
    '```',
  ].join('\n');
  const strayed: string[] = [];
  const found = commandsOf('a.md', page, (where) => strayed.push(where));
  assert.equal(
    found.map(({ text, where }) => `${where} ${text}`),
    [
      'a.md:5 npm test',
      'a.md:8 zig build check',
      'a.md:12 curl -d "#1" http://a/',
      'a.md:1 npm start',
      'a.md:2 node a.mjs --b',
    ],
  );
  assert.equal(strayed, []);
});

test('a command in a block of another kind is a stray', () => {
  const strayed: string[] = [];
  const page = ['    npm run bench', '```', 'node bench/idle.mjs', '```', '    a list goes on'];
  commandsOf('a.md', page.join('\n'), (where) => strayed.push(where));
  assert.equal(strayed, ['a.md:1', 'a.md:3']);
});

test.run();
