// Facts about the machine and the programs: without them a number means nothing.
import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { cpus, loadavg, release, totalmem } from 'node:os';
import { MissingError } from '../../scripts/lib/project.mjs';
import { versionsOf } from './compiled.mjs';
import { had, libraryEnv, run, versionOf } from './tools.mjs';

/** @returns {Promise<Record<string, string | number>>} plain values, ready to be printed */
export async function machineFacts() {
  const git = async (...args) => (await run(['git', ...args])).trim();
  return {
    date: new Date().toISOString(),
    commit: await git('rev-parse', '--short', 'HEAD').catch(() => 'unknown'),
    changed_files: await git('status', '--porcelain', '-uno')
      .then((text) => text.split('\n').filter(Boolean).length)
      .catch(() => -1),
    cpu: cpus()[0]?.model ?? 'unknown',
    cores: cpus().length,
    virtual: / hypervisor( |$)/m.test(readFileSync('/proc/cpuinfo', 'latin1')) ? 'yes' : 'no',
    memory_mib: Math.round(totalmem() / 2 ** 20),
    kernel: release(),
    load_average: loadavg()[0].toFixed(2),
    node: process.version,
    bun: await version('bun', '--version'),
    deno: await version('deno', '--version'),
    nginx: await version('nginx', '-v'),
    lighttpd: await version('lighttpd', '-v'),
    haproxy: await version('haproxy', '-v'),
    go: await version('go', 'version'),
    ...((await had('peers in Go')) === null ? {} : versionsOf('go')),
    ...((await had('peers in Rust')) === null ? {} : versionsOf('rust')),
    h2o: await version('h2o', '--version'),
    wrk: await version('wrk', '-v'),
    h2load: await version('h2load', '--version'),
    zig: await version('zig', 'version'),
  };
}

/** Of a tool that this run has used: one that it did without is not fetched for its version. */
async function version(name, flag) {
  const path = await had(name);
  return path === null ? 'not used' : await versionOf([path, flag], libraryEnv);
}

/** Throws a MissingError unless a server can have one core to itself and its load another. */
export function checkCores({ serverCore, loadCore }) {
  for (const core of [serverCore, loadCore]) {
    const { status, error } = spawnSync('taskset', ['-c', String(core), 'true'], {
      stdio: 'ignore',
    });
    if (error !== undefined) throw new MissingError('taskset is not on PATH: this needs Linux');
    if (status !== 0) throw new MissingError(`no core ${core} here: two are needed`);
  }
}

/** Descriptors for everything but the connections. */
const DESCRIPTORS_SPARE = 200;

/** How many connections a process may have. */
export function descriptorsAllowed() {
  const limit = /^Max open files\s+(\d+)/m.exec(readFileSync('/proc/self/limits', 'latin1'))?.[1];
  return Number(limit) - DESCRIPTORS_SPARE;
}

/** Ends the program where the system does not allow so many connections. `option`: what says how many. */
export function checkDescriptors(wanted, option) {
  const allowed = descriptorsAllowed();
  if (allowed >= wanted) return;
  const limit = allowed + DESCRIPTORS_SPARE;
  console.error(`only ${limit} descriptors are allowed (ulimit -n): ${option} has to be lower`);
  process.exit(2);
}
