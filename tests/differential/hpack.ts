/**
 * HPACK's decoder beside that of nghttp2, which shares nothing with it, and the long run:
 *
 *   node --import ./scripts/ts.mjs tests/differential/hpack.ts [--seed N] [--minutes N | --count N] [--smoke]
 *
 * Case i of a run is made from the seed and i alone: a connection's field blocks, some of them spoiled. Ends with 1 when
 * one takes a block that the other does not, or other fields, and no rule says why; with 69 without nghttp2's library.
 */
import { spawnSync } from 'node:child_process';
import { pathToFileURL } from 'node:url';
import { parseArgs } from 'node:util';
import { integer } from '../http2/hpack.ts';
import { lacks, project } from '../support/process.ts';
import { Random } from './random.ts';
import { type HpackVerdict, JsonSide, ZigHpack } from './zig_side.ts';

const program = project('tests', 'differential', 'fixtures', 'nghttp2_hpack.py');

/** Why the comparison cannot be made here, or undefined when it can. */
export function lackingNghttp2(): string | undefined {
  const python = lacks('python3');
  if (python !== undefined) return python;
  const { status } = spawnSync('python3', [program], { input: '' });
  return status === 0 ? undefined : "nghttp2's library is not installed: apt-get install nghttp2";
}

// What a client sends.

const names = [
  ...[':method', ':path', ':authority', 'cookie', 'accept', 'user-agent', 'x', 'x-request-id'],
  ...['', 'X-Upper', 'a b', 'te', 'priority', 'a'.repeat(200)],
];
const alphabet = 'abcdefghijklmnopqrstuvwxyz0123456789-_./:;=, "%\\^`{|}~\u00e9\u00ff\0\n';

function text(random: Random): Buffer {
  const length = random.oneIn(60) ? random.below(4200) : random.below(random.pick([4, 20, 90]));
  return Buffer.from(
    Array.from({ length }, () => alphabet.charCodeAt(random.below(alphabet.length))),
  );
}

/** Bits of a character's code, as HPACK's appendix B has them for the most frequent ones. */
const codes: readonly (readonly [number, number, number])[] = [
  // character, code, bits
  ...[0, 1, 2].map((n) => [0x30 + n, n, 5] as const),
  ...[
    [0x61, 0x3, 5],
    [0x63, 0x4, 5],
    [0x65, 0x5, 5],
    [0x69, 0x6, 5],
    [0x6f, 0x7, 5],
    [0x73, 0x8, 5],
    [0x74, 0x9, 5],
    [0x20, 0x14, 6],
    [0x25, 0x15, 6],
    [0x2d, 0x16, 6],
    [0x2e, 0x17, 6],
    [0x2f, 0x18, 6],
    [0x33, 0x19, 6],
    [0x3a, 0x5c, 7],
    [0x42, 0x5d, 7],
    [0x58, 0xfc, 8],
    [0x21, 0x3f8, 10],
    [0x5c, 0x7fff0, 19],
    [0x0a, 0x3ffffffc, 30],
  ].map(([character, code, bits]) => [character, code, bits] as [number, number, number]),
];

/** A string by the Huffman code, padded as it is to be, or not. */
function huffman(random: Random): Buffer {
  let bits = '';
  for (let n = random.below(30); n > 0; n -= 1) {
    const [, code, length] = random.pick(codes);
    bits += code.toString(2).padStart(length, '0');
  }
  const pad = (8 - (bits.length % 8)) % 8;
  bits += (random.oneIn(200) ? '0' : '1').repeat(pad);
  if (random.oneIn(300)) bits += '11111111';
  if (random.oneIn(300)) bits += '1'.repeat(32); // EOS
  const bytes = Buffer.alloc(bits.length / 8);
  for (let at = 0; at < bytes.length; at += 1)
    bytes[at] = Number.parseInt(bits.slice(8 * at, 8 * at + 8), 2);
  return bytes;
}

function string(random: Random, plain?: string): Buffer {
  const isHuffman = plain === undefined && random.oneIn(2);
  const bytes = isHuffman ? huffman(random) : Buffer.from(plain ?? text(random));
  return Buffer.concat([integer(isHuffman ? 0x80 : 0, 7, bytes.length), bytes]);
}

/** An index that is there as far as is known: `kept` entries may be in the table. */
function indexOf(random: Random, kept: number): number {
  if (random.oneIn(200)) return 62 + random.below(140);
  const isKept = kept > 0 && random.oneIn(2);
  return isKept ? 62 + random.below(Math.min(kept, 20)) : 1 + random.below(61);
}

function field(random: Random, table: { kept: number }): Buffer {
  const index = indexOf(random, table.kept);
  if (random.oneIn(3)) return integer(0x80, 7, random.oneIn(400) ? 0 : index);
  const [first, bits] = random.pick([
    [0x40, 6],
    [0x40, 6],
    [0x00, 4],
    [0x10, 4],
  ] as const);
  if (first === 0x40) table.kept += 1;
  if (random.oneIn(2)) return Buffer.concat([integer(first, bits, index), string(random)]);
  const name = random.oneIn(3) ? string(random) : string(random, random.pick(names));
  return Buffer.concat([Buffer.from([first]), name, string(random)]);
}

