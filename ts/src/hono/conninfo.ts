import { Exchange } from '../bridge/exchange.ts';
import { sourceOf } from '../fetch/request.ts';

/** What this needs of Hono's context. */
export interface HonoContext {
  readonly req: { readonly raw: unknown };
}

/** What Hono's `ConnInfo` is. */
export interface ConnInfo {
  remote: {
    address?: string;
    addressType?: 'IPv4' | 'IPv6' | undefined;
    port?: number;
    transport?: 'tcp';
  };
}

/**
 * Hono's `getConnInfo` for this server: `remote` has the address of the client's connection, and is
 * empty when it is not known, or when the context's request did not come to a server.
 *
 * @example
 * import { getConnInfo } from 'gyrfalcon/hono';
 * app.get('/', (c) => c.text(`You are ${getConnInfo(c).remote.address}`));
 */
export function getConnInfo(c: HonoContext): ConnInfo {
  const source = sourceOf(c.req.raw);
  const peer = source instanceof Exchange ? source.peer() : null;
  if (peer === null || peer.family === 'unix') return { remote: {} };
  const { address, family, port } = peer;
  return { remote: { address, addressType: family, port, transport: 'tcp' } };
}
