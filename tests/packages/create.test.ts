/** `npm create gyrfalcon`: each template, begun by npm and followed as it says, answers. */
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { WebSocket } from 'undici';
import * as assert from 'uvu/assert';
import { project, type RunningServer, stopAll } from '../support/process.ts';
import { sideBySide } from '../support/side_by_side.ts';
import { testUnless } from '../support/skip.ts';
import { within } from '../support/wait.ts';
import { packAll } from './packed.ts';
import { noNpm, Place } from './place.ts';
import { noRegistry, Registry } from './registry.ts';

const test = sideBySide('create', 2);
const lack = noNpm ?? noRegistry;
const places: Place[] = [];
let registry: Registry;

if (lack === undefined) {
  test.before(async () => {
    registry = await Registry.start();
    await registry.publish((await packAll(false)).map(({ file }) => file));
  });
  test.after(async () => {
    await stopAll();
    for (const place of places) place.remove();
    await registry.stop();
  });
}

const check = (name: string, body: () => Promise<void>): void => testUnless(test, lack, name, body);

function newPlace(): Place {
  const place = new Place(registry);
  places.push(place);
  return place;
}

const textOf = async (url: string, init?: RequestInit): Promise<string> =>
  (await fetch(url, init)).text();

/** What each template's server answers. */
const templates: Record<string, (server: RunningServer) => Promise<void>> = {
  async hello({ url }) {
    assert.is(await textOf(url), 'Hello\n');
    assert.is(await textOf(`${url}hello/Ada`), '{"hello":"Ada"}');
    assert.is(await textOf(`${url}sum`, { method: 'POST', body: '[1,2,3]' }), '{"sum":6}');
    assert.is((await fetch(`${url}elsewhere`)).status, 404);
  },
  async hono({ url }) {
    assert.is(await textOf(url), 'Hello from Hono\n');
    assert.is(await textOf(`${url}hello/Ada`), '{"hello":"Ada"}');
    assert.is((await fetch(`${url}elsewhere`)).status, 404);
  },
  async static({ url }) {
    const page = await fetch(url);
    assert.is(page.headers.get('content-type'), 'text/html; charset=utf-8');
    assert.match(await page.text(), '<h1>Hello</h1>');
    assert.match(await textOf(`${url}style.css`), 'system-ui');
    assert.ok(Date.parse(JSON.parse(await textOf(`${url}api/time`)).time) > 0);
  },
  async chat({ url }) {
    assert.match(await textOf(url), '<title>Chat</title>');
    assert.is((await fetch(`${url}chat`)).status, 426);
    const [ada, bob] = [await Chatter.enter(url, 'Ada'), await Chatter.enter(url, 'Bob')];
    assert.is(await ada.next(), 'Bob has come');
    bob.say('Hello');
    assert.is(await bob.next(), 'Bob: Hello');
    assert.is(await ada.next(), 'Bob: Hello');
    bob.leave();
    assert.is(await ada.next(), 'Bob has gone');
    ada.leave();
  },
};

/** Somebody in the chat. */
class Chatter {
  readonly #socket: WebSocket;
  readonly #said: string[] = [];
  #waiting: ((text: string) => void) | undefined;

