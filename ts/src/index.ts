/**
 * Gyrfalcon's public interface.
 *
 * @example
 * ```ts
 * import { serve } from 'gyrfalcon';
 *
 * const server = await serve({ port: 3000, fetch: () => new Response('Hello') });
 * console.log(server.url);
 * ```
 */
export { installGlobals } from './globals.ts';
export { Headers } from './headers.ts';
export { Request } from './request.ts';
export { Response } from './response.ts';
