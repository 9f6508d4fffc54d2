/**
 * Gyrfalcon's public interface.
 *
 * @example
 * ```ts
 * import { serve } from 'gyrfalcon';
 *
 * const server = serve({ port: 3000, fetch: () => new Response('Hello') });
 * console.log(server.url.href);
 * ```
 */
export type { SocketAddress } from './address.ts';
export { defineApp } from './define_app.ts';
export { ERROR_CODES, type ErrorCode, GyrfalconError } from './errors.ts';
export { installGlobals } from './globals.ts';
export { Headers } from './headers.ts';
export type { ServeOptions } from './options.ts';
export type { ProtocolError } from './protocol_error.ts';
export { Request } from './request.ts';
export { Response } from './response.ts';
export {
  type DirOptions,
  type DirRoute,
  dir,
  type Handler,
  type RouteMethod,
  type RouteParams,
  type Routes,
  type RouteTarget,
  type RouteValue,
} from './routes.ts';
export { serve } from './serve.ts';
export type { Server } from './server.ts';
export type { TrailersInit } from './trailers.ts';
