// What a request costs beside what it cost: the comparison of bench/cost.mjs.

/**
 * @typedef {import('./callgrind.mjs').Counts} Counts  of one request
 * @typedef {Record<string, Counts>} Costs  by the name of what was measured
 */

/**
 * How far from what is kept a number may be: a part of it, or so much, whichever is more. Instructions repeat to a
 * thousandth; misses depend on what else runs in the process, such as V8's garbage collection.
 */
const tolerances = {
  instructions: { part: 0.02, least: 10 },
  codeMisses: { part: 0.3, least: 20 },
  dataMisses: { part: 0.3, least: 20 },
};

const words = {
  instructions: 'instructions',
  codeMisses: 'misses of the cache for code',
  dataMisses: 'misses of the cache for data',
};

/**
 * @param {Costs} before
 * @param {Costs} found
 * @returns {string[]} a line for each number that has changed by more than its tolerance, or that nothing is kept of
 */
export function changes(before, found) {
  return Object.entries(found).flatMap(([name, counts]) => {
    const was = before[name];
    if (was === undefined) return [`${name}: bench/cost.json has no numbers of it`];
    return Object.entries(tolerances)
      .filter(([kind, { part, least }]) => {
        const change = Math.abs(counts[kind] - was[kind]);
        return !(change <= Math.max(was[kind] * part, least)); // NaN is a change too
      })
      .map(
        ([kind]) =>
          `${name}: ${counts[kind]} ${words[kind]} for a request, where it took ${was[kind]}`,
      );
  });
}

/** The numbers as text, each with what it was. */
export function table(before, found) {
  const lines = [['', ...Object.values(words)]];
  for (const [name, counts] of Object.entries(found)) {
    const cell = (kind) => `${counts[kind]} (${before[name]?.[kind] ?? 'none'})`;
    lines.push([name, ...Object.keys(tolerances).map(cell)]);
  }
  const widths = lines[0].map((_, column) => Math.max(...lines.map((line) => line[column].length)));
  return lines
    .map((line) =>
      line
        .map((cell, column) => cell.padEnd(widths[column]))
        .join('  ')
        .trimEnd(),
    )
    .join('\n');
}
