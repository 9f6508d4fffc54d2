/** Certificates for tests, made by the openssl command when they are asked for. */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { loadEngine } from '../../ts/src/bridge/engine.ts';
import { lacks } from './process.ts';
import { zigProgram } from './target.ts';

/** A certificate and its key, PEM, with their files. */
export interface Issued {
  certFile: string;
  keyFile: string;
  cert: string;
  key: string;
}

/** Why connections cannot be tested that are secured, or undefined. */
export const noTls: string | undefined = loadEngine().hasTls
  ? lacks('openssl')
  : 'the engine has no TLS in it (npm run build:tls)';

/** The same of the executable for the system at hand. */
export function lackOfTls(): string | undefined {
  const { stdout } = spawnSync(zigProgram('gyrfalcon'), ['--version'], { encoding: 'utf8' });
  if (/ with TLS\s*$/m.test(stdout)) return lacks('openssl');
  return 'the executable has no TLS in it (npm run build:tls -- --list tells of systems)';
}

function openssl(...args: string[]): void {
  const { status, stderr } = spawnSync('openssl', args, { encoding: 'utf8' });
  if (status !== 0) throw new Error(`openssl ${args.join(' ')}: ${stderr}`);
}

/** An authority, in a folder of its own until `remove`. */
export class Authority {
  readonly folder = mkdtempSync(join(tmpdir(), 'gyrfalcon-tls-'));
  readonly cert: string;
  readonly certFile = join(this.folder, 'ca.pem');
  private readonly keyFile = join(this.folder, 'ca.key');
  private count = 0;

  constructor(name = 'Authority of tests') {
    const { keyFile, certFile } = this;
    openssl('ecparam', '-name', 'prime256v1', '-genkey', '-noout', '-out', keyFile);
    const made = ['-new', '-x509', '-key', keyFile, '-out', certFile, '-days', '30'];
    openssl('req', ...made, '-subj', `/CN=${name}`);
    this.cert = readFileSync(certFile, 'utf8');
  }

  /** Issues a certificate for host names, the first of which is its common name too. */
  issue(names: readonly string[], days = 20): Issued {
    const at = (kind: string): string => join(this.folder, `${this.count}.${kind}`);
    this.count += 1;
    const [keyFile, certFile] = [at('key'), at('pem')];
    openssl('ecparam', '-name', 'prime256v1', '-genkey', '-noout', '-out', keyFile);
    const subject = ['-subj', `/CN=${names[0]}`];
    openssl('req', '-new', '-key', keyFile, '-out', at('csr'), ...subject);
    const alternatives = names.map((name) =>
      /^[\d.]+$/.test(name) ? `IP:${name}` : `DNS:${name}`,
    );
    writeFileSync(at('ext'), `subjectAltName=${alternatives.join(',')}\n`);
    const by = ['-CA', this.certFile, '-CAkey', this.keyFile, '-CAcreateserial'];
    const until = ['-days', String(days), '-extfile', at('ext')];
    openssl('x509', '-req', '-in', at('csr'), ...by, '-out', certFile, ...until);
    return {
      certFile,
      keyFile,
      cert: readFileSync(certFile, 'utf8'),
      key: readFileSync(keyFile, 'utf8'),
    };
  }

  remove(): void {
    rmSync(this.folder, { recursive: true });
  }
}
