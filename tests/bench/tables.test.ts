/** What the race computes of its slots, the tables and the chart that it makes of that, and which contenders it has. */
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
// @ts-expect-error: a script, without types
import { contenders, roleOf } from '../../bench/contenders.mjs';
// @ts-expect-error: a script, without types
import { drawChart, shortNumber } from '../../bench/lib/chart.mjs';
// @ts-expect-error: a script, without types
import { withSource } from '../../bench/lib/compiled.mjs';
// @ts-expect-error: a script, without types
import { goals } from '../../bench/lib/goals.mjs';
// @ts-expect-error: a script, without types
import { summary } from '../../bench/lib/rates.mjs';
// @ts-expect-error: a script, without types
import { goalText, markdown, page, textTable } from '../../bench/lib/report.mjs';
// @ts-expect-error: a script, without types
import * as statistics from '../../bench/lib/statistics.mjs';
// @ts-expect-error: a script, without types
import { requestOf } from '../../bench/lib/verify.mjs';

const { everyPeer, heatsOf, judge, median, ratesOf, summarise, workOf } = statistics;

const test = suite('tables');

interface Row {
  name: string;
  group: string;
  heat?: string;
  what: string;
  body?: Buffer;
  likeSizeOf?: string;
}

const entrant = (name: string, role: string, more: Partial<Row> = {}) => ({
  row: { name, group: 'json', heat: 'json', what: `${name}, a list`, ...more },
  role,
  restBytes: 2 ** 20,
});

/** Slots of a contender, one for each round, by its CPU time per request. */
const slotsOf = (name: string, micros: number[]) =>
  micros.map((cpu, round) => ({
    name,
    round,
    requests_per_second: 1e6 / cpu,
    cpu_us_per_request: cpu,
    p50_us: 10 * cpu,
    p99_us: 20 * cpu,
    p999_us: 30 * cpu,
    resident_bytes: 2 ** 21,
    server_share: 1,
    others_share: 0,
    errors: 1,
  }));

const entrants = [
  entrant('floor-json', 'floor'),
  entrant('zig-json', 'own'),
  entrant('go-json', 'peer'),
  entrant('bun-json', 'peer'),
  entrant('bun', 'peer', { heat: undefined, group: 'peer' }),
];
const slots = [
  ...slotsOf('floor-json', [5, 5, 5]),
  ...slotsOf('zig-json', [8, 12, 10]),
  ...slotsOf('go-json', [40, 40, 40]),
  ...slotsOf('bun-json', [16, 12, 20]),
  ...slotsOf('bun', [1, 1, 1]),
];
const results = summarise(slots, entrants);
const byName = (name: string) => results.find((result: Row) => result.name === name);

test('a median is the middle of the values, or between the two in the middle', () => {
  assert.is(median([3, 1, 2]), 2);
  assert.is(median([4, 1, 2, 3]), 2.5);
  assert.ok(Number.isNaN(median([])));
});

test('a contender has medians, ranges and its place among those that do the same work', () => {
  const zig = byName('zig-json');
  assert.is(zig.cpu_us_per_request, 10);
  assert.equal([zig.cpu_us_min, zig.cpu_us_max], [8, 12]);
  assert.equal([zig.requests_per_second_min, zig.requests_per_second_max], [1e6 / 12, 1e6 / 8]);
  assert.is(zig.errors, 3);
  assert.is(zig.rest_bytes, 2 ** 20);
  assert.equal([zig.leader, zig.to_leader, zig.to_floor], ['zig-json', 1, 2]);
  assert.is(byName('bun-json').to_leader, 1.6);
  assert.is(byName('floor-json').to_leader, 0.5, 'the floor leads nobody');
  assert.ok(Number.isNaN(byName('bun').to_floor), 'another heat has a floor, not this one');
  assert.is(byName('bun').leader, 'bun');
});

test('as long a body in the same heat is the same work', () => {
  const row = { group: 'peer', body: Buffer.from('abc') };
  assert.is(workOf(row), workOf({ group: 'gyrfalcon', body: Buffer.from('xyz') }));
  const others = [{ body: Buffer.from('ab') }, { group: 'tls' }, { heat: 'c1' }];
  for (const more of others) assert.is.not(workOf(row), workOf({ ...row, ...more }));
});

test('a goal is judged where both have run, by medians and by rounds', () => {
  const wanted = [
    { name: 'zig-json', base: 'bun-json', at_most: 0.75 },
    { name: 'zig-json', base: everyPeer, at_most: 0.5 },
    { name: 'zig-json', base: 'deno-json', at_most: 1 },
  ];
  const [against, all, ...rest] = judge(wanted, results, slots);
  assert.is(rest.length, 0);
  assert.equal([against.ratio, against.paired, against.reached], [10 / 16, 0.5, true]);
  assert.equal([all.base, all.reached], ['bun-json', false]);
  assert.match(goalText(all), 'MISSED: zig-json ≤ 0.5 × every peer, the cheapest of them bun-json');
});

test('rates are parts of what the slowest took, the floor left aside', () => {
  const raced = [
    { role: 'floor', requests_per_second: 10 },
    { role: 'own', requests_per_second: 1000 },
    { role: 'peer', requests_per_second: 501 },
  ];
  const rates = [
    { part: 0.5, rate: 250 },
    { part: 0.8, rate: 400 },
  ];
  assert.equal(ratesOf(raced, [0.5, 0.8]), rates);
});

