/**
 * Autobahn's fuzzing client against WebSockets of a handler in Zig and of one in TypeScript:
 *
 *   npm run test:autobahn                      all cases
 *   npm run test:autobahn -- --cases '7.*,9.1.*'
 *   npm run test:autobahn -- --jobs 1          one server after the other; by default as many at a time as there are processors
 *
 * docs/AUTOBAHN.md has what came of it; `--write` writes the table there. Ends with 1 when a case failed.
 */
import { spawnSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { parseArgs } from 'node:util';
import { MissingError, main, SetupError, setup, zigExecutables } from '../scanners/scripts.ts';
import { project } from '../support/process.ts';
import {
  type EngineOptions,
  engine,
  serveApp,
  type Target,
  zigProgram,
} from '../support/target.ts';
import { type Case, fuzz, installWstest } from './wstest.ts';

/** A server, and which cases it is asked. */
interface Way {
  /** Column of the table. */
  readonly name: string;
  /** What the table has behind a chapter's name. */
  readonly how: string;
  readonly target: Target;
  readonly options: EngineOptions;
  /** It compresses; others refuse what the cases of compression offer. */
  readonly isCompressed: boolean;
}

const contexts = ', with contexts that are kept';
const inEngine = {
  websocket_deflate: true,
  websocket_deflate_server_context_takeover: true,
  websocket_deflate_client_context_takeover: true,
};
const inServe = { serverContextTakeover: true, clientContextTakeover: true };
/** As serve() is given it. */
const deflating = (perMessageDeflate: boolean | object): EngineOptions =>
  ({ websocket: { perMessageDeflate } }) as unknown as EngineOptions;

/** Messages are sent as they are, and compressed: by themselves, and with contexts. */
const ways: readonly Way[] = [
  { name: 'Zig', how: '', target: engine, options: {}, isCompressed: false },
  { name: 'TypeScript', how: '', target: serveApp, options: {}, isCompressed: false },
  {
    name: 'Zig',
    how: '',
    target: engine,
    options: { websocket_deflate: true },
    isCompressed: true,
  },
  {
    name: 'TypeScript',
    how: '',
    target: serveApp,
    options: deflating(true),
    isCompressed: true,
  },
  { name: 'Zig', how: contexts, target: engine, options: inEngine, isCompressed: true },
  {
    name: 'TypeScript',
    how: contexts,
    target: serveApp,
    options: deflating(inServe),
    isCompressed: true,
  },
];
/** Cases of compression. */
const compressed = ['12.*', '13.*'];
const isOfCompression = (pattern: string): boolean => /^1[23]\b/.test(pattern);
/** What is as it should be. INFORMATIONAL: the protocol leaves it open, and the report only tells. */
const fine = new Set(['OK', 'INFORMATIONAL']);
/**
 * A message, and then what is wrong: the answer to the message is asked for first, strictly. Handlers in TypeScript give
 * theirs from a thread of their own, which may be too late.
 */
const early = new Set('3.2 3.3 3.4 4.1.3 4.1.4 4.1.5 4.2.3 4.2.4 4.2.5 5.15'.split(' '));
/** What cases are about, by what their names begin with. */
const chapters: Record<string, string> = {
  1: 'Messages of 0 to 65536 bytes',
  2: 'Pings and pongs',
  3: 'Reserved bits',
  4: 'Opcodes',
  5: 'Fragments',
  6: 'UTF-8',
  7: 'Closing',
  9: 'Large messages, up to 16 MiB',
  10: 'Fragments of what is sent',
  12: 'Compression',
  13: 'Compression, with parameters',
};
/** What a case came to, and how messages were compressed. */
interface Result extends Case {
  readonly how: string;
}
/** Rows of the table: a chapter, and how. */
const rowsOf: readonly [chapter: string, how: string][] = [
  ...Object.keys(chapters).map((chapter): [string, string] => [chapter, '']),
  ['12', contexts],
  ['13', contexts],
];
const marker = '<!-- npm run test:autobahn -- --write -->';

const chapterOf = ({ id }: Case): string => id.split('.')[0] as string;
const numberOf = (count: number, word: string): string => `${count} ${word.toLowerCase()}`;
const isRight = (name: string, { id, behavior, close }: Case): boolean =>
  fine.has(close) &&
  (fine.has(behavior) || (behavior === 'NON-STRICT' && name === 'TypeScript' && early.has(id)));

function tableOf(found: Map<string, Result[]>): string {
  const names = [...found.keys()];
  const count = (name: string, chapter: string, how: string): string => {
    const own = (found.get(name) ?? []).filter(
      (one) => chapterOf(one) === chapter && one.how === how,
    );
    const right = own.filter((one) => isRight(name, one)).length;
    if (own.length === 0) return 'not run';
    const told = ['INFORMATIONAL', 'NON-STRICT'].flatMap((word) => {
      const number = own.filter(({ behavior }) => behavior === word).length;
      return number === 0 ? [] : [numberOf(number, word)];
    });
    return `${right} of ${own.length}${told.length > 0 ? ` (${told.join(', ')})` : ''}`;
  };
  const rows = rowsOf.map(([chapter, how]) => {
    const counts = names.map((name) => count(name, chapter, how));
    return `| ${chapter}: ${chapters[chapter]}${how} | ${counts.join(' | ')} |`;
  });
  const rule = `|---|${'---|'.repeat(names.length)}`;
  return [`| Cases | ${names.join(' | ')} |`, rule, ...rows].join('\n');
}

/** Of `cases` those that this way is asked. */
function casesFor({ isCompressed }: Way, cases: string[]): string[] {
  if (isCompressed && cases.includes('*')) return compressed; // the rest is the same with it
  return cases.filter((pattern) => pattern === '*' || isOfCompression(pattern) === isCompressed);
}

/** `work` of each, `jobs` at a time; what came of them, in order. */
async function inTurn<T, R>(
  all: readonly T[],
  jobs: number,
  work: (one: T) => Promise<R>,
): Promise<R[]> {
  if (!(jobs >= 1)) throw new SetupError('--jobs takes a number from 1 on');
  const results: R[] = [];
  const each = all.entries();
  const worker = async (): Promise<void> => {
    for (const [at, one] of each) results[at] = await work(one);
  };
  await Promise.all(Array.from({ length: jobs }, worker));
  return results;
}

function write(table: string): void {
  const page = project('docs', 'AUTOBAHN.md');
  const [before, , after] = readFileSync(page, 'utf8').split(marker);
  writeFileSync(page, [before, `\n\n${table}\n\n`, after].join(marker));
}

await main(async () => {
  const { values } = parseArgs({
    options: {
      cases: { type: 'string', default: '*' },
      write: { type: 'boolean', default: false },
      jobs: { type: 'string', default: String(availableParallelism()) },
      smoke: { type: 'boolean', default: false },
    },
  });
  if (!(await zigExecutables(await setup())))
    throw new SetupError('The programs in Zig that are tested did not build.');
  await installWstest();
  const cases = values.smoke ? ['1.1.*', '7.1.*'] : values.cases.split(',');
  const parts = spawnSync(zigProgram('engine_app'), ['--parts'], { encoding: 'utf8' }).stdout;
  const hasDeflate = (JSON.parse(parts) as { deflate: boolean }).deflate;
  const due = ways.filter((way) => casesFor(way, cases).length > 0);
  const results = await inTurn(due, Number(values.jobs), async (way): Promise<Result[]> => {
    const { name, how, target, options, isCompressed } = way;
    if (isCompressed && !hasDeflate) {
      console.log(`SKIP ${name}${how}: compression is not built (npm run build:deflate)`);
      return [];
    }
    const server = await target.start(options);
    const url = `${server.url.replace('http:', 'ws:')}socket?origin=any`;
    const agent = `${name}${how}${isCompressed ? '-compressed' : ''}`.replaceAll(/\W+/g, '-');
    const asked = await fuzz(agent, url, casesFor(way, cases), isCompressed ? [] : compressed);
    await target.stop(server);
    return asked.map((one) => ({ ...one, how }));
  });
  const found = new Map<string, Result[]>();
  for (const [at, { name }] of due.entries())
    found.set(name, [...(found.get(name) ?? []), ...(results[at] as Result[])]);
  let [passed, failed] = [0, 0];
  for (const [name, all] of found) {
    for (const one of all) {
      const right = isRight(name, one);
      if (right) passed += 1;
      else failed += 1;
      if (!right)
        console.log(`✘ ${name} ${one.id}: ${one.behavior}, ${one.close}: ${one.description}`);
    }
  }
  if (passed + failed === 0) throw new MissingError('no case was run');
  const table = tableOf(found);
  console.log(table);
  if (values.write) write(table);
  if (failed > 0) process.exitCode = 1;
  console.log(`\n${passed} passed, ${failed} failed`);
});
