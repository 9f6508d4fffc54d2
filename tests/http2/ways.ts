/** HTTP/2 in clear text, by prior knowledge, and over TLS, by ALPN: what the tests of clients run over. */
import type { ServeOptions } from 'gyrfalcon';
import { Authority, noTls } from '../support/certificates.ts';

const authority = noTls === undefined ? new Authority() : undefined;
const issued = authority?.issue(['127.0.0.1', 'localhost', 'a.test']);
process.on('exit', () => authority?.remove());

export interface Way {
  name: string;
  scheme: 'http' | 'https';
  /** Why it cannot be had here. */
  lack: string | undefined;
  /** What a server has for it. */
  options: ServeOptions;
  /** The same for the `gyrfalcon` command. */
  args: string[];
  /** What clients trust, a file. */
  trusted: string | undefined;
}

export const ways: readonly Way[] = [
  {
    name: 'in clear text',
    scheme: 'http',
    lack: undefined,
    options: {},
    args: [],
    trusted: undefined,
  },
  {
    name: 'over TLS',
    scheme: 'https',
    lack: noTls,
    options: issued === undefined ? {} : { tls: { cert: issued.certFile, key: issued.keyFile } },
    args: issued === undefined ? [] : ['--tls-cert', issued.certFile, '--tls-key', issued.keyFile],
    trusted: authority?.certFile,
  },
];
