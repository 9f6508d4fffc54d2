/**
 * The default export of a module as its author wrote it. What was compiled to CommonJS (`.cts`, the output of tsc) has
 * `module.exports` as its default, with the author's beside a mark that compilers agree on.
 */
export function defaultExport(exported: { readonly default?: unknown }): unknown {
  const value = exported.default;
  if (typeof value !== 'object' || value === null) return value;
  const compiled = value as { readonly __esModule?: unknown; readonly default?: unknown };
  return compiled.__esModule === true && 'default' in compiled ? compiled.default : value;
}
