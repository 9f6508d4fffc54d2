/**
 * `emitDecoratorMetadata`: what frameworks that inject by type read (`design:paramtypes`, …). esbuild has types erased by
 * the time it lowers decorators, so these files go through oxc first.
 */
import { createRequire } from 'node:module';
import { extname } from 'node:path';
import type { HelperMode } from 'oxc-transform';
import type { CompilerOptions } from './tsconfig.ts';

type Oxc = typeof import('oxc-transform');

const require = createRequire(import.meta.url);
const helpersKey = Symbol.for('gyrfalcon.decorators');

/** What stands in front of a file that {@link lowerDecorators} has changed, on its first line. */
export const helpersBanner = 'const babelHelpers = globalThis[Symbol.for("gyrfalcon.decorators")];';

/** May be true of a file without decorators; never false of one that has some. */
export function mayHaveDecorators(source: string): boolean {
  return /@\s*[\p{ID_Start}_$(/]/u.test(source);
}

/**
 * Lowers the decorators of a TypeScript file with their metadata, and erases its types.
 *
 * @returns JavaScript, or JSX where the file has some, with its source map in a comment; it needs {@link helpersBanner}
 * @throws SyntaxError whose message begins with `path:line:column:` when the file does not parse
 */
export function lowerDecorators(path: string, source: string, options: CompilerOptions): string {
  installHelpers();
  const { transformSync } = require('oxc-transform') as Oxc;
  const assigns = !definesFields(options);
  const { code, map, errors } = transformSync(path, source, {
    lang: extname(path) === '.tsx' ? 'tsx' : 'ts',
    jsx: 'preserve',
    sourcemap: true,
    decorator: {
      legacy: true,
      emitDecoratorMetadata: true,
      strictNullChecks: options.strictNullChecks ?? options.strict ?? false,
    },
    helpers: { mode: 'External' as HelperMode },
    assumptions: { setPublicClassFields: assigns },
    typescript: {
      onlyRemoveTypeImports: options.verbatimModuleSyntax ?? false,
      removeClassFieldsWithoutInitializer: assigns,
    },
  });
  const [error] = errors;
  if (error !== undefined) throw syntaxError(path, source, error);
  const text = Buffer.from(JSON.stringify({ ...map, sources: [path] })).toString('base64');
  return `${code}\n//# sourceMappingURL=data:application/json;base64,${text}\n`;
}

/** tsc's default for `useDefineForClassFields`: targets that have class fields define them. */
function definesFields({ useDefineForClassFields, target }: CompilerOptions): boolean {
  if (useDefineForClassFields !== undefined) return useDefineForClassFields;
  return target === undefined || /^es(?:next|202[2-9]|20[3-9]\d)$/i.test(target);
}

function syntaxError(
  path: string,
  source: string,
  { message, labels }: { message: string; labels: readonly { start: number }[] },
): SyntaxError {
  const before = source.slice(0, labels[0]?.start ?? 0).split('\n');
  const column = (before.at(-1) as string).length + 1;
  return new SyntaxError(`${path}:${before.length}:${column}: ${message}`);
}

type Decorator = (target: unknown, key?: unknown, descriptor?: unknown) => unknown;
type Decorate = (list: Decorator[], target: unknown, key?: unknown, at?: unknown) => unknown;

/** `Reflect` as the package reflect-metadata extends it. */
const reflect = Reflect as typeof Reflect & {
  decorate?: Decorate;
  metadata?: (key: string, value: unknown) => Decorator;
};

/** The calls that oxc leaves in the place of decorators, which behave as those of tsc do. */
const helpers = {
  /** Class: (list, class); parameters and fields: a key too, methods a descriptor or null for the one that is there. */
  decorate(list: Decorator[], target: object, key?: PropertyKey, given?: unknown): unknown {
    // biome-ignore lint/complexity/noArguments: a descriptor of undefined is another thing than none
    const count = arguments.length;
    const descriptor =
      given === null ? Object.getOwnPropertyDescriptor(target, key as PropertyKey) : given;
    const property = count > 3;
    let result: unknown = count < 3 ? target : descriptor;
    if (typeof reflect.decorate === 'function') {
      result = reflect.decorate(list, target, key, descriptor);
    } else {
      for (const decorator of [...list].reverse()) {
        const replaced = count < 3 ? decorator(result) : decorator(target, key, result);
        result = replaced || result;
      }
    }
    if (property && result) {
      Object.defineProperty(target, key as PropertyKey, result as PropertyDescriptor);
    }
    return result;
  },

  decorateParam:
    (index: number, decorator: Decorator): Decorator =>
    (target, key) =>
      decorator(target, key, index),

  /** Without reflect-metadata there is nobody who could ask for it. */
  decorateMetadata: (key: string, value: unknown): Decorator =>
    typeof reflect.metadata === 'function' ? reflect.metadata(key, value) : () => undefined,
};

/** Also for the threads that only transform: what runs the file has them as soon as it has loaded one. */
export function installHelpers(): void {
  (globalThis as { [helpersKey]?: typeof helpers })[helpersKey] ??= helpers;
}
