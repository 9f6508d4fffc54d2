/**
 * The comparison itself, and its long run:
 *
 *   node --import ./scripts/ts.mjs tests/differential/run.ts [--seed N] [--minutes N | --count N] [--smoke]
 *
 * Case i of a run is made from the seed and i alone. Ends with 1 when a disagreement falls in no class.
 */
import { pathToFileURL } from 'node:url';
import { parseArgs } from 'node:util';
import { parting } from './compare.ts';
import { makeCase, makeCuts } from './generator.ts';
import { NodeSide } from './node_side.ts';
import { Random } from './random.ts';
import { classify } from './rules.ts';
import { ZigSide } from './zig_side.ts';

export interface Outcome {
  readonly cases: number;
  readonly requests: number;
  /** Cases in which both refused a message, the same one. */
  readonly refused: number;
  /** How many disagreements of each class there were. */
  readonly classes: Map<string, number>;
  /** The shortest case of each class, as JSON. */
  readonly examples: Map<string, string>;
  /** Disagreements of no class: what to run again, and on what. */
  readonly unexplained: string[];
}

const batch = 200;
const unexplainedMax = 20;

/** Compares cases from `seed` on until there were `count` of them or it is `deadline` (ms). */
export async function compare(
  seed: number,
  { count = Number.POSITIVE_INFINITY, deadline = Number.POSITIVE_INFINITY },
): Promise<Outcome> {
  const [node, zig] = [new NodeSide(), new ZigSide()];
  const total = { cases: 0, requests: 0, refused: 0 };
  const classes = new Map<string, number>();
  const examples = new Map<string, string>();
  const unexplained: string[] = [];
  while (total.cases < count && Date.now() < deadline && unexplained.length < unexplainedMax) {
    const first = seed + total.cases;
    const randoms = Array.from({ length: batch }, (_, i) => new Random(first + i));
    const cases = randoms.map(makeCase);
    const verdicts = await zig.frame(cases);
    for (const [i, ours] of verdicts.entries()) {
      const bytes = cases[i] as Buffer;
      const theirs = await node.frame(bytes, makeCuts(randoms[i] as Random, bytes.length));
      total.requests += ours.requests.length;
      const parted = parting(bytes, ours, theirs);
      if (parted === undefined) {
        if (ours.end === 'err') total.refused += 1;
        continue;
      }
      const text = JSON.stringify(bytes.toString('latin1'));
      const name = classify(parted);
      if (name === undefined) {
        const { ours: we, theirs: they, code, theirCode } = parted;
        unexplained.push(
          `--seed ${first + i}: we ${we} ${code}, they ${they} ${theirCode}: ${text}`,
        );
        continue;
      }
      classes.set(name, (classes.get(name) ?? 0) + 1);
      if (text.length < (examples.get(name)?.length ?? Number.POSITIVE_INFINITY)) {
        examples.set(name, text);
      }
    }
    total.cases += cases.length;
  }
  node.close();
  zig.close();
  return { ...total, classes, examples, unexplained };
}

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      seed: { type: 'string', default: '1' },
      minutes: { type: 'string' },
      count: { type: 'string', default: '200' },
      smoke: { type: 'boolean', default: false },
    },
  });
  const limit =
    values.minutes === undefined || values.smoke
      ? { count: Number(values.count) }
      : { deadline: Date.now() + Number(values.minutes) * 60_000 };
  const { cases, requests, refused, classes, examples, unexplained } = await compare(
    Number(values.seed),
    limit,
  );
  console.log(`${cases} cases, ${requests} requests, ${refused} refused by both`);
  for (const [name, count] of [...classes].sort((a, b) => b[1] - a[1])) {
    console.log(`${String(count).padStart(8)} ${name.padEnd(24)} ${examples.get(name)}`);
  }
  for (const line of unexplained) console.log(`no class: ${line}`);
  process.exitCode = unexplained.length > 0 ? 1 : 0;
}

if (process.argv[1] !== undefined && import.meta.url === pathToFileURL(process.argv[1]).href) {
  await main();
}
