// Command line of the race and its sisters.
import { parseArgs } from 'node:util';
import { loadNames } from './load.mjs';

/**
 * @typedef {object} Options
 * @property {number} rounds       how often each contender is measured (default 7)
 * @property {number} seconds      length of one measurement (default 1)
 * @property {number} warmup       seconds of load before the first round (default 2, 0 for none)
 * @property {number} connections  keep-alive connections of the load (default 64)
 * @property {'wrk' | 'oha' | 'least' | null} load  load generator; least: bench/load.zig; null: none was asked
 *   for, and chooseLoad() says which
 * @property {boolean} typical     requests carry a browser's fields (default: Host only)
 * @property {string[]} only       contender names or groups; empty: all but those that have to be asked for
 * @property {number} serverCore   core of the server under test (default 0)
 * @property {number} loadCore     core of the load generator (default 1)
 * @property {number} nice         of server and load (default 0; below 0 needs root)
 * @property {number} calm         seconds to wait, at most, for quiet cores before each slot
 * @property {string} output       where the JSON goes
 * @property {boolean} rates       runs at fixed rates, after the rounds: half and four fifths of what the slowest took
 * @property {boolean} write       docs/RACE.md and docs/race.svg are written too
 * @property {number | null} node  the major version of Node.js that is raced; null: the one that runs this
 * @property {boolean} smoke       as short as it goes: shows that everything runs, and measures nothing
 */

const usage = `usage: node bench/race.mjs [--rounds 7] [--seconds 1] [--warmup 2] [--connections 64]
       [--only name,name] [--server-core 0] [--load-core 1] [--nice 0] [--calm 0]
       [--output bench/results/latest.json] [--load wrk|oha|least] [--node 26]
       [--typical] [--rate] [--write] [--smoke] [--list]

  --only   names or groups of bench/contenders.mjs, or all; what is not said races only when
           nothing is: the small response. --list has the groups
  --load   wrk unless it cannot be had; least is bench/load.zig: it parses nothing and keeps a
           fast server busier than wrk. The group h2 is loaded by h2load, by 16 connections of 32
           streams each, the group ws by bench/ws_load.zig
  --node   the servers in Node.js run on its latest release with this major number, from npm; unless it
           is said, on the one that runs the race
  --typical  requests carry the fields that a browser sends, not Host alone
  --nice   e.g. --nice=-15 as root: keeps other work on the machine from taking the two cores
  --calm   waits up to so many seconds before each slot until other work leaves the cores alone
  --rate   then each is asked at a fixed rate, at 50 and at 80 % of what the slowest of its heat
           took, by bench/load.zig; latencies count from when a request was due
  --write  the page docs/RACE.md and its chart docs/race.svg are written too
  --smoke  one round of a second for each, whatever else is said: shows that everything runs`;

const flags = {
  rounds: { type: 'string', default: '7' },
  seconds: { type: 'string', default: '1' },
  warmup: { type: 'string', default: '2' },
  connections: { type: 'string', default: '64' },
  only: { type: 'string', default: '' },
  'server-core': { type: 'string', default: '0' },
  'load-core': { type: 'string', default: '1' },
  nice: { type: 'string', default: '0' },
  calm: { type: 'string', default: '0' },
  output: { type: 'string', default: 'bench/results/latest.json' },
  load: { type: 'string' },
  node: { type: 'string' },
  smoke: { type: 'boolean', default: false },
  typical: { type: 'boolean', default: false },
  rate: { type: 'boolean', default: false },
  write: { type: 'boolean', default: false },
  list: { type: 'boolean', default: false },
  help: { type: 'boolean', short: 'h', default: false },
};

/** What --smoke makes of the other options. */
const smoke = {
  rounds: 1,
  seconds: 1,
  warmup: 0,
  connections: 16,
  calm: 0,
  output: 'bench/results/smoke.json',
};

/**
 * @param {string[]} argv
 * @param {number} connectionsMax  what the load generators hold, unless connections are held by the program itself
 * @returns {Options & { list: boolean }} prints usage and exits when the command line is wrong
 */
export function readOptions(argv = process.argv.slice(2), connectionsMax = 10_000) {
  let values;
  try {
    ({ values } = parseArgs({ args: argv, options: flags }));
  } catch (error) {
    console.error(`${error.message}\n\n${usage}`);
    process.exit(2);
  }
  if (values.help) {
    console.log(usage);
    process.exit(0);
  }
  if (values.load !== undefined && !loadNames.includes(values.load)) {
    console.error(`--load takes ${loadNames.join(', ')}, not '${values.load}'`);
    process.exit(2);
  }
  const options = {
    rounds: integer(values, 'rounds', 1, 1000),
    seconds: integer(values, 'seconds', 1, 600),
    warmup: integer(values, 'warmup', 0, 60),
    connections: integer(values, 'connections', 1, connectionsMax),
    only: values.only.split(',').filter(Boolean),
    serverCore: integer(values, 'server-core', 0, 1023),
    loadCore: integer(values, 'load-core', 0, 1023),
    nice: integer(values, 'nice', -20, 19),
    calm: integer(values, 'calm', 0, 600),
    load: values.load ?? null,
    node: values.node === undefined ? null : integer(values, 'node', 20, 99),
    typical: values.typical,
    rates: values.rate,
    write: values.write,
    output: values.output,
    list: values.list,
    smoke: values.smoke,
  };
  return values.smoke ? { ...options, ...smoke } : options;
}

/**
 * The whole number that an option says. Tells what it takes, and exits with 2, when it is none from `min` to `max`.
 *
 * @param {Record<string, unknown>} values of parseArgs
 * @param {string} name of the option
 * @param {number} min
 * @param {number} max
 * @returns {number}
 */
export function integer(values, name, min, max) {
  const value = values[name] === '' ? Number.NaN : Number(values[name]);
  if (Number.isInteger(value) && value >= min && value <= max) return value;
  console.error(`--${name} takes a whole number from ${min} to ${max}, not '${values[name]}'`);
  process.exit(2);
}
