import type { X509Certificate } from 'node:crypto';

/** What is known of the TLS connection that a request came over. */
export interface TlsInfo {
  readonly version: 'TLSv1.2' | 'TLSv1.3';
  /** The suite's name, as IANA has it: 'TLS_AES_128_GCM_SHA256'. */
  readonly cipher: string;
  /** The protocol that was agreed on (ALPN); null where the client named none. */
  readonly alpn: string | null;
  /** The name that the client asked for (SNI); null where the server has none such. */
  readonly sni: string | null;
  /** What the client has shown, made when first asked for; null without. See `authorized`. */
  readonly clientCertificate: X509Certificate | null;
  /** The client's certificate leads to one of the authorities of option `ca`. */
  readonly authorized: boolean;
  /** The session was begun on an earlier connection. */
  readonly resumed: boolean;
  /**
   * The request came ahead of the handshake's end (0-RTT): it may be a copy of an earlier one that
   * somebody has recorded. A response with status 425 (Too Early) has the client send it again.
   */
  readonly earlyData: boolean;
}
