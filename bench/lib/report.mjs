// Results to tables: as text, as markdown.
import { heatsOf } from './statistics.mjs';

const fixed = (value, digits) => (Number.isFinite(value) ? value.toFixed(digits) : '–');
const range = (least, most, digits) => `${fixed(least, digits)}–${fixed(most, digits)}`;
const mib = (bytes) => fixed(bytes / 2 ** 20, 1);

/** Columns: heading, and the cell of a result. */
const columns = [
  ['contender', ({ name }) => name],
  ['req/s', (it) => fixed(it.requests_per_second, 0)],
  ['min–max', (it) => range(it.requests_per_second_min, it.requests_per_second_max, 0)],
  ['CPU µs/req', (it) => fixed(it.cpu_us_per_request, 2)],
  ['min–max', (it) => range(it.cpu_us_min, it.cpu_us_max, 2)],
  ['× leader', (it) => fixed(it.to_leader, 2)],
  ['× floor', (it) => fixed(it.to_floor, 2)],
  ['p50 µs', (it) => fixed(it.p50_us, 0)],
  ['p99 µs', (it) => fixed(it.p99_us, 0)],
  ['p99.9 µs', (it) => fixed(it.p999_us, 0)],
  ['MiB at rest', (it) => mib(it.rest_bytes)],
  ['loaded', (it) => mib(it.resident_bytes)],
  ['core %', (it) => fixed(it.server_share * 100, 0)],
  ['others %', (it) => fixed(it.others_share * 100, 0)],
  ['errors', (it) => String(it.errors)],
];

/** Of a run at a fixed rate. */
const rateColumns = [
  ['contender', ({ name }) => name],
  ['load', ({ part }) => `${fixed(part * 100, 0)} %`],
  ['due/s', ({ rate }) => fixed(rate, 0)],
  ['answered/s', (it) => fixed(it.requests_per_second, 0)],
  ['CPU µs/req', (it) => fixed(it.cpu_us_per_request, 2)],
  ['p50 µs', (it) => fixed(it.p50_us, 0)],
  ['p99 µs', (it) => fixed(it.p99_us, 0)],
  ['p99.9 µs', (it) => fixed(it.p999_us, 0)],
  ['longest µs', (it) => fixed(it.max_us, 0)],
  ['unanswered', (it) => String(it.unanswered)],
  ['errors', (it) => String(it.errors)],
];

/** @returns {string[][]} the heading, and a line for each */
const cellsOf = (shape, results) => [
  shape.map(([heading]) => heading),
  ...results.map((result) => shape.map(([, cell]) => cell(result))),
];

function aligned(rows) {
  const widths = rows[0].map((_, column) => Math.max(...rows.map((row) => row[column].length)));
  const line = (row) =>
    row.map((cell, i) => (i === 0 ? cell.padEnd(widths[i]) : cell.padStart(widths[i]))).join('  ');
  return rows.map(line).join('\n');
}

function piped(rows) {
  const line = (cells) => `| ${cells.join(' | ')} |`;
  const rule = rows[0].map((_, i) => (i === 0 ? '---' : '---:'));
  return [line(rows[0]), line(rule), ...rows.slice(1).map(line)].join('\n');
}

/** @returns {string} columns aligned by spaces, for the terminal: a table for each heat */
export function textTable(results, rates = []) {
  return [...heatsOf(results).values()]
    .flatMap((own) => [
      aligned(cellsOf(columns, own)),
      ...rateRowsOf(own, rates).map((rows) => aligned(cellsOf(rateColumns, rows))),
    ])
    .join('\n\n');
}

function rateRowsOf(results, rates) {
  const rows = rates.filter(({ name }) => results.some((result) => result.name === name));
  return rows.length === 0 ? [] : [rows];
}

const headings = {
  small: 'The small response',
  tls: 'Over TLS',
  h2: 'HTTP/2',
  ws: 'WebSocket',
};

/** A heat in words: those of its own, or what its rows say behind their last comma. */
export function headingOf([{ heat, what }]) {
  return headings[heat] ?? `${heat}: ${what.slice(what.lastIndexOf(', ') + 2)}`;
}

/** What stands below a table: who is who. */
const legend = (results) => results.map(({ name, what }) => `_${name}_: ${what}`).join('; ');

/**
 * @param {{ results: object[], rates: object[], verdicts: object[], facts: Record<string, string | number>,
 *   leftOut: string[] }} found
 * @returns {string} a section for each heat, what the goals say, who was left out and why, the machine
 */
export function markdown({ results, rates, verdicts, facts, leftOut }) {
  const sections = [...heatsOf(results).values()].map((own) =>
    [
      `## ${headingOf(own)}`,
      piped(cellsOf(columns, own)),
      ...rateRowsOf(own, rates).map(
        (rows) => `At a fixed rate:\n\n${piped(cellsOf(rateColumns, rows))}`,
      ),
      `${legend(own)}.`,
    ].join('\n\n'),
  );
  const list = (title, lines) =>
    lines.length === 0 ? [] : [`## ${title}`, lines.map((line) => `- ${line}`).join('\n')];
  const machine = Object.entries(facts).map(([name, value]) => `${name}: ${value}`);
  return `${[
    ...sections,
    ...list('Goals', verdicts.map(goalText)),
    ...list(
      'Left out',
      leftOut.map((line) => line.replaceAll(/\s+/g, ' ').trim()),
    ),
    ...list('Machine and versions', machine),
  ].join('\n\n')}\n`;
}

/** @returns {string} one goal in words */
export function goalText(goal) {
  const found = `${goal.ratio.toFixed(3)}, by rounds ${goal.paired.toFixed(3)}`;
  const verdict = goal.reached ? 'reached' : 'MISSED';
  const base = goal.of === undefined ? goal.base : `${goal.of}, the cheapest of them ${goal.base}`;
  return `${verdict}: ${goal.name} ≤ ${goal.at_most} × ${base} (${found})`;
}

/**
 * @param {Parameters<typeof markdown>[0]} found
 * @param {{ command: string, chart: string }} how  the command that makes the page again; the chart's file beside it
 * @returns {string} docs/RACE.md
 */
export function page(found, { command, chart }) {
  const { date, cpu, cores, virtual, commit } = found.facts;
  const machine = `${cores} cores${virtual === 'yes' ? ' of a virtual machine' : ''}: ${cpu}`;
  return `# The race

Gyrfalcon beside other servers, at the same work, on one core of one machine: ${date.slice(0, 10)}, commit ${commit}, ${machine}.
[bench/README.md](../bench/README.md) tells how it is measured and how the tables are read. CPU time per request is the
number to compare; ratios hold from one machine to another better than numbers do. Made by, and to be made again by:

\`\`\`sh
${command}
\`\`\`

![CPU time per request of each contender](${chart})

${markdown(found)}`;
}
