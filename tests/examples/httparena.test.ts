/** examples/httparena by the rules of the benchmark that it is an entry for, as tests/examples/httparena_rules.ts has them. */
import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { writeData } from '../../examples/httparena/data.ts';
import { noBroker, TestBroker } from '../support/brokers.ts';
import { noPostgres } from '../support/postgres.ts';
import { stopAll } from '../support/process.ts';
import { testUnless } from '../support/skip.ts';
import { within } from '../support/wait.ts';
import {
  authority,
  curl,
  type Entry,
  entryFolder,
  folder,
  instruction,
  postgres,
  startEntry,
  stopEntry,
} from './httparena_entry.ts';
import { checkCache, get, http, noCurl, raw, rules } from './httparena_rules.ts';

const test = suite('httparena');
let entry: Entry;

test.before(async () => {
  writeData(folder, 20_000);
  if (authority !== null) {
    const { certFile, keyFile } = authority.issue(['localhost', '127.0.0.1']);
    writeFileSync(join(folder, 'server.crt'), readFileSync(certFile));
    writeFileSync(join(folder, 'server.key'), readFileSync(keyFile));
  }
  await postgres?.start(join(folder, 'items.sql'));
  entry = await startEntry();
});

test.after(async () => {
  await stopAll();
  await postgres?.remove();
  authority?.remove();
  rmSync(folder, { recursive: true });
});

for (const { profiles, says, lack, check } of rules) {
  testUnless(test, lack, `${profiles.join(', ')}: ${says}`, () => check(entry));
}

testUnless(
  test,
  noPostgres ?? noBroker.redis ?? noCurl,
  'crud: an item is cached in Redis, where there is one',
  async () => {
    const redis = TestBroker.of('redis');
    await redis.start();
    const other = await startEntry({ REDIS_URL: redis.place });
    await checkCache(other, 2000);
    await stopEntry(other);
    await redis.remove();
  },
);

testUnless(test, noCurl, 'without a database the list is empty, and the rest goes on', async () => {
  const other = await startEntry({ DATABASE_URL: undefined });
  assert.is((await curl(`${http(other)}/async-db`)).text, '{"items":[],"count":0}');
  assert.is((await curl(`${http(other)}/crud/items/1`)).status, 500);
  assert.is(await raw(other.http, get('/baseline11?a=1&b=2')), '3');
  await stopEntry(other);
});

testUnless(test, noCurl, 'what is asked for wrongly is told by a 400', async () => {
  for (const path of [
    '/baseline11?a=1',
    '/baseline11?a=x&b=1',
    '/json/x',
    '/async-db?min=x',
    '/crud/items/x',
  ]) {
    assert.is((await curl(`${http(entry)}${path}`)).status, 400, path);
  }
});

test('the entry says what it serves: each of its profiles has a rule here and a row in its page', () => {
  const meta = JSON.parse(readFileSync(join(entryFolder, 'meta.json'), 'utf8')) as {
    tests: string[];
  };
  const page = readFileSync(join(entryFolder, 'README.md'), 'utf8');
  const ruled = new Set(rules.flatMap(({ profiles }) => profiles));
  assert.equal([...ruled].sort(), [...meta.tests].sort());
  for (const profile of meta.tests) assert.match(page, `\`${profile}\``);
});

test('the image has all files that the entry imports', () => {
  const copied = instruction('COPY').slice(0, -1);
  const wanted = new Set([instruction('CMD').at(-1) as string]);
  for (const name of wanted) {
    const text = readFileSync(join(entryFolder, name), 'utf8');
    for (const [, file = ''] of text.matchAll(/(?:from|import\() ?'\.\/([^']+)'/g))
      wanted.add(file);
  }
  assert.equal([...copied].sort(), [...wanted].sort());
});

testUnless(
  test,
  process.platform === 'linux' ? undefined : 'its processes are found in /proc',
  'when one of its processes ends that was not asked to, all end, and the exit code tells',
  async () => {
    const { running } = await startEntry();
    const { pid } = running.child;
    const children = readFileSync(`/proc/${pid}/task/${pid}/children`, 'latin1').trim().split(' ');
    const worker = children.find((child) =>
      readFileSync(`/proc/${child}/cmdline`, 'latin1').includes('server.ts'),
    );
    assert.ok(worker !== undefined, 'a process was found');
    // It ends in order, with 0.
    process.kill(Number(worker), 'SIGTERM');
    const { code } = await within(running.ended, 'the end of the entry');
    assert.is(code, 1, running.stderr());
    assert.match(running.stderr(), 'A process has ended: 0\n');
  },
);

test('it ends in order', () => stopEntry(entry));

test.run();
