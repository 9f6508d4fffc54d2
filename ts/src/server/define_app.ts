import type { ServeOptions } from './options.ts';

/**
 * Returns the options it is given: the default export of a module that `gyrfalcon start` runs. It is there for the
 * types: `req.params` of a handler has the parameters of its own pattern.
 *
 * @example
 * ```ts
 * export default defineApp({
 *   routes: { '/users/:id': (req) => new Response(req.params.id) },
 * });
 * ```
 */
export function defineApp<const Path extends string = string, Data = unknown>(
  options: ServeOptions<Path, Data>,
): ServeOptions<Path, Data> {
  return options;
}
