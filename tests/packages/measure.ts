/**
 * What `npm install gyrfalcon` downloads, what it leaves on the disk, and how long it takes, with an empty cache and with a
 * full one. The packages come from a registry of this machine, which has fetched those of others before: the time is
 * npm's, and no network's.
 *
 *   node --import ./scripts/ts.mjs tests/packages/measure.ts             nine times each
 *   node --import ./scripts/ts.mjs tests/packages/measure.ts --smoke     once
 */
import { lstatSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { packAll } from './packed.ts';
import { Place } from './place.ts';
import { Registry } from './registry.ts';
import { withRegistry } from './tools.ts';

const { values } = parseArgs({ options: { smoke: { type: 'boolean', default: false } } });
const rounds = values.smoke ? 1 : 9;
let registry: Registry;
let place: Place;

await withRegistry(async () => {
  const packed = await packAll();
  registry = await Registry.start();
  place = new Place(registry);
  try {
    await registry.publish(packed.map(({ file }) => file));
    await install(); // the registry has what is others' from here on
    await tell();
  } finally {
    place.remove();
    await registry.stop();
  }
});

async function tell(): Promise<void> {
  const sizes = await downloads();
  for (const { name, bytes } of sizes) console.log(`${mb(bytes).padStart(9)}  ${name}`);
  const sum = sizes.reduce((all, { bytes }) => all + bytes, 0);
  console.log(`${mb(sum).padStart(9)}  downloaded in all`);
  console.log(`${mb(diskBytes(place.at('node_modules'))).padStart(9)}  on the disk (node_modules)`);
  console.log(`${await seconds(true)}  npm install, cache empty`);
  console.log(`${await seconds(false)}  npm install, cache full`);
}

/** What an install took: by the clock, and of processors, seconds. */
interface Cost {
  readonly clock: number;
  readonly cpu: number;
}

/** One install into the folder, emptied before. */
async function install(): Promise<Cost> {
  for (const name of readdirSync(place.folder)) rmSync(place.at(name), { recursive: true });
  const begun = performance.now();
  // `times` tells of the shell on one line, and of what it has run on the next.
  const command = 'npm install --loglevel=error gyrfalcon && times';
  const { code, output } = await place.run(command);
  if (code !== 0) throw new Error(output);
  const clock = (performance.now() - begun) / 1000;
  const used = [...output.matchAll(/(\d+)m([\d.]+)s/g)].slice(-2);
  const cpu = used.reduce((sum, [, minutes, rest]) => sum + 60 * Number(minutes) + Number(rest), 0);
  return { clock, cpu };
}

/** The median of all rounds, and the quickest and slowest; and the median of the processors' time. */
async function seconds(isEmpty: boolean): Promise<string> {
  const costs: Cost[] = [];
  for (let round = 0; round < rounds; round += 1) {
    if (isEmpty) place.emptyCache();
    costs.push(await install());
  }
  const sorted = (key: keyof Cost): string[] =>
    costs
      .map((cost) => cost[key])
      .sort((one, another) => one - another)
      .map((value) => value.toFixed(2));
  const [clock, cpu] = [sorted('clock'), sorted('cpu')];
  const middle = rounds >> 1;
  return `${`${clock[middle]} s`.padStart(9)} (${clock[0]} to ${clock.at(-1)}; CPU ${cpu[middle]} s)`;
}

/** What a registry tells of a package. */
interface Packument {
  readonly versions: Readonly<Record<string, { dist: { tarball: string } }>>;
}

interface Download {
  readonly name: string;
  readonly bytes: number;
}

/** The files that npm has fetched for what is installed, largest first. */
async function downloads(): Promise<Download[]> {
  const lock = JSON.parse(readFileSync(place.at('node_modules', '.package-lock.json'), 'utf8'));
  const entries = Object.entries<{ version: string }>(lock.packages);
  const found = entries.map(async ([path, { version }]) => {
    const name = path.replace(/^.*node_modules\//, '');
    const told = await fetch(new URL(name, registry.url));
    const { versions } = (await told.json()) as Packument;
    const file = await fetch(versions[version]?.dist.tarball as string);
    return { name: `${name}@${version}`, bytes: (await file.arrayBuffer()).byteLength };
  });
  return (await Promise.all(found)).sort((one, another) => another.bytes - one.bytes);
}

/** A file that has two names counts once: esbuild links to its program. */
function diskBytes(folder: string): number {
  const sizes = new Map<number, number>();
  for (const name of readdirSync(folder, { recursive: true, encoding: 'utf8' })) {
    const entry = lstatSync(join(folder, name));
    if (entry.isFile()) sizes.set(entry.ino, entry.size);
  }
  return [...sizes.values()].reduce((sum, size) => sum + size, 0);
}

function mb(bytes: number): string {
  return `${(bytes / 1e6).toFixed(2)} MB`;
}
