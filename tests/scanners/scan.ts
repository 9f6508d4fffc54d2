/** What scanners look at, and what they say of it. */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type HttpsServer, startHttps, stopHttps } from '../https/server.ts';

/** A server in a process of its own, by its name in the tables. */
export type Place = 'TLS 1.3' | 'TLS 1.2' | 'TLS 1.3, clients' | 'TLS 1.2, clients';

/** Of one scan: each finding that ought not to be is in `wrong`. */
export interface Outcome {
  passed: number;
  /** Findings that are so on purpose, with the reason. */
  explained: { what: string; why: string }[];
  wrong: string[];
}

/** Certificates and servers, which are there until `stop`. */
export class Stage {
  readonly folder = mkdtempSync(join(tmpdir(), 'gyrfalcon-scan-'));
  /** A certificate that a client shows, RSA, and its key. */
  readonly client: { cert: string; key: string };
  readonly #servers = new Map<Place, HttpsServer>();
  readonly #tls: object;

  constructor() {
    // RSA first: half of what tlsfuzzer does needs it.
    const [rsa, ec] = [this.#issue('rsa', 'rsa:2048'), this.#issue('ec', 'ec')];
    this.client = this.#issue('client', 'rsa:2048');
    this.#tls = { ...rsa, certificates: [ec], hsts: true };
  }

  /** A self-signed certificate for localhost. */
  #issue(name: string, kind: 'ec' | 'rsa:2048'): { cert: string; key: string } {
    const [cert, key] = [join(this.folder, `${name}.pem`), join(this.folder, `${name}.key`)];
    const keys = kind === 'ec' ? ['ec', '-pkeyopt', 'ec_paramgen_curve:P-256'] : [kind];
    const args = ['req', '-x509', '-newkey', ...keys, '-nodes', '-keyout', key, '-out', cert];
    const names = 'subjectAltName=DNS:localhost,IP:127.0.0.1';
    args.push('-subj', '/CN=localhost', '-days', '90', '-addext', names);
    const { status, stderr } = spawnSync('openssl', args, { encoding: 'utf8' });
    if (status !== 0) throw new Error(`openssl ${args.join(' ')}: ${stderr}`);
    return { cert, key };
  }

  /** The port of a server, which is started when it is first asked for. */
  async portOf(place: Place): Promise<number> {
    const known = this.#servers.get(place);
    if (known !== undefined) return known.port;
    const asks = place.includes('clients');
    const server = await startHttps({
      tls: {
        ...this.#tls,
        minVersion: place.startsWith('TLS 1.2') ? '1.2' : '1.3',
        ...(asks ? { requestCert: true, rejectUnauthorized: false, ca: this.client.cert } : {}),
      },
      http2: false,
    });
    this.#servers.set(place, server);
    return server.port;
  }

  /** Ends all servers, which have to be there still, and to have allocated nothing since they were started. */
  async stop(): Promise<void> {
    await Promise.all([...this.#servers.values()].map(stopHttps));
    rmSync(this.folder, { recursive: true });
  }
}
