/**
 * The packages as npm installs them, from a registry of this machine, into empty folders of a machine that has Node.js and
 * npm and nothing else: no Zig, no compiler. The engine is that of this system; the others have their papers alone.
 */
import { lstatSync, readdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { project, type RunningServer, stopAll } from '../support/process.ts';
import { testUnless } from '../support/skip.ts';
import { type Packed, packAll, thisEngine } from './packed.ts';
import { noNpm, type Outcome, Place } from './place.ts';
import { programs } from './programs.ts';
import { noRegistry, Registry } from './registry.ts';

const test = suite('packages');
const lack = noNpm ?? noRegistry;
/** Above it npm is told of a problem of ours: what is downloaded for a first server, bytes. */
const packedMax = 12_000_000;

let registry: Registry;
let packed: Packed[];
/** The app of README.md, and what it has one ask. */
const tenLines = tenLinesOf(readFileSync(project('README.md'), 'utf8'));
const places: Place[] = [];

if (lack === undefined) {
  test.before(async () => {
    packed = await packAll();
    registry = await Registry.start();
    await registry.publish(packed.map(({ file }) => file));
  });
  test.after(async () => {
    await stopAll();
    for (const place of places) place.remove();
    await registry.stop();
  });
}

const check = (name: string, body: () => Promise<void> | void): void =>
  testUnless(test, lack, name, body);

function newPlace(node?: string, more: Readonly<Record<string, string>> = {}): Place {
  const place = new Place(registry, node, more);
  places.push(place);
  place.write('app.ts', tenLines.code);
  return place;
}

async function install(place: Place, options = ''): Promise<void> {
  const { code, output } = await place.run(`npm install --loglevel=error ${options} gyrfalcon`);
  assert.is(code, 0, output);
}

/** What the command says that ends at once: it has to be one sentence. */
async function sentence(place: Place, command = 'node_modules/.bin/gyrfalcon start app.ts') {
  const { code, stderr }: Outcome = await place.run(command);
  assert.is(code, 1, stderr);
  assert.is(stderr.trim().split('\n').length, 1, stderr);
  return stderr.trim();
}

/** Asks what README.md has one ask, by sockets. */
async function askTenLines(server: RunningServer): Promise<void> {
  assert.ok(tenLines.questions.length >= 4, 'the questions of README.md were found');
  for (const { path, body, answer } of tenLines.questions) {
    const init = body === undefined ? {} : { method: 'POST', body };
    const response = await fetch(new URL(path, server.url), init);
    assert.is((await response.text()).trimEnd(), answer, path);
  }
}

/** Every file below a folder, with its size and when it was written. */
function filesIn(folder: string): string[] {
  return readdirSync(folder, { recursive: true, encoding: 'utf8' })
    .sort()
    .map((name) => {
      const { size, mtimeMs } = lstatSync(join(folder, name));
      return `${name} ${size} ${mtimeMs}`;
    });
}

check('a package holds what it is for, and every file that its package.json names', () => {
  const of = (name: string): Packed => packed.find((one) => one.name === name) as Packed;
  const { name, library, addon } = thisEngine;
  assert.equal(
    of(name).files,
    ['LICENSE', 'LICENSES.txt', 'README.md', library, addon, 'package.json'].sort(),
  );
  const main = of('gyrfalcon');
  const tops = new Set(main.files.map((path) => path.split('/')[0] as string));
  assert.equal([...tops].sort(), [
    ...['CHANGELOG.md', 'LICENSE', 'README.md', 'SECURITY.md'],
    ...['bin', 'dist', 'docs', 'package.json'],
  ]);
  assert.not.ok(main.files.some((path) => path.includes('.test.') || path.includes('/.')));
  const { bin, exports } = main.manifest;
  const named = [...JSON.stringify({ bin, exports }).matchAll(/"(?:\.\/)?((?:bin|dist)\/[^"]+)"/g)];
  assert.ok(named.length >= 15, 'the files that package.json names were found');
  for (const [, path] of named) assert.ok(main.files.includes(path as string), path);
});

check('a package asks npm to run nothing, and has no machine code but the engine', () => {
  for (const { name, manifest, files } of packed) {
    assert.is(manifest.scripts, undefined, name);
    const native = files.filter((path) => /\.(?:node|so|dylib|dll)$/.test(path));
    assert.is(native.length, name === thisEngine.name ? 2 : 0, name);
  }
});

check('all packages have one version, and gyrfalcon asks for engines of exactly that', () => {
  const { version } = JSON.parse(readFileSync(project('package.json'), 'utf8'));
  const engines = packed.filter(({ name }) => name.startsWith('@gyrfalcon/engine-'));
  for (const { name, manifest } of packed) assert.is(manifest.version, version, name);
  const main = packed.find(({ name }) => name === 'gyrfalcon') as Packed;
  assert.equal(
    main.manifest.optionalDependencies,
    Object.fromEntries(engines.map(({ name }) => [name, version])),
  );
});

check(`gyrfalcon and its engine are below ${packedMax / 1e6} MB together`, () => {
  const size = packed
    .filter(({ name }) => name === 'gyrfalcon' || name === thisEngine.name)
    .reduce((sum, one) => sum + one.packed, 0);
  assert.ok(size < packedMax, `${size} bytes`);
});

for (const { title, path, lacks } of programs.nodes) {
  testUnless(
    test,
    lack ?? lacks,
    `${title}: npm i gyrfalcon in an empty folder, then the ten lines of README.md answer`,
    async () => {
      const place = newPlace(path);
      await install(place);
      const engines = readdirSync(place.at('node_modules', '@gyrfalcon'));
      assert.equal(engines, [thisEngine.name.replace('@gyrfalcon/', '')]);
      const before = filesIn(place.at('node_modules'));
      const server = await place.serve('npx gyrfalcon start app.ts --port 0 --host 127.0.0.1');
      await askTenLines(server);
      await server.stop();
      assert.match(server.stderr(), 'SIGTERM: finishing what is in flight');
      assert.equal(filesIn(place.at('node_modules')), before, 'nothing was written there');
      assert.equal(readdirSync(place.folder).sort(), [
        ...['app.ts', 'node_modules', 'package-lock.json', 'package.json'],
      ]);
    },
  );
}

check('its types are there for those who import it', async () => {
  const place = newPlace();
  await install(place);
  const options = ['--module nodenext', '--strict', '--noEmit', '--lib es2023', '--types node'];
  const tsc = project('node_modules', 'typescript', 'bin', 'tsc');
  const roots = `--typeRoots ${project('node_modules', '@types')}`;
  place.write('wrong.ts', "import { serve } from 'gyrfalcon';\nserve({ prot: 1 });\n");
  const right = await place.run(`node ${tsc} ${options.join(' ')} ${roots} app.ts`);
  assert.is(right.code, 0, right.output);
  const wrong = await place.run(`node ${tsc} ${options.join(' ')} ${roots} wrong.ts`);
  assert.match(wrong.output, /wrong\.ts(?:.|\n)*'prot' does not exist/);
});

check('without optional packages a sentence tells of the engine, and its cure is one', async () => {
  const place = newPlace();
  // What npm runs for esbuild would fetch the binary that was left out.
  await install(place, '--omit=optional --ignore-scripts');
  const told = await sentence(place);
  assert.match(told, `error: The engine for this system, the package ${thisEngine.name}, is not`);
  assert.match(told, /\(install without --omit=optional; .*\) \[GYR_ENGINE_MISSING\]$/);
  place.write(
    'app.mjs',
    "import { serve } from 'gyrfalcon';\nserve({ port: 0, fetch: () => {} });\n",
  );
  const { code, stderr } = await place.run('node app.mjs');
  assert.is(code, 1);
  assert.match(stderr, "code: 'GYR_ENGINE_MISSING'");
  const again = await place.run('npm install --loglevel=error');
  assert.is(again.code, 0, again.output);
  const server = await place.serve('npx gyrfalcon start app.ts --port 0 --host 127.0.0.1');
  await askTenLines(server);
  await server.stop();
});

check('node_modules from another system is told by the engine that it has', async () => {
  const { libc, os, cpu } = thisEngine.other;
  const place = newPlace();
  await install(place, `--ignore-scripts --os=${os} --cpu=${cpu} --libc=${libc}`);
  assert.equal(readdirSync(place.at('node_modules', '@gyrfalcon')), [
    thisEngine.other.name.replace('@gyrfalcon/', ''),
  ]);
  const told = await sentence(place);
  assert.match(told, `(node_modules has ${thisEngine.other.name}, and was made for another system`);
  assert.match(told, /remove it, and install on this one\) \[GYR_ENGINE_MISSING\]$/);
});

