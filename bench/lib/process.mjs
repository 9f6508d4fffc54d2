// Processes under test: start pinned, find their tree in /proc, read CPU time and memory, end.
import { spawn } from 'node:child_process';
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';

/** Clock ticks per second of /proc/*\/stat: fixed at 100 on every Linux that Node runs on. */
const TICKS_PER_SECOND = 100;

const running = new Set();

/**
 * Starts a command pinned to one core; every thread and child it makes inherits that.
 * @param {string[]} command
 * @param {{ core: number, nice: number, env?: Record<string, string>, cwd?: string, uid?: number, gid?: number }} where
 */
export function start(command, { core, nice, env, ...rest }) {
  const prefix = ['taskset', '-c', String(core)];
  if (nice !== 0) prefix.push('nice', '-n', String(nice));
  const [file, ...args] = [...prefix, ...command];
  const child = spawn(file, args, {
    ...rest,
    env: { ...process.env, ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const server = { child, pid: child.pid, output: '', exited: null };
  const keep = (data) => {
    server.output = (server.output + data).slice(-8192);
  };
  child.stdout.on('data', keep);
  child.stderr.on('data', keep);
  server.ended = new Promise((resolve) => {
    child.once('error', (error) => {
      server.exited = error.message;
      resolve();
    });
    child.once('exit', (code, signal) => {
      server.exited = signal ?? `exit code ${code}`;
      running.delete(server);
      resolve();
    });
  });
  running.add(server);
  return server;
}

/**
 * Lets the scheduling priority reach beyond this session: where Linux groups processes by session
 * (sched_autogroup), a process's own nice value counts within its group only. Undone at exit.
 */
export function raiseGroup(nice) {
  const group = '/proc/self/autogroup';
  try {
    const former = /nice (-?\d+)/.exec(readFileSync(group, 'latin1'))?.[1];
    if (nice === 0 || former === undefined) return;
    writeFileSync(group, String(nice));
    process.once('exit', () => writeFileSync(group, former));
  } catch {
    // No such grouping, or no right to it: the nice value is all there is.
  }
}

/** Ends a server by SIGTERM, and by SIGKILL when it has not ended after three seconds. */
export async function stop(server) {
  if (server.exited !== null) return;
  const pids = tree(server.pid);
  server.child.kill('SIGTERM');
  const timer = setTimeout(() => {
    for (const pid of pids) kill(pid);
  }, 3000);
  await server.ended;
  clearTimeout(timer);
}

function kill(pid) {
  try {
    process.kill(pid, 'SIGKILL');
  } catch {
    // It has ended by itself.
  }
}

/** Kills, at once, whatever start() left running: for the way out on a signal or an error. */
export function killAll() {
  for (const server of running) {
    if (server.exited === null) for (const pid of tree(server.pid)) kill(pid);
  }
}

process.once('exit', killAll);
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) {
  process.once(signal, () => process.exit(130));
}

/** @returns {number[]} a process and all its descendants */
export function tree(root) {
  const children = new Map();
  for (const name of readdirSync('/proc')) {
    if (!/^\d+$/.test(name)) continue;
    const stat = readStat(name);
    if (stat === null) continue;
    const siblings = children.get(stat.parent) ?? [];
    siblings.push(Number(name));
    children.set(stat.parent, siblings);
  }
  const found = [root];
  for (let i = 0; i < found.length; i += 1) found.push(...(children.get(found[i]) ?? []));
  return found;
}

function readStat(pid) {
  let text;
  try {
    text = readFileSync(`/proc/${pid}/stat`, 'latin1');
  } catch {
    return null; // It ended between the listing and the read.
  }
  // The name in parentheses may hold spaces: count from behind it (proc(5), state is field 3).
  const fields = text.slice(text.lastIndexOf(')') + 2).split(' ');
  return { parent: Number(fields[1]), ticks: Number(fields[11]) + Number(fields[12]) };
}

/**
 * CPU time that a process tree has used so far, kept twice: utime + stime in clock ticks (whole
 * processes, ended threads included), and in nanoseconds for each living thread.
 * @typedef {{ micros: number, threads: Map<string, number> }} CpuTime
 */

/** @returns {CpuTime} of all processes in `pids` and their threads */
export function cpuTime(pids) {
  const threads = new Map();
  let ticks = 0;
  for (const pid of pids) {
    ticks += readStat(pid)?.ticks ?? 0;
    for (const thread of threadsOf(pid)) {
      try {
        const text = readFileSync(`/proc/${pid}/task/${thread}/schedstat`, 'latin1');
        threads.set(thread, Number(text.slice(0, text.indexOf(' '))));
      } catch {
        // The thread has ended, or this kernel was built without it.
      }
    }
  }
  return { micros: (ticks * 1e6) / TICKS_PER_SECOND, threads };
}

/**
 * Microseconds of CPU time between two readings. The nanosecond counters are the same account as
 * utime + stime without the rounding to 10 ms; they lose what an ended thread used, so that
 * utime + stime is taken when one has ended.
 * @param {CpuTime} before
 * @param {CpuTime} after
 */
export function cpuMicrosBetween(before, after) {
  const same =
    after.threads.size > 0 && [...before.threads.keys()].every((t) => after.threads.has(t));
  if (!same) return after.micros - before.micros;
  let nanos = 0;
  for (const [thread, used] of after.threads) nanos += used - (before.threads.get(thread) ?? 0);
  return nanos / 1000;
}

function threadsOf(pid) {
  try {
    return readdirSync(`/proc/${pid}/task`);
  } catch {
    return []; // The process has ended.
  }
}

/** Resident memory of all processes, in bytes; pages that two of them share count twice. */
export function residentBytes(pids) {
  let kib = 0;
  for (const pid of pids) {
    try {
      kib += Number(
        /VmRSS:\s+(\d+) kB/.exec(readFileSync(`/proc/${pid}/status`, 'latin1'))?.[1] ?? 0,
      );
    } catch {
      // It has ended.
    }
  }
  return kib * 1024;
}

/** Threads of a process tree that may run on another core than `core`: the pin has to hold. */
export function threadsOff(pids, core) {
  let off = 0;
  for (const pid of pids) {
    for (const thread of threadsOf(pid)) {
      try {
        const status = readFileSync(`/proc/${pid}/task/${thread}/status`, 'latin1');
        if (/Cpus_allowed_list:\s+(\S+)/.exec(status)?.[1] !== String(core)) off += 1;
      } catch {
        // The thread has ended.
      }
    }
  }
  return off;
}

/** Time that a core spent on anything, stolen time included, in microseconds since boot. */
export function coreBusyMicros(core) {
  const line = readFileSync('/proc/stat', 'latin1')
    .split('\n')
    .find((text) => text.startsWith(`cpu${core} `));
  if (line === undefined) throw new Error(`this machine has no core ${core}`);
  const [user, nice, system, , , irq, softirq, steal] = line
    .trim()
    .split(/\s+/)
    .slice(1)
    .map(Number);
  return ((user + nice + system + irq + softirq + steal) * 1e6) / TICKS_PER_SECOND;
}

/** @returns {Promise<number>} a TCP port that is free on 127.0.0.1 now */
export function freePort() {
  return new Promise((resolve, reject) => {
    const probe = createServer();
    probe.once('error', reject);
    probe.listen(0, '127.0.0.1', () => {
      const { port } = probe.address();
      probe.close(() => resolve(port));
    });
  });
}
