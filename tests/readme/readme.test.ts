/**
 * Runs the README and the guides: each TypeScript and Zig block is a server, and each command in the console block after it
 * gives what the block says; output that begins with `…` is the end of what is printed. The place of `wscat` is taken by a
 * client that has its words.
 */
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { WebSocket } from 'undici';
import * as assert from 'uvu/assert';
import { loadEngine } from '../../ts/src/bridge/engine.ts';
import { type BrokerKind, noBroker, TestBroker } from '../support/brokers.ts';
import { Authority, noTls } from '../support/certificates.ts';
import {
  anyLine,
  lacks,
  listening,
  loader,
  project,
  type RunningServer,
  start,
  startApp,
  startCommand,
  stopAll,
} from '../support/process.ts';
import { sideBySide } from '../support/side_by_side.ts';
import { testUnless } from '../support/skip.ts';
import { within } from '../support/wait.ts';

/** A block of a page that is a program, and the commands that are tried on it. */
interface Snippet {
  page: string;
  heading: string;
  language: string;
  code: string;
  commands: { command: string; output: string }[];
}

const test = sideBySide('README', 3);
const pages = [
  'README.md',
  'docs/HTTP2.md',
  'docs/WEBSOCKET.md',
  'docs/BROKERS.md',
  'docs/DIAGNOSTICS.md',
];
const textOf = (page: string): string => readFileSync(project(page), 'utf8');
const text = textOf('README.md');
const folder = project('build', 'readme');
const withoutCurl = lacks('curl');
/** Whose certificate a snippet's `./localhost.pem` is. */
const authority = noTls === undefined ? new Authority() : undefined;
const noDeflate = loadEngine().hasDeflate
  ? undefined
  : 'the engine has no compression in it (npm run build:deflate)';
const issued = authority?.issue(['localhost', '127.0.0.1']);

/** Those that snippets publish by. */
const brokers = new Map<BrokerKind, TestBroker>();

test.before(async () => {
  for (const kind of ['redis', 'nats'] as const) {
    if (noBroker[kind] !== undefined) continue;
    const broker = TestBroker.of(kind);
    brokers.set(kind, broker);
    await broker.start();
  }
  mkdirSync(folder, { recursive: true });
});
test.after(async () => {
  await stopAll();
  for (const broker of brokers.values()) await broker.remove();
  rmSync(folder, { recursive: true, force: true });
  authority?.remove();
});

const snippets = pages.flatMap((page) => snippetsOf(page, textOf(page)));

for (const [index, snippet] of snippets.entries()) {
  const name = `${snippet.page}: "${snippet.heading}" (${snippet.language}) does what it says`;
  const { code } = snippet;
  const lack =
    withoutCurl ??
    (code.includes('./localhost.pem') ? noTls : undefined) ??
    (code.includes('perMessageDeflate') ? noDeflate : undefined) ??
    (code.includes('redisBroker') ? noBroker.redis : undefined) ??
    (code.includes('natsBroker') ? noBroker.nats : undefined);
  testUnless(test, lack, name, async () => {
    const server = await startSnippet(snippet, index);
    for (const { command, output } of snippet.commands) {
      const words = command.split(' ').map((word) => word.replace(/^'(.*)'$/, '$1'));
      const args = words
        .slice(1)
        .map((word) => word.replace(/localhost:3000/, `127.0.0.1:${server.port}`));
      const stdout = words[0] === 'wscat' ? await wscat(args) : await curl(args);
      if (output.startsWith('…\n')) assert.ok(stdout.trimEnd().endsWith(output.slice(1)), stdout);
      else assert.is(stdout.trimEnd(), output, command);
    }
    const { code, signal } = await server.stop();
    assert.ok(code === 0 || signal === 'SIGTERM', server.stderr());
  });
}

test('every program of a page is followed by commands that try it', () => {
  for (const page of pages) {
    const own = snippets.filter((snippet) => snippet.page === page);
    assert.ok(own.length >= 1, page);
    for (const { heading, commands } of own) assert.ok(commands.length > 0, `${page}: ${heading}`);
  }
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

test('the files that pages link to exist', () => {
  for (const page of pages) {
    for (const [, path] of textOf(page).matchAll(/\]\(([^):#]+)(?:#[^)]*)?\)/g)) {
      assert.ok(existsSync(join(dirname(project(page)), path as string)), `${page}: ${path}`);
    }
  }
});

test.run();

async function curl(args: string[]): Promise<string> {
  const running = start('curl', ['-s', '--max-time', '10', ...args]);
  await running.ended;
  return running.stdout();
}

/** `-c URL -x TEXT`: sends the text, and gives the first message that comes. */
async function wscat([, url = '', , text = '']: string[]): Promise<string> {
  const socket = new WebSocket(url);
  const came = new Promise<string>((resolve, reject) => {
    socket.addEventListener('open', () => socket.send(text));
    socket.addEventListener('message', ({ data }) => resolve(String(data)));
    socket.addEventListener('error', () => reject(new Error(`${url}: no WebSocket`)));
  });
  try {
    return await within(came, `a message from ${url}`);
  } finally {
    socket.close();
  }
}

function snippetsOf(page: string, markdown: string): Snippet[] {
  const found: Snippet[] = [];
  let heading = '';
  const pattern = /^#+ (.+)$|^```(\w+)\n([\s\S]*?)^```$/gm;
  for (const [, title, language, code = ''] of markdown.matchAll(pattern)) {
    if (title !== undefined) heading = title;
    else if (language === 'ts' || language === 'zig') {
      found.push({ page, heading, language, code, commands: [] });
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
  const placed = code
    .replace(/\bport(:| =) 3000/, 'port$1 0')
    .replace('./localhost.pem', String(issued?.certFile))
    .replace('./localhost.key', String(issued?.keyFile))
    .replace(
      "url: 'redis://localhost:6379'",
      `socket: { path: '${brokers.get('redis')?.place}', tls: false }`,
    )
    .replace('localhost:4222', `${brokers.get('nats')?.place}`)
    .replace("'./grpc.ts'", JSON.stringify(project('examples', '07-grpc', 'grpc.ts')));
  writeFileSync(file, placed);
  if (language === 'zig') return startZigSnippet(file);
  if (/^export default/m.test(code)) return startApp(file);
  return listening(start(process.execPath, [...loader, file]), undefined, anyLine);
}

async function startZigSnippet(file: string): Promise<RunningServer> {
  const zig = process.env.GYRFALCON_ZIG ?? 'zig';
  const output = file.replace(/\.zig$/, '');
  const args = ['build-exe', '--dep', 'gyrfalcon', `-Mroot=${file}`];
  args.push(`-Mgyrfalcon=${project('zig', 'gyrfalcon.zig')}`, '-lc', `-femit-bin=${output}`);
  args.push('--cache-dir', project('.zig-cache'));
  const building = start(zig, args);
  const { code } = await within(building.ended, 'the Zig snippet', 180_000);
  assert.is(code, 0, building.stderr());
  return listening(start(output, []));
}
