/** Names for handlers in profiles of V8, which knows functions by what their source calls them. */
import { runInThisContext } from 'node:vm';
import type { CompiledRoute } from '../bridge/app.ts';

type Handler = CompiledRoute['handler'];

/** Flags of Node.js under which functions are shown to people by their names. */
const profilers = /^--(cpu-prof|prof|perf-basic-prof|perf-prof|inspect)/;

/** Whether Node.js was started so that handlers show in a profile or a debugger. */
export function isProfiled(flags: readonly string[], nodeOptions = ''): boolean {
  return [...flags, ...nodeOptions.split(/\s+/)].some((flag) => profilers.test(flag));
}

/**
 * The same handler under the name of its route, `GET /users/:id`: those of one object by method would all be called
 * `GET`, and others have no name at all. A call of it is one frame more.
 */
export function withName(handler: Handler, name: string): Handler {
  if (handler.name === name) return handler;
  const key = JSON.stringify(name);
  const call = '(request, server, context) => handler(request, server, context)';
  const source = `(handler) => ({ ${key}: ${call} })[${key}]`;
  const make = runInThisContext(source, { filename: 'gyrfalcon:routes' }) as (
    handler: Handler,
  ) => Handler;
  return make(handler);
}
