// Facts about the machine and the programs: without them a number means nothing.
import { readFileSync } from 'node:fs';
import { cpus, loadavg, release, totalmem } from 'node:os';
import { bun, libraryEnv, nginx, run, versionOf, wrk, zig } from './tools.mjs';

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
    bun: await version(bun, '--version'),
    nginx: await version(nginx, '-v'),
    wrk: await version(wrk, '-v'),
    zig: await version(zig, 'version'),
  };
}

async function version(tool, flag) {
  try {
    return await versionOf([await tool(), flag], libraryEnv);
  } catch {
    return 'not available';
  }
}
