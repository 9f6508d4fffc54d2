// Numbers to tables: medians over the rounds, ratios, goals; as text, markdown and JSON.

/** @param {number[]} values */
export function median(values) {
  if (values.length === 0) return Number.NaN;
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
}

const measures = [
  'requests_per_second',
  'cpu_us_per_request',
  'p50_us',
  'p99_us',
  'resident_bytes',
  'server_share',
  'others_share',
];

/**
 * @param {object[]} slots  one per contender and round
 * @param {import('../contenders.mjs').Contender[]} rows  in the order of the table
 */
export function summarise(slots, rows) {
  const results = rows.map(({ name, group, what }) => {
    const own = slots.filter((slot) => slot.name === name);
    const result = { name, group, what, rounds: own.length };
    for (const measure of measures) result[measure] = median(own.map((slot) => slot[measure]));
    result.cpu_us_min = Math.min(...own.map((slot) => slot.cpu_us_per_request));
    result.cpu_us_max = Math.max(...own.map((slot) => slot.cpu_us_per_request));
    result.errors = own.reduce((sum, slot) => sum + slot.errors, 0);
    return result;
  });
  const cpuOf = (name) => results.find((result) => result.name === name)?.cpu_us_per_request;
  for (const result of results) {
    result.to_floor = ratio(result.cpu_us_per_request, cpuOf('floor'));
    result.to_bun_handler = ratio(result.cpu_us_per_request, cpuOf('bun-handler'));
  }
  return results;
}

function ratio(a, b) {
  return a === undefined || b === undefined ? Number.NaN : a / b;
}

/** Ratios within each round: what drifts slowly touches both sides of them. */
function paired(slots, name, base) {
  const ratios = [];
  for (const slot of slots) {
    const other = slots.find((b) => b.name === base && b.round === slot.round);
    if (slot.name === name && other)
      ratios.push(slot.cpu_us_per_request / other.cpu_us_per_request);
  }
  return ratios;
}

/** What this project wants to reach: CPU per request of one contender against another's. */
export const goals = [
  { name: 'zig', base: 'floor', at_most: 1.1 },
  { name: 'constant', base: 'floor', at_most: 1.12 },
  { name: 'handler', base: 'bun-handler', at_most: 0.75 },
  { name: 'zig-ws', base: 'uws-ws', at_most: 0.9 },
  { name: 'zig-ws-16k', base: 'uws-ws-16k', at_most: 0.9 },
  { name: 'zig-ws-x16', base: 'uws-ws-x16', at_most: 0.9 },
  { name: 'handler-params', base: 'bun-params', at_most: 0.75 },
  { name: 'dir', base: 'nginx-file', at_most: 1 },
  { name: 'zig-tls', base: 'nginx-tls', at_most: 1 },
  { name: 'handler-tls', base: 'bun-tls', at_most: 1 },
  ...['nginx', 'h2o'].flatMap((peer) => [
    { name: 'dir-tls', base: `${peer}-tls-file`, at_most: 1 },
    { name: 'dir-tls-1m', base: `${peer}-tls-1m`, at_most: 1 },
    { name: 'zig-tls-full', base: `${peer}-tls-full`, at_most: 1 },
    { name: 'zig-tls-resumed', base: `${peer}-tls-resumed`, at_most: 1 },
  ]),
  ...['h2', 'h2-tls'].flatMap((way) => [
    { name: `zig-${way}`, base: `h2o-${way}`, at_most: 1 },
    { name: `handler-${way}`, base: `bun-${way}`, at_most: 0.5 },
    { name: `dir-${way}`, base: `nginx-${way}-file`, at_most: 1 },
    { name: `dir-${way}`, base: `h2o-${way}-file`, at_most: 1 },
    { name: `dir-${way}-mixed`, base: `nginx-${way}-mixed`, at_most: 1 },
    { name: `dir-${way}-mixed`, base: `h2o-${way}-mixed`, at_most: 1 },
  ]),
];

/**
 * @returns the goals whose two contenders both ran: `ratio` is of the two medians, `paired` the
 *   median of the ratios within each round
 */
export function judge(results, slots) {
  const cpuOf = (name) => results.find((result) => result.name === name)?.cpu_us_per_request;
  return goals
    .map((goal) => ({ ...goal, ratio: ratio(cpuOf(goal.name), cpuOf(goal.base)) }))
    .filter((goal) => !Number.isNaN(goal.ratio))
    .map((goal) => ({
      ...goal,
      paired: median(paired(slots, goal.name, goal.base)),
      reached: goal.ratio <= goal.at_most,
    }));
}

const head = [
  'contender',
  'req/s',
  'CPU µs/req',
  'min–max',
  '× floor',
  '× Bun handler',
  'p50 µs',
  'p99 µs',
  'RSS MiB',
  'core %',
  'others %',
  'errors',
];

const fixed = (value, digits) => (Number.isFinite(value) ? value.toFixed(digits) : '–');

function cells(result) {
  return [
    result.name,
    fixed(result.requests_per_second, 0),
    fixed(result.cpu_us_per_request, 2),
    `${fixed(result.cpu_us_min, 2)}–${fixed(result.cpu_us_max, 2)}`,
    fixed(result.to_floor, 2),
    fixed(result.to_bun_handler, 2),
    fixed(result.p50_us, 0),
    fixed(result.p99_us, 0),
    fixed(result.resident_bytes / 2 ** 20, 1),
    fixed(result.server_share * 100, 0),
    fixed(result.others_share * 100, 0),
    String(result.errors),
  ];
}

/** @returns {string} columns aligned by spaces, for the terminal */
export function textTable(results) {
  const rows = [head, ...results.map(cells)];
  const widths = head.map((_, column) => Math.max(...rows.map((row) => row[column].length)));
  const line = (row) =>
    row.map((cell, i) => (i === 0 ? cell.padEnd(widths[i]) : cell.padStart(widths[i]))).join('  ');
  return rows.map(line).join('\n');
}

/** @returns {string} the same as a markdown table with the machine's facts below it */
export function markdown(results, verdicts, facts) {
  const row = (values) => `| ${values.join(' | ')} |`;
  const rule = head.map((_, i) => (i === 0 ? '---' : '---:'));
  const lines = [row(head), row(rule), ...results.map((result) => row(cells(result))), ''];
  for (const verdict of verdicts) lines.push(`- ${goalText(verdict)}`);
  if (verdicts.length > 0) lines.push('');
  lines.push(
    Object.entries(facts)
      .map(([name, value]) => `${name}: ${value}`)
      .join(' · '),
  );
  return `${lines.join('\n')}\n`;
}

/** @returns {string} one goal in words */
export function goalText(goal) {
  const found = `${goal.ratio.toFixed(3)}, by rounds ${goal.paired.toFixed(3)}`;
  const verdict = goal.reached ? 'reached' : 'MISSED';
  return `${verdict}: ${goal.name} ≤ ${goal.at_most} × ${goal.base} (${found})`;
}
