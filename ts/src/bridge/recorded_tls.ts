import { X509Certificate } from 'node:crypto';
import type { TlsInfo } from '../fetch/tls_info.ts';
import * as abi from './abi.gen.ts';

const versions = ['TLSv1.2', 'TLSv1.3'] as const;

/** What a request's record tells of its connection. */
export class RecordedTls implements TlsInfo {
  readonly #bytes: Buffer;
  #certificate: X509Certificate | null | undefined;

  /** @param bytes - of the record, from its TlsHead on; they are copied */
  constructor(bytes: Uint8Array) {
    this.#bytes = Buffer.from(bytes);
  }

  get version(): TlsInfo['version'] {
    return versions[this.#byte(abi.TLS_HEAD_VERSION)] ?? 'TLSv1.3';
  }

  get cipher(): string {
    return this.#text(0, this.#byte(abi.TLS_HEAD_CIPHER_LEN));
  }

  get alpn(): string | null {
    const length = this.#byte(abi.TLS_HEAD_PROTOCOL_LEN);
    return length === 0 ? null : this.#text(this.#byte(abi.TLS_HEAD_CIPHER_LEN), length);
  }

  get sni(): string | null {
    const before = this.#byte(abi.TLS_HEAD_CIPHER_LEN) + this.#byte(abi.TLS_HEAD_PROTOCOL_LEN);
    const length = this.#byte(abi.TLS_HEAD_SERVER_NAME_LEN);
    return length === 0 ? null : this.#text(before, length);
  }

  get clientCertificate(): X509Certificate | null {
    if (this.#certificate === undefined) this.#certificate = this.#readCertificate();
    return this.#certificate;
  }

  get authorized(): boolean {
    return this.#has(abi.TLS_FLAG_AUTHORIZED);
  }

  get resumed(): boolean {
    return this.#has(abi.TLS_FLAG_RESUMED);
  }

  get earlyData(): boolean {
    return this.#has(abi.TLS_FLAG_EARLY);
  }

  toJSON(): object {
    const { version, cipher, alpn, sni, authorized, resumed, earlyData } = this;
    return { version, cipher, alpn, sni, authorized, resumed, earlyData };
  }

  #readCertificate(): X509Certificate | null {
    const length = this.#bytes.readUInt16LE(abi.TLS_HEAD_CERTIFICATE_LEN);
    if (length === 0) return null;
    return new X509Certificate(this.#bytes.subarray(this.#bytes.length - length));
  }

  #has(flag: number): boolean {
    return (this.#byte(abi.TLS_HEAD_FLAGS) & flag) !== 0;
  }

  #byte(at: number): number {
    return this.#bytes[at] as number;
  }

  #text(at: number, length: number): string {
    const start = abi.TLS_HEAD_BYTES + at;
    return this.#bytes.toString('latin1', start, start + length);
  }
}
