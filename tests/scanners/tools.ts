/** Where the scanners come from: PATH, or .toolchain, into which they are installed when they are first asked for. */
import { existsSync, mkdirSync, readdirSync, renameSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { lacks } from '../support/process.ts';
import { findPython, MissingError, outputOf, progress, run, tail, toolchain } from './scripts.ts';

/** What tlsfuzzer computes with, and what its tests of ML-KEM do. */
const tlslite = ['tlslite-ng==0.9.0b2', 'ecdsa==0.19.2', 'six==1.17.0', 'kyber-py==1.0.1'];

/** The program sslscan. */
export const sslscan = (): Promise<string> => fromDebian('sslscan', 'sslscan', '--version');

/** The program testssl.sh: the newest is in a repository of its own, whose folder GYRFALCON_TESTSSL names. */
export async function testssl(): Promise<string> {
  // It looks for them before all else; Debian's bind9-host has one.
  const resolvers = ['host', 'dig', 'drill', 'nslookup'];
  if (resolvers.every((name) => lacks(name, '-V') !== undefined)) {
    throw new MissingError(`testssl.sh wants one of ${resolvers.join(', ')}`);
  }
  const own = process.env.GYRFALCON_TESTSSL;
  if (own !== undefined) return fileIn(own, 'testssl.sh', 'GYRFALCON_TESTSSL');
  if (outputOf('testssl.sh', ['--help']) !== undefined) return 'testssl.sh';
  return fromDebian('testssl', 'testssl.sh', '--help');
}

/** The folder of tlsfuzzer, which no registry has, and that of the Python packages which it needs. */
export async function tlsfuzzer(): Promise<{ folder: string; packages: string }> {
  const folder = process.env.GYRFALCON_TLSFUZZER;
  if (folder === undefined) {
    throw new MissingError(
      'tlsfuzzer is in no registry: set GYRFALCON_TLSFUZZER to a checkout of the repository tlsfuzzer/tlsfuzzer',
    );
  }
  fileIn(folder, join('tlsfuzzer', 'runner.py'), 'GYRFALCON_TLSFUZZER');
  const packages = join(toolchain, 'tlslite');
  if (!existsSync(packages)) {
    const python = findPython('tlslite-ng', 'tlsfuzzer is written in it.');
    const partial = `${packages}.partial-${process.pid}`;
    const args = [...python.args, '-m', 'pip', 'install', '--quiet', '--target', partial];
    args.push('--root-user-action=ignore', '--disable-pip-version-check', ...tlslite);
    await progress.work('tlslite-ng: installing it from PyPI', async () => {
      const { code, output } = await run(python.command, args);
      if (code === 0) return renameSync(partial, packages);
      rmSync(partial, { recursive: true, force: true });
      throw new MissingError(`pip could not install tlslite-ng.\n${tail(output)}`);
    });
  }
  return { folder, packages };
}

function fileIn(folder: string, name: string, variable: string): string {
  const path = join(folder, name);
  if (existsSync(path)) return path;
  throw new MissingError(`${variable} names a folder that has no ${name}: ${folder}`);
}

/** A program of PATH, or of a Debian package that is unpacked below .toolchain and installed nowhere. */
async function fromDebian(program: string, name: string, asked: string): Promise<string> {
  if (outputOf(program, [asked]) !== undefined) return program;
  const folder = join(toolchain, name);
  const path = join(folder, 'usr', 'bin', program);
  if (!existsSync(path)) await progress.work(`${name}: unpacking it`, () => unpack(name, folder));
  return path;
}

async function unpack(name: string, folder: string): Promise<void> {
  const partial = `${folder}.partial-${process.pid}`;
  mkdirSync(partial, { recursive: true });
  const lack = `${name} is neither on PATH nor to be had by apt-get`;
  try {
    const { code, output } = await run('apt-get', ['download', '-qq', name], { cwd: partial });
    const archive = readdirSync(partial).find((file) => file.endsWith('.deb'));
    if (code !== 0 || archive === undefined) throw new MissingError(`${lack}\n${tail(output)}`);
    const args = ['-x', join(partial, archive), partial];
    const unpacked = await run('dpkg-deb', args);
    if (unpacked.code !== 0) throw new MissingError(`${lack}\n${tail(unpacked.output)}`);
    renameSync(partial, folder);
  } finally {
    rmSync(partial, { recursive: true, force: true });
  }
}
