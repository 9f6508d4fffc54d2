/**
 * Autobahn's fuzzing client against WebSockets of a handler in Zig and of one in TypeScript:
 *
 *   npm run test:autobahn                      all cases
 *   npm run test:autobahn -- --cases '7.*,9.1.*'
 *
 * docs/AUTOBAHN.md has what came of it; `--write` writes the table there. Ends with 1 when a case failed.
 */
import { spawnSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { MissingError, main, setup } from '../scanners/scripts.ts';
import { project } from '../support/process.ts';
import {
  type EngineOptions,
  engine,
  serveApp,
  type Target,
  zigProgram,
} from '../support/target.ts';
import { type Case, fuzz, installWstest } from './wstest.ts';

/** Messages are sent as they are, and compressed: with contexts that are kept, and without. */
const ways: readonly { name: string; target: Target; options: EngineOptions }[] = [
  { name: 'Zig', target: engine, options: {} },
  { name: 'TypeScript', target: serveApp, options: {} },
  { name: 'compressed', target: engine, options: { websocket_deflate: true } },
  {
    name: 'with contexts',
    target: engine,
    options: {
      websocket_deflate: true,
      websocket_deflate_server_context_takeover: true,
      websocket_deflate_client_context_takeover: true,
    },
  },
];
/** Cases of compression: a server without it refuses what they offer. */
const compressed = ['12.*', '13.*'];
/** What is as it should be. INFORMATIONAL: the protocol leaves it open, and the report only tells. */
const fine = new Set(['OK', 'INFORMATIONAL']);
/**
 * A message, and then what is wrong: the answer to the message is asked for first, strictly. Handlers in TypeScript give
 * theirs from a thread of their own, which may be too late.
 */
const early = new Set('3.2 3.3 4.1.3 4.1.4 4.1.5 4.2.3 4.2.4 4.2.5 5.15'.split(' '));
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
const marker = '<!-- npm run test:autobahn -- --write -->';

const chapterOf = ({ id }: Case): string => id.split('.')[0] as string;
const isRight = (name: string, { id, behavior, close }: Case): boolean =>
  fine.has(close) &&
  (fine.has(behavior) || (behavior === 'NON-STRICT' && name === 'TypeScript' && early.has(id)));

function tableOf(found: Map<string, Case[]>): string {
  const names = [...found.keys()];
  const count = (name: string, chapter: string): string => {
    const own = (found.get(name) ?? []).filter((one) => chapterOf(one) === chapter);
    const right = own.filter((one) => isRight(name, one)).length;
    if (own.length === 0) return 'not run';
    const told = ['INFORMATIONAL', 'NON-STRICT'].flatMap((word) => {
      const number = own.filter(({ behavior }) => behavior === word).length;
      return number === 0 ? [] : [`${number} ${word.toLowerCase()}`];
    });
    return `${right} of ${own.length}${told.length > 0 ? ` (${told.join(', ')})` : ''}`;
  };
  const rows = Object.entries(chapters).map(
    ([chapter, what]) =>
      `| ${chapter}: ${what} | ${names.map((name) => count(name, chapter)).join(' | ')} |`,
  );
  return [`| Cases | ${names.join(' | ')} |`, `|---|${'---|'.repeat(names.length)}`, ...rows].join(
    '\n',
  );
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
      smoke: { type: 'boolean', default: false },
    },
  });
  await setup();
  await installWstest();
  const cases = values.smoke ? ['1.1.*', '7.1.*'] : values.cases.split(',');
  const parts = spawnSync(zigProgram('engine_app'), ['--parts'], { encoding: 'utf8' }).stdout;
  const hasDeflate = (JSON.parse(parts) as { deflate: boolean }).deflate;
  const found = new Map<string, Case[]>();
  for (const { name, target, options } of ways) {
    const isPlain = options.websocket_deflate === undefined;
    if (!isPlain && !hasDeflate) {
      console.log(`SKIP ${name}: compression is not built (npm run build:deflate)`);
      continue;
    }
    const server = await target.start(options);
    const url = `${server.url.replace('http:', 'ws:')}socket?origin=any`;
    const agent = name.replaceAll(' ', '-');
    // What has nothing to do with compression is the same with it.
    const own = isPlain || values.cases !== '*' || values.smoke ? cases : compressed;
    found.set(name, await fuzz(agent, url, own, isPlain ? compressed : []));
    await target.stop(server);
  }
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