test('a run at a rate has medians, the longest of all, and sums of what went wrong', () => {
  const run = (p99: number, most: number, part = 0.5) => ({
    ...{ name: 'zig', part, rate: 250, requests_per_second: 250, cpu_us_per_request: 9 },
    ...{ p50_us: 1, p99_us: p99, p999_us: p99, max_us: most, unanswered: 1, errors: 2 },
  });
  const found = summary('zig', 0.5, [run(5, 70), run(7, 50), run(6, 60), run(100, 900, 0.8)]);
  assert.equal([found.p99_us, found.max_us, found.unanswered, found.errors], [6, 70, 3, 6]);
});

const found = {
  results,
  rates: [
    summary('zig-json', 0.5, [{ ...slots[3], part: 0.5, rate: 9, max_us: 1, unanswered: 0 }]),
  ],
  verdicts: [],
  facts: { date: '2026-11-30T18:00:00.000Z', cpu: 'a <fast> one', cores: 2, virtual: 'no' },
  leftOut: ['may-json: cargo is not\non PATH'],
};

test('a heat has a table of its own, with what ran at a rate below it', () => {
  const text = markdown(found);
  assert.equal(
    [...text.matchAll(/^## (.*)$/gm)].map(([, title]) => title),
    ['json: a list', 'The small response', 'Left out', 'Machine and versions'],
  );
  assert.match(text, '| zig-json | 100000 | 83333–125000 | 10.00 | 8.00–12.00 | 1.00 | 2.00 |');
  assert.match(text, /At a fixed rate:\n\n\| contender \| load \|/);
  assert.match(text, '- may-json: cargo is not on PATH');
  for (const line of text.split('\n').filter((one: string) => one.startsWith('|')))
    assert.ok([16, 12].includes(line.split('|').length - 1), line);
  assert.match(textTable(results, found.rates), /^zig-json +100000 /m);
});

test('the page names the command that makes it again', () => {
  const command = 'npm run bench -- --only all --write';
  const text = page(found, { command, chart: 'race.svg' });
  assert.match(text, `\`\`\`sh\n${command}\n\`\`\``);
  assert.match(text, '](race.svg)');
});

test('the chart has a bar for each, the cheapest first, and colours for light and dark', () => {
  const svg = drawChart(results, 'a <fast> one');
  const bars = [...svg.matchAll(/<rect class="(\w+)" [^>]*width="([\d.]+)" height="16"/g)];
  const roles = ['floor', 'own', 'peer', 'peer', 'peer'];
  assert.equal(
    bars.filter(([, role]) => role !== 'page').map(([, role]) => role),
    roles,
  );
  const widths = bars.slice(0, 4).map(([, , width]) => Number(width));
  assert.equal(
    widths,
    [...widths].sort((a, b) => a - b),
  );
  assert.ok(Math.abs(widths[1] / widths[3] - 10 / 40) < 0.01, 'as long as the number says');
  assert.match(svg, 'prefers-color-scheme: dark');
  assert.match(svg, 'a &lt;fast&gt; one');
  assert.not.match(svg, '<fast>');
  assert.is(heatsOf(results).size, 2);
});

test('numbers have three digits', () => {
  assert.equal([2.345, 23.45, 234.5, Number.NaN].map(shortNumber), ['2.35', '23.4', '235', '–']);
});

test('every contender has a name of its own, and what it refers to is there', () => {
  const names = contenders.map(({ name }: Row) => name);
  assert.is(new Set(names).size, names.length);
  const groups = new Set(contenders.map(({ group }: Row) => group));
  assert.equal(
    names.filter((name: string) => groups.has(name) && name !== 'floor'),
    [],
    'no name is that of a group as well',
  );
  for (const { name, likeSizeOf } of contenders as Row[])
    assert.ok(likeSizeOf === undefined || names.includes(likeSizeOf), `${name}: ${likeSizeOf}`);
  for (const { name, base } of goals)
    for (const one of [name, base])
      assert.ok(one === everyPeer || names.includes(one), `a goal names ${one}`);
});

test('the roles of contenders: the floor, what is ours, peers', () => {
  const role = (name: string) => roleOf(contenders.find((row: Row) => row.name === name));
  assert.equal(['floor', 'floor-json', 'floor-file'].map(role), ['floor', 'floor', 'floor']);
  const own = [
    'zig',
    'handler-json',
    'dir',
    'ts-ws',
    'zig-tls',
    'handler-inline',
    'hono',
    'dir-h2',
  ];
  for (const name of own) assert.is(role(name), 'own', name);
  for (const name of ['bun-handler', 'hono-bun', 'nginx-tls', 'bun-ws', 'go-sse'])
    assert.is(role(name), 'peer', name);
});

test('a lock without sources gets one for every package that has a checksum', () => {
  const lock = '[[package]]\nname = "a"\nchecksum = "1"\n\n[[package]]\nname = "own"\n';
  const whole =
    '[[package]]\nname = "a"\nsource = "$&"\nchecksum = "1"\n\n[[package]]\nname = "own"\n';
  assert.is(withSource(lock, 'source = "$&"'), whole);
  assert.throws(() => withSource(lock, undefined), 'names no source');
});

test('a request is what the least client sends: GET, or what is posted behind its length', () => {
  const get = requestOf(80, { path: '/a' }, ['X: 1']).toString();
  assert.is(get, 'GET /a HTTP/1.1\r\nHost: 127.0.0.1:80\r\nX: 1\r\n\r\n');
  const post = requestOf(80, { path: '/a', send: { body: Buffer.from('abc') } }).toString();
  assert.match(post, /^POST \/a HTTP\/1\.1\r\n/);
  assert.match(post, /\r\nContent-Length: 3\r\n\r\nabc$/);
});

test.run();
