/**
 * Runs the README: each TypeScript and Zig block is a server, and each command in the console block after it gives what
 * the block says.
 */
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import {
  lacks,
  listening,
  project,
  type RunningServer,
  start,
  startApp,
  startCommand,
  stopAll,
} from '../support/process.ts';
import { testUnless } from '../support/skip.ts';
import { within } from '../support/wait.ts';

/** A block of the README that is a program, and the commands that are tried on it. */
interface Snippet {
  heading: string;
  language: string;
  code: string;
  commands: { command: string; output: string }[];
}

const test = suite('README');
const text = readFileSync(project('README.md'), 'utf8');
const folder = project('build', 'readme');
const withoutCurl = lacks('curl');

test.before(() => {
  mkdirSync(folder, { recursive: true });
});
test.after(async () => {
  await stopAll();
  rmSync(folder, { recursive: true, force: true });
});

const snippets = snippetsOf(text);

for (const [index, snippet] of snippets.entries()) {
  const name = `"${snippet.heading}" (${snippet.language}) does what it says`;
  testUnless(test, withoutCurl, name, async () => {
    const server = await startSnippet(snippet, index);
    for (const { command, output } of snippet.commands) {
      const words = command.split(' ').map((word) => word.replace(/^'(.*)'$/, '$1'));
      const args = words
        .slice(1)
        .map((word) => word.replace(/localhost:3000/, `127.0.0.1:${server.port}`));
      const { stdout } = spawnSync('curl', ['-s', '--max-time', '10', ...args], {
        encoding: 'utf8',
      });
      assert.is(stdout.trimEnd(), output, command);
    }
    const { code, signal } = await server.stop();
    assert.ok(code === 0 || signal === 'SIGTERM', server.stderr());
  });
}

test('every program in the README is followed by commands that try it', () => {
  assert.ok(snippets.length >= 4);
  for (const { heading, commands } of snippets) assert.ok(commands.length > 0, heading);
});

test('the npm scripts and commands it names exist', async () => {
  const { scripts } = JSON.parse(readFileSync(project('package.json'), 'utf8'));
  for (const [, name] of text.matchAll(/\bnpm (start|test|run [\w:]+)/g)) {
    assert.ok((name?.replace('run ', '') ?? '') in scripts, name);
  }
  for (const [, name] of text.matchAll(/\bgyrfalcon (\w+) (?:app\.ts|--help)/g)) {
    const running = startCommand([name as string, '--help']);
    assert.is((await within(running.ended, `${name} --help`)).code, 0, name);
  }
});

test('the files it links to exist', () => {
  for (const [, path] of text.matchAll(/\]\(([^):]+)\)/g)) {
    assert.ok(existsSync(project(path as string)), path);
  }
});

test.run();

function snippetsOf(markdown: string): Snippet[] {
  const found: Snippet[] = [];
  let heading = '';
  const pattern = /^#+ (.+)$|^```(\w+)\n([\s\S]*?)^```$/gm;
  for (const [, title, language, code = ''] of markdown.matchAll(pattern)) {
    if (title !== undefined) heading = title;
    else if (language === 'ts' || language === 'zig') {
      found.push({ heading, language, code, commands: [] });
    } else if (language === 'console') found.at(-1)?.commands.push(...commandsOf(code));
  }
  return found;
}

function commandsOf(console: string): { command: string; output: string }[] {
  return console
    .split(/^\$ /m)
    .slice(1)
    .map((part) => {
      const [command = '', ...output] = part.trimEnd().split('\n');
      return { command, output: output.join('\n') };
    });
}

/** Starts a snippet on a free port. Its file is in the project, where 'gyrfalcon' is found. */
async function startSnippet({ language, code }: Snippet, index: number): Promise<RunningServer> {
  const file = project('build', 'readme', `snippet-${index}.${language}`);
  writeFileSync(file, code.replace(/\bport(:| =) 3000/, 'port$1 0'));
  if (language === 'zig') return startZigSnippet(file);
  if (/^export default/m.test(code)) return startApp(file);
  return listening(
    start(process.execPath, ['--import', project('dist', 'loader', 'register.js'), file]),
  );
}

async function startZigSnippet(file: string): Promise<RunningServer> {
  const zig = process.env.GYRFALCON_ZIG ?? 'zig';
  const output = file.replace(/\.zig$/, '');
  const args = ['build-exe', '--dep', 'gyrfalcon', `-Mroot=${file}`];
  args.push(`-Mgyrfalcon=${project('zig', 'gyrfalcon.zig')}`, '-lc', `-femit-bin=${output}`);
  args.push('--cache-dir', project('.zig-cache'));
  const building = start(zig, args);
  const { code } = await within(building.ended, 'the Zig snippet', 110_000);
  assert.is(code, 0, building.stderr());
  return listening(start(output, []));
}