check('an engine that is of another version, or damaged, is told of in a sentence', async () => {
  const place = newPlace();
  await install(place);
  const engine = place.at('node_modules', ...thisEngine.name.split('/'));
  const manifest = join(engine, 'package.json');
  const text = readFileSync(manifest, 'utf8');
  const { version } = JSON.parse(text);
  writeFileSync(manifest, text.replace(`"version": "${version}"`, '"version": "0.0.9"'));
  assert.match(
    await sentence(place),
    `gyrfalcon ${version} needs ${thisEngine.name} ${version}, and 0.0.9 is installed (`,
  );
  assert.match(
    await sentence(place),
    /remove node_modules and install again.* \[GYR_ENGINE_MISMATCH\]$/,
  );
  writeFileSync(manifest, text);
  const library = join(engine, thisEngine.library);
  writeFileSync(library, 'not a library');
  assert.match(
    await sentence(place),
    /The engine \S+ cannot be loaded: .*\(remove node_modules and install again\) \[GYR_ENGINE_MISSING\]$/,
  );
  renameSync(library, `${library}.away`);
  assert.match(await sentence(place), /is missing \(remove .* again\) \[GYR_ENGINE_MISSING\]$/);
});

check('where Node.js may not read the engine, following the hint is enough', async () => {
  const place = newPlace();
  await install(place);
  const text = `import { serve } from 'gyrfalcon';
    const server = serve({ port: 0, log: 'error', fetch: () => new Response() });
    console.log('served');
    await server.stop();`;
  place.write('app.mjs', text);
  const flag = process.allowedNodeEnvironmentFlags.has('--permission')
    ? '--permission'
    : '--experimental-permission';
  const given = ['app.mjs', 'node_modules/gyrfalcon', 'package.json'].map((name) => place.at(name));
  const run = (readable: string[]): Promise<Outcome> => {
    const options = readable.map((path) => `--allow-fs-read=${path}`).join(' ');
    return place.run(`node --no-warnings ${flag} --allow-addons ${options} app.mjs`);
  };
  const denied = await run(given);
  assert.match(denied.stderr, "code: 'GYR_ENGINE_DENIED'");
  const [, hinted = ''] = /--permission needs --allow-fs-read=(\S+)'/.exec(denied.stderr) ?? [];
  assert.is(hinted, place.at('node_modules'));
  const { output } = await run([...given, hinted]);
  assert.match(output, 'served');
});