function block(random: Random, table: { kept: number }): Buffer {
  const parts: Buffer[] = [];
  for (let n = random.oneIn(6) ? 1 + random.below(3) : 0; n > 0; n -= 1)
    parts.push(integer(0x20, 5, random.oneIn(40) ? 4097 : random.pick([1000, 3000, 4095, 4096])));
  if (random.oneIn(40)) {
    parts.push(integer(0x20, 5, random.pick([0, 32, 100])));
    table.kept = 0;
  }
  for (let n = random.below(8); n >= 0; n -= 1) parts.push(field(random, table));
  if (random.oneIn(200)) parts.push(integer(0x20, 5, 100)); // where it must not be
  const bytes = Buffer.concat(parts);
  if (random.oneIn(12)) {
    for (let n = 1 + random.below(3); n > 0; n -= 1) {
      const at = random.below(bytes.length);
      bytes[at] = random.oneIn(2)
        ? random.below(256)
        : (bytes[at] as number) ^ (1 << random.below(8));
    }
  }
  return random.oneIn(30) ? bytes.subarray(0, random.below(bytes.length)) : bytes;
}

/** Blocks, each behind its length: few are empty, since who gives up at one ends the case. */
export function makeCase(random: Random): Buffer {
  const table = { kept: 0 };
  const blocks = Array.from({ length: 1 + random.below(12) }, () => block(random, table));
  return Buffer.concat(
    blocks.flatMap((bytes) => {
      const length = Buffer.alloc(2);
      length.writeUInt16BE(bytes.length);
      return [length, bytes];
    }),
  );
}

// Where the two may part.

/** The block that `end` is about. */
function blockAt(bytes: Buffer, index: number): Buffer {
  let at = 0;
  for (let n = 0; n < index; n += 1) at += 2 + bytes.readUInt16BE(at);
  return bytes.subarray(at + 2, at + 2 + bytes.readUInt16BE(at));
}

/** Updates of the table's size at the beginning of a block. */
function sizeUpdates(bytes: Buffer): number {
  let count = 0;
  for (let at = 0; at < bytes.length && ((bytes[at] as number) & 0xe0) === 0x20; count += 1) {
    const isLong = ((bytes[at] as number) & 0x1f) === 0x1f;
    at += 1;
    while (isLong && at < bytes.length && (bytes[at] as number) >= 0x80) at += 1;
    if (isLong) at += 1;
  }
  return count;
}

/** Why the two may differ at a block that we refuse and nghttp2 takes. */
const rules: readonly { name: string; holds: (bytes: Buffer) => boolean }[] = [
  // RFC 7541 §4.2: two at most tell all there is to tell.
  { name: 'size-updates', holds: (bytes) => sizeUpdates(bytes) > 2 },
];

export interface Outcome {
  readonly cases: number;
  readonly blocks: number;
  /** Cases in which both gave up, at the same block. */
  readonly refused: number;
  /** How often each rule held. */
  readonly classes: Map<string, number>;
  readonly unexplained: string[];
}

const batch = 200;

/** Compares cases from `seed` on until there were `count` of them or it is `deadline` (ms). */
export async function compareHpack(
  seed: number,
  { count = Number.POSITIVE_INFINITY, deadline = Number.POSITIVE_INFINITY },
): Promise<Outcome> {
  const zig = new ZigHpack();
  const nghttp2 = new JsonSide<HpackVerdict>('python3', [program]);
  const total = { cases: 0, blocks: 0, refused: 0 };
  const classes = new Map<string, number>();
  const unexplained: string[] = [];
  while (total.cases < count && Date.now() < deadline && unexplained.length < 10) {
    const first = seed + total.cases;
    const cases = Array.from({ length: batch }, (_, i) => makeCase(new Random(first + i)));
    const [ours, theirs] = await Promise.all([zig.ask(cases), nghttp2.ask(cases)]);
    for (const [i, bytes] of cases.entries()) {
      const [we, they] = [ours[i] as HpackVerdict, theirs[i] as HpackVerdict];
      total.blocks += we.blocks.length;
      const common = Math.min(we.blocks.length, they.blocks.length);
      const isSame =
        JSON.stringify(we.blocks.slice(0, common)) === JSON.stringify(they.blocks.slice(0, common));
      if (isSame && we.end === 'excess') continue;
      if (isSame && JSON.stringify(we) === JSON.stringify(they)) {
        if (we.end !== 'fine') total.refused += 1;
        continue;
      }
      const isOurs = isSame && we.blocks.length < they.blocks.length;
      const rule = isOurs && rules.find(({ holds }) => holds(blockAt(bytes, common)));
      if (rule) classes.set(rule.name, (classes.get(rule.name) ?? 0) + 1);
      else
        unexplained.push(
          `--seed ${first + i}: block ${common}, we ${JSON.stringify(we)}, they ${JSON.stringify(they)}: ${bytes.toString('hex')}`,
        );
    }
    total.cases += cases.length;
  }
  zig.close();
  nghttp2.close();
  return { ...total, classes, unexplained };
}

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      seed: { type: 'string', default: '1' },
      minutes: { type: 'string' },
      count: { type: 'string', default: '2000' },
      smoke: { type: 'boolean', default: false },
    },
  });
  const lack = lackingNghttp2();
  if (lack !== undefined) {
    console.error(lack);
    process.exit(69);
  }
  const limit =
    values.minutes === undefined || values.smoke
      ? { count: Number(values.count) }
      : { deadline: Date.now() + Number(values.minutes) * 60_000 };
  const told = await compareHpack(Number(values.seed), limit);
  console.log(`${told.cases} cases, ${told.blocks} blocks taken, ${told.refused} refused by both`);
  for (const [name, count] of told.classes) console.log(`${String(count).padStart(8)} ${name}`);
  for (const line of told.unexplained) console.log(`no rule: ${line}`);
  process.exitCode = told.unexplained.length > 0 ? 1 : 0;
}

if (process.argv[1] !== undefined && import.meta.url === pathToFileURL(process.argv[1]).href) {
  await main();
}
