/**
 * The platform's own fetch classes, saved before `installGlobals()` puts the light ones in their
 * place. Everything that has to reach the platform (multipart parsing, fetch itself) goes through
 * these names, never through `globalThis`.
 */

/** A light class carries the platform class that it stands for under this key. */
export const platformClass: unique symbol = Symbol.for('gyrfalcon.platformClass') as never;

/**
 * What `globalThis[name]` was before anybody put a light class there. A second copy of this package
 * in the same process finds the first copy's light classes, and looks behind them.
 */
function platform<T>(current: T): T {
  const behind = (current as { [platformClass]?: T })[platformClass];
  return behind ?? current;
}

export const PlatformHeaders: typeof globalThis.Headers = platform(globalThis.Headers);
export const PlatformRequest: typeof globalThis.Request = platform(globalThis.Request);
export const PlatformResponse: typeof globalThis.Response = platform(globalThis.Response);

/**
 * Makes `light` pass for `original`: instances of `light` are `instanceof original` through the
 * prototype chain, and instances of `original` are `instanceof light` by `Symbol.hasInstance`.
 * A subclass of `light` keeps the ordinary meaning of `instanceof`. Name, length and tag are set to
 * the original's, whatever a bundler has made of them.
 */
export function standFor(
  light: { prototype: object },
  original: { prototype: object; name: string; length: number },
): void {
  const { name, length } = original;
  Object.setPrototypeOf(light.prototype, original.prototype);
  Object.defineProperty(light, 'name', { configurable: true, value: name });
  Object.defineProperty(light, 'length', { configurable: true, value: length });
  Object.defineProperty(light.prototype, Symbol.toStringTag, { configurable: true, value: name });
  showAsOriginal(light.prototype, original.prototype);
  showAsOriginal(light, original);
  const ordinary = Function.prototype[Symbol.hasInstance];
  Object.defineProperty(light, Symbol.hasInstance, {
    configurable: true,
    value(this: unknown, instance: unknown): boolean {
      return ordinary.call(this === light ? original : this, instance);
    },
  });
  Object.defineProperty(light, platformClass, { configurable: true, value: original });
  layOut(light);
}

/**
 * Has V8 lay the members of a class out for fast access again, as it does with those of a base class. To
 * redefine one makes all of them a dictionary, in which compiled code would look up every static method,
 * and `Symbol.hasInstance` at each `instanceof`.
 */
function layOut(light: object): void {
  const base = light as new () => object;
  void class extends base {};
}

/** Web IDL members are enumerable, those of a class are not; optional arguments do not count. */
function showAsOriginal(light: object, original: object): void {
  const shown = new Set(Object.keys(original));
  for (const [key, descriptor] of Object.entries(Object.getOwnPropertyDescriptors(light))) {
    if (!shown.has(key)) continue;
    Object.defineProperty(light, key, { ...descriptor, enumerable: true });
    if (typeof descriptor.value !== 'function') continue;
    const { value } = Object.getOwnPropertyDescriptor(original, key) as PropertyDescriptor;
    Object.defineProperty(descriptor.value, 'length', { configurable: true, value: value.length });
  }
}