testUnless(
  test,
  lack ?? programs.oldNode.lacks,
  'an old Node.js is told in a sentence which one is needed, by the command and by the package',
  async () => {
    const place = newPlace(programs.oldNode.path);
    // npm itself is too new for it.
    const installing = newPlace();
    await install(installing);
    renameSync(installing.at('node_modules'), place.at('node_modules'));
    const told =
      /needs Node\.js 20 or later, and this is 18\.\S+ \(get one from https:\/\/nodejs\.org\/\) \[GYR_NODE_TOO_OLD\]/;
    assert.match(await sentence(place), told);
    for (const name of ['gyrfalcon', 'gyrfalcon/node', 'gyrfalcon/ws']) {
      place.write(
        'app.mjs',
        `await import('${name}').catch((error) => console.log(error.message));`,
      );
      assert.match((await place.run('node app.mjs')).output, told);
    }
  },
);

for (const { title, lacks, path, command } of programs.others) {
  testUnless(test, lack ?? lacks, `${title} runs the ten lines of README.md`, async () => {
    const place = newPlace(undefined, { [title.toLowerCase()]: path });
    await install(place);
    for (const threads of ['', '--threads 2']) {
      const options = `--port 0 --host 127.0.0.1 ${threads}`;
      const server = await place.serve(`${command} app.ts ${options}`);
      await askTenLines(server);
      await server.stop();
      assert.match(server.stderr(), 'SIGTERM: finishing what is in flight');
    }
  });
}

test('a checkout is no package: npm refuses to publish what is private', () => {
  assert.is(JSON.parse(readFileSync(project('package.json'), 'utf8')).private, true);
});

/** The first program of README.md, and the commands behind it. */
function tenLinesOf(text: string) {
  const section = /^## Ten lines to a running server\n(.*?)^## /ms.exec(text)?.[1] ?? '';
  const code = /^```ts\n(.*?)^```/ms.exec(section)?.[1] ?? '';
  const console = /^```console\n(.*?)^```/ms.exec(section)?.[1] ?? '';
  const questions = console.split(/^\$ curl /m).slice(1);
  return {
    code,
    questions: questions.map((block) => {
      const [, body, path = '', answer = ''] =
        /^(?:-d '(.*)' )?http:\/\/localhost:3000(\S+)\n(.*)$/s.exec(block) ?? [];
      return { body, path, answer: answer.trimEnd() };
    }),
  };
}

test.run();
