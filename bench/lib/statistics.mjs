// What is computed of the race's slots: medians over the rounds, ranges, ratios.

/** @param {number[]} values */
export function median(values) {
  if (values.length === 0) return Number.NaN;
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
}

/** Of two measures; NaN where one is not there. */
export function ratio(a, b) {
  return a === undefined || b === undefined ? Number.NaN : a / b;
}

const measures = [
  'requests_per_second',
  'cpu_us_per_request',
  'p50_us',
  'p99_us',
  'p999_us',
  'resident_bytes',
  'server_share',
  'others_share',
];

/** Groups that run beside each other alone, without saying so. */
const apart = new Set(['tls', 'h2', 'ws']);

/** The heat of a contender. */
export const heatOf = ({ heat, group }) => heat ?? (apart.has(group) ? group : 'small');

/**
 * What makes two rows comparable: the same heat, the same load, as long a body.
 * @param {import('../contenders.mjs').Contender} row
 */
export function workOf(row) {
  const { body, socket, handshakes, paths, isSecured } = row;
  const load = [socket?.bytes, socket?.inFlight, handshakes, isSecured, paths?.length];
  return JSON.stringify([heatOf(row), ...load.map(String), body?.length ?? 'small']);
}

/**
 * @param {object[]} slots  one per contender and round
 * @param {{ row: import('../contenders.mjs').Contender, role: string, restBytes: number }[]} entrants  in the order of the
 *   table
 * @returns {object[]} of each contender medians and ranges; `to_leader` is the ratio of its CPU time per request to the least
 *   of those that do the same work, `leader` whose that is, `to_floor` that to the floor's
 */
export function summarise(slots, entrants) {
  const results = entrants.map(({ row, role, restBytes }) => {
    const { name, group, what } = row;
    const own = slots.filter((slot) => slot.name === name);
    const result = {
      name,
      group,
      heat: heatOf(row),
      role,
      what,
      work: workOf(row),
      rounds: own.length,
    };
    for (const measure of measures) result[measure] = median(own.map((slot) => slot[measure]));
    Object.assign(result, rangeOf(own, 'requests_per_second', 'requests_per_second'));
    Object.assign(result, rangeOf(own, 'cpu_us_per_request', 'cpu_us'));
    result.rest_bytes = restBytes;
    result.errors = own.reduce((sum, slot) => sum + slot.errors, 0);
    return result;
  });
  for (const result of results) Object.assign(result, placeOf(result, results));
  return results;
}

function rangeOf(slots, measure, name) {
  const values = slots.map((slot) => slot[measure]);
  return { [`${name}_min`]: Math.min(...values), [`${name}_max`]: Math.max(...values) };
}

function placeOf({ work, cpu_us_per_request: cpu }, results) {
  const same = results.filter((other) => other.work === work);
  const leader = same
    .filter(({ role }) => role !== 'floor')
    .sort((a, b) => a.cpu_us_per_request - b.cpu_us_per_request)[0];
  const floor = same.find(({ role }) => role === 'floor');
  return {
    leader: leader?.name ?? null,
    to_leader: ratio(cpu, leader?.cpu_us_per_request),
    to_floor: ratio(cpu, floor?.cpu_us_per_request),
  };
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

/** The base of a goal that means the cheapest peer at the same work. */
export const everyPeer = 'every peer';

function baseOf({ name, base }, results) {
  if (base !== everyPeer) return {};
  const work = results.find((result) => result.name === name)?.work;
  const peers = results.filter((result) => result.work === work && result.role === 'peer');
  const [cheapest] = peers.sort((a, b) => a.cpu_us_per_request - b.cpu_us_per_request);
  return { base: cheapest?.name, of: everyPeer };
}

/**
 * @param {{ name: string, base: string, at_most: number }[]} goals
 * @returns the goals whose two contenders both ran: `ratio` is of the two medians, `paired` the
 *   median of the ratios within each round
 */
export function judge(goals, results, slots) {
  const cpuOf = (name) => results.find((result) => result.name === name)?.cpu_us_per_request;
  return goals
    .map((goal) => ({ ...goal, ...baseOf(goal, results) }))
    .map((goal) => ({ ...goal, ratio: ratio(cpuOf(goal.name), cpuOf(goal.base)) }))
    .filter((goal) => !Number.isNaN(goal.ratio))
    .map((goal) => ({
      ...goal,
      paired: median(paired(slots, goal.name, goal.base)),
      reached: goal.ratio <= goal.at_most,
    }));
}

/**
 * Results by the heat that they ran in, or by their work, in their order.
 * @param {object[]} results
 * @param {'heat' | 'work'} [property]
 * @returns {Map<string, object[]>}
 */
export function heatsOf(results, property = 'heat') {
  const heats = new Map();
  for (const result of results) {
    const own = heats.get(result[property]) ?? [];
    heats.set(result[property], [...own, result]);
  }
  return heats;
}

/**
 * Rates for runs at a fixed rate: parts of what the slowest took, so that none is asked for more than it can.
 * @param {{ role: string, requests_per_second: number }[]} results  of one heat
 * @param {number[]} parts
 */
export function ratesOf(results, parts) {
  const raced = results.filter(({ role }) => role !== 'floor');
  const slowest = Math.min(...raced.map((result) => result.requests_per_second));
  return parts.map((part) => ({ part, rate: Math.max(1, Math.floor(slowest * part)) }));
}
