import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
// @ts-expect-error: a script, without types
import { keep, takeKept } from '../../scripts/lib/kept.mjs';

/** A folder with something that was built, another for it, and the notes that were made. */
interface Context {
  root: string;
  built: string;
  other: string;
  notes: string[];
}

const test = suite<Context>('what is kept for other checkouts', {
  root: '',
  built: '',
  other: '',
  notes: [],
});
const cacheBefore = process.env.XDG_CACHE_HOME;

test.before.each((context) => {
  context.root = mkdtempSync(join(tmpdir(), 'gyrfalcon-kept-'));
  process.env.XDG_CACHE_HOME = join(context.root, 'cache');
  for (const name of ['built', 'other'] as const) {
    context[name] = join(context.root, name);
    mkdirSync(join(context[name], 'lib'), { recursive: true });
  }
  mkdirSync(join(context.built, 'include', 'deep'), { recursive: true });
  writeFileSync(join(context.built, 'lib', 'a'), 'archive');
  writeFileSync(join(context.built, 'lib', 'b'), 'not kept');
  writeFileSync(join(context.built, 'include', 'deep', 'h'), 'header');
  context.notes = [];
});
test.after.each(({ root }) => {
  if (cacheBefore === undefined) delete process.env.XDG_CACHE_HOME;
  else process.env.XDG_CACHE_HOME = cacheBefore;
  rmSync(root, { recursive: true, force: true });
});

const progressOf = ({ notes }: Context) => ({ note: (text: string) => notes.push(text) });
const put = (context: Context, hash = 'h1') =>
  keep('lib-x', hash, context.built, [join('lib', 'a'), 'include'], progressOf(context));
const take = (context: Context, hash = 'h1'): boolean =>
  takeKept('lib-x', hash, context.other, progressOf(context));
const entry = ({ root }: Context, hash = 'h1') => join(root, 'cache', 'gyrfalcon', `lib-x-${hash}`);

test('what was kept is put in place, and nothing else', (context) => {
  assert.is(take(context), false);
  put(context);
  assert.is(take(context, 'h2'), false);
  assert.is(take(context), true);
  assert.is(readFileSync(join(context.other, 'lib', 'a'), 'utf8'), 'archive');
  assert.is(readFileSync(join(context.other, 'include', 'deep', 'h'), 'utf8'), 'header');
  assert.not(existsSync(join(context.other, 'lib', 'b')));
  assert.equal(context.notes, []);
});

test('what is damaged is told of, and goes', (context) => {
  put(context);
  writeFileSync(join(entry(context), 'files', 'lib', 'a'), 'torn');
  assert.is(take(context), false);
  assert.match(context.notes.join(), /lib-x-h1 is damaged and goes/);
  assert.not(existsSync(entry(context)));
  assert.not(existsSync(join(context.other, 'lib', 'a')));
});

test('what has not been asked for in a month goes when something else is kept', (context) => {
  for (const hash of ['old', 'used']) put(context, hash);
  const before = new Date(Date.now() - 31 * 24 * 60 * 60 * 1000);
  for (const hash of ['old', 'used']) utimesSync(entry(context, hash), before, before);
  assert.is(take(context, 'used'), true);
  put(context, 'new');
  const left = readdirSync(join(context.root, 'cache', 'gyrfalcon')).sort();
  assert.equal(left, ['lib-x-new', 'lib-x-used']);
});

test('a cache that cannot be written is told of, and no more', (context) => {
  writeFileSync(join(context.root, 'cache'), 'a file where a folder should be');
  put(context);
  assert.match(context.notes.join(), /it is not kept for other checkouts: /);
  assert.is(take(context), false);
});

test.run();
