import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { ExplainedAnswer, ExplainedRoute, Explanation } from 'gyrfalcon';
import * as assert from 'uvu/assert';
import { explanationText } from '../../ts/src/cli/explanation_text.ts';
import { project, startApp, startCommand, stopAll } from '../support/process.ts';
import { sideBySide } from '../support/side_by_side.ts';
import { exchange } from '../support/socket.ts';
import { within } from '../support/wait.ts';

const test = sideBySide('gyrfalcon explain', 3);
const fixture = (name: string): string => project('tests', 'cli', 'fixtures', name);

/** What examples/httparena reads as it is imported. */
const data = mkdtempSync(join(tmpdir(), 'gyrfalcon-explain-'));
mkdirSync(join(data, 'static'));
writeFileSync(join(data, 'dataset.json'), '[]');
process.env.DATA_DIR = data;

test.after(async () => {
  await stopAll();
  rmSync(data, { recursive: true });
});

async function run(...args: string[]): Promise<{ code: number | null; out: string; err: string }> {
  const running = startCommand(['explain', ...args]);
  const { code } = await within(running.ended, 'the end of the command', 30_000);
  return { code, out: running.stdout(), err: running.stderr() };
}

async function explained(file: string): Promise<Explanation> {
  const { code, out, err } = await run(file, '--json');
  assert.is(code, 0, err);
  return JSON.parse(out) as Explanation;
}

/** What an explanation says that the server does: status, and who by `x-by` or by Allow. */
function promised(answer: ExplainedAnswer, { routes }: Explanation): [number | null, string] {
  if (answer.by === 'fetch') return [null, 'fetch'];
  if (answer.by === 'engine') return [answer.status, answer.allow ?? ''];
  const { pattern, method, target } = routes[answer.route] as ExplainedRoute;
  if (target.kind === 'files') return [404, '']; // there is no such file
  const status = target.kind === 'constant' ? target.status : 200;
  return [status, `${method ?? '*'} ${pattern}`];
}

test('what it says is what the server does, for every method of every route', async () => {
  const explanation = await explained(fixture('explained.ts'));
  const server = await startApp(fixture('explained.ts'));
  let asked = 0;
  for (const { path, methods } of explanation.routes) {
    for (const [name, answer] of Object.entries(methods)) {
      const method = name === 'other' ? 'PROPFIND' : name;
      const request = `${method} ${path} HTTP/1.1\r\nHost: a\r\n\r\n`;
      const { status, headers } = await exchange(server.port, request, method);
      const [expected, by] = promised(answer, explanation);
      assert.is(status, expected, `${method} ${path}`);
      assert.is(headers.get('x-by') ?? headers.get('allow') ?? '', by, `${method} ${path}`);
      asked += 1;
    }
  }
  assert.ok(asked > 70, `${asked} requests`);
  assert.is((await server.stop()).code, 0);
});

test('JSON has the whole of every kind of route', async () => {
  const { routes, fetch, unusual, warnings, ...rest } = await explained(fixture('explained.ts'));
  assert.equal([rest.version, rest.app, rest.threads], [1, fixture('explained.ts'), 0]);
  assert.ok(rest.mode === 'inline' || rest.mode === 'threads');
  const of = (name: string): ExplainedRoute =>
    routes.find(({ method, pattern }) => `${method ?? '*'} ${pattern}` === name) as ExplainedRoute;
  assert.equal(of('* /').target, {
    kind: 'constant',
    status: 200,
    bytes: 9,
    contentType: 'text/plain;charset=UTF-8',
    etag: '"1"',
    conditions: false,
    ranges: false,
  });
  assert.equal(of('* //%73ite/*').canonical, '/site/*');
  assert.equal(of('* //%73ite/*').target, {
    kind: 'files',
    folder: fixture('site'),
    index: ['index.html'],
    allow: 'GET, HEAD',
    conditions: true,
    ranges: true,
    precompressed: false,
    cacheBytes: 16_777_216,
    maxAge: 60,
    dotfiles: false,
    redirect: true,
  });
  const { target } = of('GET /users/:id');
  assert.is(target.kind, 'javascript');
  if (target.kind !== 'javascript') return;
  assert.equal([target.name, target.file, target.line], ['user', fixture('explained.ts'), 11]);
  assert.ok(target.upgrades);
  assert.equal(
    target.crosses.map(({ part }) => part),
    ['head', 'path', 'query', 'parameters', 'body', 'client', 'upgrade'],
  );
  assert.equal(target.parameters, ['id']);
  assert.equal(of('GET /users/:id').yieldsTo, []);
  assert.equal(of('GET /users/*').yieldsTo, ['/users/:id', '/users/:name/*', '/users', '/users/']);
  assert.is(fetch, null);
  assert.equal(unusual['OPTIONS *'], { by: 'engine', status: 404, allow: null });
  assert.equal(warnings, [
    'GET of /users/* is never reached: /users/:id, /users/:name/*, /users, /users/ take all that it would answer',
  ]);
});