  private constructor(socket: WebSocket) {
    this.#socket = socket;
    socket.addEventListener('message', ({ data }) => {
      if (this.#waiting === undefined) this.#said.push(String(data));
      else this.#waiting(String(data));
      this.#waiting = undefined;
    });
  }

  static async enter(url: string, name: string): Promise<Chatter> {
    const socket = new WebSocket(`${url.replace('http', 'ws')}chat?name=${name}`);
    const chatter = new Chatter(socket);
    const opened = new Promise<void>((resolve, reject) => {
      socket.addEventListener('open', () => resolve());
      socket.addEventListener('error', () => reject(new Error(`no WebSocket for ${name}`)));
    });
    await within(opened, `${name}'s WebSocket`);
    return chatter;
  }

  next(): Promise<string> {
    const said = this.#said.shift();
    if (said !== undefined) return Promise.resolve(said);
    const coming = new Promise<string>((resolve) => {
      this.#waiting = resolve;
    });
    return within(coming, 'what is said in the chat');
  }

  say(text: string): void {
    this.#socket.send(text);
  }

  leave(): void {
    this.#socket.close();
  }
}

for (const [template, ask] of Object.entries(templates)) {
  check(
    `${template}: npm create, then the two commands that it names, and it answers`,
    async () => {
      const place = newPlace();
      const name = `my-${template}`;
      const begun = await place.run(`npm create --yes gyrfalcon ${name} -- --template ${template}`);
      assert.is(begun.code, 0, begun.output);
      const next = [...begun.output.matchAll(/^ {2}(\S.*)$/gm)].map(([, command]) => command);
      assert.equal(next, [`cd ${name} && npm install`, 'npm start']);
      const installed = await place.run(next[0] as string);
      assert.is(installed.code, 0, installed.output);
      const folder = place.at(name);
      const tsc = project('node_modules', 'typescript', 'bin', 'tsc');
      const checked = await place.run(`node ${tsc} -p tsconfig.json`, { cwd: folder });
      assert.is(checked.code, 0, checked.output);
      const server = await place.serve(`${next[1]} -- --port 0 --host 127.0.0.1`, folder);
      await ask(server);
      const { code, signal } = await server.stop();
      assert.ok(code === 0 || signal === 'SIGTERM', server.stderr());
      const manifest = JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8'));
      assert.is(manifest.name, name);
      assert.is(readFileSync(join(folder, '.gitignore'), 'utf8'), 'node_modules/\n');
    },
  );
}

test('every template is tried', () => {
  const folders = readdirSync(project('packages', 'create-gyrfalcon', 'templates'));
  assert.equal(folders.filter((name) => name !== 'common').sort(), Object.keys(templates).sort());
});

// What follows needs no registry: the program is run as it lies in the checkout.
const program = project('packages', 'create-gyrfalcon', 'create.mjs');
const alone = (name: string, body: (place: Place) => Promise<void>): void =>
  testUnless(test, noNpm, name, async () => {
    const place = new Place({ url: 'http://127.0.0.1:1/' });
    places.push(place);
    await body(place);
  });

/** What it says of a mistake: one sentence, and nothing is written. */
async function refusal(place: Place, args: string): Promise<string> {
  const { code, stderr } = await place.run(`node ${program} ${args}`);
  assert.is(code, 2, stderr);
  assert.is(stderr.trim().split('\n').length, 1, stderr);
  return stderr.trim();
}

alone('a folder that is not empty is left alone', async (place) => {
  mkdirSync(place.at('app'));
  writeFileSync(place.at('app', 'notes.txt'), 'mine');
  assert.match(
    await refusal(place, 'app'),
    /error: \S+\/app is not empty, it has notes\.txt in it/,
  );
  assert.equal(readdirSync(place.at('app')), ['notes.txt']);
  place.write('file', 'mine');
  assert.match(await refusal(place, 'file'), /\S+\/file is no folder: name another one/);
});

alone('what it does not know is refused, with what there is', async (place) => {
  assert.match(
    await refusal(place, 'app --template vue'),
    'there is no template "vue"; there are hello, hono, static, chat',
  );
  for (const name of ['toString', '__proto__'])
    assert.match(await refusal(place, `app --template ${name}`), `there is no template "${name}"`);
  assert.match(await refusal(place, 'app --port 3'), /'--port'.*; --help tells what there is/);
  assert.match(await refusal(place, 'app other'), 'one folder is enough, and "other" is another');
  assert.not.ok(existsSync(place.at('app')));
  const { code, output } = await place.run(`node ${program} --help`);
  assert.is(code, 0);
  for (const name of Object.keys(templates)) assert.match(output, new RegExp(`^ {2}${name} `, 'm'));
});

alone(
  'without arguments it is hello in gyrfalcon-app; a dot is the folder itself',
  async (place) => {
    const { code, output } = await place.run(`node ${program}`);
    assert.is(code, 0, output);
    assert.match(output, '  cd gyrfalcon-app && npm install\n  npm start\n');
    mkdirSync(place.at('My App', '.git'), { recursive: true });
    const here = await place.run(`node ${program} .`, { cwd: place.at('My App') });
    assert.match(here.output, '\n  npm install\n  npm start\n');
    const manifest = JSON.parse(readFileSync(place.at('My App', 'package.json'), 'utf8'));
    assert.is(manifest.name, 'my-app');
    assert.match(manifest.dependencies.gyrfalcon, /^\^\d/);
    const from = (folder: string): string => readFileSync(place.at(folder, 'app.ts'), 'utf8');
    assert.is(from('My App'), from('gyrfalcon-app'));
  },
);

test.run();
