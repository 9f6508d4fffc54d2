/** The same tests over TLS: what GYRFALCON_OVER_TLS asks for, in the place of HTTP as it is. */
import type { Issued } from './certificates.ts';

export const overTls = process.env.GYRFALCON_OVER_TLS === '1';

let issued: Issued | undefined;

/** Certificate and key that servers are to have, made once; null where they have none. */
export async function ownCertificate(): Promise<Issued | null> {
  if (!overTls) return null;
  if (issued === undefined) {
    const { Authority } = await import('./certificates.ts');
    const authority = new Authority();
    issued = authority.issue(['localhost', '127.0.0.1']);
    process.on('exit', () => authority.remove());
  }
  return issued;
}
