/** Parameters of a query. */

/** What a client asks for wrongly: it is told by a 400. */
export class BadRequest extends Error {}

/** A parameter that is an integer. Without `fallback` it has to be there. */
export function integer(query: URLSearchParams, name: string, fallback?: number): number {
  const text = query.get(name);
  if (text === null && fallback !== undefined) return fallback;
  const value = Number(text);
  if (text === null || text === '' || !Number.isInteger(value)) {
    throw new BadRequest(`?${name}= is ${text === null ? 'missing' : 'no integer'}`);
  }
  return value;
}

/** The same, brought into a range. */
export function within(
  query: URLSearchParams,
  name: string,
  fallback: number,
  [min, max]: readonly [min: number, max: number],
): number {
  return Math.min(max, Math.max(min, integer(query, name, fallback)));
}
