/**
 * Autobahn's wstest, the fuzzing client for WebSocket. It is written in Python 2, which no current distribution has: it lives
 * in a folder with the files of Debian 11, which debootstrap makes once, below .toolchain.
 */
import { cpSync, existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import {
  MissingError,
  outputOf,
  progress,
  run,
  SetupError,
  tail,
  toolchain,
} from '../scanners/scripts.ts';

const version = '25.10.1';
const home = join(toolchain, 'autobahn');
const system = join(home, 'root');
/** Python 2's last. */
const packages = ['pip==20.3.4', 'setuptools==44.1.1', 'wheel==0.37.1'];
const debian = ['python2.7-dev', 'gcc', 'libc6-dev', 'libffi-dev', 'libssl-dev', 'ca-certificates'];
const runMinutesMax = 120;

/** What a case came to. */
export interface Case {
  readonly id: string;
  /** OK, NON-STRICT, INFORMATIONAL, FAILED, UNIMPLEMENTED. */
  readonly behavior: string;
  /** The same of how the connection ended. */
  readonly close: string;
  readonly description: string;
}

/** Makes what is missing. Throws a MissingError for what this machine lacks. */
export async function installWstest(): Promise<void> {
  const stamp = join(home, 'stamp');
  if (existsSync(stamp) && readFileSync(stamp, 'utf8') === version) return;
  if (process.getuid?.() !== 0) throw new MissingError('debootstrap and chroot need root');
  if (outputOf('debootstrap', ['--version']) === undefined)
    throw new MissingError('debootstrap is not installed (on Debian: apt install debootstrap)');
  rmSync(home, { recursive: true, force: true });
  mkdirSync(home, { recursive: true });
  const boot = ['--variant=minbase', `--include=${debian.join()}`, 'bullseye', system];
  await step('the files of Debian 11: debootstrap', 'debootstrap', boot);
  await step('pip for Python 2: pip download', 'python3', [
    ...['-m', 'pip', 'download', '--quiet', '--no-deps', '--dest', join(system, 'wheels')],
    ...packages,
  ]);
  // Whom this machine's pip trusts.
  const trusted = process.env.PIP_CERT ?? process.env.SSL_CERT_FILE;
  const bundle = '/etc/ssl/certs/ca-certificates.crt';
  if (trusted !== undefined) cpSync(trusted, join(system, bundle), { dereference: true });
  const script = `
    python2.7 /wheels/pip-20.3.4-py2.py3-none-any.whl/pip install -q --no-index --find-links /wheels pip setuptools wheel
    python2.7 -m pip install -q autobahntestsuite==${version}`;
  const env: NodeJS.ProcessEnv = { ...process.env, PIP_FIND_LINKS: '' };
  for (const name of ['PIP_CERT', 'REQUESTS_CA_BUNDLE', 'SSL_CERT_FILE']) env[name] = bundle;
  await step('wstest: pip install', 'chroot', [system, '/bin/sh', '-ec', script], env);
  writeFileSync(stamp, version);
}

async function step(
  what: string,
  command: string,
  args: string[],
  env: NodeJS.ProcessEnv = process.env,
): Promise<void> {
  const { code, output } = await progress.work(what, () => run(command, args, { env }));
  if (code !== 0) throw new MissingError(`${what} did not work\n${tail(output)}`);
}

/** Has it talk to a server. `cases`: as it selects them, `*` for all. */
export async function fuzz(
  agent: string,
  url: string,
  cases: string[],
  excluded: string[],
): Promise<Case[]> {
  const folder = join('/reports', agent);
  rmSync(join(system, folder), { recursive: true, force: true });
  const order = { outdir: folder, servers: [{ agent, url }], cases, 'exclude-cases': excluded };
  const spec = join('/', `${agent}.json`);
  writeFileSync(join(system, spec), JSON.stringify({ ...order, 'exclude-agent-cases': {} }));
  const args = [system, 'wstest', '--mode=fuzzingclient', `--spec=${spec}`];
  const { code, output } = await run('chroot', args, { timeoutMs: runMinutesMax * 60_000 });
  if (code !== 0) throw new SetupError(`wstest ended with ${code}\n${tail(output)}`);
  return readReports(join(system, folder), agent);
}

function readReports(folder: string, agent: string): Case[] {
  const read = (name: string) => JSON.parse(readFileSync(join(folder, name), 'utf8'));
  const index = read('index.json')[agent] as Record<
    string,
    { behavior: string; behaviorClose: string; reportfile: string }
  >;
  return Object.entries(index).map(([id, { behavior, behaviorClose, reportfile }]) => ({
    id,
    behavior,
    close: behaviorClose,
    description: String(read(reportfile).description),
  }));
}