test('the text names each route, who answers, and what crosses the ring', async () => {
  const { code, out, err } = await run(fixture('explained.ts'));
  assert.equal([code, err], [0, '']);
  assert.match(out, /^\S*explained\.ts: 13 routes\. Engine workers /);
  assert.match(out, /\nwarning: GET of \/users\/\* is never reached: /);
  assert.match(
    out,
    '\n/\n  every method  constant, by the engine: 200, 9 bytes of text/plain;charset=UTF-8, ETag "1"\n',
  );
  assert.match(
    out,
    /\n\/users\/:id\n {2}GET, HEAD {5}JavaScript: user, tests\/cli\/fixtures\/explained\.ts:11:\d+; with parameters id\n/,
  );
  assert.match(out, '\n/posted\n  POST          constant, by the engine: 202');
  assert.match(out, '\n  others        405 by the engine, Allow: POST\n');
  assert.match(
    out,
    '\n//%73ite/* (/site/*)\n  every method  files, by the engine: tests/cli/fixtures/site, index index.html',
  );
  assert.match(out, '\neverything else\n  every method  404 by the engine\n');
  assert.match(
    out,
    /\nWhat crosses the ring to JavaScript, of each request:\n {2}head +the request line/,
  );
});

test('docs/EXPLAIN.md shows what it prints', async () => {
  const page = readFileSync(project('docs', 'EXPLAIN.md'), 'utf8');
  const shown = /```console\n\$ npx gyrfalcon explain (\S+)\n(.*?)```/s.exec(page);
  const { out } = await run(shown?.[1] as string);
  // The machine decides how the workers run.
  const settled = (text: string) => text.replace(/workers .*? \(.*?\)/, 'workers');
  assert.is(settled(out), settled(shown?.[2] as string));
});

const examples = readdirSync(project('examples'))
  .map((name) => project('examples', name, 'app.ts'))
  .filter((file) => existsSync(file));

for (const file of examples) {
  test(`it explains ${file.slice(project('examples').length + 1)}`, async () => {
    const explanation = await explained(file);
    const { routes, fetch, warnings } = explanation;
    assert.ok(routes.length > 0 || fetch !== null);
    assert.equal(warnings, []);
    for (const { target } of [...routes, ...(fetch === null ? [] : [{ target: fetch }])]) {
      if (target.kind !== 'javascript') continue;
      assert.ok(existsSync(target.file ?? ''), `${target.name} is in ${target.file}`);
    }
    const text = explanationText(explanation, project());
    for (const { pattern } of routes) assert.ok(text.includes(`\n${pattern}\n`), pattern);
  });
}

test('the shapes of other runtimes are explained, with fetch as it was written', async () => {
  for (const [name, line] of [
    ['bun.ts', 5],
    ['workers.ts', 3],
    ['function.ts', 2],
  ] as const) {
    const { fetch } = await explained(fixture(name));
    assert.equal([fetch?.file, fetch?.line], [fixture(name), line]);
  }
});

test('errors are those of gyrfalcon start', async () => {
  const missing = await run('nowhere.ts');
  assert.equal([missing.code, missing.err], [2, 'error: there is no file nowhere.ts\n']);
  const nothing = await run(fixture('nothing.ts'));
  assert.is(nothing.code, 2);
  assert.match(nothing.err, /has no default export\nhint: export default \{ fetch/);
  const option = await run(fixture('broken/unknown-option.ts'));
  assert.is(option.code, 1);
  assert.match(option.err, /^error: .*prot.*\[GYR_OPTION_UNKNOWN\]\n$/);
  for (const [name, code] of [
    ['twice.ts', 'GYR_ROUTE_PATTERN'],
    ['no-folder.ts', 'GYR_ROUTE_DIRECTORY'],
  ] as const) {
    const refused = await run(fixture(`broken/${name}`));
    assert.equal([refused.code, refused.out], [1, '']);
    assert.match(refused.err, new RegExp(`^error: .*\\[${code}\\]\\n$`));
  }
});

test.run();
