// Runs at a fixed rate: requests are due whether or not the server has answered those before, and latencies count from when
// they were due (bench/load.zig).
import { measure, settle } from './measure.mjs';
import { median, ratesOf } from './statistics.mjs';

/** Parts of what the slowest of a heat took. */
const parts = [0.5, 0.8];
const roundsMax = 3;
const secondsMin = 3;

/** Whether bench/load.zig can ask for it at a rate: one request of HTTP/1 at a time on connections that stay. */
function isSteady({ row, expected }) {
  const { handshakes, socket, events, each, pipelined, paths } = row;
  const isOther = expected.isHttp2 || expected.isSecured || Boolean(events ?? paths);
  return !isOther && [handshakes, socket, each, pipelined].every((shape) => shape === undefined);
}

/**
 * @param {import('./entrant.mjs').Entrant[]} entrants  of one heat
 * @param {object[]} results  what `summarise` has said of them
 * @param {import('./options.mjs').Options} options
 * @returns {Promise<object[]>} of each contender and rate the medians of some runs; none where the heat is of another kind
 */
export async function atRates(entrants, results, options) {
  const steady = entrants.filter(isSteady);
  if (steady.length === 0) return [];
  const own = results.filter(({ name }) => steady.some(({ row }) => row.name === name));
  const seconds = options.smoke ? 1 : Math.max(secondsMin, options.seconds);
  const slots = [];
  for (const { part, rate } of ratesOf(own, parts)) {
    for (let round = 0; round < Math.min(roundsMax, options.rounds); round += 1) {
      for (const entrant of steady) {
        await settle(options);
        const slot = await measure(entrant, { ...options, seconds, rate });
        slots.push({ ...slot, part, rate });
        const { name, p50_us, p99_us, p999_us } = slot;
        console.error(`${rate}/s  ${name.padEnd(20)} ${p50_us} ${p99_us} ${p999_us} µs`);
      }
    }
  }
  return steady.flatMap(({ row }) => parts.map((part) => summary(row.name, part, slots)));
}

/** @returns {object} of one contender at one rate */
export function summary(name, part, slots) {
  const own = slots.filter((slot) => slot.name === name && slot.part === part);
  const of = (measure) => own.map((slot) => slot[measure]);
  const sum = (measure) => of(measure).reduce((all, one) => all + one, 0);
  return {
    ...{ name, part, rate: own[0].rate },
    requests_per_second: median(of('requests_per_second')),
    cpu_us_per_request: median(of('cpu_us_per_request')),
    p50_us: median(of('p50_us')),
    p99_us: median(of('p99_us')),
    p999_us: median(of('p999_us')),
    max_us: Math.max(...of('max_us')),
    unanswered: sum('unanswered'),
    errors: sum('errors'),
  };
}
