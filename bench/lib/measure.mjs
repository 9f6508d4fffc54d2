// One slot of the race: load on one contender, what its processes used meanwhile.
import { load } from './load.mjs';
import {
  coreBusyMicros,
  cpuMicrosBetween,
  cpuTime,
  residentBytes,
  threadsOff,
  tree,
} from './process.mjs';

/** From so many connections on a slot lasts longer: wrk opens them within it. */
const MANY_CONNECTIONS = 1024;
const MANY_SECONDS = 4;
/** Connections of a row of its own, at most, in a smoke run. */
const SMOKE_CONNECTIONS = 64;

/** What a row says of its load goes before the command line. */
function settingsOf({ connections: own }, settings) {
  const { smoke, seconds, connections: said } = settings;
  const connections = smoke && own > SMOKE_CONNECTIONS ? SMOKE_CONNECTIONS : (own ?? said);
  const isMany = connections >= MANY_CONNECTIONS;
  return { ...settings, connections, seconds: isMany ? Math.max(seconds, MANY_SECONDS) : seconds };
}

/**
 * One slot: load on one contender, its CPU time read right before and after.
 * @param {import('./entrant.mjs').Entrant} entrant
 * @param {import('./options.mjs').Options & { rate?: number }} options  as of `load`
 */
export async function measure({ row, port, expected, server, responseBytes }, options) {
  const settings = settingsOf(row, options);
  const pids = tree(server.pid);
  const off = threadsOff(pids, settings.serverCore);
  if (off > 0)
    throw new Error(`${row.name}: ${off} of its threads left core ${settings.serverCore}`);
  const before = { core: coreBusyMicros(settings.serverCore), at: now(), cpu: cpuTime(pids) };
  const result = await load({ ...expected, port, responseBytes }, settings);
  const cpu_us = cpuMicrosBetween(before.cpu, cpuTime(pids));
  const wall_us = now() - before.at;
  const busy_us = coreBusyMicros(settings.serverCore) - before.core;
  if (server.exited !== null) throw new Error(`${row.name} ended: ${server.exited}`);
  if (result.requests === 0) throw new Error(`${row.name} answered nothing`);
  const { requests, seconds, ...latencies } = result;
  return {
    name: row.name,
    requests,
    requests_per_second: requests / seconds,
    cpu_us_per_request: cpu_us / requests,
    server_share: cpu_us / wall_us,
    others_share: Math.max(0, busy_us - cpu_us) / wall_us,
    resident_bytes: residentBytes(pids),
    ...latencies,
  };
}

function now() {
  return Number(process.hrtime.bigint() / 1000n);
}

/** Waits until both cores are nearly idle, at most `--calm` seconds. */
export async function settle({ calm, serverCore, loadCore }) {
  const cores = [serverCore, loadCore];
  const busy = () => cores.reduce((sum, core) => sum + coreBusyMicros(core), 0);
  for (let waited_ms = 0; waited_ms < calm * 1000; waited_ms += 500) {
    const before = busy();
    await new Promise((done) => setTimeout(done, 500));
    if (busy() - before < 0.05 * 500_000 * cores.length) return;
  }
}
